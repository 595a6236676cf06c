"""A run that is killed goes on from its last checkpoint and ends with the same bytes, on workers as without."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import alive, children, workers_of

from rivergrad.config.load import load_workflow
from rivergrad.run.workflow import run_workflow

STEPS = {"steps": 30, "evaluate_every": 6, "checkpoint_every": 4, "patience": 50}
BRIEF = {"uncertainty": {"enabled": False}, "report": {"discharge": False}}  # what comes after the fit
CUT = {"block_reaches": 60}  # few pieces through cuts: what workers cost is the tasks


def contents(folder: Path) -> dict[str, bytes]:
    found = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    assert found
    return found


def same_estimate(run: Path, whole: Path) -> None:
    for name in ("celerity", "k", "x", "diffusivity"):
        assert contents(run / "parameters.zarr" / name) == contents(whole / "parameters.zarr" / name)
    assert (run / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()


def start(path: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}
    return subprocess.Popen(
        [sys.executable, "-m", "rivergrad.cli", "estimate", str(path)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def newest(run: Path) -> int:
    return max((int(p.stem.removeprefix("step-")) for p in run.glob("checkpoints/step-*.npz")), default=0)


def step_in_log(run: Path) -> int:
    with (run / "history.csv").open(newline="") as file:
        return int(list(csv.DictReader(file))[-1]["step"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny: Any, _one_commit: None) -> Path:
    """The same run without a break, in this process."""
    folder = tmp_path_factory.mktemp("whole")
    path = tiny(folder / "tiny.yaml", folder / "run", estimate=STEPS, partition=CUT)
    return run_workflow(load_workflow(path), report=False)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.distributed)])
def test_killed_in_the_middle(whole: Path, tmp_path: Path, tiny: Any, workers: int) -> None:
    compute = {"kind": "local", "workers": workers} if workers else {"kind": "serial"}
    killed = tmp_path / "killed"
    path = tiny(tmp_path / "killed.yaml", killed, estimate=STEPS, partition=CUT, compute=compute)
    process = start(path)
    try:
        deadline = time.monotonic() + 150
        while newest(killed) < 8:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(0.03)  # into the steps after the checkpoint
        below = children(process.pid)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    at = newest(killed)
    assert 8 <= at < STEPS["steps"], "the run was over before it was killed: give it more steps"
    assert not (killed / "parameters.zarr").exists()
    assert json.loads((killed / "run.json").read_text())["status"] == "running"
    if workers:
        assert len(below) >= workers
        deadline = time.monotonic() + 30
        while any(alive(one) for one in below) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert [one for one in below if alive(one)] == []

    assert run_workflow(load_workflow(path), report=False) == killed
    assert f"going on from the checkpoint of step {at}" in (killed / "log.txt").read_text()
    assert step_in_log(killed) == STEPS["steps"]
    assert contents(killed / "parameters.zarr") == contents(whole / "parameters.zarr")
    assert (killed / "metrics.csv").read_bytes() == (whole / "metrics.csv").read_bytes()
    assert not [p.name for p in killed.rglob(".tmp*")]


@pytest.mark.slow
@pytest.mark.distributed
def test_stopped_by_a_signal_to_all_its_processes(whole: Path, tmp_path: Path, tiny: Any) -> None:
    """As queues send it: the step is ended, its checkpoint written, and the same command goes on from there."""
    stopped = tmp_path / "stopped"
    compute = {"kind": "local", "workers": 2}
    path = tiny(tmp_path / "stopped.yaml", stopped, estimate=STEPS, partition=CUT, compute=compute, **BRIEF)
    process = start(path)
    deadline = time.monotonic() + 150
    while newest(stopped) < 4:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGUSR1)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75, errors
    at = newest(stopped)
    assert 4 < at < STEPS["steps"], "the run was over before it was stopped: give it more steps"
    assert errors.splitlines()[-1] == (
        f"rivergrad: stopped by SIGUSR1 after step {at}, with a checkpoint; "
        "run the same command again to go on from there"
    )
    assert json.loads((stopped / "run.json").read_text())["status"] == "stopped"

    process = start(path)  # and stopped again where there are no steps
    while json.loads((stopped / "run.json").read_text())["status"] != "running":
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75, errors
    assert "stopped by SIGTERM" in errors.splitlines()[-1]
    assert newest(stopped) == at

    assert run_workflow(load_workflow(path), report=False) == stopped
    same_estimate(stopped, whole)


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.filterwarnings("default")  # of connections that broke
def test_a_worker_killed_and_one_that_hangs(whole: Path, tmp_path: Path, tiny: Any) -> None:
    """The run goes on by itself from its last checkpoint both times, to the same bytes."""
    folder = tmp_path / "run"
    compute = {"kind": "local", "workers": 2, "patience": "6s", "restarts": 2}
    path = tiny(tmp_path / "w.yaml", folder, estimate=STEPS, partition=CUT, compute=compute, **BRIEF)
    harmed: list[psutil.Process] = []

    def harm() -> None:
        for step, number in ((8, signal.SIGKILL), (16, signal.SIGSTOP)):
            while newest(folder) < step:
                time.sleep(0.002)
            harmed.append(workers_of()[-1])
            harmed[-1].send_signal(number)

    thread = threading.Thread(target=harm, daemon=True)
    thread.start()
    assert run_workflow(load_workflow(path), report=False) == folder
    assert len(harmed) == 2
    assert not any(alive(one) for one in harmed)
    log = (folder / "log.txt").read_text()
    assert "1 of 2 workers ended unexpectedly (out of memory, or killed): setting up again" in log
    assert "1 of 2 workers gave no sign of life for 6 s: setting up again" in log
    assert log.count("going on from the checkpoint of step") == 2
    same_estimate(folder, whole)
    assert json.loads((folder / "run.json").read_text())["status"] == "done"
