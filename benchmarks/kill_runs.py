"""Runs whose workers are killed at random moments: each has to end by itself with the estimate of an undisturbed run.

    python benchmarks/kill_runs.py                     20 runs, a worker of each killed by SIGKILL
    python benchmarks/kill_runs.py --runs 4 --hang     workers that hang (SIGSTOP) instead
    python benchmarks/kill_runs.py --scheduler         the scheduler killed: a clear end, and a correct resume
    python benchmarks/kill_runs.py --case hbv --runs 4

Cases: `plain`; `hbv` and `lstm`, learned runoff in stages, the last of them by Gauss-Newton; `gauss_newton`; `shallow`,
basins cut for few rounds; `uncertainty`, whose moments are in what follows the fit: uncertainty, and discharge of all
reaches. Moments of the others go round: while workers set up, in the middle of a sweep, while a checkpoint is written,
in the evaluation. Within these they are random. Writes benchmarks/kill_runs.csv, a row a run; ends with 1 unless all
runs ended as they should.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
import xarray as xr
import yaml
from measure import machine

WORKFLOW = {
    "name": "kill",
    "seed": 3,
    "world": {"spec": {"seed": 3, "reaches": 250, "years": 1, "gauge_fraction": 0.08, "start": "2001-01-01"}},
    "time": {
        "routing_step": "6h",
        "warmup": "20d",
        "train": ["2001-01-01", "2001-10-31"],
        "test": ["2001-11-01", "2001-12-30"],
    },
    "gauges": {"holdout": 0.25},
    "parameters": {"trend": ["slope", "upstream_area_m2"], "shrinkage": 0.01},
    "partition": {"parts": 4, "block_reaches": 60, "spread": True},
    "compute": {"kind": "local", "workers": 2, "patience": "10s"},
    "estimate": {"steps": 24, "window": "120d", "evaluate_every": 6, "checkpoint_every": 3, "patience": 50,
                 "learning_rate": 0.1, "uniform_grid": 6},
    "uncertainty": {"enabled": False},
    "report": {"hydrographs": 2, "discharge": False},
}  # fmt: skip
STAGES = [
    {"name": "lumped", "train": ["runoff"], "unrouted": True, "steps": 6},
    {"name": "two_step", "train": ["routing"], "steps": 6},
    {"name": "joint", "train": ["runoff", "routing"], "steps": 12, "start": "scratch"},
    {"name": "rivers", "train": ["routing"], "method": "gauss_newton", "steps": 6},
]
PHASES = ("setup", "sweep", "checkpoint", "evaluation")
AFTERWARDS = ("uncertainty", "discharge")
BEFORE = {"evaluation": "estimate", "uncertainty": "evaluation", "discharge": "uncertainty"}
"""What a run tells the end of in its log when a phase begins."""
CASES = ("plain", "hbv", "lstm", "gauss_newton", "shallow", "uncertainty")
LIMIT = 600.0
"""Seconds after which a run counts as hanging."""


def workers_of(pid: int) -> list[psutil.Process]:
    """Worker processes of a run."""
    found = []
    with suppress(psutil.NoSuchProcess):  # which may just have ended
        for below in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if any("spawn_main" in word for word in below.cmdline()):
                    found.append(below)
    return found


def start(path: Path, *arguments: str) -> subprocess.Popen[str]:
    command = (
        [sys.executable, *arguments] if arguments else [sys.executable, "-m", "rivergrad.cli", "estimate"]
    )
    return subprocess.Popen(
        [*command, str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def prepare(case: str) -> None:
    """Make the workflow one of a case."""
    estimate: dict[str, object] = WORKFLOW["estimate"]  # type: ignore[assignment]
    if case in ("hbv", "lstm"):
        spec: dict[str, object] = WORKFLOW["world"]["spec"]  # type: ignore[index]
        spec |= {"weather": True, "reach_length": 50000.0, "celerity": 0.5}
        WORKFLOW["runoff"] = {
            "kind": "learned",
            "model": case,
            "attributes": ["soil_depth_mm", "clay_fraction"],
        }
        del estimate["steps"]
        estimate["stages"] = STAGES
    elif case == "gauss_newton":
        estimate |= {"method": "gauss_newton", "steps": 9, "evaluate_every": 3, "checkpoint_every": 1}
    elif case == "shallow":
        WORKFLOW["partition"] = {"parts": 4, "block_reaches": 60, "shallow": True}
    elif case == "uncertainty":
        WORKFLOW["partition"] = {"parts": 4}
        WORKFLOW["parameters"]["deviation_sd"] = 0.4  # type: ignore[index]
        WORKFLOW["uncertainty"] = {"enabled": True, "products": 20}
        WORKFLOW["report"] = {"hydrographs": 2, "discharge": True}


def write_workflow(folder: Path, name: str) -> tuple[Path, Path]:
    """A workflow's file and its run directory."""
    path, run = folder / f"{name}.yaml", folder / name
    path.write_text(yaml.safe_dump({**WORKFLOW, "output": str(run)}, sort_keys=False))
    return path, run


def log_of(run: Path) -> str:
    return (run / "log.txt").read_text() if (run / "log.txt").exists() else ""


def newest(run: Path) -> int:
    """Steps up to the newest checkpoint, over all stages."""
    steps: dict[Path, int] = {}
    for path in run.glob("checkpoints/**/step-*.npz"):
        steps[path.parent] = max(steps.get(path.parent, 0), int(path.stem.removeprefix("step-")))
    return sum(steps.values())


def planned() -> int:
    estimate: dict[str, Any] = WORKFLOW["estimate"]  # type: ignore[assignment]
    return int(estimate.get("steps") or sum(stage["steps"] for stage in STAGES))


def lasts(whole: Path, phase: str) -> float:
    """Seconds that a phase took in the undisturbed run."""
    return float(json.loads((whole / "run.json").read_text())["timings"][phase])


def until(done: Callable[[], object], process: subprocess.Popen[str]) -> None:
    limit = time.monotonic() + LIMIT
    while not done():
        if process.poll() is not None or time.monotonic() > limit:
            raise RuntimeError("the run was over before its moment")
        time.sleep(0.002)


def wait_for(phase: str, process: subprocess.Popen[str], run: Path, rng: random.Random, whole: Path) -> None:
    """Come to a random moment of a phase."""
    every = int(WORKFLOW["estimate"]["checkpoint_every"])  # type: ignore[index]
    at = rng.randrange(every, planned() - every, every)
    if phase == "setup":
        until(lambda: "partition took" in log_of(run), process)
        time.sleep(rng.uniform(0.0, lasts(whole, "setup")))
    elif phase == "sweep":
        until(lambda: newest(run) >= at, process)
        time.sleep(rng.uniform(0.0, 0.3))
    elif phase == "checkpoint":
        until(lambda: newest(run) >= at, process)
        until(lambda: [*run.glob("checkpoints/**/.tmp-*")] or newest(run) > at, process)
    else:
        until(lambda: f"{BEFORE[phase]} took" in log_of(run), process)
        time.sleep(rng.uniform(0.0, 0.9 * lasts(whole, phase)))


def difference(run: Path, whole: Path) -> float:
    """The largest relative difference of any number of the estimate."""
    found, expected = (xr.open_zarr(folder / "parameters.zarr").load() for folder in (run, whole))
    worst = 0.0
    for name in expected.variables:
        a, b = np.asarray(found[name]), np.asarray(expected[name])
        if np.issubdtype(b.dtype, np.floating):
            same = (a == b) | (np.isnan(a) & np.isnan(b))
            off = np.abs(np.where(same, 0.0, a - b)) / np.maximum(np.abs(np.where(same, 1.0, b)), 1e-300)
            worst = max(worst, float(np.where(same, 0.0, off).max(initial=0.0)))
        elif not np.array_equal(a, b):
            worst = float("inf")
    weights = "runoff_model.safetensors"
    if (whole / weights).exists() and (run / weights).read_bytes() != (whole / weights).read_bytes():
        return float("inf")
    return worst


def disturb(folder: Path, number: int, phase: str, case: str, hang: bool, whole: Path) -> dict[str, object]:
    rng = random.Random(f"{case} {number}")
    path, run = write_workflow(folder, f"run-{number}")
    process = start(path)
    began = time.monotonic()
    try:
        wait_for(phase, process, run, rng, whole)
        until(lambda: workers_of(process.pid), process)
        victim = rng.choice(workers_of(process.pid))
        at = newest(run)
        victim.send_signal(signal.SIGSTOP if hang else signal.SIGKILL)
        harmed = time.monotonic() - began
        _, errors = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
    correct = process.returncode == 0
    off = difference(run, whole) if correct else float("nan")
    if not correct:
        print(errors[-2000:], file=sys.stderr)
    return {
        "run": number,
        "what": "worker stopped" if hang else "worker killed",
        "phase": phase,
        "after_s": round(harmed, 2),
        "checkpoint": at,
        "exit_code": process.returncode,
        "restarts": log_of(run).count("setting up again"),
        "largest_difference": off,
        "seconds": round(time.monotonic() - began, 1),
        "as_it_should": correct and off <= 1e-6,
    }


@contextmanager
def scheduler(folder: Path, number: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler and two workers in processes of their own."""
    file = folder / f"scheduler-{number}.json"  # that of one killed before would be read
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    first = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)],
        **quiet,
    )  # fmt: skip
    command = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-dashboard"]
    others = [
        subprocess.Popen(
            [*command, "--scheduler-file", str(file), "--local-directory", str(folder)], **quiet,
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        yield str(file), first
    finally:
        for process in (first, *others):
            process.kill()  # workers would look for their scheduler for a while
        for process in (first, *others):
            process.wait(30)


def lose_the_scheduler(folder: Path, number: int, phase: str, case: str, whole: Path) -> dict[str, object]:
    rng = random.Random(f"{case} scheduler {number}")
    path, run = write_workflow(folder, f"scheduler-{number}")
    began = time.monotonic()
    with scheduler(folder, number) as (file, process_of_scheduler):
        process = start(path, __file__, "--on", file)
        wait_for(phase, process, run, rng, whole)
        at = newest(run)
        process_of_scheduler.kill()
        killed = time.monotonic()
        _, errors = process.communicate(timeout=LIMIT)
    said = errors.strip().splitlines()[-1]
    clear = process.returncode == 2 and "the scheduler of the workers is lost" in said and "again" in said
    print(f"{said} ({time.monotonic() - killed:.1f} s after it was killed)")
    again = start(path)
    again.communicate(timeout=LIMIT)
    off = difference(run, whole) if again.returncode == 0 else float("nan")
    return {
        "run": number,
        "what": "scheduler killed",
        "phase": phase,
        "after_s": round(killed - began, 2),
        "checkpoint": at,
        "exit_code": process.returncode,
        "restarts": 0,
        "largest_difference": off,
        "seconds": round(time.monotonic() - began, 1),
        "as_it_should": clear and off <= 1e-6,
    }


def run_on(file: str, path: str) -> None:
    """Carry out a workflow on the workers of a scheduler that is there already."""
    from distributed import Client

    from rivergrad.cli.guard import exit_code
    from rivergrad.cluster.executor import DaskExecutor
    from rivergrad.config.load import load_workflow
    from rivergrad.run import workflow as module

    @contextmanager
    def open_there(options: object) -> Iterator[DaskExecutor]:
        with Client(scheduler_file=file) as client:
            client.wait_for_workers(2, timeout=LIMIT)
            yield DaskExecutor(client, 10.0)

    module.open_executor = open_there  # type: ignore[assignment]
    sys.exit(exit_code(lambda: module.run_workflow(load_workflow(Path(path)), report=False) and 0))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--hang", action="store_true")
    parser.add_argument("--scheduler", action="store_true")
    parser.add_argument("--case", choices=CASES, default="plain")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--append", action="store_true")
    parser.add_argument("--on", nargs=2, metavar=("SCHEDULER_FILE", "WORKFLOW"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.on:
        run_on(*given.on)
    prepare(given.case)
    phases = AFTERWARDS if given.case == "uncertainty" else PHASES
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, whole = write_workflow(folder, "undisturbed")
        assert start(path).wait(LIMIT) == 0
        for number in range(given.runs):
            phase = phases[number % len(phases)]
            if given.scheduler:
                row = lose_the_scheduler(folder, number, phase, given.case, whole)
            else:
                row = disturb(folder, number, phase, given.case, given.hang, whole)
            row["what"] = row["what"] if given.case == "plain" else f"{row['what']}, {given.case}"
            print(row, flush=True)
            rows.append({**row, "machine": machine(torch.device("cpu"))})
            new = not (given.append and given.output.exists()) and len(rows) == 1
            with given.output.open("w" if new else "a", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                if new:
                    writer.writeheader()
                writer.writerow(rows[-1])
    good = sum(bool(row["as_it_should"]) for row in rows)
    print(f"{good} of {len(rows)} ended as they should")
    sys.exit(good != len(rows))


if __name__ == "__main__":
    main()
