"""The recurrence engine: every reach a small filter, swept down the tree and over time, exactly.

No closure, no window: the work is reaches × routing steps, the state a few numbers a reach. The gradient is
the adjoint sweep (up the tree, back in time), which recomputes what it needs from states kept on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rivergrad.errors import InputError
from rivergrad.routing.choice import no_recurrence
from rivergrad.routing.recurrence.problem import (
    Filter,
    Gradients,
    GridWeights,
    Problem,
    weight_matrix,
    zeros,
)
from rivergrad.routing.schemes.base import Parameters, Recurrence, Scheme
from rivergrad.routing.setup import EngineSetup


class Backend(Protocol):
    """What computes the sweeps on one kind of device."""

    def forward(
        self, filter_: Filter, runoff: Tensor, inflow: Tensor, state: Tensor, keep: bool
    ) -> tuple[Tensor, Tensor, Tensor, Any]:
        """Discharge, outflow and the state afterwards; and what `backward` needs besides, if `keep`."""

    def backward(
        self,
        filter_: Filter,
        runoff: Tensor,
        inflow: Tensor,
        state: Tensor,
        saved: Any,
        g_discharge: Tensor,
        g_outflow: Tensor,
        g_state: Tensor,
        want_runoff: bool,
    ) -> Gradients:
        """Gradients of everything, given those of everything that `forward` returned."""


@dataclass(frozen=True)
class RecurrenceState:
    """What a later chunk of time needs of the past: (batch, numbers), see `Filter.state_size`."""

    values: Tensor


@dataclass
class RecurrenceEngine(EngineSetup):
    """Routing of one (piece of a) network by an exact sweep.

    Memory: runoff and discharge; for the gradient besides states at some times (on a CPU up to one for each number of
    runoff, on a GPU far fewer) and the series between blocks, a small part of the runoff.

    Args:
        downstream to device: see `EngineSetup`; everything is computed in `dtype`.
        grid: how runoff is made from the cells of a grid, inside the sweep; None where it is given per reach.
        share: of a GPU, how much of it the sweeps take; the rest is left to others.

    Raises:
        InputError: the scheme is no recurrence, or the device lacks what compiles the sweep.
    """

    grid: GridWeights | None = None
    share: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        problem = Problem(
            self.downstream, self.ratio, self.targets, self.inlets, self.outlets, grid=self.grid
        )
        self.problem = problem
        self.backend: Backend = _backend(problem, self.dtype, self.device, self.share)
        self._last: tuple[Recurrence, list[int | None], Filter] | None = None
        self._to_cells = (  # (cell, reach): takes a gradient from reaches back to cells
            None if self.grid is None else weight_matrix(self.grid, self.dtype, self.device).t().coalesce()
        )

    def prepare(self, parameters: Parameters, horizon: int = 0, scheme: Scheme | None = None) -> Recurrence:
        """The recurrence for given parameters, differentiable; `horizon` does not matter here."""
        scheme = self.scheme if scheme is None else scheme
        on_device = {name: value.to(self.device, torch.float64) for name, value in parameters.items()}
        found = scheme.recurrence(on_device, self.routing_step)
        if found is None:
            raise InputError(no_recurrence(scheme))
        return found

    def apply(
        self,
        prepared: Recurrence,
        runoff: Tensor,
        inflow: Tensor | None = None,
        state: RecurrenceState | None = None,
        room: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, RecurrenceState]:
        """Route some forcing steps.

        Args:
            prepared: from `prepare`.
            runoff: (batch, time, reach) m³/s, or (batch, time, cell) where there is a grid.
            inflow: (batch, inlet, routing step) m³/s, where there are inlets.
            state: what an earlier call returned; None starts from rest.
            room: (batch, time, target) for the discharge, in place of new memory; on CPUs, without a gradient.

        Returns:
            discharge (batch, time, target), outflow (batch, outlet, routing step), and the state after.

        Raises:
            InputError: runoff, inflow or state of another shape: of another network, scheme or batch.
        """
        batch, time, _ = runoff.shape
        runoff = runoff.to(self.device, self.dtype)
        if inflow is None:
            inflow = runoff.new_zeros(batch, self.inlets.size, time * self.ratio)
        filter_ = self._filter(prepared)
        values = zeros(filter_, batch, self.dtype, self.device) if state is None else state.values
        # the sweeps trust these: they would read what lies beside the arrays
        expect_shape("runoff", runoff, (batch, time, self.problem.n_columns))
        expect_shape("inflow", inflow, (batch, self.inlets.size, time * self.ratio))
        expect_shape("state", values, (batch, filter_.state_size))
        inflow, values = inflow.to(self.device, self.dtype), values.to(self.device, self.dtype)
        if room is not None:
            return self._into(room, filter_, runoff, inflow, values)
        jump = prepared.a.new_zeros(0) if prepared.jump is None else prepared.jump
        discharge, outflow, after = _Sweep.apply(
            self,
            filter_,
            torch.is_grad_enabled(),
            prepared.a,
            prepared.b,
            jump,
            runoff,
            inflow,
            values,
        )
        return discharge, outflow, RecurrenceState(after)

    def _into(
        self, room: Tensor, filter_: Filter, runoff: Tensor, inflow: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor, RecurrenceState]:
        """Route into memory that is there, without a gradient."""
        from rivergrad.routing.recurrence.cpu import CpuSweep

        assert isinstance(self.backend, CpuSweep)
        given = runoff.contiguous(), inflow.contiguous(), state.contiguous()
        discharge, outflow, after, _ = self.backend.forward(filter_, *given, False, room)
        return discharge, outflow, RecurrenceState(after)

    def _filter(self, prepared: Recurrence) -> Filter:
        """As the sweeps take it. Without a gradient the same object for each chunk of a record, so that a backend
        can tell that it has prepared itself for it already."""
        given = (prepared.a, prepared.b, prepared.jump, prepared.delay)
        versions = [None if tensor is None else tensor._version for tensor in given]
        if self._last is not None and self._last[0] is prepared and self._last[1] == versions:
            return self._last[2]
        a, b, jump, delay = given
        if delay is not None and not bool(delay.any()):
            delay = None
        found = Filter(
            a=a.detach().to(self.dtype).contiguous(),
            b=b.detach().to(self.dtype).contiguous(),
            jump=None if jump is None else jump.detach().to(self.dtype).contiguous(),
            sections=prepared.sections,
            delay=None if delay is None else delay.cpu().numpy(),
            output_delay=prepared.output_delay,
        )
        self._last = None if torch.is_grad_enabled() else (prepared, versions, found)
        return found

    def runoff_gradient(self, per_reach: Tensor) -> Tensor:
        """From (batch, time, reach) to what the runoff was given per: reaches or cells."""
        if self._to_cells is None:
            return per_reach
        batch, time, n = per_reach.shape
        cells = torch.sparse.mm(self._to_cells, per_reach.reshape(-1, n).T)
        return cells.T.reshape(batch, time, -1)


class _Sweep(torch.autograd.Function):
    """The sweep as one operation with its adjoint."""

    @staticmethod
    def forward(
        ctx: Any,
        engine: RecurrenceEngine,
        filter_: Filter,
        recorded: bool,
        a: Tensor,
        b: Tensor,
        jump: Tensor,
        runoff: Tensor,
        inflow: Tensor,
        state: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        keep = recorded and any(ctx.needs_input_grad)  # which says yes for leaves even under no_grad
        runoff, inflow, state = runoff.contiguous(), inflow.contiguous(), state.contiguous()
        discharge, outflow, after, saved = engine.backend.forward(filter_, runoff, inflow, state, keep)
        if keep:
            ctx.engine, ctx.filter, ctx.saved = engine, filter_, saved
            ctx.save_for_backward(runoff, inflow, state)
        return discharge, outflow, after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        engine: RecurrenceEngine = ctx.engine
        g_discharge, g_outflow, g_after = (g.contiguous() for g in gradients)
        runoff, inflow, state = ctx.saved_tensors
        found = engine.backend.backward(
            ctx.filter,
            runoff,
            inflow,
            state,
            ctx.saved,
            g_discharge,
            g_outflow,
            g_after,
            ctx.needs_input_grad[6],
        )
        jump = found.a.new_zeros(0) if found.jump is None else found.jump
        into = None if found.runoff is None else engine.runoff_gradient(found.runoff)
        return None, None, None, found.a, found.b, jump, into, found.inflow, found.state


def expect_shape(name: str, found: Tensor, shape: tuple[int, ...]) -> None:
    """Raise an InputError for a tensor of another shape."""
    if tuple(found.shape) != shape:
        raise InputError(f"{name}: expected shape {shape}, found {tuple(found.shape)}")


def _backend(problem: Problem, dtype: torch.dtype, device: torch.device, share: float) -> Backend:
    """The backend of a device; imported late, so that each device asks only for what it needs itself."""
    if device.type == "cuda":
        from rivergrad.routing.recurrence.cuda import CudaSweep

        return CudaSweep(problem, dtype, device, share=share)
    from rivergrad.routing.recurrence.cpu import CpuSweep

    return CpuSweep(problem, dtype)
