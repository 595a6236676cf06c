"""Scores of a discharge series: Nash-Sutcliffe and Kling-Gupta efficiency."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def _columns(simulated: Float, observed: Float) -> tuple[Float, Float, Float]:
    """Both with NaN wherever either is missing, and the number of pairs of each gauge."""
    missing = np.isnan(observed) | np.isnan(simulated)
    count = (~missing).sum(axis=0).astype(np.float64)
    return np.where(missing, np.nan, simulated), np.where(missing, np.nan, observed), count


def _mean(values: Float, count: Float) -> Float:
    return np.nansum(values, axis=0) / np.where(count > 0, count, np.nan)


def nse(simulated: Float, observed: Float) -> Float:
    """Nash-Sutcliffe efficiency of each gauge, (time, gauge) -> (gauge,); NaN with fewer than two different values.

    Source: Nash & Sutcliffe (1970), doi:10.1016/0022-1694(70)90255-6.
    """
    s, o, count = _columns(simulated, observed)
    spread = np.nansum((o - _mean(o, count)) ** 2, axis=0)
    error = np.nansum((s - o) ** 2, axis=0)
    return 1 - error / np.where((spread > 0) & (count > 1), spread, np.nan)


def kge(simulated: Float, observed: Float) -> Float:
    """Kling-Gupta efficiency of each gauge, (time, gauge) -> (gauge,); NaN where a part of it is undefined.

    Source: Gupta et al. (2009), doi:10.1016/j.jhydrol.2009.08.003.
    """
    s, o, count = _columns(simulated, observed)
    mean_s, mean_o = _mean(s, count), _mean(o, count)
    sd_s = np.sqrt(_mean((s - mean_s) ** 2, count))
    sd_o = np.sqrt(_mean((o - mean_o) ** 2, count))
    covariance = _mean((s - mean_s) * (o - mean_o), count)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = covariance / (sd_s * sd_o)
        score: Float = 1 - np.sqrt((r - 1) ** 2 + (sd_s / sd_o - 1) ** 2 + (mean_s / mean_o - 1) ** 2)
    return np.where(np.isfinite(score), score, np.nan)
