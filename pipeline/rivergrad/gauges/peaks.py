"""How late or early the floods of a simulation come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from rivercut.compiling import njit

Float = NDArray[np.float64]

QUANTILE = 0.95
"""Floods are observed peaks above this quantile of the observed flow."""


def observed_peaks(observed: Float, *, separation: int, quantile: float = QUANTILE) -> NDArray[np.int64]:
    """The steps at which floods peak in one observed series.

    A peak is higher than its neighbours on both sides, so one beside a gap is none: the flood may have peaked
    within the gap. Of peaks closer together than `separation` the higher one stays.

    Args:
        observed: (time,) m³/s, NaN where missing.
        separation: steps.
        quantile: of the observed values, which a peak is at or above.
    """
    known = observed[~np.isnan(observed)]
    if not known.size:
        return np.zeros(0, np.int64)
    peaks, _ = find_peaks(observed, height=np.quantile(known, quantile), distance=max(1, separation))
    return np.asarray(peaks, np.int64)


def peaks_of(observed: Float, *, separation: int, quantile: float = QUANTILE) -> list[NDArray[np.int64]]:
    """`observed_peaks` of each gauge, for observed (time, gauge)."""
    return [observed_peaks(one, separation=separation, quantile=quantile) for one in observed.T]


def peak_timing_error(
    simulated: Float,
    observed: Float,
    *,
    separation: int,
    window: int,
    quantile: float = QUANTILE,
    peaks: Sequence[NDArray[np.int64]] | None = None,
) -> Float:
    """Median over floods of how many steps lie between the observed and the simulated peak.

    The simulated peak is the highest flow within `window` steps of the observed one (the nearest of several), so
    no error is greater than `window`; a simulation that is level there has none, and counts as that far off.

    Args:
        simulated, observed: (time, gauge) m³/s, NaN where missing.
        separation: the least number of steps between two floods (`observed_peaks`).
        window: steps to either side.
        quantile: see `observed_peaks`.
        peaks: of each gauge, where they are known already (`peaks_of`).

    Returns:
        (gauge,) steps; NaN for gauges without a flood.
    """
    if peaks is None:
        peaks = peaks_of(observed, separation=separation, quantile=quantile)
    count = np.array([one.size for one in peaks], np.int64)
    gauge = np.repeat(np.arange(count.size), count)
    step = np.concatenate([*peaks, np.zeros(0, np.int64)])
    late = _departures(np.ascontiguousarray(simulated.T), gauge, step, window)
    return _medians(gauge[late >= 0], late[late >= 0], count.size)


@njit(cache=True)
def _departures(
    simulated: Float, gauge: NDArray[np.int64], step: NDArray[np.int64], window: int
) -> NDArray[np.int64]:  # pragma: no cover - compiled
    """(peak,) steps to the nearest highest flow within the window, `window` where it is level, -1 where one is NaN."""
    found = np.empty(step.size, np.int64)
    for p in range(step.size):
        series = simulated[gauge[p]]
        start, stop = max(step[p] - window, 0), min(step[p] + window + 1, series.size)
        highest, missing = -np.inf, False
        for t in range(start, stop):
            missing = missing or np.isnan(series[t])
            highest = max(highest, series[t])
        if missing:
            found[p] = -1
            continue
        nearest, as_high = window, 0
        for t in range(start, stop):
            if series[t] == highest:
                as_high += 1
                nearest = min(nearest, abs(t - step[p]))
        found[p] = window if as_high == stop - start else nearest
    return found


def _medians(group: NDArray[np.int64], value: NDArray[np.int64], groups: int) -> Float:
    """(groups,) median of the values of each group, which come in their order; NaN where there are none."""
    ranked = value[np.lexsort((value, group))]
    count = np.bincount(group, minlength=groups)
    first = np.cumsum(count) - count
    some = np.flatnonzero(count)
    found = np.full(groups, np.nan)
    low, high = first[some] + (count[some] - 1) // 2, first[some] + count[some] // 2
    found[some] = (ranked[low] + ranked[high]) / 2
    return found
