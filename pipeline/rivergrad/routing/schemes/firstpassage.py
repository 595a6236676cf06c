"""The probability of first passage of a particle that drifts and diffuses, with its derivatives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _FirstPassage(torch.autograd.Function):
    """See `first_passage_cdf`. With P = exp(−a²)/√(πDt) and G its second term, dF = P (L dD/(2D) − dL) + G d(cL/D)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(t: Tensor, celerity: Tensor, diffusivity: Tensor, length: Tensor) -> Tensor:
        a, second = _terms(t, celerity, diffusivity, length)
        return 0.5 * torch.erfc(-a) + second

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        t, c, d, length = ctx.saved_tensors
        a, second = _terms(t, c, d, length)
        spread = (grad * torch.exp(-a * a) / torch.sqrt(torch.pi * d * t)).sum_to_size(
            torch.broadcast_shapes(c.shape, d.shape, length.shape)
        )
        passed = (grad * second).sum_to_size(spread.shape)
        passed = passed / d
        by_c, by_length = passed * length, passed * c - spread
        by_d = (spread / 2 - passed * c) * length / d
        return None, by_c.sum_to_size(c.shape), by_d.sum_to_size(d.shape), by_length.sum_to_size(length.shape)


def _terms(t: Tensor, celerity: Tensor, diffusivity: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    scale = 2 * torch.sqrt(diffusivity * t)
    a = (celerity * t - length) / scale
    b = (celerity * t + length) / scale
    return a, torch.exp(torch.log(torch.special.erfcx(b)) - a * a) / 2


def first_passage_cdf(t: Tensor, celerity: Tensor, diffusivity: Tensor, length: Tensor) -> Tensor:
    """Probability that a particle drifting at c and diffusing at D has passed L by time t > 0.

    The inverse-Gaussian CDF Φ((ct−L)/√(2Dt)) + exp(cL/D) Φ(−(ct+L)/√(2Dt)). Its second term is a product of
    a huge and a tiny number; written with the scaled complementary error function it is
    exp(−a²) erfcx(b)/2 with a = (ct−L)/(2√(Dt)), b = (ct+L)/(2√(Dt)), which is finite for every L, c, D > 0.

    Source: Folks & Chhikara (1978), doi:10.1111/j.2517-6161.1978.tb01039.x.
    """
    found: Tensor = _FirstPassage.apply(t, celerity, diffusivity, length)
    return found
