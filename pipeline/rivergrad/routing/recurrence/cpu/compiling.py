"""Kernels are compiled before their first call, which is told: it takes some ten seconds, once on a machine."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger("rivergrad.compiling")

SILENCE = 1.5
"""Seconds without a word: kernels that were compiled before are read from Numba's cache in a fraction of it."""
_ready: set[tuple[str, str]] = set()


def compiled(kernel: Any, does: str, dtype: Any, arguments: Callable[[], tuple[Any, ...]]) -> None:
    """Have a kernel compiled for such arguments, or read from the cache, and say so where it takes a while.

    What is told is a warning in the log `rivergrad.compiling`: without it one would think that nothing goes on.

    Args:
        kernel: a function of Numba's; does: what it does; dtype: of its arrays, of which each is compiled by itself.
        arguments: makes what it will be called with.
    """
    key = does, str(dtype)
    if key in _ready:  # to look at the types of arguments takes longer than to route a small network
        return
    done = threading.Event()

    def wait() -> None:
        if not done.wait(SILENCE):
            log.warning("compiling the kernels of the %s (%s), once on this machine: some 10 to 20 s", *key)

    threading.Thread(target=wait, daemon=True).start()
    try:
        kernel.compile(tuple(kernel.typeof_pyval(argument) for argument in arguments()))
    finally:
        done.set()
    _ready.add(key)
