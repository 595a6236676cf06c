"""Losses that compare hydrographs as a whole: `kge` and `timing`.

Both need observed discharge that varies in the windows; a gauge with a flat line there adds nothing. Observation
errors enter as weights of the values, and a gauge counts as much as its values do on the average.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rivergrad.inference.loss.moments import FLAT, moments
from rivergrad.inference.loss.pairs import Pairs


def kge(pairs: Pairs) -> Tensor:
    """1 − KGE of each gauge, (gauge,): √((r − 1)² + (ratio of deviations − 1)² + (ratio of means − 1)²).

    All windows are one sample, and their own observed mean and deviation are what the simulated ones are compared
    with. A gauge without flow to speak of in the windows adds nothing. The gradient at a perfect simulation, where
    the root has none, is 0.

    Source: Gupta et al. (2009), doi:10.1016/j.jhydrol.2009.08.003.
    """
    found = moments(pairs)
    mean_s, mean_o = found.mean
    deviation_s, deviation_o = found.deviation
    usable = found.varies & (mean_o.abs() > FLAT * pairs.statistics.variance.sqrt())
    volume = mean_s / torch.where(usable, mean_o, 1.0)
    squares = (found.correlation - 1) ** 2 + (deviation_s / deviation_o - 1) ** 2 + (volume - 1) ** 2
    counts = usable & (squares > 0)
    return torch.where(counts, found.precision * torch.sqrt(torch.where(counts, squares, 1.0)), 0.0)


def timing(pairs: Pairs) -> Tensor:
    """1 − r of each gauge, (gauge,), with r Pearson's correlation over all windows as one sample.

    A factor on simulated discharge, or anything added to it, changes nothing: runoff with a constant volume bias
    tells the same about travel times as the true one. A flat simulated series has correlation 0 and no gradient.
    """
    found = moments(pairs)
    return torch.where(found.varies, found.precision * (1 - found.correlation), 0.0)
