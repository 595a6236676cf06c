"""Scores of a discharge series at gauges: how well it fits, and what kind of error is left."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

LOG_OFFSET = 0.01
"""What is added to both flows before their logarithm is taken, as a share of the mean observed flow: a zero flow
then has one. Pushpalatha et al. (2012) recommend a hundredth."""


class KgeParts(NamedTuple):
    """The three parts of the Kling-Gupta efficiency, (gauge,) each, 1 in a perfect simulation.

    Attributes:
        r: correlation: timing and shape.
        alpha: simulated over observed standard deviation: variability.
        beta: simulated over observed mean: volume.
    """

    r: Float
    alpha: Float
    beta: Float


def _columns(simulated: Float, observed: Float) -> tuple[Float, Float, Float]:
    """Both with NaN wherever either is missing, and the number of pairs of each gauge."""
    missing = np.isnan(observed) | np.isnan(simulated)
    count = (~missing).sum(axis=0).astype(np.float64)
    return np.where(missing, np.nan, simulated), np.where(missing, np.nan, observed), count


def _mean(values: Float, count: Float) -> Float:
    return np.nansum(values, axis=0) / np.where(count > 0, count, np.nan)


def _spread(values: Float, mean: Float) -> Float:
    """Σ (values − mean)²; NaN where the values are all the same, whatever the mean's rounding makes of it."""
    highest = np.fmax.reduce(values, axis=0, initial=-np.inf)
    lowest = np.fmin.reduce(values, axis=0, initial=np.inf)
    total = np.nansum((values - mean) ** 2, axis=0)
    return np.where((highest > lowest) & (total > 0), total, np.nan)


def nse(simulated: Float, observed: Float) -> Float:
    """Nash-Sutcliffe efficiency of each gauge, (time, gauge) -> (gauge,); NaN with fewer than two different values.

    Source: Nash & Sutcliffe (1970), doi:10.1016/0022-1694(70)90255-6.
    """
    s, o, count = _columns(simulated, observed)
    return 1 - np.nansum((s - o) ** 2, axis=0) / _spread(o, _mean(o, count))


def log_nse(simulated: Float, observed: Float) -> Float:
    """NSE of the logarithms of each gauge, (time, gauge) -> (gauge,): it weighs low flows as much as high ones.

    `LOG_OFFSET` times the mean observed flow is added to both; flows below 0 count as 0. NaN with fewer than two
    different values, or with a mean observed flow that is not above 0.

    Source: Pushpalatha et al. (2012), doi:10.1016/j.jhydrol.2011.11.055.
    """
    s, o, count = _columns(simulated, observed)
    mean = _mean(np.maximum(o, 0.0), count)
    offset = LOG_OFFSET * np.where(mean > 0, mean, np.nan)
    return nse(np.log(np.maximum(s, 0.0) + offset), np.log(np.maximum(o, 0.0) + offset))


def bias(simulated: Float, observed: Float) -> Float:
    """Relative volume error of each gauge, (time, gauge) -> (gauge,): 0.1 is a tenth too much water.

    Over the times with an observation; NaN without any, or where their sum is not above 0.
    """
    s, o, _ = _columns(simulated, observed)
    volume = np.nansum(o, axis=0)
    return np.nansum(s - o, axis=0) / np.where(volume > 0, volume, np.nan)


def kge_parts(simulated: Float, observed: Float) -> KgeParts:
    """Correlation, variability ratio and volume ratio, (time, gauge) -> (gauge,) each; NaN where undefined.

    Source: Gupta et al. (2009), doi:10.1016/j.jhydrol.2009.08.003.
    """
    s, o, count = _columns(simulated, observed)
    mean_s, mean_o = _mean(s, count), _mean(o, count)
    spread_s, spread_o = _spread(s, mean_s), _spread(o, mean_o)
    product = np.nansum((s - mean_s) * (o - mean_o), axis=0)
    return KgeParts(
        r=product / (np.sqrt(spread_s) * np.sqrt(spread_o)),
        alpha=np.sqrt(np.where(np.isnan(spread_s), 0.0, spread_s) / spread_o),
        beta=mean_s / np.where(mean_o > 0, mean_o, np.nan),
    )


def kge(simulated: Float, observed: Float) -> Float:
    """Kling-Gupta efficiency of each gauge, (time, gauge) -> (gauge,); NaN where a part of it is undefined.

    Source: Gupta et al. (2009), doi:10.1016/j.jhydrol.2009.08.003.
    """
    r, alpha, beta = kge_parts(simulated, observed)
    return np.asarray(1 - np.sqrt((r - 1) ** 2 + (alpha - 1) ** 2 + (beta - 1) ** 2))


def middle_mean(scores: Float) -> Float:
    """The mean of the middle half of scores, (…, gauge) -> (…,), NaN not among them.

    A few very bad gauges do not decide it, as they do not decide a median, and it is less noisy: which parameters are
    best by it holds better at other gauges.
    """
    found = np.sort(scores, axis=-1)
    cut = found.shape[-1] // 4
    return np.asarray(found[..., cut : found.shape[-1] - cut].mean(axis=-1))
