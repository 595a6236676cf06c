"""How long the response of a path lasts: a bound on its tail from the responses themselves.

With A(θ) = Σ |h[n]| exp(θ n δ) of each reach, what leaves a path later than t is at most exp(−θ t) times the product
of its reaches' A(θ), whatever θ > 0 is. Products along paths are sums of logarithms down the tree; the largest of each
θ, and the θ of the earliest t, give a time after which no path has more than so much left.

Source: Chernoff (1952), doi:10.1214/aoms/1177729330, for sums of independent delays.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rivergrad.routing.schemes.base import Recurrence

RATES, APART = 14, 1.6
"""Values of θ that are tried, and how far apart: the best of them asks for 3 % more of the deviations at most."""
FASTEST, SPAN = 4.0, 240.0
"""θ at most, over the routing step and over the length of the longest response: few deviations of a lone reach, and
with the least of them still few of a path of 100,000."""
STEEPEST = 700.0
"""Exponents at most: what is larger has no number, and such θ are never the best."""


def rates_of_responses(steps: int, step: float, device: torch.device) -> Tensor:
    """Values of θ, (RATES,) 1/s, for responses of so many routing steps at most."""
    fastest = min(FASTEST, SPAN / steps) / step
    return fastest * APART ** -torch.arange(RATES, dtype=torch.float64, device=device)


def rates_of_recurrence(recurrence: Recurrence, step: float) -> Tensor:
    """Those for which A is finite at every reach: below the rate at which the slowest one empties."""
    left = (1 - recurrence.b).abs().max().clamp(1e-300, 1 - 1e-12)
    fastest = torch.clamp(-0.97 * torch.log(left), max=FASTEST) / step
    return fastest * APART ** -torch.arange(RATES, dtype=left.dtype, device=left.device)


def growth_of_recurrence(recurrence: Recurrence, step: float, rate: Tensor) -> Tensor:
    """ln A, (reach, RATES), where A is |H| at whichever is larger of its points ± exp(−θδ).

    A response may begin with a negative number, and |H| on the circle of that radius bounds tails as well. H is
    1 − p d / (b + (1 − b) d) with d = 1 − 1/z.
    """
    p, b = (1 - recurrence.a)[:, None], recurrence.b[:, None]
    back = torch.exp(rate * step)
    found = torch.zeros(p.shape[0], rate.numel(), dtype=p.dtype, device=p.device)
    for d in (1 - back, 1 + back):
        below = b + (1 - b) * d
        found = torch.maximum(found, torch.where(below > 0, 1 - p * d / below, torch.inf).abs())
    found = recurrence.sections * torch.log(found)
    if recurrence.delay is not None:
        found = found + recurrence.delay[:, None] * (rate * step)
    return found


def growth_of_response(response: Tensor, step: float, rate: Tensor) -> Tensor:
    """ln A, (reach, RATES), of responses (reach, routing step)."""
    time = torch.arange(response.shape[1], dtype=rate.dtype, device=rate.device) * step
    weights = torch.exp(torch.clamp(time[:, None] * rate, max=STEEPEST))
    weights = torch.where(time[:, None] * rate > STEEPEST, torch.inf, weights)
    found = response.abs() @ torch.nan_to_num(weights, posinf=1e300)
    return torch.log(found.clamp_min(1e-300))


def seconds_left(growth: Tensor, rate: Tensor, downstream: Tensor, deepest: int, allowed: float) -> Tensor:
    """Seconds after which no path has more than `allowed` of a unit input left, a scalar on the device.

    Args:
        growth: (reach, RATES) ln A.
        downstream: (reach + 1,) downstream reach, an outlet's being the number of reaches.
        deepest: reaches of the longest path.
    """
    total = torch.cat([growth, torch.zeros_like(growth[:1])])
    ahead = downstream
    for _ in range(deepest.bit_length()):  # sums down the tree, by doubling the distance looked ahead
        total = total + total[ahead]
        ahead = ahead[ahead]
    return ((total.amax(dim=0) - math.log(allowed)) / rate).amin()
