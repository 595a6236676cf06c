"""What compiled libraries print by themselves is kept off standard output."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

STDOUT = 1


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, what C code prints to standard output is lost (METIS tells there what it falls back to)."""
    with suppress(AttributeError, ValueError, OSError):  # closed, or none
        sys.stdout.flush()
    try:
        saved = os.dup(STDOUT)
    except OSError:
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDOUT)
    os.close(nowhere)
    try:
        yield
    finally:
        with suppress(OSError, AttributeError):  # no C library by this way on Windows
            ctypes.CDLL(None).fflush(None)
        os.dup2(saved, STDOUT)
        os.close(saved)
