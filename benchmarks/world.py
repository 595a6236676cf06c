"""A whole run from cold files to the report, stage by stage, at sizes up to the Earth's: seconds and memory.

    python benchmarks/world.py [--reaches 10000,100000,1000000] [--days 400] [--steps 10] [--device cuda]
    python benchmarks/world.py --quick --device cuda

Makes worlds with `rivergrad generate-world`, drops their files from the page cache where that is allowed, and runs
`workflows/global.yaml` on them, each in a process of its own. world.csv gets a row for each stage that run.json names,
one for making the world and one for the whole process; `peak_mb` is what the process had at most by the end of the
stage. world_skill.csv gets how well the hidden celerities were found. A stage's exponent is printed from size to size:
1 is a cost that grows with the number of reaches. `--quick` is one run at 6.84 million reaches with 500 steps.
After `--limit` seconds a run is stopped, its stages up to there are kept, and where it was is printed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import measure
import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

import rivergrad as rg

ROOT = Path(__file__).resolve().parents[1]
FIRST = np.datetime64("2001-01-01")
TRAIN_SHARE = 0.85
EARTH = 6_840_000
SPLITS = ("gauge", "gauge_time")
"""Held-out gauges, in the period of training and after it."""


@dataclass(frozen=True)
class Row:
    """One stage of one run."""

    reaches: int
    days: int
    gauges: int
    device: str
    steps: int
    stage: str
    seconds: float
    peak_mb: float
    machine: str


@dataclass(frozen=True)
class Skill:
    """How well one run found what is hidden."""

    reaches: int
    days: int
    gauges: int
    steps: int
    rank_correlation: float
    within_90: float
    nse_estimate: float
    nse_unrouted: float
    nse_default: float
    nse_uniform: float
    settings: str


def process(words: list[str], limit: float, environment: dict[str, str]) -> tuple[float, float, int]:
    """Seconds, peak of the memory in MB, and exit code of a command; killed with a traceback after `limit` seconds."""
    began = time.perf_counter()
    command = [sys.executable, "-X", "faulthandler", "-m", "rivergrad", *words]
    child = subprocess.Popen(command, env=environment)
    clock = threading.Timer(limit, child.send_signal, (signal.SIGABRT,))
    clock.start()
    _, status, usage = os.wait4(child.pid, 0)
    clock.cancel()
    child.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - began, usage.ru_maxrss / 1024, child.returncode


def forget(folder: Path) -> None:
    """Ask the system to drop the pages of files, so that they are read from the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def settings(options: argparse.Namespace, run: Path) -> list[str]:
    """What the workflow has to say of the record, the device and the number of steps."""
    last = options.days - 1
    split = round(TRAIN_SHARE * options.days)
    said = {
        "time.train": f"[{FIRST}, {FIRST + np.timedelta64(split - 1, 'D')}]",
        "time.test": f"[{FIRST + np.timedelta64(split, 'D')}, {FIRST + np.timedelta64(last, 'D')}]",
        "estimate.steps": options.steps,
        "estimate.evaluate_every": max(1, min(50, options.steps // 2)),
        "estimate.checkpoint_every": max(1, min(100, options.steps)),
        "compute.memory_budget": options.budget,
        "compute.threads_per_worker": len(os.sched_getaffinity(0)),
        "compute.device": options.device,
        "output": json.dumps(str(run)),
    }
    given = [f"{key}={value}" for key, value in said.items()] + (options.set or [])
    return [word for one in given for word in ("--set", one)]


def rows_of(run: Path, options: argparse.Namespace, reaches: int, machine: str) -> list[Row]:
    """A row for each stage that a run has ended."""
    info = json.loads((run / "run.json").read_text())
    peaks, gauges = info.get("peak_mb", {}), info.get("summary", {}).get("gauges", 0)
    return [
        Row(
            reaches,
            options.days,
            gauges,
            options.device,
            options.steps,
            stage,
            seconds,
            peaks.get(stage, math.nan),
            machine,
        )
        for stage, seconds in info["timings"].items()
    ]


def skill_of(run: Path, world: Path, options: argparse.Namespace) -> Skill:
    """Compare a run with the truth, over reaches with a gauge downstream."""
    found = rg.open_run(run).parameters
    true = pd.read_parquet(world / "truth.parquet")["celerity"].to_numpy()
    informed = np.asarray(found["informed"]) > 0
    celerity = np.asarray(found["celerity"])[informed]
    inside = math.nan
    if "celerity_lower" in found:
        low, high = (np.asarray(found[f"celerity_{end}"])[informed] for end in ("lower", "upper"))
        inside = float(np.mean((true[informed] >= low) & (true[informed] <= high)))
    scores = pd.read_csv(run / "metrics.csv")
    held = scores[scores["split"].isin(SPLITS[1:])]
    median = held.median(numeric_only=True)
    return Skill(
        true.size,
        options.days,
        scores["gauge"].nunique(),
        options.steps,
        float(spearmanr(celerity, true[informed]).statistic),
        inside,
        *(float(median[name]) for name in ("nse", "nse_unrouted", "nse_default", "nse_uniform")),
        " ".join(options.set or []),
    )


def one(reaches: int, options: argparse.Namespace, folder: Path) -> list[Row]:
    """Make a world and run the workflow on it."""
    environment = os.environ | {"RIVERGRAD_DATA": str(folder)}
    machine = measure.machine(torch.device(options.device))
    common = (reaches, options.days, 0, options.device, options.steps)
    rows = []
    world = folder / "world"
    if not world.exists():
        years = options.days / 365.25
        words = ["generate-world", str(world), "--reaches", str(reaches), "--years", f"{years:.6f}"]
        words += ["--device", options.device]
        seconds, peak, code = process(words, options.limit, environment)
        if code:
            raise SystemExit(f"generate-world: exit code {code}")
        rows.append(Row(*common, "generate-world", seconds, peak, machine))
    forget(world)
    run = folder / "run"
    words = ["run", str(ROOT / "workflows" / "global.yaml"), *settings(options, run)]
    seconds, peak, code = process(words, options.limit, environment)
    rows += rows_of(run, options, reaches, machine)
    rows.append(Row(*common, "whole process" if code == 0 else f"stopped ({code})", seconds, peak, machine))
    size = sum(path.stat().st_size for path in (run / "maps").glob("*")) if (run / "maps").exists() else 0
    if (run / "report.html").exists():
        size += (run / "report.html").stat().st_size
        print(f"report and maps: {size / 1e6:.1f} MB", flush=True)
    if code == 0:
        skill = skill_of(run, world, options)
        print(skill, flush=True)
        measure.write(options.output.with_name(f"{options.output.stem}_skill.csv"), [skill])
    return rows


def exponents(rows: list[Row]) -> None:
    """From each size to the next: with what power of the number of reaches the cost of a stage grows."""
    sizes = sorted({row.reaches for row in rows})
    for small, large in itertools.pairwise(sizes):
        before = {row.stage: row.seconds for row in rows if row.reaches == small}
        print(f"{small:,} to {large:,} reaches:")
        for row in rows:
            if row.reaches == large and before.get(row.stage, 0.0) > 0 and row.seconds > 0:
                power = math.log(row.seconds / before[row.stage]) / math.log(large / small)
                print(f"    {row.stage:<16} {before[row.stage]:>9.2f} {row.seconds:>9.2f} s  {power:>6.2f}")


def main() -> None:
    """Every size in turn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--reaches", default="10000,100000,1000000")
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--budget", help="compute.memory_budget; 2GB on CPUs, 40GB on a GPU")
    parser.add_argument("--quick", action="store_true", help="one run of the Earth's size with 500 steps")
    parser.add_argument("--limit", type=float, default=1e6, help="seconds that a process may take")
    parser.add_argument("--folder", type=Path, help="where worlds and runs stay; by default they are removed")
    parser.add_argument("--set", action="append", metavar="a.b=v", help="a further key of the workflow")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    if options.quick:
        options.reaches, options.steps = str(EARTH), 500
    if options.budget is None:
        options.budget = "40GB" if options.device == "cuda" else "2GB"
    every = []
    for reaches in map(int, options.reaches.split(",")):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) if options.folder is None else options.folder / str(reaches)
            folder.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(folder / "run", ignore_errors=True)
            rows = one(reaches, options, folder)
        for row in rows:
            print(
                f"{row.reaches:>9,} {row.stage:<16} {row.seconds:>9.2f} s {row.peak_mb:>9.0f} MB", flush=True
            )
        measure.write(options.output, rows)
        every += rows
    exponents(every)


if __name__ == "__main__":
    main()
