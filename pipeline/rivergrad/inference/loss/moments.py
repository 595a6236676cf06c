"""Means, spreads and correlation of simulated and observed discharge over the windows of a step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rivergrad.inference.loss.pairs import Pairs

FLAT = 1e-2
"""A gauge whose observed discharge varies in the windows by less than this share of the standard deviation of its
record is a flat line there: it has neither a correlation nor a scale to compare with."""

SIMULATED_FLAT = 1e-6
"""A simulated series with a smaller coefficient of variation is a flat line: what varies is rounding (float32)."""


class Moments(NamedTuple):
    """Moments of each gauge, (gauge,), weighted by what observations count (see `Pairs.precision`).

    Attributes:
        mean: simulated, observed, m³/s.
        deviation: standard deviations, simulated, observed, m³/s; where a series is flat, 0 and 1.
        correlation: 0 where either series is flat.
        varies: whether the observed series does, so that the others mean something.
        precision: mean of what observations count: 1 without observation errors.
    """

    mean: tuple[Tensor, Tensor]
    deviation: tuple[Tensor, Tensor]
    correlation: Tensor
    varies: Tensor
    precision: Tensor


def moments(pairs: Pairs) -> Moments:
    """Moments over all windows together."""
    weight = pairs.present.to(torch.float64)
    precision = pairs.precision(pairs.statistics.sigma, pairs.error)
    if precision is not None:
        weight = weight * precision
    total = weight.sum(dim=0)
    share = weight / torch.where(total > 0, total, 1.0)
    s, o = pairs.simulated, pairs.observed
    mean_s, mean_o = (share * s).sum(dim=0), (share * o).sum(dim=0)
    off_s, off_o = s - mean_s, o - mean_o
    variance_s, variance_o = (share * off_s * off_s).sum(dim=0), (share * off_o * off_o).sum(dim=0)
    covariance = (share * off_s * off_o).sum(dim=0)

    varies = variance_o > FLAT**2 * pairs.statistics.variance
    moves = variance_s > SIMULATED_FLAT**2 * (mean_s * mean_s).detach()
    # A square root of 0 has no gradient: it is taken of 1 where a series is flat, and the result not used.
    deviation_s = torch.sqrt(torch.where(moves, variance_s, 1.0))
    deviation_o = torch.sqrt(torch.where(varies, variance_o, 1.0))
    return Moments(
        mean=(mean_s, mean_o),
        deviation=(torch.where(moves, deviation_s, 0.0), deviation_o),
        correlation=torch.where(moves & varies, covariance / (deviation_s * deviation_o), 0.0),
        varies=varies,
        precision=total / pairs.count.clamp_min(1),
    )
