"""The engines by name: which of them computes a scheme on a device, and how it is set up."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from rivergrad.errors import InputError
from rivergrad.routing.choice import ENGINES, choose_engine
from rivergrad.routing.closure import ClosureEngine, ClosureState, Responses
from rivergrad.routing.flow.engine import CLOSURE, FlowPrepared, make_flow_engine
from rivergrad.routing.flow.law import Rounds
from rivergrad.routing.hillslope import Hillslope, StagedEngine, StagedPrepared, StagedState
from rivergrad.routing.recurrence import GridWeights, RecurrenceEngine, RecurrenceState
from rivergrad.routing.recurrence.problem import Index
from rivergrad.routing.reported import MEAN, Report, ReportedEngine
from rivergrad.routing.schemes.base import Recurrence, Scheme
from rivergrad.routing.setup import no_index

__all__ = ["ENGINES", "Engine", "Prepared", "RouterState", "choose_engine", "make_engine"]

Prepared: TypeAlias = "Responses | Recurrence | StagedPrepared | FlowPrepared"
"""What an engine makes of parameters, for reuse over chunks of a record."""

RouterState: TypeAlias = ClosureState | RecurrenceState | StagedState
"""What a later chunk of time needs of the past; only the engine that made it looks inside."""


class Engine(Protocol):
    """Routing of one (piece of a) network: `ClosureEngine` or `RecurrenceEngine`."""

    ratio: int
    dtype: torch.dtype
    device: torch.device

    def prepare(self, parameters: dict[str, Tensor], horizon: int, scheme: Scheme | None = None) -> Any:
        """What the engine makes of parameters, differentiable, for a record of `horizon` forcing steps.

        `scheme` stands in for the engine's own.
        """

    def apply(
        self, prepared: Any, /, runoff: Tensor, inflow: Tensor | None = None, state: Any = None
    ) -> tuple[Tensor, Tensor, Any]:
        """Route some forcing steps: discharge, outflow at the routing step, and the state after."""


def make_engine(
    name: str,
    downstream: Index,
    scheme: Scheme,
    forcing_step: float,
    routing_step: float,
    *,
    targets: Index,
    inlets: Index | None = None,
    outlets: Index | None = None,
    grid: GridWeights | None = None,
    hillslope: Hillslope | None = None,
    report: Report = MEAN,
    window: int | None = None,
    block_reaches: int | None = None,
    keep_bytes: int | None = None,
    share: float = 1.0,
    rounds: Rounds | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Engine:
    """Set up the engine `closure` or `recurrence`; see their classes for the arguments.

    `window`, `block_reaches` and `keep_bytes` are the closure's, `grid` and `share` are the recurrence's. `keep_bytes`
    may be given in any case: the recurrence keeps next to nothing; so may `share`, which is about kernels that hold
    what they have of a GPU to their end, and the closure's do not. With `rounds` the recurrence takes a celerity that
    depends on flow.

    With a `hillslope`, runoff passes it first: the parameters then have its delay among them. `report` says which
    discharge of the targets is wanted.

    Raises:
        InputError: an option that this engine lacks.
    """
    if not report.is_plain:
        options = {
            "window": window, "block_reaches": block_reaches, "keep_bytes": keep_bytes, "share": share,
            "grid": grid, "hillslope": hillslope, "inlets": inlets, "rounds": rounds, "dtype": dtype,
            "device": device,
        }  # fmt: skip

        def make(of: Index, leaving: Index) -> Engine:
            plain: dict[str, Any] = {**options, "targets": of, "outlets": leaving}
            return make_engine(name, downstream, scheme, forcing_step, routing_step, **plain)

        return ReportedEngine(make, targets, no_index() if outlets is None else outlets, report)
    if hillslope is not None and (grid is None or name in ("closure", "recurrence")):
        inner = make_engine(
            name,
            downstream,
            scheme,
            forcing_step,
            routing_step,
            targets=targets,
            inlets=inlets,
            outlets=outlets,
            window=window,
            block_reaches=block_reaches,
            keep_bytes=keep_bytes,
            share=share,
            rounds=rounds,
            dtype=dtype,
            device=device,
        )
        return StagedEngine(hillslope, inner, forcing_step, grid)
    inlets = no_index() if inlets is None else inlets
    outlets = no_index() if outlets is None else outlets
    where = torch.device(device)
    shared = (downstream, scheme, forcing_step, routing_step, targets, inlets, outlets, dtype, where)
    if name == "recurrence":
        plain = RecurrenceEngine(*shared, grid=grid, share=share)
        return plain if rounds is None else make_flow_engine(plain, rounds)
    if rounds is not None:
        raise InputError(CLOSURE)
    if grid is not None:
        raise InputError(
            f"engine {name}: it takes runoff per reach, found weights of a grid; "
            "expected the engine recurrence, or runoff with the weights applied"
        )
    kept: dict[str, Any] = {} if keep_bytes is None else {"keep_bytes": keep_bytes}
    return ClosureEngine(*shared, window=window, block_reaches=block_reaches, **kept)
