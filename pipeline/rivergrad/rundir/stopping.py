"""Stopping a run on a signal: at the end of a step with a checkpoint, or at once where there are no steps.

A queue that takes a job's place back sends SIGTERM (or what it was asked to send, such as SIGUSR1) some time before
it kills. The run makes use of that time, and the same command goes on where it stopped.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType

EXIT_CODE = 75
"""What a stopped run ends with: EX_TEMPFAIL of sysexits.h, try again later."""
SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name))


class Stopped(BaseException):
    """A run was asked to stop, and has. Not an `Exception`: nothing that mends errors should catch it."""


class _Request:
    """Which signal has come, and whether it has to wait for the end of a step."""

    name: str | None = None
    waits = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        first = self.name is None
        self.name = signal.Signals(number).name
        if first and not self.waits:
            raise stopped()


_request = _Request()


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGUSR1 end what goes on inside with `Stopped`; outside the main thread, nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _request.name, _request.waits = None, False
    _shield_bookkeeper()
    before = {number: signal.signal(number, _request) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _shield_bookkeeper() -> None:
    """Start what keeps books of multiprocessing's resources deaf to our signals, which may go to all processes."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        resource_tracker.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def at_step_ends() -> Iterator[None]:
    """Inside, signals wait until `requested` is asked at the end of a step."""
    before, _request.waits = _request.waits, True
    try:
        yield
    finally:
        _request.waits = before
    if requested() and not before:  # it came after the last step
        raise stopped()


def requested() -> bool:
    """Whether a signal has come."""
    return _request.name is not None


def stopped(step: int | None = None) -> Stopped:
    """The error to raise, with what to tell: the signal, the step of the checkpoint, how to go on."""
    after = "" if step is None else f" after step {step}, with a checkpoint"
    return Stopped(f"stopped by {_request.name}{after}; run the same command again to go on from there")
