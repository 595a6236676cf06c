"""Modules as a user might write them: one good, the others wrong in one way each."""

from __future__ import annotations

import torch
from torch import Tensor


class Share(torch.nn.Module):
    """A share of the precipitation."""

    def __init__(self, share: float = 0.5) -> None:
        super().__init__()
        self.share = torch.nn.Parameter(torch.tensor(share))

    def forward(self, forcings: Tensor, attributes: Tensor) -> Tensor:
        return self.share * forcings[..., 0]


class Transposed(Share):
    def forward(self, forcings: Tensor, attributes: Tensor) -> Tensor:
        return super().forward(forcings, attributes).transpose(-1, -2)


class NotANumber(Share):
    def forward(self, forcings: Tensor, attributes: Tensor) -> Tensor:
        found = super().forward(forcings, attributes)
        return torch.where(torch.arange(found.shape[-1]) == 2, torch.nan, found)


class Negative(Share):
    def forward(self, forcings: Tensor, attributes: Tensor) -> Tensor:
        return super().forward(forcings, attributes) - 1e6 * (torch.arange(forcings.shape[-2]) == 1)


class Pair(Share):
    def forward(self, forcings: Tensor, attributes: Tensor) -> Tensor:
        found = super().forward(forcings, attributes)
        return found, found  # type: ignore[return-value]


class NotAModule:
    pass


def function() -> None:
    pass
