"""A library that never comes back from opening a damaged file: the command that waits for it ends with a line.

HDF5 loops without end over some damaged files, in C, where no exception reaches it. It lets other threads run, and one
of them can end the process. Only the command line asks for that: a session of Python is not ended by this package.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 20.0
"""Processor time of the thread that opens a file, far beyond what opening takes. Waiting for a disk counts nothing."""
LOOK_SECONDS = 0.2

_give_up: list[Callable[[str], None]] = []


def end_with(give_up: Callable[[str], None]) -> None:
    """From now on a file whose opening takes for ever ends the process.

    Args:
        give_up: takes the message, and does not return.
    """
    _give_up[:] = [give_up]


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """While a library opens a file."""
    if not _give_up:
        yield
        return
    ident = threading.get_ident()
    clock = time.pthread_getcpuclockid(ident)
    began, done = time.clock_gettime(clock), threading.Event()

    def watch() -> None:
        while not done.wait(LOOK_SECONDS):
            if time.clock_gettime(clock) - began > SECONDS:
                _give_up[0](
                    f"{path}: is not open after {SECONDS:g} s of computing, is it damaged? expected a whole file"
                )

    threading.Thread(target=watch, name="watchdog", daemon=True).start()
    try:
        yield
    finally:
        done.set()
