"""How long the response of a path lasts: a bound on its tail from the responses themselves.

With A(θ) = Σ |h[n]| exp(θ n δ) of each reach, what leaves a path later than t is at most exp(−θ t) times the product
of its reaches' A(θ), whatever θ > 0 is. Products along paths are sums of logarithms down the tree; the largest of each
θ, and the θ of the earliest t, give a time after which no path has more than so much left.

Source: Chernoff (1952), doi:10.1214/aoms/1177729330, for sums of independent delays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rivergrad.routing.schemes.base import Recurrence

RATES, APART = 10, 1.8
"""Values of θ that are tried, and how far apart: the best of them asks for 4 % more of the deviations at most."""
AT_ONCE = 1 << 24
"""Numbers that are worked on at once, about."""
FASTEST, SPAN = 4.0, 240.0
"""θ at most, over the routing step and over the length of the longest response: few deviations of a lone reach, and
with the least of them still few of a path of 100,000."""


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


def growth_of_responses(
    reaches: Sequence[Tensor], responses: Sequence[Tensor], step: float, rate: Tensor
) -> Tensor:
    """ln A, (reach, RATES), of responses (reach, routing step), in classes of reaches."""
    steps = max(response.shape[1] for response in responses)
    time = torch.arange(steps, dtype=rate.dtype, device=rate.device) * step
    weights = torch.exp(time[:, None] * rate)
    count = sum(some.numel() for some in reaches)
    found = torch.empty(count, rate.numel(), dtype=rate.dtype, device=rate.device)
    for some, response in zip(reaches, responses, strict=True):
        found[some] = torch.log((response.abs() @ weights[: response.shape[1]]).clamp_min(1e-300))
    return found


def seconds_left(
    grow: Callable[[Tensor], Tensor], rate: Tensor, downstream: Tensor, deepest: int, allowed: float
) -> Tensor:
    """Seconds after which no path has more than `allowed` of a unit input left, a scalar on the device.

    Args:
        grow: gives ln A, (reach, some of the rates), for these.
        downstream: (reach + 1,) downstream reach, an outlet's being the number of reaches.
        deepest: reaches of the longest path.
    """
    found = []
    for some in rate.split(max(1, AT_ONCE // downstream.numel())):
        total = torch.nn.functional.pad(grow(some), (0, 0, 0, 1))
        ahead = downstream
        for _ in range(deepest.bit_length()):  # sums down the tree, by doubling the distance looked ahead
            total = total + total[ahead]
            ahead = ahead[ahead]
        found.append(((total.amax(dim=0) - math.log(allowed)) / some).amin())
    return torch.stack(found).amin()
