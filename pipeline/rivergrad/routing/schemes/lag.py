"""Pure translation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rivergrad.routing.schemes.base import Moments, Parameter, Parameters, Recurrence, Scheme

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    from rivergrad.later import torch


@dataclass(frozen=True)
class PureLag(Scheme):
    """q(t) = x(t − delay), linearly interpolated between the two nearest routing steps."""

    name = "pure_lag"
    parameters = (Parameter("delay", "s", 9000.0, 0.0, 1e9, "Time a wave takes through the reach."),)

    def _whole_and_rest(self, parameters: Parameters, step: float) -> tuple[Tensor, Tensor]:
        steps = parameters["delay"] / step
        whole = torch.floor(steps.detach())
        return whole, steps - whole

    def response(self, parameters: Parameters, step: float, steps: int) -> Tensor:
        whole, rest = (a[:, None] for a in self._whole_and_rest(parameters, step))
        n = torch.arange(steps, dtype=whole.dtype, device=whole.device)
        return torch.where(n == whole, 1 - rest, 0.0) + torch.where(n == whole + 1, rest, 0.0)

    def transfer(self, parameters: Parameters, step: float, z: Tensor) -> Tensor:
        whole, rest = (a[:, None] for a in self._whole_and_rest(parameters, step))
        log_back = -torch.log(z)
        return torch.exp(whole * log_back) * (1 - rest + rest / z)

    def recurrence(self, parameters: Parameters, step: float) -> Recurrence:
        whole, rest = self._whole_and_rest(parameters, step)
        # m is the inflow one step earlier
        return Recurrence(1 - rest, torch.ones_like(rest), delay=whole.to(torch.int64))

    def moments(self, parameters: Parameters, step: float) -> Moments:
        delay = parameters["delay"]
        return Moments(delay, torch.full_like(delay, step / 2), torch.zeros_like(delay))

    def from_celerity(self, celerity: Tensor, spreading: Tensor | None, length: Tensor) -> dict[str, Tensor]:
        """delay = length / celerity."""
        return {"delay": length / celerity}

    def diffusivity(self, celerity: Tensor, spreading: Tensor | None, length: Tensor) -> Tensor:
        """None: a lag does not spread."""
        return torch.zeros_like(celerity)
