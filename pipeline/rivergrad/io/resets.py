"""Resets of accumulated amounts by the clock: values fall at one time of a period alone, and rise in between.

After a reset a value may be larger than the one before it, where a storm follows a dry day: so not every reset shows
in every cell. But amounts of steps fall at any time of the day, and accumulated amounts only at their resets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rivergrad.io.times import TimeArray

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

PERIODS = (21600, 43200, 86400)
"""s, from reset to reset, of known sources; their resets are at 00, 06, 12 or 18 UTC."""
CLOCK = 21600
DROP = 0.75  # a value after a reset is below this share of the one before
FALL = 1e-3  # of a cell's largest value: less than this is no fall, but packing
WET = 5e-2  # of the largest value of all cells: what a cell needs to count
NEARLY_ALL = 0.9
MOSTLY = 0.6  # of what could fall at resets
STEPS = 3  # to a period at least: of two, day and night make one rise and the other fall
SHOWN = 2  # resets at which values fall far


def resets_by_clock(values: Float, time: TimeArray, step: float, least: int) -> tuple[int, int] | None:
    """From one reset to the next, s, and their place in it, ns; None where values fall at other times, or too few do.

    Args:
        values: (T, cell) of consecutive steps.
        time: (T,) the start of each.
        step: s.
        least: between resets, in how many steps values must have held water, and in how many risen.
    """
    values, largest = wet_cells(values)
    if len(values) < 2 or not values.shape[1]:
        return None
    change = np.diff(values, axis=0)
    held = values[:-1] > WET * largest
    falls = change < -FALL * largest
    far = falls & held & (values[1:] < DROP * values[:-1])
    rises = change > FALL * largest
    at = time[1:].astype(np.int64)
    for period in reversed(PERIODS):
        if period < STEPS * step or period % step:
            continue
        for phase in range(0, period, CLOCK):
            due = (at - phase * 10**9) % (period * 10**9) == 0
            if _fits(due, held, falls, far, rises, least):
                return period, phase * 10**9
    return None


def _fits(due: Mask, held: Mask, falls: Mask, far: Mask, rises: Mask, least: int) -> bool:
    between = ~due
    if falls[between].any(axis=0).mean() > 1.0 - NEARLY_ALL:
        return False
    if min(held[between].any(axis=1).sum(), rises[between].any(axis=1).sum()) < least:
        return False
    lost = held[due] & ~far[due]
    return bool(
        (far[due].any(axis=1).sum() >= SHOWN) and far[due].sum() >= MOSTLY * (far[due].sum() + lost.sum())
    )


def wet_cells(values: Float) -> tuple[Float, Float]:
    """The columns that hold water and have a value at each step, and the largest value of each."""
    values = values[:, np.isfinite(values).all(axis=0)]
    largest = values.max(axis=0, initial=0.0)
    wet = (largest > 0) & (largest >= WET * largest.max(initial=0.0))
    return values[:, wet], largest[wet]


def falls_in(values: Float) -> int:
    """In how many steps the values of any cell that holds water fall."""
    values, largest = wet_cells(values)
    return int((np.diff(values, axis=0) < -FALL * largest).any(axis=1).sum())
