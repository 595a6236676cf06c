"""How an estimate compares with the best baseline at the same gauges: ahead of it, behind it, or neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rivergrad.gauges.bootstrap import bootstrap_difference

Float = NDArray[np.float64]
Grade = Literal["ahead of", "not distinguishable from", "behind"]


@dataclass(frozen=True)
class Comparison:
    """One score of an estimate against its best baseline, over the gauges that have both.

    Attributes:
        baseline: name of the baseline with the highest median.
        estimate, best: medians over gauges of the estimate's and of the baseline's score.
        gauges: how many have both scores; better: at how many of them the estimate's is higher.
        difference: median of the estimate less median of the baseline; low, high: its 90 % bootstrap interval, with
            the same gauges drawn for both; NaN for a single gauge.
    """

    baseline: str
    estimate: float
    best: float
    gauges: int
    better: int
    difference: float
    low: float
    high: float

    @property
    def grade(self) -> Grade:
        """What the interval and the count say together; a single gauge has no interval and proves nothing.

        A difference of medians alone can be carried by a few gauges, so that most gauges have to agree with it.
        """
        if self.low > 0 and 2 * self.better > self.gauges:
            return "ahead of"
        if self.high < 0 and 2 * self.better < self.gauges:
            return "behind"
        return "not distinguishable from"


def compare(estimate: Float, baselines: Mapping[str, Float], seed: int) -> Comparison | None:
    """Compare the scores of an estimate with those of its best baseline.

    Args:
        estimate: (gauge,) scores such as NSE, NaN where there is none.
        baselines: (gauge,) scores of each baseline, by name, at the same gauges.
        seed: of the bootstrap.

    Returns:
        The comparison; None where no gauge has a score of the estimate and of a baseline.
    """
    median = {
        name: float(np.median(values[both]))
        for name, values in baselines.items()
        if (both := np.isfinite(values) & np.isfinite(estimate)).any()
    }
    if not median:
        return None
    baseline = max(median, key=lambda name: median[name])
    both = np.isfinite(baselines[baseline]) & np.isfinite(estimate)
    mine, theirs = estimate[both], baselines[baseline][both]
    difference, low, high = bootstrap_difference(mine, theirs, seed)
    return Comparison(
        baseline,
        float(np.median(mine)),
        median[baseline],
        int(both.sum()),
        int(np.count_nonzero(mine > theirs)),
        difference,
        low,
        high,
    )
