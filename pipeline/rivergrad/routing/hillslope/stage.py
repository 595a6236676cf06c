"""The hillslope stage before an engine: the same for all of them, as it changes runoff alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rivergrad.errors import InputError
from rivergrad.routing.hillslope.base import Hillslope, split
from rivergrad.routing.hillslope.names import DELAY
from rivergrad.routing.recurrence.problem import GridWeights, weight_matrix
from rivergrad.routing.schemes.base import Scheme


@dataclass(frozen=True, eq=False)
class StagedPrepared:
    """What a hillslope response and an engine make of parameters; `response` is None without a delay."""

    response: Any
    routing: Any


@dataclass(frozen=True, eq=False)
class StagedState:
    """What a later chunk of time needs of the past.

    Attributes:
        hillslope: (batch, number, reach) float64; None without a delay.
        routing: of the engine.
    """

    hillslope: Tensor | None
    routing: Any


def routing_of(prepared: Any) -> Any:
    """What the engine behind a hillslope response made of parameters, or the engine where there is none."""
    return prepared.routing if isinstance(prepared, StagedPrepared) else prepared


class StagedEngine:
    """An engine whose runoff passes a hillslope response first.

    Parameters without a delay (the sum of upstream runoff, say) pass none.

    Args:
        hillslope: the response.
        engine: routes runoff of reaches.
        forcing_step: Δ, s.
        grid: how runoff of reaches is made from that of cells, where it comes per cell; the engine has none then.
    """

    def __init__(
        self, hillslope: Hillslope, engine: Any, forcing_step: float, grid: GridWeights | None = None
    ) -> None:
        self.hillslope, self.engine, self.forcing_step = hillslope, engine, forcing_step
        self.ratio: int = engine.ratio
        self.dtype: torch.dtype = engine.dtype
        self.device: torch.device = engine.device
        self._room: Tensor | None = None
        self._columns = None if grid is None else grid.n_cells
        self._to_reaches = None if grid is None else weight_matrix(grid, self.dtype, self.device)

    def prepare(
        self, parameters: dict[str, Tensor], horizon: int, scheme: Scheme | None = None
    ) -> StagedPrepared:
        """As `Engine.prepare`, with the hillslope's parameters among the others."""
        of_scheme, own = split(parameters)
        response = None
        if DELAY in own:
            placed = {name: value.to(self.device, torch.float64) for name, value in own.items()}
            response = self.hillslope.prepare(placed, self.forcing_step)
        return StagedPrepared(response, self.engine.prepare(of_scheme, horizon, scheme))

    def apply(
        self,
        prepared: StagedPrepared,
        runoff: Tensor,
        inflow: Tensor | None = None,
        state: StagedState | None = None,
    ) -> tuple[Tensor, Tensor, StagedState]:
        """As `Engine.apply`."""
        runoff = self._of_reaches(runoff.to(self.device, self.dtype))
        before = None if state is None else state.hillslope
        after = before
        if prepared.response is not None:
            if state is not None and before is None:
                raise InputError("state: expected that of a hillslope response, found one without")
            runoff, after = self.hillslope.apply(prepared.response, runoff, before, self._room_for(runoff))
        discharge, outflow, routed = self.engine.apply(
            prepared.routing, runoff, inflow, None if state is None else state.routing
        )
        return discharge, outflow, StagedState(after, routed)

    def _room_for(self, runoff: Tensor) -> Tensor | None:
        """Memory for delayed runoff, kept from chunk to chunk: to get new pages takes longer than the response."""
        if torch.is_grad_enabled() or self.device.type != "cpu":
            return None
        if self._room is None or self._room.shape != runoff.shape:
            self._room = torch.empty(runoff.shape, dtype=runoff.dtype)
        return self._room

    def _of_reaches(self, runoff: Tensor) -> Tensor:
        if self._to_reaches is None:
            return runoff
        batch, time, columns = runoff.shape
        if columns != self._columns:
            raise InputError(f"runoff: expected {self._columns} cells, found {columns}")
        reaches = torch.sparse.mm(self._to_reaches, runoff.reshape(-1, columns).T)
        return reaches.T.reshape(batch, time, -1)
