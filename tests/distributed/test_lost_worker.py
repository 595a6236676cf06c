"""A worker that is killed ends the run with a clear error, soon, and nothing hangs."""

from __future__ import annotations

import importlib
import os
import signal
import threading
import time
from typing import Any

import numpy as np
import pytest

from rivergrad.distributed.calls import Call
from rivergrad.distributed.executor import open_executor
from rivergrad.distributed.residence import WorkerLostError
from rivergrad.errors import InputError

draw = Call(0, 0, "random_sample", (3,))


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
        sleeps = [Call(key, key, "sleep", (30.0,)) for key in (0, 1)]  # both are busy when one is killed
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


def test_an_error_on_the_way_is_told_as_it_is() -> None:
    with open_executor(0) as executor:
        executor.create(0, 0, np.random.RandomState, 0)
        with pytest.raises(AttributeError, match="no_such_method"):
            executor.start([Call(0, 0, "no_such_method")])
    with open_executor(0) as other, pytest.raises(WorkerLostError, match="piece 0 is not on this worker"):
        other.start([draw])  # pieces are forgotten at the end
