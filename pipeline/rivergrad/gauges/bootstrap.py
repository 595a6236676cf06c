"""How far a median over gauges may be trusted: bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

LEVEL = 0.9
"""The share of the bootstrap's medians that lie within an interval."""
DRAWS = 2000
AT_ONCE = 4_000_000  # values drawn at a time: what bounds the memory


def bootstrap_median(
    values: Float, seed: int | Sequence[int], n: int = DRAWS, level: float = LEVEL
) -> tuple[float, float, float]:
    """Median over gauges and its percentile bootstrap interval: gauges are drawn anew, with replacement.

    It says how much the median depends on which gauges there happen to be. It takes gauges as independent of each
    other: gauges on one river are not, and for them it is too narrow.

    Args:
        values: (gauge,); NaN is left out.
        seed: of the draws; the same one gives the same interval.
        n: draws.
        level: the share of draws within the interval.

    Returns:
        Median, low, high: NaN without a value; of one value there is no interval, and low and high are NaN.

    Source: Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    """
    known = values[~np.isnan(values)]
    return _percentiles(known[:, None], lambda drawn: np.median(drawn[..., 0], axis=-1), seed, n, level)


def bootstrap_difference(
    first: Float, second: Float, seed: int | Sequence[int], n: int = DRAWS, level: float = LEVEL
) -> tuple[float, float, float]:
    """The median of `first` minus that of `second` and its interval; each draw takes the same gauges for both.

    Paired draws leave out what both have in common (easy and difficult gauges), which two intervals side by side
    do not.

    Args:
        first, second: (gauge,); gauges with NaN in either are left out.
        seed, n, level: see `bootstrap_median`.

    Returns:
        Difference, low, high; NaN as in `bootstrap_median`.
    """
    both = np.stack([first, second], axis=-1)
    known = both[~np.isnan(both).any(axis=-1)]

    def difference(drawn: Float) -> Float:
        medians = np.median(drawn, axis=-2)
        return np.asarray(medians[..., 0] - medians[..., 1])

    return _percentiles(known, difference, seed, n, level)


def _percentiles(
    values: Float, statistic: Callable[[Float], Float], seed: int | Sequence[int], n: int, level: float
) -> tuple[float, float, float]:
    """A statistic of (…, gauge, columns) -> (…,), and the percentiles of it over draws of gauges."""
    count = len(values)
    if count == 0:
        return float("nan"), float("nan"), float("nan")
    found = float(statistic(values))
    if count == 1:
        return found, float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    rows = max(1, AT_ONCE // count)
    draws = [
        statistic(values[rng.integers(0, count, (min(rows, n - start), count))])
        for start in range(0, n, rows)
    ]
    low, high = np.quantile(np.concatenate(draws), [(1 - level) / 2, (1 + level) / 2])
    return found, float(low), float(high)
