"""A gamma-distributed delay on the hillslope, the usual unit hydrograph: an FIR filter over forcing steps.

The outflow's mean over a step that runoff of n steps before gives, with F the gamma distribution of the delay and
E(t) = ∫_t^∞ (1 − F),

    h[0] = 1 − (delay − E(Δ)) / Δ,      h[n] = (E((n+1)Δ) − 2 E(nΔ) + E((n−1)Δ)) / Δ

and E(t) = delay · Q(shape + 1, t/θ) − t · Q(shape, t/θ), θ = delay/shape, Q the upper incomplete gamma function. The
response ends where less than 1e-12 is left, which the last step gets: water is conserved.

Source: the unit hydrograph of the runoff models behind many products, such as Lohmann et al. (1996),
doi:10.3402/tellusa.v48i5.12200.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rivergrad.errors import InputError
from rivergrad.routing.hillslope.base import Hillslope, delay_parameter, fitted
from rivergrad.routing.hillslope.names import DELAY, SHAPE
from rivergrad.routing.schemes.base import Parameter, Parameters

LEFT = 1e-12
"""Share of an inflow that may come after the end of the response."""
MOST_TAPS = 20_000
"""Forcing steps that a response may last."""
SHORTEST = 1e-18
"""Of the forcing step: a shorter delay counts as this one, and lets runoff through as it is."""
DIFFERENCE = 1e-3
"""Step, in units of the shape, of the five-point difference that gives the derivative by the shape."""


class _Upper(torch.autograd.Function):
    """Q(k, x), differentiable in both: torch has no derivative by k."""

    @staticmethod
    def forward(ctx: Any, k: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(k, x)
        return torch.special.gammaincc(k, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        k, x = ctx.saved_tensors
        by_k = by_x = None
        if ctx.needs_input_grad[0]:
            h, q = DIFFERENCE * k, torch.special.gammaincc
            near, far = q(k + h, x) - q(k - h, x), q(k + 2 * h, x) - q(k - 2 * h, x)
            by_k = gradient * (8 * near - far) / (12 * h)
        if ctx.needs_input_grad[1]:
            density = torch.exp(torch.xlogy(k - 1, x) - x - torch.lgamma(k))
            by_x = -gradient * density
        return by_k, by_x


def _upper(k: Tensor, x: Tensor) -> Tensor:
    found: Tensor = _Upper.apply(k, x)
    return found


def _lengths(scale: Tensor, shape: Tensor) -> Tensor:
    """(reach,) steps after which less than LEFT is to come; of each reach's own numbers alone."""
    high = shape + 10 * torch.sqrt(shape) + 30
    low = torch.zeros_like(high)
    for _ in range(40):
        middle = (low + high) / 2
        more = torch.special.gammaincc(shape, middle) > LEFT
        low, high = torch.where(more, middle, low), torch.where(more, high, middle)
    return torch.ceil(high * scale).to(torch.int64) + 1


def taps(delay: Tensor, shape: Tensor) -> Tensor:
    """The response h (step, reach) at delays (reach,) in forcing steps, differentiable.

    Raises:
        InputError: it lasts more than `MOST_TAPS` steps.
    """
    delay = delay.clamp_min(SHORTEST)
    scale = delay / shape
    with torch.no_grad():
        length = _lengths(scale, shape)
    count = int(length.max()) if length.numel() else 1
    if count > MOST_TAPS:
        raise InputError(
            f"hillslope gamma: found a response of {count:,} forcing steps, for a delay of {float(delay.max()):.6g} "
            f"steps; expected at most {MOST_TAPS:,}, or hillslope nash"
        )
    t = torch.arange(1, count + 2, dtype=delay.dtype, device=delay.device)[:, None]
    x = t / scale
    k = shape.expand_as(x)
    rest = torch.cat([delay[None], delay * _upper(k + 1, x) - t * _upper(k, x)])  # E(0), E(1), …
    inner = rest[2:] - 2 * rest[1:-1] + rest[:-2]
    h = torch.cat([(1 - delay + rest[1])[None], inner])[:count]
    n = torch.arange(count, device=delay.device)[:, None]
    after = rest[:count] - rest[1 : count + 1]  # what comes after step n
    return torch.where(n < length - 1, h, torch.where(n == length - 1, h + after, torch.zeros_like(h)))


class Gamma(Hillslope):
    """A delay with a gamma distribution of any shape from 1 on."""

    name = "gamma"
    parameters = (
        delay_parameter(86400.0),
        Parameter(
            SHAPE, "1", 2.5, 1.0, 100.0, "Shape of the distribution: 1 a linear storage, more a later peak."
        ),
    )

    def prepare(self, parameters: Parameters, forcing_step: float) -> Tensor:
        found = self.complete(parameters)
        return taps(found[DELAY].to(torch.float64) / forcing_step, found[SHAPE].to(torch.float64))

    def apply(
        self, prepared: Tensor, runoff: Tensor, state: Tensor | None = None, room: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        rows = prepared.shape[0] - 1
        past = torch.cat([fitted(state, runoff.shape[0], rows, runoff), runoff.to(torch.float64)], dim=1)
        out: Tensor = _Convolve.apply(prepared, past)
        return out.to(runoff.dtype), past[:, past.shape[1] - rows :]


class _Convolve(torch.autograd.Function):
    """Σ_n h[n] x[t − n] of taps (n, reach) and inputs (batch, n − 1 + time, reach), tap by tap."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(h, x)
        count = h.shape[0]
        time = x.shape[1] - count + 1
        out = x.new_zeros(x.shape[0], time, x.shape[2])
        for n in range(count):
            out.addcmul_(h[n], x[:, count - 1 - n : count - 1 - n + time])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        h, x = ctx.saved_tensors
        count, time = h.shape[0], gradient.shape[1]
        by_h = torch.zeros_like(h) if ctx.needs_input_grad[0] else None
        by_x = torch.zeros_like(x) if ctx.needs_input_grad[1] else None
        for n in range(count):
            at = slice(count - 1 - n, count - 1 - n + time)
            if by_h is not None:
                by_h[n] = (gradient * x[:, at]).sum(dim=(0, 1))
            if by_x is not None:
                by_x[:, at].addcmul_(h[n], gradient)
        return by_h, by_x
