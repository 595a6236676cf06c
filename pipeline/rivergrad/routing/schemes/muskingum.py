"""Muskingum (McCarthy 1938), and RAPID's variant of its update (David et al. 2011)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rivergrad.routing.schemes.base import Moments, Parameter, Parameters, Recurrence, Scheme, Wave

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    from rivergrad.later import torch

TOLERANCE = 1e-6
"""Of the routing step: k and x that were made from a length and a celerity are not meant to the last digit."""


@dataclass(frozen=True)
class Muskingum(Scheme):
    """q[t] = C0 x[t] + C1 x[t−1] + C2 q[t−1] with storage constant k and weighting x.

    `convention="rapid"` is RAPID's own scheme: runoff of the current interval stands at both ends of each
    routing step, and the reported discharge is the mean of the states before each update.

    Its response is negative somewhere unless 2 k x ≤ δ ≤ 2 k (1 − x). `cap_x=True` takes the largest x up to the
    given one that this allows (0 where none does).

    Source: Cunge (1969), doi:10.1080/00221686909500264; David et al. (2011), doi:10.1175/2011JHM1345.1.
    """

    convention: str = "standard"
    cap_x: bool = False
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

    def capped_x(self, parameters: Parameters, step: float) -> Tensor:
        """The largest x, up to the given one, for which no coefficient is negative; 0 where there is none."""
        half = step / (2 * parameters["k"])
        return torch.minimum(parameters["x"], torch.minimum(half, 1 - half)).clamp_min(0.0)

    def effective(self, parameters: Parameters, step: float) -> dict[str, Tensor]:
        """With x capped, where that was asked for."""
        return {**parameters, "x": self._x(parameters, step)}

    def _x(self, parameters: Parameters, step: float) -> Tensor:
        return self.capped_x(parameters, step) if self.cap_x else parameters["x"]

    def outside(self, parameters: Parameters, step: float) -> Tensor:
        """2 k x > δ (the first share is negative) or δ > 2 k (1 − x) (the tail alternates)."""
        least, most = self._ends(parameters, step)
        return (least > step * (1 + TOLERANCE)) | (most < step * (1 - TOLERANCE))

    def _ends(self, parameters: Parameters, step: float) -> tuple[Tensor, Tensor]:
        k, x = parameters["k"], self._x(parameters, step)
        return 2 * k * x, 2 * k * (1 - x)

    def remedy(self, parameters: Parameters, step: float) -> str:
        least, most = self._ends(parameters, step)
        long, short = int((least > step * (1 + TOLERANCE)).sum()), int((most < step * (1 - TOLERANCE)).sum())
        found = []
        if long:
            found.append(
                f"2kx is above the routing step of {step:g} s at {long:,} (up to {float(least.max()):.6g} s)"
            )
        if short:
            found.append(f"2k(1-x) is below it at {short:,} (down to {float(most.min()):.6g} s)")
        first, last = float(least.max()), float(most.min())
        steps = f"a routing step of {first:.6g} to {last:.6g} s" if first <= last else "another routing step"
        cap = "" if self.cap_x else ", x capped (--cap-x, scheme.cap_x)"
        return f"{'; '.join(found)}; expected {steps}{cap}, or reaches cut into shorter ones"

    def coefficients(self, parameters: Parameters, step: float) -> tuple[Tensor, Tensor, Tensor]:
        """C0, C1, C2 of each reach; they sum to one."""
        k, x = parameters["k"], self._x(parameters, step)
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
        # torch divides a number by a tensor in these two steps; so written, arrays give the same bits
        jump = (
            self._x(parameters, step) + step * (1 / (2 * parameters["k"])) if self.separate_runoff else None
        )
        return Recurrence(c0, c0 + c1, jump, output_delay=self.output_delay)

    def moments(self, parameters: Parameters, step: float) -> Moments:
        k, x = parameters["k"], self._x(parameters, step)
        return Moments(k, k * torch.sqrt(1 - 2 * x) + step / 2, k * (1 - x) + step / 2)

    def from_celerity(self, celerity: Tensor, spreading: Tensor | None, length: Tensor) -> dict[str, Tensor]:
        """k = length / celerity; x is the spreading parameter itself."""
        assert spreading is not None
        return {"k": length / celerity, "x": spreading}

    def faster(self, parameters: Parameters, factor: Tensor, step: float) -> dict[str, Tensor] | None:
        """k / factor; x is capped (see `capped_x`), as k leaves the range 2 k x ≤ δ ≤ 2 k (1 − x) in low flows and in
        floods."""
        bound = self.parameters[0]
        k = (parameters["k"] / factor).clamp(bound.lower, bound.upper)
        return {"k": k, "x": self.capped_x({"k": k, "x": parameters["x"]}, step)}

    def wave(self, parameters: Parameters, step: float) -> Wave | None:
        bound = self.parameters[0]
        return Wave(parameters["k"], parameters["x"], step / 2, bound.lower, bound.upper)

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
