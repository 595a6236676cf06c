"""What a runoff model is: from forcings and attributes of catchments to the depth of water that leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from rivergrad.weather import FORCING_UNITS, FORCINGS

__all__ = ["FORCINGS", "FORCING_UNITS", "RunoffFunction", "RunoffModel"]


@runtime_checkable
class RunoffFunction(Protocol):
    """How a runoff model is called; a user's own `torch.nn.Module` needs no more than this.

    The first steps of a window are its warm-up: a model starts from rest (no water, no memory) in each window and
    returns runoff for all of it; what the warm-up gives is not judged.
    """

    def __call__(self, forcings: Tensor, attributes: Tensor) -> Tensor:
        """Runoff of a window.

        Args:
            forcings: (..., time, reach, variable) in physical units.
            attributes: (reach, attribute).

        Returns:
            (..., time, reach) mm per step, at least 0.
        """


class RunoffModel(torch.nn.Module):
    """The built-in models' common part: what they take, and how it is standardised.

    Scaling is part of the module (buffers), so that a saved model reads forcings and attributes as it learned to.

    Attributes:
        forcing_names: of the last axis of `forcings`, in order.
        attribute_names: of the last axis of `attributes`, in order.
        needs_given: `forward` also takes runoff that is given, (..., time, reach) mm per step.
    """

    forcing_mean: Tensor
    forcing_sd: Tensor
    attribute_mean: Tensor
    attribute_sd: Tensor
    needs_given: bool = False

    def __init__(self, forcing_names: Sequence[str], attribute_names: Sequence[str]) -> None:
        super().__init__()
        self.forcing_names, self.attribute_names = tuple(forcing_names), tuple(attribute_names)
        for name, size in (("forcing", len(self.forcing_names)), ("attribute", len(self.attribute_names))):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_sd", torch.ones(size))

    def fit_scaling(
        self, forcing_mean: Tensor, forcing_sd: Tensor, attribute_mean: Tensor, attribute_sd: Tensor
    ) -> None:
        """Set what standardises forcings (variable,) and attributes (attribute,), each in its own units.

        A standard deviation of 0 (a constant, or one catchment) counts as 1.
        """
        for buffer, value in (
            (self.forcing_mean, forcing_mean),
            (self.forcing_sd, _not_zero(forcing_sd)),
            (self.attribute_mean, attribute_mean),
            (self.attribute_sd, _not_zero(attribute_sd)),
        ):
            if value.shape != buffer.shape:
                raise ValueError(f"expected shape {tuple(buffer.shape)}, found {tuple(value.shape)}")
            buffer.copy_(value)

    def scaled_attributes(self, attributes: Tensor) -> Tensor:
        """(reach, attribute) standardised."""
        return (attributes.to(self.attribute_mean) - self.attribute_mean) / self.attribute_sd

    def scaled_forcings(self, forcings: Tensor) -> Tensor:
        """(..., variable) standardised."""
        return (forcings.to(self.forcing_mean) - self.forcing_mean) / self.forcing_sd


def _not_zero(deviation: Tensor) -> Tensor:
    return torch.where(deviation > 0, deviation, 1.0)
