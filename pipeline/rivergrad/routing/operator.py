"""Routing as one differentiable operator: the function `route` and the module `Router`."""

from __future__ import annotations

from typing import Literal, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.routing import schemes
from rivergrad.routing.closure import ClosureState
from rivergrad.routing.engines import Engine, Prepared, RouterState, choose_engine, make_engine
from rivergrad.routing.recurrence import GridWeights, RecurrenceState
from rivergrad.routing.reference import route_reference
from rivergrad.routing.schemes.base import Parameters, Scheme
from rivergrad.routing.steps import step_ratio


class Router(torch.nn.Module):
    """Routes runoff through a network; the plan for the network is made once.

    Args:
        network: the river network.
        scheme: name of a scheme, or a scheme.
        forcing_step, routing_step: Δ and δ, s; Δ/δ a whole number.
        convention: `standard`, or `rapid` for muskingum.
        engine: `auto`, `closure`, `recurrence` or `reference`; `engine` and `reason` say what auto chose.
        targets: positions of the reaches whose discharge is wanted; all by default.
        window: forcing steps for which the closure keeps responses; chosen by default. Means the closure.
        grid: runoff comes per cell of a grid, with these weights; for the engine recurrence.
        dtype: of runoff and discharge (float32 or float64).
        device: where to compute.
        block_reaches: reaches a block of the closure may have; chosen by default. Means the closure.

    Raises:
        InputError: an unknown scheme, convention or engine, an engine that can't compute the scheme or lacks an
            option, or Δ not a multiple of δ.
    """

    def __init__(
        self,
        network: RiverNetwork,
        scheme: str | Scheme = "muskingum",
        *,
        forcing_step: float,
        routing_step: float,
        convention: str = "standard",
        engine: str = "auto",
        targets: ArrayLike | None = None,
        window: int | None = None,
        grid: GridWeights | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        block_reaches: int | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.scheme = schemes.get(scheme, convention)
        self.forcing_step, self.routing_step = float(forcing_step), float(routing_step)
        self.ratio = step_ratio(forcing_step, routing_step)
        self.dtype, self.device = dtype, torch.device(device)
        given = {"window": window, "block_reaches": block_reaches}
        options = [key for key, value in given.items() if value is not None]
        self.engine, self.reason = choose_engine(engine, self.scheme, self.device, options)
        self.targets = _positions(targets, network.n_reaches)
        self.columns = network.n_reaches if grid is None else grid.n_cells
        self._engine: Engine | None = None
        if self.engine != "reference" or grid is not None:
            self._engine = make_engine(
                self.engine,
                network.downstream,
                self.scheme,
                self.forcing_step,
                self.routing_step,
                targets=self.targets,
                grid=grid,
                window=window,
                block_reaches=block_reaches,
                dtype=dtype,
                device=self.device,
            )

    def prepare(self, parameters: Parameters, horizon: int) -> Prepared:
        """What the engine makes of parameters, for reuse over chunks of a record of `horizon` forcing steps."""
        if self._engine is None:
            raise InputError(
                f"engine {self.engine}: it keeps no responses; expected the engine closure or recurrence"
            )
        self.scheme.check(parameters, self.network.reach_id)
        prepared: Prepared = self._engine.prepare(dict(parameters), horizon)
        return prepared

    def forward(
        self,
        runoff: Tensor,
        parameters: Parameters | None = None,
        state: RouterState | None = None,
        *,
        prepared: Prepared | None = None,
    ) -> tuple[Tensor, RouterState | None]:
        """Discharge of the wanted reaches and the state afterwards.

        Args:
            runoff: (..., time, reach) mean lateral inflow of each forcing step, m³/s; (..., time, cell) with a
                grid.
            parameters: the scheme's, each (reach,), SI; not needed where `prepared` is given.
            state: what an earlier call returned, to go on from there; None starts from rest. The closure needs
                responses long enough for all of a record: `prepare` once and pass it with every chunk.
            prepared: from `prepare`.

        Returns:
            discharge (..., time, target), mean of each forcing step, m³/s; and the state (None for the
            reference).

        Raises:
            InputError: missing, unknown or inadmissible parameters; runoff of another number of reaches; the
                state of another engine.
        """
        if runoff.ndim < 2 or runoff.shape[-1] != self.columns:
            raise InputError(
                f"runoff: expected shape (..., time, {self.columns}), found {tuple(runoff.shape)}"
            )
        if self._engine is None:
            return self._reference(runoff, parameters, state), None
        own = ClosureState if self.engine == "closure" else RecurrenceState
        if state is not None and not isinstance(state, own):
            raise InputError(
                f"state: expected that of the engine {self.engine}, found {type(state).__name__}"
            )
        batch = runoff.reshape(-1, *runoff.shape[-2:])
        if prepared is None:
            if parameters is None:
                raise InputError("expected parameters, or prepared ones; found neither")
            past = 0
            if isinstance(state, ClosureState):
                past = max((h.shape[2] for h in state.history), default=0)
            prepared = self.prepare(parameters, past + runoff.shape[-2])
        discharge, _, after = self._engine.apply(prepared, batch, state=state)
        return discharge.reshape(*runoff.shape[:-1], -1), after

    def _reference(self, runoff: Tensor, parameters: Parameters | None, state: object) -> Tensor:
        if parameters is None or state is not None:
            raise InputError("engine reference: it takes parameters and starts from rest")
        self.scheme.check(parameters, self.network.reach_id)
        routed = [
            route_reference(
                self.network.downstream,
                self.network.order,
                one,
                parameters,
                self.scheme,
                self.forcing_step,
                self.routing_step,
            )
            for one in runoff.reshape(-1, *runoff.shape[-2:])
        ]
        result = torch.stack(routed).reshape(runoff.shape)
        return result[..., torch.from_numpy(self.targets)].to(self.dtype)


def _positions(targets: ArrayLike | None, n: int) -> NDArray[np.int64]:
    """Targets as positions, all by default; a mask or a negative position would pick other reaches unseen."""
    if targets is None:
        return np.arange(n)
    found = np.asarray(targets)
    if found.ndim != 1 or not (found.size == 0 or np.issubdtype(found.dtype, np.integer)):
        raise InputError(f"targets: expected positions, found {found.dtype} of shape {found.shape}")
    if found.size and not (found.min() >= 0 and found.max() < n):
        raise InputError(f"targets: expected positions 0 to {n - 1}, found {found.min()} to {found.max()}")
    return found.astype(np.int64)


@overload
def route(
    network: RiverNetwork,
    runoff: Tensor,
    parameters: Parameters,
    scheme: str | Scheme = ...,
    *,
    forcing_step: float,
    routing_step: float,
    convention: str = ...,
    engine: str = ...,
    targets: ArrayLike | None = ...,
    window: int | None = ...,
    state: RouterState | None = ...,
    return_state: Literal[False] = ...,
    dtype: torch.dtype | None = ...,
) -> Tensor: ...


@overload
def route(
    network: RiverNetwork,
    runoff: Tensor,
    parameters: Parameters,
    scheme: str | Scheme = ...,
    *,
    forcing_step: float,
    routing_step: float,
    convention: str = ...,
    engine: str = ...,
    targets: ArrayLike | None = ...,
    window: int | None = ...,
    state: RouterState | None = ...,
    return_state: Literal[True],
    dtype: torch.dtype | None = ...,
) -> tuple[Tensor, RouterState | None]: ...


def route(
    network: RiverNetwork,
    runoff: Tensor,
    parameters: Parameters,
    scheme: str | Scheme = "muskingum",
    *,
    forcing_step: float,
    routing_step: float,
    convention: str = "standard",
    engine: str = "auto",
    targets: ArrayLike | None = None,
    window: int | None = None,
    state: RouterState | None = None,
    return_state: bool = False,
    dtype: torch.dtype | None = None,
) -> Tensor | tuple[Tensor, RouterState | None]:
    """Route runoff through a network; differentiable in runoff, parameters and state.

    Args:
        network: the river network.
        runoff: (..., time, reach) mean lateral inflow of each forcing step, m³/s.
        parameters: the scheme's, each (reach,), SI.
        scheme, forcing_step, routing_step, convention, engine, targets, window: see `Router`.
        state: what an earlier call with `return_state=True` returned.
        return_state: return (discharge, state).
        dtype: float32 or float64; that of the runoff by default.

    Returns:
        (..., time, target) mean discharge of each forcing step, m³/s.

    Raises:
        InputError: whatever `Router` and its call refuse.
    """
    router = Router(
        network,
        scheme,
        forcing_step=forcing_step,
        routing_step=routing_step,
        convention=convention,
        engine=engine,
        targets=targets,
        window=window,
        dtype=runoff.dtype if dtype is None else dtype,
        device=runoff.device,
    )
    discharge, after = router(runoff, parameters, state)
    return (discharge, after) if return_state else discharge
