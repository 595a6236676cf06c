"""Clocks of gauges: values of local days (or hours) brought to the steps of UTC.

The rule. `utc_offset` is what the gauge's clock is ahead of UTC, −5 h in New York in winter. A value of the local
step that starts at L is of the time from L − offset on. Where that start lies on the steps of the runoff, the stamp
moves and the value stays. Where it does not, a step of the runoff takes the mean of the two local steps that it
covers, by how long it covers each: with −5 h, the UTC day has 19 hours of the local day of its date and 5 of the one
before. It keeps the volume. Where one of the two is missing, there is no value. Days against hourly runoff move whole
where all gauges have the same clock: they then begin at 05 UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rivergrad.io.layout import Steps
from rivergrad.io.times import SNAP, TimeArray

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moved:
    """Series on the steps of UTC: `time` (U,) and `values` by name, each (U, G)."""

    time: TimeArray
    values: dict[str, Float]
    mixed: NDArray[np.bool_]
    """(G,) whose values are means of two local steps each."""


def to_utc(
    time: TimeArray, step: float, values: dict[str, Float], offset: Float, like: Steps | None
) -> Moved:
    """Bring series from the clocks of their gauges to UTC.

    Args:
        time: (T,) starts of local steps, regular.
        step: s.
        values: by name, (T, G), NaN where missing.
        offset: (G,) s by which each clock is ahead of UTC.
        like: the steps of the runoff; where they are as long, their phase is taken.
    """
    width = round(step * 1e9)
    first = int(time[0].astype(np.int64))
    grid = like.start if like is not None and like.nanoseconds == width else first
    starts = first - np.round(offset * 1e9).astype(np.int64)
    if like is not None and width % like.nanoseconds == 0 and _together(starts, width, like):
        grid = int(starts[0])
    late = (grid - starts) % width  # from the start of a local step to that of the UTC step within it
    late = np.where((late < SNAP * width) | (late > (1 - SNAP) * width), 0, late)
    begin = np.where(late == 0, grid + (starts - grid + width // 2) // width * width, starts + late)
    origin = int(begin.min())
    place = (begin - origin) // width
    count = len(time) + int(place.max())
    moved = {}
    for name, given in values.items():
        out = np.full((count, given.shape[1]), np.nan)
        for g in range(given.shape[1]):
            share = late[g] / width
            series = given[:, g]
            if share:
                after = np.append(series[1:], np.nan)
                series = (1 - share) * series + share * after
            out[place[g] : place[g] + len(series), g] = series
        moved[name] = out
    axis = origin + np.arange(count, dtype=np.int64) * width
    return Moved(axis.astype("datetime64[ns]"), moved, late != 0)


def _together(starts: NDArray[np.int64], width: int, like: Steps) -> bool:
    """Whether local steps begin with steps of the runoff, and all at one time of the day."""
    on_steps = ((starts - like.start) % like.nanoseconds == 0).all()
    return bool(on_steps and ((starts - starts[0]) % width == 0).all())


def said(path: Path, offsets: Float, mixed: NDArray[np.bool_]) -> str:
    """A line about what was moved."""
    found = np.unique(offsets[offsets != 0]) / 3600
    hours = f"{found[0]:+g} h" if len(found) == 1 else f"{found[0]:+g} to {found[-1]:+g} h"
    how = (
        f"; at {int(mixed.sum())} of them a step is the mean of the two local steps that it covers"
        if mixed.any()
        else ""
    )
    return f"{path}: the clocks of {int((offsets != 0).sum())} gauges are {hours} from UTC (utc_offset){how}"
