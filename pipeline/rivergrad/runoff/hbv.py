"""A differentiable conceptual model: HBV's buckets with parameters from attributes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rivergrad.runoff.base import FORCINGS, RunoffModel
from rivergrad.runoff.buckets import PARAMETERS, Storages, at_start, per_step, sweep


class Hbv(RunoffModel):
    """Snow by degree-days, a soil, an upper and a lower zone; each parameter bounded, by a network from attributes.

    Source: Bergström (1992), SMHI Reports RH 4; learned through its gradient as Feng et al. (2022),
    doi:10.1029/2022WR032404.

    Args:
        attribute_names: what it takes, in order; without any, all catchments are the same.
        step: forcing step, s.
        hidden: units of the network's one hidden layer.
    """

    def __init__(self, attribute_names: Sequence[str] = (), step: float = 86_400.0, hidden: int = 32) -> None:
        super().__init__(FORCINGS, attribute_names)
        self.step = float(step)
        self.network: torch.nn.Sequential | None = None
        if self.attribute_names:
            inner, outer = (
                torch.nn.Linear(len(self.attribute_names), hidden),
                torch.nn.Linear(hidden, len(PARAMETERS), bias=False),
            )
            self.network = torch.nn.Sequential(inner, torch.nn.Tanh(), outer)
            with torch.no_grad():
                outer.weight.mul_(0.1)  # catchments are nearly alike at first
        share = [(typical - lower) / (upper - lower) for lower, upper, typical, _ in PARAMETERS.values()]
        self.typical = torch.nn.Parameter(torch.logit(torch.tensor(share)))

    def parameters_of(self, attributes: Tensor) -> dict[str, Tensor]:
        """The buckets' parameters, (reach,) each, in mm, °C and days, as published."""
        scaled = self.scaled_attributes(attributes)
        latent = self.typical.expand(scaled.shape[0], -1)
        if self.network is not None:
            latent = latent + self.network(scaled).to(latent)
        free = torch.sigmoid(latent).unbind(1)
        return {
            name: lower + (upper - lower) * share
            for share, (name, (lower, upper, *_)) in zip(free, PARAMETERS.items(), strict=True)
        }

    def water(self, forcings: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor, Storages, Storages]:
        """Runoff and actual evapotranspiration, (..., time, reach) mm per step, and storages at start and end."""
        parameters, given = self._ready(forcings, attributes)
        runoff, evaporation, end = sweep(parameters, given)
        start = at_start(parameters, given[0, 0])
        return runoff.movedim(0, -2), evaporation.movedim(0, -2), start, end

    def _ready(self, forcings: Tensor, attributes: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Parameters as a step takes them, and forcings (variable, time, ..., reach)."""
        parameters = self.parameters_of(attributes)
        given = forcings.to(self.forcing_mean).movedim((-1, -3), (0, 1))
        return {name: per_step(name, value, self.step) for name, value in parameters.items()}, given

    def forward(self, forcings: Tensor, attributes: Tensor) -> Tensor:
        """(..., time, reach, variable) and (reach, attribute) to (..., time, reach) mm per step."""
        parameters, given = self._ready(forcings, attributes)
        if given.device.type == "cpu" and not given.requires_grad:
            from rivergrad.runoff.kernels import runoff_on_cpu  # late: only this compiles

            return runoff_on_cpu(parameters, given).movedim(0, -2)
        return sweep(parameters, given)[0].movedim(0, -2)
