"""Keep large temporary arrays in the process instead of giving their pages back after every operation.

By default the C library maps every large array afresh and the kernel clears its pages each time, which costs as
much as the arithmetic does here: half the time of an estimation step.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST_THRESHOLD = 32 << 20  # glibc accepts no larger one


def keep_pages() -> bool:
    """Tell glibc's allocator to reuse memory; returns whether it took it (False where there is no glibc)."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_THRESHOLD)) and bool(mallopt(_TRIM_THRESHOLD, 2**31 - 1))
