"""Linear storage and the Nash cascade of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rivergrad.routing.schemes.base import Moments, Parameter, Parameters, Recurrence, Scheme, Wave

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    from rivergrad.later import torch


@dataclass(frozen=True)
class NashCascade(Scheme):
    """n equal linear storages in series, each a(1−a)ᵐ with a = 1/(1 + tau/δ).

    Source: Nash (1957), IAHS Publ. 45, 114–121.
    """

    n: int = 3
    name = "nash_cascade"
    parameters = (Parameter("tau", "s", 3000.0, 0.0, 1e9, "Residence time of each of the storages."),)

    def _share(self, parameters: Parameters, step: float) -> Tensor:
        return 1 / (1 + parameters["tau"] / step)

    def response(self, parameters: Parameters, step: float, steps: int) -> Tensor:
        a = self._share(parameters, step)[:, None]
        m = torch.arange(steps, dtype=a.dtype, device=a.device)
        ways = torch.ones_like(m)  # negative binomial: C(m+n−1, n−1) aⁿ (1−a)ᵐ
        for r in range(1, self.n):
            ways = ways * (m + r) / r
        return ways * a**self.n * (1 - a) ** m

    def transfer(self, parameters: Parameters, step: float, z: Tensor) -> Tensor:
        a = self._share(parameters, step)[:, None]
        return (a / (1 - (1 - a) / z)) ** self.n

    def recurrence(self, parameters: Parameters, step: float) -> Recurrence:
        a = self._share(parameters, step)
        return Recurrence(a, a, sections=self.n)

    def moments(self, parameters: Parameters, step: float) -> Moments:
        tau = parameters["tau"]
        return Moments(self.n * tau, self.n**0.5 * torch.sqrt(tau * (tau + step)), tau + step / 2)

    def from_celerity(self, celerity: Tensor, spreading: Tensor | None, length: Tensor) -> dict[str, Tensor]:
        """n · tau = length / celerity."""
        return {"tau": length / (celerity * self.n)}

    def faster(self, parameters: Parameters, factor: Tensor, step: float) -> dict[str, Tensor] | None:
        """tau / factor."""
        bound = self.parameters[0]
        return {"tau": (parameters["tau"] / factor).clamp(bound.lower, bound.upper)}

    def wave(self, parameters: Parameters, step: float) -> Wave:
        tau, bound = parameters["tau"], self.parameters[0]
        return Wave(tau, torch.zeros_like(tau), step, bound.lower, bound.upper, sections=self.n)

    def diffusivity(self, celerity: Tensor, spreading: Tensor | None, length: Tensor) -> Tensor:
        """D = c L / (2 n), from the variance n tau² of n storages."""
        return celerity * length / (2 * self.n)


@dataclass(frozen=True)
class LinearStorage(NashCascade):
    """One linear storage: outflow = storage / tau, stepped implicitly."""

    n: int = 1
    name = "linear_storage"
    parameters = (Parameter("tau", "s", 9000.0, 0.0, 1e9, "Residence time of the storage."),)
