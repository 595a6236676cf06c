"""The diffusive wave with constant celerity and diffusivity (Hayami 1951)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rivergrad.routing.schemes.base import Moments, Parameter, Parameters, Scheme

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    from rivergrad.later import torch


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
        from rivergrad.routing.schemes.firstpassage import first_passage_cdf

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
