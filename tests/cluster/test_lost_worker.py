"""A worker that is killed ends the run with a clear error, soon, and nothing hangs."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client

from rivergrad.cluster import executor as module
from rivergrad.cluster.calls import Call
from rivergrad.cluster.executor import DaskExecutor, open_executor, with_restarts
from rivergrad.cluster.liveness import SchedulerLostError
from rivergrad.cluster.lost import WorkerLostError
from rivergrad.errors import InputError


def draw_numbers(rng: np.random.RandomState) -> Any:
    return rng.random_sample(3)


def sleep_long(_: Any) -> None:
    time.sleep(30.0)


def own_pid(_: Any) -> int:
    return os.getpid()


def go_wrong(_: Any) -> None:
    raise AttributeError("no such attribute")


draw = Call(0, 0, draw_numbers)


def pids(executor: Any) -> list[int]:
    found = executor._client.run(os.getpid)
    return list(found.values())


def kill_after(pid: int, seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, os.kill, (pid, signal.SIGKILL))
    timer.start()
    return timer


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.filterwarnings("default")  # of connections that broke
@pytest.mark.timeout(120)
def test_killed_while_at_work() -> None:
    with open_executor(2) as executor:
        executor.gather([executor.create(key, key, importlib.import_module, "time") for key in (0, 1)])
        timer = kill_after(pids(executor)[0], 0.5)
        sleeps = [Call(key, key, sleep_long) for key in (0, 1)]  # both are busy when one is killed
        began = time.monotonic()
        with pytest.raises(InputError) as error:
            executor.finish(executor.start(sleeps))
        lasted = time.monotonic() - began
        timer.join()
    assert isinstance(error.value, WorkerLostError)
    assert lasted < 20
    assert time.monotonic() - began < 40  # the other one does not keep the cluster from closing
    message = str(error.value)
    assert "1 of 2 workers ended unexpectedly" in message
    assert "run the same command again" in message
    assert len(message.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.filterwarnings("default")
@pytest.mark.timeout(120)
def test_killed_between_two_calls() -> None:
    """What lived on the worker is gone although a new worker has taken its place."""
    with open_executor(1) as executor:
        executor.gather([executor.create(0, 0, np.random.RandomState, 0)])
        os.kill(pids(executor)[0], signal.SIGKILL)
        time.sleep(1.0)
        began = time.monotonic()
        with pytest.raises(WorkerLostError, match="ended unexpectedly"):
            executor.finish(executor.start([draw]))
        assert time.monotonic() - began < 20


def external_worker(file: str, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-dashboard"]
    return subprocess.Popen(
        [*command, "--no-nanny", "--scheduler-file", file, "--local-directory", str(folder)],
        stderr=subprocess.DEVNULL,
    )


@contextmanager
def external_cluster(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes], subprocess.Popen[bytes]]]:
    """A scheduler and a worker in processes of their own, which nobody watches over."""
    file = str(folder / "scheduler.json")
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    scheduler = subprocess.Popen(
        [*command, "--no-dashboard", "--scheduler-file", file], stderr=subprocess.DEVNULL
    )
    worker = external_worker(file, folder)
    try:
        yield file, scheduler, worker
    finally:
        for process in (worker, scheduler):
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(30)


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.filterwarnings("default")
@pytest.mark.timeout(200)
def test_the_scheduler_hangs_and_is_killed(tmp_path: Path) -> None:
    """Both end soon, with a line that says so; no restart could help."""
    with external_cluster(tmp_path) as (file, scheduler, _):
        for how in (signal.SIGSTOP, signal.SIGKILL):
            with Client(scheduler_file=file) as client:
                client.wait_for_workers(1, timeout=60)
                executor = DaskExecutor(client, patience=3.0)
                executor.gather([executor.create(0, 0, importlib.import_module, "time")])
                timer = threading.Timer(0.5, scheduler.send_signal, (how,))
                timer.start()
                began = time.monotonic()
                with pytest.raises(SchedulerLostError, match=r"the scheduler of the workers is lost.*again"):
                    with_restarts(
                        executor,
                        3,
                        lambda used=executor: used.finish(used.start([Call(0, 0, sleep_long)])),
                        pytest.fail,
                    )
                assert time.monotonic() - began < 20
                timer.join()
                scheduler.send_signal(signal.SIGCONT)


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.filterwarnings("default")
@pytest.mark.timeout(200)
def test_another_worker_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody starts a lost one again, as with a job that is cancelled in a queue, the cluster is asked to."""
    monkeypatch.setattr(module, "ASK_SECONDS", 0.5)
    others: list[subprocess.Popen[bytes]] = []
    said: list[str] = []
    with external_cluster(tmp_path) as (file, _, worker), Client(scheduler_file=file) as client:
        client.wait_for_workers(1, timeout=60)

        def ask(workers: int) -> None:
            assert workers == 1
            if not others:
                others.append(external_worker(file, tmp_path))

        executor = DaskExecutor(client, 20.0, ask, 60.0)

        def work() -> list[int]:
            executor.gather([executor.create(0, 0, importlib.import_module, "os")])
            if not others:
                worker.kill()
            answer = executor.finish(executor.start([Call(0, 0, own_pid)]))
            return [answer.results[0], *executor.everywhere(os.getpid)]

        try:
            assert with_restarts(executor, 1, work, said.append) == [others[0].pid] * 2
        finally:
            for other in others:
                other.kill()
                other.wait(30)
    assert len(said) == 1
    assert said[0].startswith("1 of 1 worker ended unexpectedly")


def test_an_error_on_the_way_is_told_as_it_is() -> None:
    with open_executor(0) as executor:
        executor.create(0, 0, np.random.RandomState, 0)
        with pytest.raises(AttributeError, match="no such attribute"):
            executor.start([Call(0, 0, go_wrong)])
    with open_executor(0) as other, pytest.raises(WorkerLostError, match="piece 0 is not on this worker"):
        other.start([draw])  # pieces are forgotten at the end
