"""The diffusive wave with constant celerity and diffusivity (Hayami 1951)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rivergrad.routing.schemes.base import Moments, Parameter, Parameters, Scheme


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


@dataclass(frozen=True)
class Hayami(Scheme):
    """h[n] = F((n+1)δ) − F(nδ), F the first-passage distribution: it conserves mass as it stands.

    Source: Hayami (1951), Kyoto Univ. Disaster Prevention Res. Inst. Bull. 1; Moussa (1996),
    doi:10.1002/(SICI)1099-1085(199609)10:9<1209::AID-HYP380>3.0.CO;2-2.
    """

    name = "hayami"
    parameters = (
        Parameter("celerity", "m s-1", 1.0, 1e-6, 1e3, "Speed at which a flood wave travels."),
        Parameter("diffusivity", "m2 s-1", 1000.0, 1e-6, 1e9, "How fast a flood wave flattens."),
        Parameter("length", "m", 10000.0, 1e-3, 1e9, "Length of the reach."),
    )
    spreading = Parameter("diffusivity", "m2 s-1", 1000.0, 1.0, 1e5, "How fast a flood wave flattens.")

    def response(self, parameters: Parameters, step: float, steps: int) -> Tensor:
        c, d, length = (parameters[name][:, None] for name in ("celerity", "diffusivity", "length"))
        t = step * torch.arange(1, steps + 1, dtype=c.dtype, device=c.device)
        passed = first_passage_cdf(t, c, d, length)
        return torch.diff(passed, dim=1, prepend=torch.zeros_like(passed[:, :1]))

    def moments(self, parameters: Parameters, step: float) -> Moments:
        c, d, length = (parameters[name] for name in ("celerity", "diffusivity", "length"))
        return Moments(length / c, torch.sqrt(2 * d * length / c**3) + step / 2, 4 * d / c**2)

    def from_celerity(self, celerity: Tensor, spreading: Tensor | None, length: Tensor) -> dict[str, Tensor]:
        """Celerity and diffusivity are the scheme's own parameters."""
        assert spreading is not None
        return {"celerity": celerity, "diffusivity": spreading, "length": length}

    def diffusivity(self, celerity: Tensor, spreading: Tensor | None, length: Tensor) -> Tensor:
        """The spreading itself."""
        assert spreading is not None
        return spreading

    def from_physical(self, celerity: Tensor, diffusivity: Tensor, length: Tensor) -> dict[str, Tensor]:
        """Celerity and diffusivity as they are; a diffusivity of 0 counts as the least admissible one."""
        return self.from_celerity(celerity, diffusivity.clamp_min(self.parameters[1].lower), length)
