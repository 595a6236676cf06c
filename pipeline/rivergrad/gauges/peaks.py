"""How late or early the floods of a simulation come."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

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


def peak_timing_error(
    simulated: Float, observed: Float, *, separation: int, window: int, quantile: float = QUANTILE
) -> Float:
    """Median over floods of how many steps lie between the observed and the simulated peak.

    The simulated peak is the highest flow within `window` steps of the observed one (the nearest of several), so
    no error is greater than `window`; a simulation that is level there has none, and counts as that far off.

    Args:
        simulated, observed: (time, gauge) m³/s, NaN where missing.
        separation: the least number of steps between two floods (`observed_peaks`).
        window: steps to either side.
        quantile: see `observed_peaks`.

    Returns:
        (gauge,) steps; NaN for gauges without a flood.
    """
    result = np.full(observed.shape[1], np.nan)
    for g in range(observed.shape[1]):
        errors = []
        for peak in observed_peaks(observed[:, g], separation=separation, quantile=quantile).tolist():
            start = max(peak - window, 0)
            around = simulated[start : peak + window + 1, g]
            if np.isnan(around).any():
                continue
            highest = np.flatnonzero(around == around.max())
            level = highest.size == around.size
            errors.append(window if level else int(np.abs(highest + start - peak).min()))
        if errors:
            result[g] = float(np.median(errors))
    return result
