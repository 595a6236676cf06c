"""How long the response of a path lasts: a bound on its tail from the responses themselves.

With A(θ) = Σ |h[n]| exp(θ n δ) of each reach, what leaves a path later than t is at most exp(−θ t) times the product
of its reaches' A(θ), whatever θ > 0 is. Products along paths are sums of logarithms down the tree; the largest of each
θ, and the θ of the earliest t, give a time after which no path has more than so much left.

Source: Chernoff (1952), doi:10.1214/aoms/1177729330, for sums of independent delays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from rivercut import graph
from rivergrad.routing.recurrence.problem import Index
from rivergrad.routing.schemes.base import Recurrence

RATES, APART = 12, 1.6
"""Values of θ that are tried, and how far apart: the best of them asks for 3 % more of the deviations at most."""
AT_ONCE = 1 << 24
"""Numbers that are worked on at once, about; and that are kept of where paths lead."""
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
    """ln A, (RATES, reach), where A is |H| at whichever is larger of its points ± exp(−θδ).

    A response may begin with a negative number, and |H| on the circle of that radius bounds tails as well. H is
    1 − p d / (b + (1 − b) d) with d = 1 − 1/z.
    """
    p, b, rate = 1 - recurrence.a, recurrence.b, rate[:, None]
    less = torch.expm1(rate * step)
    near, far = (torch.abs(1 - p * d / (b + (1 - b) * d)) for d in (-less, 2 + less))
    found = recurrence.sections * torch.log(torch.maximum(near, far))
    if recurrence.delay is not None:
        found = found + recurrence.delay * (rate * step)
    return found


def growth_of_responses(
    reaches: Sequence[Tensor], responses: Sequence[Tensor], step: float, rate: Tensor
) -> Tensor:
    """ln A, (RATES, reach), of responses (reach, routing step), in classes of reaches."""
    steps = max(response.shape[1] for response in responses)
    time = torch.arange(steps, dtype=rate.dtype, device=rate.device) * step
    weights = torch.exp(rate[:, None] * time)
    count = sum(some.numel() for some in reaches)
    found = torch.empty(rate.numel(), count, dtype=rate.dtype, device=rate.device)
    for some, response in zip(reaches, responses, strict=True):
        found[:, some] = torch.log((weights[:, : response.shape[1]] @ response.abs().T).clamp_min(1e-300))
    return found


class Paths:
    """Sums down the paths of a tree, by doubling the distance looked ahead.

    Args:
        downstream: (reach,) downstream reach or −1, in an order in which it is near.
    """

    def __init__(self, downstream: Index, device: torch.device) -> None:
        down = np.array(downstream, dtype=np.int64)
        self._first = torch.from_numpy(np.append(np.where(down >= 0, down, down.size), down.size)).to(device)
        order = graph.topological_order(graph.as_index(down))
        self.deepest = int(graph.levels(graph.as_index(down), order).max(initial=0)) + 1
        """Reaches of the longest."""
        self._doublings = self.deepest.bit_length()
        few = self._doublings * down.size <= AT_ONCE
        self._kept = list(self._ahead()) if few else None

    def _ahead(self) -> Iterator[Tensor]:
        ahead = self._first
        for _ in range(self._doublings):
            yield ahead
            ahead = ahead[ahead]

    def largest(self, values: Tensor) -> Tensor:
        """(row, reach) -> (row,), the largest sum of each; in float32, which is good for bounds."""
        total = torch.nn.functional.pad(values.to(torch.float32), (0, 1))
        for ahead in self._ahead() if self._kept is None else self._kept:
            total = total + total[:, ahead]
        return total.amax(dim=1)

    def seconds_left(self, grow: Callable[[Tensor], Tensor], rate: Tensor, allowed: float) -> Tensor:
        """Seconds after which no path has more than `allowed` of a unit input left, a scalar on the device.

        Args:
            grow: gives ln A, (RATES, reach), for some of the rates.
        """
        found = [
            ((self.largest(grow(some)) - math.log(allowed)) / some).amin()
            for some in rate.split(max(1, AT_ONCE // self._first.numel()))
        ]
        return torch.stack(found).amin()
