"""The recurrence with coefficients by forcing step: what a celerity that depends on flow needs, as one operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rivergrad.errors import InputError
from rivergrad.routing.recurrence.engine import RecurrenceEngine, RecurrenceState, expect_shape

if TYPE_CHECKING:
    from rivergrad.routing.recurrence.cpu.varying import VaryingSweep


@dataclass(frozen=True)
class VaryingRecurrence:
    """Every reach as sections in series whose coefficients change between intervals.

    One section, with state m, a discharge: e = x − m; q = m + a e; m ← m + b e. The state is held where a and b
    change. Storage is k m, and k = dS/dQ is a tangent, so that holding m keeps S = ∫ k dQ to first order.

    Attributes:
        a, b: (batch, interval, reach), differentiable.
        hold: forcing steps of an interval; the first begins with the runoff that is routed.
        sections: in series in every reach.
    """

    a: Tensor
    b: Tensor
    hold: int = 1
    sections: int = 1


class VaryingEngine:
    """Sweeps with coefficients by forcing step, on the plan of a recurrence engine.

    Raises:
        InputError: the engine computes on a GPU, where there is no such sweep yet.
    """

    def __init__(self, engine: RecurrenceEngine) -> None:
        if engine.device.type != "cpu":
            raise InputError(
                f"flow_exponent: on device {engine.device} there is no sweep with coefficients by forcing step yet; "
                "expected device cpu, or no flow_exponent"
            )
        from rivergrad.routing.recurrence.cpu import CpuSweep
        from rivergrad.routing.recurrence.cpu.varying import VaryingSweep

        assert isinstance(engine.backend, CpuSweep)
        self.engine = engine
        self.sweep: VaryingSweep = VaryingSweep(engine.backend)

    def apply(
        self,
        given: VaryingRecurrence,
        runoff: Tensor,
        inflow: Tensor | None = None,
        state: RecurrenceState | None = None,
    ) -> tuple[Tensor, Tensor, RecurrenceState]:
        """Route some forcing steps; arguments and results as for `RecurrenceEngine.apply`."""
        engine = self.engine
        batch, time, _ = runoff.shape
        runoff = runoff.to(engine.device, engine.dtype)
        size = engine.problem.n_reaches * given.sections
        if inflow is None:
            inflow = runoff.new_zeros(batch, engine.inlets.size, time * engine.ratio)
        values = runoff.new_zeros(batch, size) if state is None else state.values
        intervals = -(-time // given.hold)
        # the sweeps trust these: they would read what lies beside the arrays
        expect_shape("runoff", runoff, (batch, time, engine.problem.n_columns))
        expect_shape("inflow", inflow, (batch, engine.inlets.size, time * engine.ratio))
        expect_shape("state", values, (batch, size))
        for one in (given.a, given.b):
            expect_shape("coefficients", one, (batch, intervals, engine.problem.n_reaches))
        discharge, outflow, after = _Sweep.apply(
            self,
            given.hold,
            given.sections,
            torch.is_grad_enabled(),
            given.a.to(engine.dtype),
            given.b.to(engine.dtype),
            runoff,
            inflow.to(engine.device, engine.dtype),
            values.to(engine.device, engine.dtype),
        )
        return discharge, outflow, RecurrenceState(after)


class _Sweep(torch.autograd.Function):
    """The sweep as one operation with its adjoint."""

    @staticmethod
    def forward(
        ctx: Any,
        varying: VaryingEngine,
        hold: int,
        sections: int,
        recorded: bool,
        a: Tensor,
        b: Tensor,
        runoff: Tensor,
        inflow: Tensor,
        state: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        keep = recorded and any(ctx.needs_input_grad)
        a, b, runoff, inflow, state = (t.contiguous() for t in (a, b, runoff, inflow, state))
        discharge, outflow, after, saved = varying.sweep.forward(
            a, b, hold, sections, runoff, inflow, state, keep
        )
        if keep:
            ctx.varying, ctx.hold, ctx.sections, ctx.saved = varying, hold, sections, saved
            ctx.save_for_backward(a, b, runoff, inflow)
        return discharge, outflow, after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        varying: VaryingEngine = ctx.varying
        g_discharge, g_outflow, g_after = (g.contiguous() for g in gradients)
        a, b, runoff, inflow = ctx.saved_tensors
        found = varying.sweep.backward(
            a,
            b,
            ctx.hold,
            ctx.sections,
            runoff,
            inflow,
            ctx.saved,
            g_discharge,
            g_outflow,
            g_after,
            ctx.needs_input_grad[6],
        )
        into = None if found.runoff is None else varying.engine.runoff_gradient(found.runoff)
        return None, None, None, None, found.a, found.b, into, found.inflow, found.state
