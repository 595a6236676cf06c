"""Runoff by one LSTM shared by all catchments."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from rivergrad.runoff.base import FORCINGS, RunoffModel
from rivergrad.runoff.sequence import SharedLstm

FIRST_SHARE = (
    0.4  # of the precipitation that runs off before anything is learned; about that of the land of Earth
)


class Lstm(RunoffModel):
    """Standardised forcings and attributes through one LSTM, and a softplus in units of the mean precipitation.

    Source: as DiffHydro's and Kratzert et al. (2019), doi:10.5194/hess-23-5089-2019.

    Args:
        forcing_names, attribute_names: what it takes, in order.
        hidden: size of its state.
        chunk: see `SharedLstm`.
    """

    scale: Tensor

    def __init__(
        self,
        attribute_names: Sequence[str] = (),
        forcing_names: Sequence[str] = FORCINGS,
        hidden: int = 64,
        chunk: int = 4096,
    ) -> None:
        super().__init__(forcing_names, attribute_names)
        self.lstm = SharedLstm(len(self.forcing_names) + len(self.attribute_names), hidden, chunk)
        self.register_buffer("scale", torch.ones(()))
        with torch.no_grad():
            self.lstm.head.bias.fill_(math.log(math.expm1(FIRST_SHARE)))

    def fit_scaling(
        self, forcing_mean: Tensor, forcing_sd: Tensor, attribute_mean: Tensor, attribute_sd: Tensor
    ) -> None:
        super().fit_scaling(forcing_mean, forcing_sd, attribute_mean, attribute_sd)
        if "precipitation" in self.forcing_names:
            mean = forcing_mean[self.forcing_names.index("precipitation")]
            self.scale.copy_(mean.clamp_min(1e-3))

    def forward(self, forcings: Tensor, attributes: Tensor) -> Tensor:
        """(..., time, reach, variable) and (reach, attribute) to (..., time, reach) mm per step."""
        found = self.lstm(self.scaled_forcings(forcings), self.scaled_attributes(attributes))
        return self.scale * torch.nn.functional.softplus(found.to(self.scale.dtype))
