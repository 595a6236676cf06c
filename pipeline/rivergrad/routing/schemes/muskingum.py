"""Muskingum (McCarthy 1938), and RAPID's variant of its update (David et al. 2011)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rivergrad.routing.schemes.base import Moments, Parameter, Parameters, Recurrence, Scheme


@dataclass(frozen=True)
class Muskingum(Scheme):
    """q[t] = C0 x[t] + C1 x[t−1] + C2 q[t−1] with storage constant k and weighting x.

    `convention="rapid"` is RAPID's own scheme: runoff of the current interval stands at both ends of each
    routing step, and the reported discharge is the mean of the states before each update.

    Source: Cunge (1969), doi:10.1080/00221686909500264; David et al. (2011), doi:10.1175/2011JHM1345.1.
    """

    convention: str = "standard"
    name = "muskingum"
    parameters = (
        Parameter("k", "s", 9000.0, 1e-3, 1e9, "Storage constant: travel time through the reach."),
        Parameter("x", "1", 0.2, 0.0, 0.5, "Weighting: 0 a linear storage, 0.5 pure translation."),
    )
    spreading = Parameter("x", "1", 0.2, 0.0, 0.5, "Weighting: 0 a linear storage, 0.5 pure translation.")

    @property
    def output_delay(self) -> int:  # type: ignore[override]
        return 1 if self.convention == "rapid" else 0

    @property
    def separate_runoff(self) -> bool:
        return self.convention == "rapid"

    def coefficients(self, parameters: Parameters, step: float) -> tuple[Tensor, Tensor, Tensor]:
        """C0, C1, C2 of each reach; they sum to one."""
        k, x = parameters["k"], parameters["x"]
        d = k * (1 - x) + step / 2
        return (step / 2 - k * x) / d, (step / 2 + k * x) / d, (k * (1 - x) - step / 2) / d

    def response(self, parameters: Parameters, step: float, steps: int) -> Tensor:
        c0, c1, c2 = (c[:, None] for c in self.coefficients(parameters, step))
        return torch.cat([c0, (c1 + c0 * c2) * _powers(c2, steps - 1)], dim=1)

    def runoff_response(self, parameters: Parameters, step: float, steps: int) -> Tensor:
        if not self.separate_runoff:
            return self.response(parameters, step, steps)
        c0, c1, c2 = (c[:, None] for c in self.coefficients(parameters, step))
        return (c0 + c1) * _powers(c2, steps)

    def transfer(self, parameters: Parameters, step: float, z: Tensor) -> Tensor:
        c0, c1, c2 = (c[:, None] for c in self.coefficients(parameters, step))
        back = 1 / z
        return (c0 + c1 * back) / (1 - c2 * back)

    def runoff_transfer(self, parameters: Parameters, step: float, z: Tensor) -> Tensor | None:
        if not self.separate_runoff:
            return None
        c0, c1, c2 = (c[:, None] for c in self.coefficients(parameters, step))
        return (c0 + c1) / (1 - c2 / z)

    def recurrence(self, parameters: Parameters, step: float) -> Recurrence:
        c0, c1, _ = self.coefficients(parameters, step)
        # c1 / (1 − c0), written so that it stays finite to the last digit for short k
        jump = parameters["x"] + step / (2 * parameters["k"]) if self.separate_runoff else None
        return Recurrence(c0, c0 + c1, jump, output_delay=self.output_delay)

    def moments(self, parameters: Parameters, step: float) -> Moments:
        k, x = parameters["k"], parameters["x"]
        return Moments(k, k * torch.sqrt(1 - 2 * x) + step / 2, k * (1 - x) + step / 2)

    def from_celerity(self, celerity: Tensor, spreading: Tensor | None, length: Tensor) -> dict[str, Tensor]:
        """k = length / celerity; x is the spreading parameter itself."""
        assert spreading is not None
        return {"k": length / celerity, "x": spreading}

    def diffusivity(self, celerity: Tensor, spreading: Tensor | None, length: Tensor) -> Tensor:
        """D = c L (1/2 − x): Cunge (1969) matches numerical and physical diffusion."""
        assert spreading is not None
        return celerity * length * (0.5 - spreading)

    def from_physical(self, celerity: Tensor, diffusivity: Tensor, length: Tensor) -> dict[str, Tensor]:
        """x = 1/2 − D / (c L), within 0 and 1/2: a reach shorter than 2 D / c spreads as a linear storage."""
        return self.from_celerity(celerity, (0.5 - diffusivity / (celerity * length)).clamp(0.0, 0.5), length)


def _powers(base: Tensor, steps: int) -> Tensor:
    """base⁰, base¹, … (reach, steps); by integer powers, so that negative bases and 0⁰ = 1 are exact."""
    exponent = torch.arange(max(steps, 0), dtype=base.dtype, device=base.device)
    return base**exponent
