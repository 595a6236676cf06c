"""Lengths of the transforms: which are fast, and where rows begin in memory."""

from __future__ import annotations

from bisect import bisect_left

ALIGNED = 8
"""Rows begin at multiples of so many numbers: what memory moves at once."""

_FAST = sorted(
    2 * 2**a * 3**b * 5**c * 7**d
    for a in range(23)
    for b in range(5)
    for c in range(5)
    for d in range(2)
    if 2**a * 3**b * 5**c * 7**d < 1 << 23
)


def lengths(least: int) -> list[int]:
    """Lengths from `least` on whose transforms are fast; even ones: real transforms of odd lengths are not."""
    return _FAST[bisect_left(_FAST, least) :]


def passes(length: int) -> int:
    """How often a transform goes through memory, about: powers of two to 4096 once, in one kernel, many others not."""
    return 1 if length <= 4096 and length & (length - 1) == 0 else 2


def padded(length: int) -> int:
    """Numbers from the begin of one row to that of the next."""
    return -(-length // ALIGNED) * ALIGNED
