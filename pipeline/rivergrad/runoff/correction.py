"""Given runoff times a learned factor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rivergrad.runoff.base import RunoffModel
from rivergrad.runoff.sequence import SharedLstm


class Correction(RunoffModel):
    """given · exp(f), f by a small LSTM over forcings, attributes and ln(1 + given); exactly 1 before it learns.

    What f says is bounded by ±limit through limit · tanh(f / limit): an error of volume is a factor of a few, and a
    factor of thousands at a reach that no gauge sees would be no correction.

    Args:
        forcing_names: any, or none: the given runoff alone says much.
        attribute_names: what it takes, in order.
        hidden, chunk: see `SharedLstm`.
        limit: of the absolute of ln(factor).
    """

    needs_given = True

    def __init__(
        self,
        attribute_names: Sequence[str] = (),
        forcing_names: Sequence[str] = (),
        hidden: int = 16,
        chunk: int = 16384,
        limit: float = 1.5,
    ) -> None:
        super().__init__(forcing_names, attribute_names)
        self.limit = limit
        self.lstm = SharedLstm(len(self.forcing_names) + len(self.attribute_names) + 1, hidden, chunk)
        torch.nn.init.zeros_(self.lstm.head.weight)
        torch.nn.init.zeros_(self.lstm.head.bias)

    def log_factor(self, forcings: Tensor, attributes: Tensor, given: Tensor) -> Tensor:
        """ln of the factor, (..., time, reach)."""
        own = torch.log1p(given.to(self.forcing_mean).clamp_min(0.0))[..., None]
        series = torch.cat([self.scaled_forcings(forcings), own], dim=-1)
        found = self.lstm(series, self.scaled_attributes(attributes)).to(own.dtype)
        return self.limit * torch.tanh(found / self.limit)

    def forward(self, forcings: Tensor, attributes: Tensor, given: Tensor) -> Tensor:
        """Corrected runoff.

        Args:
            forcings: (..., time, reach, variable), whose last axis may be empty.
            attributes: (reach, attribute).
            given: (..., time, reach) mm per step.

        Returns:
            (..., time, reach) mm per step, in the dtype of `given`.
        """
        return given * torch.exp(self.log_factor(forcings, attributes, given)).to(given.dtype)
