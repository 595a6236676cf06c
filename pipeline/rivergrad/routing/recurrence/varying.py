"""The recurrence with coefficients by forcing step: what a celerity that depends on flow needs, as one operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rivergrad.errors import InputError
from rivergrad.routing.recurrence.engine import RecurrenceEngine, RecurrenceState, expect_shape
from rivergrad.routing.schemes.base import Wave

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


@dataclass(frozen=True)
class LawRecurrence:
    """The same with coefficients that follow from flow, made inside of the sweep: c = c₀ (Q/Q₀)^m.

    Attributes:
        flow: (batch, interval, reach) m³/s; wave: of every reach at c₀; exponent, reference: m and Q₀, (reach,).
        least, most: bounds of Q/Q₀.
        step: δ, s; hold, sections: see `VaryingRecurrence`.
    """

    flow: Tensor
    wave: Wave
    exponent: Tensor
    reference: Tensor
    least: float
    most: float
    step: float
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
        given: VaryingRecurrence | LawRecurrence,
        runoff: Tensor,
        inflow: Tensor | None = None,
        state: RecurrenceState | None = None,
        room: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, RecurrenceState]:
        """Route some forcing steps; arguments and results as for `RecurrenceEngine.apply`.

        Args:
            room: (batch, time, target) for the discharge, in place of new memory; not with a gradient.
        """
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
        fixed: Tensor | None
        of_interval = (batch, intervals, engine.problem.n_reaches)
        if isinstance(given, LawRecurrence):
            expect_shape("flow", given.flow, of_interval)
            *numbers, fixed = _numbers(given)
            tensors = [given.flow, given.flow.new_zeros(batch, 0, of_interval[2]), *numbers]
        else:
            expect_shape("coefficients", given.a, of_interval)
            expect_shape("coefficients", given.b, of_interval)
            tensors, fixed = [given.a, given.b, *(given.a.new_zeros(0) for _ in range(4))], None
        discharge, outflow, after = _Sweep.apply(
            self,
            given.hold,
            given.sections,
            torch.is_grad_enabled(),
            room,
            fixed,
            *tensors,
            runoff,
            inflow.to(engine.device, engine.dtype),
            values.to(engine.device, engine.dtype),
        )
        return discharge, outflow, RecurrenceState(after)


def _numbers(given: LawRecurrence) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """k, x, m and Q₀, differentiable, and the other columns of `cpu/varying/law.py`: (reach, 6)."""
    wave, like = given.wave, given.wave.time
    rest = (wave.half, wave.lower, wave.upper, given.step, given.least, given.most)
    fixed = torch.stack([torch.as_tensor(one, dtype=like.dtype).expand(like.shape) for one in rest], dim=1)
    return like, wave.weight.expand(like.shape), given.exponent, given.reference, fixed.detach()


class _Sweep(torch.autograd.Function):
    """The sweep as one operation with its adjoint.

    With a law, a is the flow, b empty, and `fixed` has what of its numbers is not k, x, m and Q₀.
    """

    @staticmethod
    def forward(
        ctx: Any,
        varying: VaryingEngine,
        hold: int,
        sections: int,
        recorded: bool,
        room: Tensor | None,
        fixed: Tensor | None,
        a: Tensor,
        b: Tensor,
        k: Tensor,
        x: Tensor,
        m: Tensor,
        q0: Tensor,
        runoff: Tensor,
        inflow: Tensor,
        state: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        keep = recorded and any(ctx.needs_input_grad)
        law = runoff.new_zeros(0, 0)
        if fixed is not None:
            law = torch.cat([torch.stack([k, x, m, 1 / q0], dim=1), fixed], dim=1).to(runoff.dtype)
        a, b = a.to(runoff.dtype), b.to(runoff.dtype)
        a, b, runoff, inflow, state = (t.contiguous() for t in (a, b, runoff, inflow, state))
        discharge, outflow, after, saved = varying.sweep.forward(
            a, b, law, hold, sections, runoff, inflow, state, keep, room
        )
        if keep:
            ctx.varying, ctx.hold, ctx.sections, ctx.saved = varying, hold, sections, saved
            ctx.save_for_backward(a, b, law, q0, runoff, inflow)
        return discharge, outflow, after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        varying: VaryingEngine = ctx.varying
        g_discharge, g_outflow, g_after = (g.contiguous() for g in gradients)
        a, b, law, q0, runoff, inflow = ctx.saved_tensors
        need = ctx.needs_input_grad
        found = varying.sweep.backward(
            a,
            b,
            law,
            ctx.hold,
            ctx.sections,
            runoff,
            inflow,
            ctx.saved,
            g_discharge,
            g_outflow,
            g_after,
            need[12],
            need[6],
        )
        into = None if found.runoff is None else varying.engine.runoff_gradient(found.runoff)
        none = (None,) * 6
        if law.numel() == 0:
            return (*none, found.a, found.b, *none[:4], into, found.inflow, found.state)
        by_k, by_x, by_m, by_log = found.law
        by_flow = found.a if need[6] else None
        return (*none, by_flow, None, by_k, by_x, by_m, by_log / q0, into, found.inflow, found.state)
