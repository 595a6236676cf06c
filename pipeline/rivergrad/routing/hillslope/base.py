"""What a hillslope response is: runoff passes it before it enters the reach, at the forcing step.

    r'[t] = Σ_n h[n] r[t−n]

Runoff r is constant within a forcing step Δ, and r' is the exact mean over the step of what the response lets out. So
r' is runoff like any other: every engine routes it as it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.errors import InputError
from rivergrad.routing.hillslope.names import DELAY, MOST_DELAY, NAMES
from rivergrad.routing.schemes.base import Parameter, Parameters, check_shape, refuse_where


class Hillslope(ABC):
    """A linear time-invariant response of runoff.

    It is immutable data and pure functions. All responses sum to one: they conserve water.

    Class attributes:
        name: as in workflows.
        parameters: each (reach,), SI; the first is the mean delay.
    """

    name: ClassVar[str]
    parameters: ClassVar[tuple[Parameter, ...]]

    @abstractmethod
    def prepare(self, parameters: Parameters, forcing_step: float) -> Any:
        """What `apply` takes, differentiable in the parameters; `forcing_step` Δ in s."""

    @abstractmethod
    def apply(
        self, prepared: Any, runoff: Tensor, state: Tensor | None = None, room: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The response to some forcing steps.

        Args:
            prepared: from `prepare`.
            runoff: (batch, time, reach) m³/s, float32 or float64.
            state: (batch, number, reach) float64, of an earlier call; None starts from rest.
            room: like the runoff, for the result; where no gradient is wanted.

        Returns:
            (batch, time, reach) m³/s in the precision of the runoff, and the state after.
        """

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.parameters)

    @property
    def defaults(self) -> dict[str, float]:
        return {p.name: p.default for p in self.parameters}

    def complete(self, parameters: Parameters) -> dict[str, Tensor]:
        """The parameters with defaults for those that may be left out: all but the delay."""
        delay = parameters[DELAY]
        found = {p.name: torch.full_like(delay.detach(), p.default) for p in self.parameters[1:]}
        return {**found, **parameters}

    def check(self, parameters: Parameters, reach_ids: Sequence[int] | NDArray[np.int64]) -> None:
        """Raise an InputError unless the delay is there, and all are of the right shape and in their range."""
        unknown = [name for name in parameters if name not in self.parameter_names]
        if DELAY not in parameters or unknown:
            raise InputError(
                f"hillslope {self.name} takes the parameters {', '.join(self.parameter_names)}; "
                f"found {', '.join(parameters) or 'none'}"
            )
        for p in self.parameters:
            value = parameters.get(p.name)
            if value is None:
                continue
            check_shape(p.name, value, reach_ids)
            bad = ~((value >= p.lower) & (value <= p.upper)) | self.refused(p.name, value)
            refuse_where(bad, p.name, value, self.expected(p), reach_ids)

    def refused(self, name: str, value: Tensor) -> Tensor:
        """(reach,) values within their range that can't be taken all the same."""
        return torch.zeros_like(value, dtype=torch.bool)

    def expected(self, parameter: Parameter) -> str:
        """What a parameter may be, for a message."""
        return f"{parameter.lower:g} to {parameter.upper:g} {parameter.units}"


def fitted(state: Tensor | None, batch: int, rows: int, runoff: Tensor) -> Tensor:
    """A state (batch, rows, reach) out of one that another cut of the network left, or at rest.

    The first rows are those that only some reaches need: what is missing there (NaN) is of others, and counts as 0.

    Raises:
        InputError: the state of another batch or number of reaches.
    """
    reaches = runoff.shape[2]
    if state is None:
        return torch.zeros(batch, rows, reaches, dtype=torch.float64, device=runoff.device)
    if state.ndim != 3 or (state.shape[0], state.shape[2]) != (batch, reaches):
        raise InputError(
            f"state of the hillslope: expected shape {(batch, rows, reaches)}, found {tuple(state.shape)}"
        )
    if state.shape[1] == rows:
        return torch.nan_to_num(state)
    kept = torch.nan_to_num(state[:, max(0, state.shape[1] - rows) :])
    return torch.cat([kept.new_zeros(batch, rows - kept.shape[1], reaches), kept], dim=1)


def split(parameters: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The scheme's parameters, and those of the hillslope response."""
    own = {name: value for name, value in parameters.items() if name in NAMES}
    return {name: value for name, value in parameters.items() if name not in NAMES}, own


def delay_parameter(default: float) -> Parameter:
    """The mean delay, the same for all responses."""
    return Parameter(DELAY, "s", default, 0.0, MOST_DELAY, "Mean delay of runoff on its way to the reach.")
