"""The specification of hillslope responses: explicit, in float64, slow by design.

The delay has a gamma density f of whole or other shape k and mean `delay`. Runoff of one step, spread evenly over it,
reaches the channel within a later step in a share that is f seen through a triangle two steps wide:

    h[n] = ∫ f(u) max(0, 1 − |u/Δ − n|) du

which is integrated here by quadrature. No recursion, no closed form; it is plain differentiable torch.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from rivergrad.routing.hillslope.base import Hillslope
from rivergrad.routing.hillslope.names import DELAY, SHAPE
from rivergrad.routing.schemes.base import Parameters

NODES = 40
HALVINGS = 40
"""Panels of the first step, each half of the next: what is far shorter than a step lies in them."""


def response_reference(delay: Tensor, shape: Tensor, forcing_step: float, steps: int) -> Tensor:
    """The response h of each reach.

    Args:
        delay: (reach,) mean delay, s; 0 lets runoff through as it is.
        shape: (reach,) 1 for a linear storage, n for a Nash cascade.
        forcing_step: Δ, s.
        steps: how many of it.

    Returns:
        (reach, steps), float64.
    """
    delay, shape = delay.to(torch.float64) / forcing_step, shape.to(torch.float64)
    node, weight = (torch.from_numpy(one) for one in np.polynomial.legendre.leggauss(NODES))
    ends = [0.0, *(2.0**-k for k in range(HALVINGS, 0, -1)), *(float(n) for n in range(1, steps + 1))]
    found = torch.zeros(delay.numel(), steps + 1, dtype=torch.float64)
    scale = torch.where(delay > 0, delay, torch.ones_like(delay)) / shape
    for low, high in pairwise(ends):
        u = low + (high - low) * (node + 1) / 2
        x = u / scale[:, None]
        density = torch.exp((shape[:, None] - 1) * torch.log(x) - x - torch.lgamma(shape)[:, None])
        mass = density / scale[:, None] * weight * (high - low) / 2
        n = int(low)
        rising = (mass * (u - n)).sum(dim=1)  # to the step after
        columns = torch.arange(steps + 1)
        found = found + torch.outer(rising, (columns == n + 1).double())
        found = found + torch.outer(mass.sum(dim=1) - rising, (columns == n).double())
    at_once = torch.zeros_like(found)
    at_once[:, 0] = 1.0
    return torch.where((delay > 0)[:, None], found, at_once)[:, :steps]


def respond_reference(runoff: Tensor, delay: Tensor, shape: Tensor, forcing_step: float) -> Tensor:
    """Runoff (time, reach) after the response, from rest, by explicit convolution; (time, reach) float64."""
    steps = runoff.shape[0]
    h = response_reference(delay, shape, forcing_step, steps)
    runoff = runoff.to(torch.float64)
    return torch.stack([(h[:, : t + 1].T * runoff[: t + 1].flip(0)).sum(dim=0) for t in range(steps)])


def delayed_reference(
    runoff: Tensor, hillslope: Hillslope, parameters: Parameters, forcing_step: float
) -> Tensor:
    """Runoff (time, reach) after a response with its parameters among others, from rest."""
    delay = parameters[DELAY]
    shape = hillslope.complete(parameters).get(SHAPE, torch.ones_like(delay))
    return respond_reference(runoff, delay, shape, forcing_step)
