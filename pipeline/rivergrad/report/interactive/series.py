"""Hydrographs of every gauge, quantised: the page holds as many as it has room for, further pages the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivergrad.report.interactive.packing import packed
from rivergrad.rundir.reading import Hydrographs

Float = NDArray[np.float64]

LEVELS = 4095
"""Steps from 0 to the largest discharge of a gauge, evenly spaced in its square root; 65535 is a missing value."""
ROOM = 7_000_000
"""Characters of hydrographs that one page holds."""
EPSILON = 0.01
"""Of the mean observed flow: what is added before a ratio is taken, so that a dry river has one."""
ENOUGH = 30
"""Observations from which a gauge has a band."""


def one_series(hydrographs: Hydrographs, gauge: int) -> str:
    """The discharge of a gauge by every method, as text: series after series, quantised, as differences, compressed."""
    series = np.stack([values[:, gauge] for values in hydrographs.discharge.values()])
    top = largest(series)
    with np.errstate(invalid="ignore"):
        step = np.rint(np.sqrt(np.clip(series, 0.0, None) / top) * LEVELS)
    whole = np.where(np.isfinite(step), step, 65535).astype(np.uint16)
    change = np.diff(whole, axis=1, prepend=np.uint16(0))  # wraps around, and so does the sum
    return packed((change & 255).astype(np.uint8).tobytes() + (change >> 8).astype(np.uint8).tobytes())


def largest(series: Float) -> float:
    """The largest finite discharge of some series; 1 where there is none."""
    seen = series[np.isfinite(series)]
    return float(seen.max()) if seen.size and seen.max() > 0 else 1.0


def band(observed: Float, estimate: Float) -> tuple[float, float, float] | None:
    """What holds 90 % of the observations of a gauge: two factors on the estimate, and what is added first, m³/s.

    Args:
        observed, estimate: (time,) m³/s, NaN where missing.

    Returns:
        The 5 % and 95 % quantiles of (observed + e) / (estimate + e), and e; None with fewer than 30 observations.
    """
    both = np.isfinite(observed) & np.isfinite(estimate)
    if np.count_nonzero(both) < ENOUGH:
        return None
    more = EPSILON * float(np.abs(observed[both]).mean()) or 1e-9
    ratio = (np.clip(observed[both], 0.0, None) + more) / (np.clip(estimate[both], 0.0, None) + more)
    low, high = np.quantile(ratio, [0.05, 0.95])
    return float(low), float(high), more


def records_of_series(hydrographs: Hydrographs, gauge: int) -> dict[str, Any]:
    """What the script has to know to draw the series of a gauge."""
    series = np.stack([values[:, gauge] for values in hydrographs.discharge.values()])
    found = band(hydrographs.discharge["observed"][:, gauge], hydrographs.discharge["estimate"][:, gauge])
    rounded = None if found is None else [float(f"{one:.5g}") for one in found]
    return {"top": float(f"{largest(series):.6g}"), "band": rounded}


def time_axis(hydrographs: Hydrographs) -> dict[str, Any]:
    """The times in milliseconds since 1970: a start and a step where they are even, else all of them."""
    moments = hydrographs.time.astype("datetime64[ms]").astype(np.int64)
    steps = np.diff(moments)
    if moments.size > 1 and (steps == steps[0]).all():
        return {"start": int(moments[0]), "step": int(steps[0]), "count": int(moments.size)}
    return {"times": moments.tolist(), "count": int(moments.size)}


def in_order(scores: Sequence[float | None]) -> list[int]:
    """Gauges by what is worth seeing first: the worst tenth, the best tenth, then the rest evenly through all ranks."""
    known = [i for i, one in enumerate(scores) if one is not None]
    ranked = sorted(known, key=lambda i: (scores[i], i))
    tenth = -(-len(ranked) // 10)
    ends = ranked[:tenth] + ranked[::-1][:tenth]
    middle = ranked[tenth : max(len(ranked) - tenth, tenth)]
    sample = [middle[i] for i in _evenly(len(middle))]
    rest = [i for i, one in enumerate(scores) if one is None]
    return list(dict.fromkeys([*ends, *sample, *rest]))


def _evenly(count: int) -> Iterable[int]:
    """All places of a list so that any beginning of the answer is spread over the list: bits in reverse order."""
    bits = max(count - 1, 1).bit_length()
    places = (int(f"{i:0{bits}b}"[::-1], 2) for i in range(1 << bits))
    return (place for place in places if place < count)


def batches(texts: Sequence[str], room: int) -> list[list[int]]:
    """Places of the texts in groups of at most `room` characters, at least one text each; the first is the page's."""
    groups: list[list[int]] = [[]]
    used = 0
    for i, text in enumerate(texts):
        if groups[-1] and used + len(text) > room:
            groups.append([])
            used = 0
        groups[-1].append(i)
        used += len(text)
    return groups
