"""Routing as one differentiable operator: the function `route` and the module `Router`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Literal, Self, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.routing import hillslope as hillslopes
from rivergrad.routing import schemes
from rivergrad.routing.closure import ClosureState
from rivergrad.routing.compose import (
    EnsembleState,
    first_only,
    is_ensemble,
    route_ensemble,
    route_transformed,
    under_transform,
)
from rivergrad.routing.engines import Engine, Prepared, RouterState, choose_engine, make_engine
from rivergrad.routing.flow import FlowPrepared, Rounds, check_law, split_law, with_law
from rivergrad.routing.flow.reference import route_flow_reference
from rivergrad.routing.hillslope import Hillslope, StagedState
from rivergrad.routing.hillslope.stage import routing_of
from rivergrad.routing.outside import outside
from rivergrad.routing.recurrence import GridWeights, RecurrenceState
from rivergrad.routing.reference import route_reference
from rivergrad.routing.reported import Kind, Report
from rivergrad.routing.schemes.base import Parameters, Scheme
from rivergrad.routing.steps import step_ratio

log = logging.getLogger("rivergrad")

DTYPES = (torch.float32, torch.float64)
_SAID: set[tuple[str, float]] = set()
"""Schemes and routing steps that were said to be outside their range."""


class Router(torch.nn.Module):
    """Routes runoff through a network; the plan for the network is made once.

    It learns nothing itself: its `state_dict` is empty. `.to(device)` and `.double()` take it along with the module
    that holds it; in half precision and under autocast it computes in float32. Within `torch.compile` it stands
    outside of the compiled graph. It has first derivatives only.

    Args:
        network: the river network.
        scheme: name of a scheme, or a scheme.
        forcing_step: Δ, s; a whole number of routing steps.
        routing_step: δ, s.
        convention: `standard`, or `rapid` for muskingum.
        engine: `auto`, `closure`, `recurrence` or `reference`; `engine` and `reason` say what auto chose.
        targets: positions of the reaches whose discharge is wanted; all by default.
        window: forcing steps for which the closure keeps responses; chosen by default. Means the closure.
        grid: runoff comes per cell of a grid, with these weights; for the engine recurrence, or with a hillslope.
        hillslope: what runoff passes before it enters a reach: `none`, `linear_storage`, `nash` or `gamma`. The
            parameters then have `hillslope_delay` (s) among them, and may have `hillslope_shape`.
        report: discharge is the `mean` of each forcing step, or that at its `end`.
        dtype: of runoff and discharge (float32 or float64).
        device: where to compute.
        block_reaches: reaches a block of the closure may have; chosen by default. Means the closure.
        rounds: how a celerity that depends on flow is computed, where a call has a `flow_exponent`.

    Raises:
        InputError: an unknown scheme, convention or engine, an engine that can't compute the scheme or lacks an
            option, or Δ not a multiple of δ.

    Example:
        >>> import rivergrad as rg
        >>> router = rg.Router(network, "muskingum", forcing_step=86400, routing_step=3600)
        >>> discharge, state = router(runoff, {"k": k, "x": x})  # runoff and discharge (time, reach), m³/s
    """

    _place: Tensor

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
        hillslope: str | Hillslope = "none",
        report: Kind = "mean",
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        block_reaches: int | None = None,
        rounds: Rounds | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.scheme = schemes.get(scheme, convention)
        self.hillslope = hillslopes.get(hillslope)
        self.report = Report(report)
        self.forcing_step, self.routing_step = float(forcing_step), float(routing_step)
        self.ratio = step_ratio(forcing_step, routing_step)
        self.targets = _positions(targets, network.n_reaches)
        self.columns = network.n_reaches if grid is None else grid.n_cells
        self._asked, self._grid = engine, grid
        self._window, self._block_reaches = window, block_reaches
        self.rounds = Rounds() if rounds is None else rounds
        if dtype not in DTYPES:
            raise InputError(f"dtype: expected torch.float32 or torch.float64, found {dtype}")
        # moves with the module that holds this one, and tells where and in what to compute
        self.register_buffer("_place", torch.empty(0, dtype=dtype, device=device), persistent=False)
        self.dtype, self.device = dtype, torch.device(device)
        self._calls = 0
        self._set_up()

    def _set_up(self) -> None:
        """Choose the engine and make its plan."""
        given = {"window": self._window, "block_reaches": self._block_reaches}
        options = [key for key, value in given.items() if value is not None]
        self.engine, self.reason = choose_engine(self._asked, self.scheme, self.device, options)
        self._engine: Engine | None = None
        self._flow: Engine | None = None
        if self.engine != "reference" or self._grid is not None:
            self._engine = self._make(None)

    def _make(self, rounds: Rounds | None) -> Engine:
        """The engine, for a celerity that depends on flow where there are rounds."""
        return make_engine(
            self.engine,
            self.network.downstream,
            self.scheme,
            self.forcing_step,
            self.routing_step,
            targets=self.targets,
            grid=self._grid,
            hillslope=self.hillslope,
            report=self.report,
            window=self._window,
            block_reaches=self._block_reaches,
            rounds=rounds,
            dtype=self.dtype,
            device=self.device,
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """What `.to()`, `.double()`, `.cuda()` … call, of this module and of one that holds it."""
        super()._apply(fn, recurse)
        dtype = torch.float64 if self._place.dtype == torch.float64 else torch.float32
        if (dtype, self._place.device) != (self.dtype, self.device):
            self.dtype, self.device = dtype, self._place.device
            self._set_up()
        return self

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: the plan is made anew, as what is compiled for a device can't be sent."""
        return {**self.__dict__, "_engine": None, "_flow": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._set_up()

    def extra_repr(self) -> str:
        """For `print`."""
        steps = f"steps of {self.forcing_step:g} s at {self.routing_step:g} s"
        before = "" if self.hillslope is None else f"hillslope {self.hillslope.name}, "
        return f"{before}{self.scheme.name}, {self.network.n_reaches} reaches, {steps}, engine {self.engine}"

    def prepare(self, parameters: Parameters, horizon: int) -> Prepared:
        """What the engine makes of parameters, for reuse over chunks of a record of `horizon` forcing steps."""
        if self._engine is None:
            raise InputError(
                f"engine {self.engine}: it keeps no responses; expected the engine closure or recurrence"
            )
        own, law = split_law(parameters)
        self._check(own)
        if law is None:
            assert self._engine is not None
            prepared: Prepared = self._engine.prepare(first_only(own), horizon)
            return prepared
        check_law(*law, self.network.reach_id)
        by_flow: Prepared = self._by_flow().prepare(first_only(parameters), horizon)
        return by_flow

    def _by_flow(self) -> Engine:
        """What routes with a celerity that depends on flow, made when it is first needed."""
        if self._flow is None:
            self._flow = self._make(self.rounds)
        return self._flow

    def forward(
        self,
        runoff: Tensor,
        parameters: Parameters | None = None,
        state: RouterState | EnsembleState | None = None,
        *,
        prepared: Prepared | None = None,
        flow_exponent: Tensor | float | None = None,
        reference_flow: Tensor | float | None = None,
    ) -> tuple[Tensor, RouterState | EnsembleState | None]:
        """Discharge of the wanted reaches and the state afterwards.

        Args:
            runoff: (..., time, reach) mean lateral inflow of each forcing step, m³/s; (..., time, cell) with a
                grid.
            parameters: the scheme's, each (reach,), SI; not needed where `prepared` is given. For an ensemble
                (..., reach), whose leading dimensions are broadcast with those of the runoff.
            state: what an earlier call returned, to go on from there; None starts from rest. The closure needs
                responses long enough for all of a record: `prepare` once and pass it with every chunk.
            prepared: from `prepare`.
            flow_exponent: m of c = c₀ (Q/Q₀)^m, 0 to 1, one number or (reach,), with the parameters those at Q₀;
                None or 0 is a celerity that does not depend on flow. It may stand among the parameters, too.
            reference_flow: Q₀, mean flow, m³/s, one number or (reach,).

        Returns:
            discharge (..., time, target), mean of each forcing step or its end, m³/s; and the state (None for the
            reference, and under a transform of torch.func).

        Raises:
            InputError: missing, unknown or inadmissible parameters; runoff of another number of reaches; the
                state of another engine; a transform of torch.func with a state; second derivatives.
        """
        if parameters is not None:
            n = self.network.n_reaches
            parameters = with_law(parameters, flow_exponent, reference_flow, n)
        if torch.compiler.is_compiling():
            # sweeps over a tree are no graph of tensor operations: the compiler takes up again behind them
            outside = torch.compiler.disable(self._forward)
            found: tuple[Tensor, RouterState | EnsembleState | None] = outside(
                runoff, parameters, state, prepared
            )
            return found
        return self._forward(runoff, parameters, state, prepared)

    def _forward(
        self,
        runoff: Tensor,
        parameters: Parameters | None,
        state: RouterState | EnsembleState | None,
        prepared: Prepared | None,
    ) -> tuple[Tensor, RouterState | EnsembleState | None]:
        if runoff.ndim < 2 or runoff.shape[-1] != self.columns:
            raise InputError(
                f"runoff: expected shape (..., time, {self.columns}), found {tuple(runoff.shape)}"
            )
        if parameters is None and prepared is None:
            raise InputError("expected parameters, or prepared ones; found neither")
        with torch.autocast(self.device.type, enabled=False):
            if under_transform():
                if parameters is None or state is not None:
                    raise InputError(
                        "Router under a transform of torch.func: expected parameters, and neither a state nor "
                        "prepared ones"
                    )
                return route_transformed(self._from_rest, runoff, parameters), None
            runoff = first_only({"runoff": runoff})["runoff"]
            if prepared is not None:
                return self._one(runoff, None, _single(state), prepared)
            assert parameters is not None
            return self._any(runoff, first_only(parameters), state)

    def _from_rest(self, runoff: Tensor, parameters: Parameters) -> Tensor:
        return self._any(runoff, parameters, None)[0]

    def _any(
        self, runoff: Tensor, parameters: Parameters, state: RouterState | EnsembleState | None
    ) -> tuple[Tensor, RouterState | EnsembleState | None]:
        """With one set of parameters, or with an ensemble of them."""
        if not is_ensemble(parameters):
            return self._one(runoff, parameters, _single(state))
        if state is not None and not isinstance(state, EnsembleState):
            raise InputError(f"state: expected that of an ensemble, found {type(state).__name__}")
        return route_ensemble(self._one, runoff, parameters, state)

    def _one(
        self,
        runoff: Tensor,
        parameters: Parameters | None,
        state: RouterState | None,
        prepared: Prepared | None = None,
    ) -> tuple[Tensor, RouterState | None]:
        if self._engine is None:
            return self._reference(runoff, parameters, state), None
        inner = self._of_engine(state)
        batch = runoff.reshape(-1, *runoff.shape[-2:])
        if prepared is None:
            assert parameters is not None
            past = 0
            if isinstance(inner, ClosureState):
                past = max((h.shape[2] for h in inner.history), default=0)
            prepared = self.prepare(parameters, past + runoff.shape[-2])
        by_flow = isinstance(routing_of(prepared), FlowPrepared)
        engine = self._by_flow() if by_flow else self._engine
        discharge, _, after = engine.apply(prepared, batch, state=state)
        if parameters is not None and not by_flow:
            self._say_outside(parameters, discharge)
        return discharge.reshape(*runoff.shape[:-1], -1), after

    def _check(self, parameters: Parameters) -> None:
        """Raise an InputError unless all parameters are there and in their range."""
        of_scheme, own = hillslopes.split(parameters)
        if self.hillslope is None and own:
            raise InputError(
                f"found the parameters {', '.join(own)} without a hillslope; expected hillslope linear_storage, "
                "nash or gamma with them"
            )
        self.scheme.check(of_scheme, self.network.reach_id)
        if self.hillslope is not None:
            self.hillslope.check(own, self.network.reach_id)

    def _of_engine(self, state: RouterState | None) -> RouterState | None:
        """The engine's own part of a state."""
        if state is None:
            return None
        inner: RouterState = state
        if isinstance(state, StagedState):
            inner = state.routing
        own = ClosureState if self.engine == "closure" else RecurrenceState
        if isinstance(state, StagedState) != (self.hillslope is not None) or not isinstance(inner, own):
            stage = "" if self.hillslope is None else f" behind the hillslope {self.hillslope.name}"
            raise InputError(
                f"state: expected that of the engine {self.engine}{stage}, found {type(state).__name__}"
            )
        return inner

    def _is_rare(self) -> bool:
        """Whether this is the 1st, 2nd, 4th, 8th … call: parameters move slowly while they are estimated."""
        self._calls += 1
        return not self._calls & (self._calls - 1)

    def _say_outside(self, parameters: Parameters, discharge: Tensor) -> None:
        """Log once in a process, for each scheme and step, that a scheme outside its range gave negative discharge."""
        key = self.scheme.name, self.routing_step
        if not self._is_rare() or key in _SAID or discharge.numel() == 0:
            return
        found = outside(self.scheme, parameters, self.routing_step, self.network.reach_id)
        if found is None:
            return
        with torch.no_grad():
            worst = int(discharge.amin(dim=(0, 1)).argmin())
            column = discharge[:, :, worst].detach().reshape(-1, 1).cpu().numpy()
        found.look(column, self.network.reach_id[self.targets[worst : worst + 1]])
        if found.is_negative:
            _SAID.add(key)
            log.warning("%s", found.text())

    def _reference(self, runoff: Tensor, parameters: Parameters | None, state: object) -> Tensor:
        if parameters is None or state is not None:
            raise InputError("engine reference: it takes parameters and starts from rest")
        own, law = split_law(parameters)
        self._check(own)
        down, order = self.network.downstream, self.network.order
        step, inner = self.forcing_step, self.routing_step
        stage, report = self.hillslope, self.report
        each = runoff.reshape(-1, *runoff.shape[-2:])
        if law is None:
            routed = [
                route_reference(down, order, one, own, self.scheme, step, inner, stage, report)
                for one in each
            ]
        else:
            check_law(*law, self.network.reach_id)
            routed = [
                route_flow_reference(
                    down, order, one, own, *law, self.scheme, step, inner, self.rounds, stage, report
                )
                for one in each
            ]
        result = torch.stack(routed).reshape(runoff.shape)
        return result[..., torch.from_numpy(self.targets)].to(self.dtype)


def _single(state: RouterState | EnsembleState | None) -> RouterState | None:
    if isinstance(state, EnsembleState):
        raise InputError("state: expected that of one set of parameters, found that of an ensemble")
    return state


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
    hillslope: str | Hillslope = ...,
    report: Kind = ...,
    state: RouterState | EnsembleState | None = ...,
    return_state: Literal[False] = ...,
    dtype: torch.dtype | None = ...,
    flow_exponent: Tensor | float | None = ...,
    reference_flow: Tensor | float | None = ...,
    rounds: Rounds | None = ...,
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
    hillslope: str | Hillslope = ...,
    report: Kind = ...,
    state: RouterState | EnsembleState | None = ...,
    return_state: Literal[True],
    dtype: torch.dtype | None = ...,
    flow_exponent: Tensor | float | None = ...,
    reference_flow: Tensor | float | None = ...,
    rounds: Rounds | None = ...,
) -> tuple[Tensor, RouterState | EnsembleState | None]: ...


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
    hillslope: str | Hillslope = "none",
    report: Kind = "mean",
    state: RouterState | EnsembleState | None = None,
    return_state: bool = False,
    dtype: torch.dtype | None = None,
    flow_exponent: Tensor | float | None = None,
    reference_flow: Tensor | float | None = None,
    rounds: Rounds | None = None,
) -> Tensor | tuple[Tensor, RouterState | EnsembleState | None]:
    """Route runoff through a network; differentiable in runoff, parameters and state.

    Args:
        network: the river network.
        runoff: (..., time, reach) mean lateral inflow of each forcing step, m³/s.
        parameters: the scheme's, each (reach,), or (..., reach) for an ensemble; SI. With `residence_time` (s, NaN at
            channels), reaches that have one are lakes: linear storages.
        scheme, forcing_step, routing_step, convention, engine, targets, window, hillslope, report: see `Router`.
        state: what an earlier call with `return_state=True` returned.
        return_state: return (discharge, state).
        dtype: float32 or float64; that of the runoff by default, float32 for one of less precision.
        flow_exponent, reference_flow: see `Router.forward`; rounds: see `Router`.

    Returns:
        (..., time, target) mean discharge of each forcing step, m³/s.

    Raises:
        InputError: whatever `Router` and its call refuse.

    Example:
        >>> import rivergrad as rg
        >>> discharge = rg.route(network, runoff, {"k": k, "x": x}, forcing_step=86400, routing_step=3600)
        >>> discharge.sum().backward()  # runoff and discharge (time, reach), m³/s
    """
    router = Router(
        network,
        schemes.with_lakes_if(schemes.get(scheme, convention), parameters),
        forcing_step=forcing_step,
        routing_step=routing_step,
        convention=convention,
        engine=engine,
        targets=targets,
        window=window,
        hillslope=hillslope,
        report=report,
        dtype=dtype or (runoff.dtype if runoff.dtype in DTYPES else torch.float32),
        device=runoff.device,
        rounds=rounds,
    )
    discharge, after = router(
        runoff, parameters, state, flow_exponent=flow_exponent, reference_flow=reference_flow
    )
    return (discharge, after) if return_state else discharge
