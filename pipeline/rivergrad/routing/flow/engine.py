"""Routing with a celerity that depends on flow, as rounds of sweeps of the recurrence engine.

Every round has a state and an inflow of its own, so that pieces, chunks of time and whole networks give the same
answer: what crosses a cut is the series of every round, (round × batch, inlet, routing step), and the state carried
over time is that of every round, (batch, round × number).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rivergrad.errors import InputError
from rivergrad.routing.flow.law import Rounds, interval_means, refuse, varying
from rivergrad.routing.flow.memory import room_for
from rivergrad.routing.flow.names import EXPONENT, REFERENCE, without_law
from rivergrad.routing.recurrence import RecurrenceEngine, RecurrenceState
from rivergrad.routing.recurrence.varying import VaryingEngine
from rivergrad.routing.schemes.base import Parameters, Recurrence, Scheme

log = logging.getLogger("rivergrad")

CHANGE = 0.05
"""Of the discharge of a reach (Σ|ΔQ| / Σ|Q|), what the last round may change without a word."""
CLOSURE = (
    "flow_exponent: the engine closure has one response a reach for all time; expected the engine recurrence "
    "(muskingum, linear_storage or nash_cascade)"
)
_SAID: set[Rounds] = set()


@dataclass(frozen=True, eq=False)
class FlowPrepared:
    """A network with a law: the recurrence at c₀, and what that of each round is made of."""

    linear: Recurrence
    scheme: Scheme
    parameters: Parameters
    exponent: Tensor
    reference: Tensor


@dataclass(frozen=True, eq=False)
class FlowRouted:
    """What came of some rounds.

    Attributes:
        discharge: (batch, time, target) of the last round.
        outflow: (round × batch, outlet, routing step) of all rounds that were computed.
        state: after, of all rounds.
        held: (batch, interval, reach) m³/s that the first round with a gradient took as given; None where that is
            round 0, and without gradients.
        change: largest change of the last round of a target's discharge: Σ|ΔQ| / Σ|Q|; None unless asked for.
    """

    discharge: Tensor
    outflow: Tensor
    state: RecurrenceState
    held: Tensor | None
    change: float | None = None


class FlowEngine:
    """An engine (see `routing.engines.Engine`) that takes `flow_exponent` and `reference_flow` among parameters.

    Without them it is the recurrence engine.

    Args:
        plain: the engine of the wanted reaches.
        rounds: how many, and over what intervals coefficients are constant.

    Attributes:
        held: see `FlowRouted`, of the last call with gradients.
        given: what calls take as `held`, see `route`; None routes all rounds.

    Raises:
        InputError: a scheme or a device without a sweep with coefficients by forcing step.
    """

    def __init__(self, plain: RecurrenceEngine, rounds: Rounds) -> None:
        if (reason := refuse(plain.scheme)) is not None:
            raise InputError(reason)
        self.plain, self.rounds = plain, rounds
        self.ratio, self.dtype, self.device = plain.ratio, plain.dtype, plain.device
        self.hold = rounds.hold(plain.forcing_step)
        everything = np.arange(plain.downstream.size)
        self._every = (
            plain if np.array_equal(plain.targets, everything) else replace(plain, targets=everything)
        )
        self._calls = 0
        self.held: Tensor | None = None
        self.given: Tensor | None = None
        self._last, self._between = VaryingEngine(plain), VaryingEngine(self._every)

    def prepare(
        self, parameters: Parameters, horizon: int = 0, scheme: Scheme | None = None
    ) -> Recurrence | FlowPrepared:
        """As `RecurrenceEngine.prepare`; the law where parameters have one."""
        if EXPONENT not in parameters:
            return self.plain.prepare(parameters, horizon, scheme)
        own = without_law(parameters)
        # the law is made of as many numbers as the runoff has in an interval: in the precision of the routing
        on_device = {name: value.to(self.device, self.dtype) for name, value in own.items()}
        return FlowPrepared(
            linear=self.plain.prepare(own, horizon, scheme),
            scheme=self.plain.scheme if scheme is None else scheme,
            parameters=on_device,
            exponent=parameters[EXPONENT].to(self.device, self.dtype),
            reference=parameters[REFERENCE].to(self.device, self.dtype),
        )

    def apply(
        self,
        prepared: Recurrence | FlowPrepared,
        runoff: Tensor,
        inflow: Tensor | None = None,
        state: Any = None,
    ) -> tuple[Tensor, Tensor, RecurrenceState]:
        """As `RecurrenceEngine.apply`, with inflow, outflow and state of all rounds where there is a law."""
        if isinstance(prepared, Recurrence):
            return self.plain.apply(prepared, runoff, inflow, state)
        self._calls += 1
        # parameters move slowly while they are estimated: the 1st, 2nd, 4th, 8th … call are enough
        measure = self.given is None and not self._calls & (self._calls - 1)
        found = self.route(prepared, runoff, inflow, state, self.given, measure)
        self.held = found.held if torch.is_grad_enabled() else None
        say_change(found.change, self.rounds)
        return found.discharge, found.outflow, found.state

    def route(
        self,
        prepared: FlowPrepared,
        runoff: Tensor,
        inflow: Tensor | None = None,
        state: RecurrenceState | None = None,
        held: Tensor | None = None,
        measure: bool = False,
    ) -> FlowRouted:
        """Route some forcing steps in rounds.

        Args:
            prepared: from `prepare`.
            runoff: (batch, time, reach or cell) m³/s.
            inflow: (round × batch, inlet, routing step) m³/s, of every round that is computed.
            state: what an earlier call returned; its last interval has to be complete.
            held: (batch, interval, reach) m³/s: only the last `gradient_rounds` are computed, from this flow.
            measure: whether to measure the change of the last round.

        Raises:
            InputError: inflow or a state of another number of rounds.
        """
        last, through = self.rounds.rounds, self.rounds.gradient_rounds
        first = 0 if held is None else last - through + 1
        count = last - first + 1
        inflows = _parts("inflow", inflow, count, 0)
        states = _parts("state", None if state is None else state.values, count, 1)
        flow, kept = held, held
        outflows, after = [], []
        discharge, before = runoff, None
        recorded = torch.is_grad_enabled()
        for number in range(first, last + 1):
            at = number - first
            past = states[at]
            own = None if past is None else RecurrenceState(past)
            with torch.set_grad_enabled(torch.is_grad_enabled() and number > last - through):
                again = number < last and not torch.is_grad_enabled()
                if recorded and number == last - through and self.hold == 1:
                    again = False  # the flow that is held
                room = room_for(number % 2, runoff, self._every.targets.size) if again else None
                if number == 0:
                    found = self._every.apply(prepared.linear, runoff, inflows[at], own, room)
                else:
                    assert flow is not None
                    engine = self._last if number == last else self._between
                    found = engine.apply(self._law(prepared, flow), runoff, inflows[at], own, room)
            before, (discharge, outflow, then) = discharge, found
            outflows.append(outflow)
            after.append(then.values)
            if number < last:
                flow = self.rounds.next_flow(flow, interval_means(discharge, self.hold))
                if number == last - through:
                    kept = flow
        change = None
        if measure and before is not None:
            old = (
                before
                if before.shape == discharge.shape
                else before[..., torch.from_numpy(self.plain.targets)]
            )
            change = change_of(old.detach(), discharge.detach())
        return FlowRouted(
            discharge,
            torch.cat(outflows),
            RecurrenceState(torch.cat(after, dim=1)),
            kept if recorded else None,
            change,
        )

    def first_round(self, prepared: FlowPrepared, runoff: Tensor) -> Tensor:
        """Discharge of all reaches at c₀ from rest, (batch, time, reach) m³/s."""
        return self._every.apply(prepared.linear, runoff)[0]

    def next_round(self, prepared: FlowPrepared, runoff: Tensor, flow: Tensor) -> Tensor:
        """The same at the celerities of a flow (batch, interval, reach), m³/s."""
        return self._between.apply(self._law(prepared, flow), runoff)[0]

    def _law(self, prepared: FlowPrepared, flow: Tensor) -> Any:
        return varying(
            prepared.scheme,
            prepared.parameters,
            prepared.exponent,
            prepared.reference,
            flow,
            self.plain.routing_step,
            self.hold,
        )


def make_flow_engine(plain: Any, rounds: Rounds) -> FlowEngine:
    """The engine around a recurrence engine.

    Raises:
        InputError: another engine, or see `FlowEngine`.
    """
    if not isinstance(plain, RecurrenceEngine):
        raise InputError(CLOSURE)
    return FlowEngine(plain, rounds)


def flow_engine_of(engine: Any) -> FlowEngine | None:
    """The engine of rounds behind stages and reports; None where there is none."""
    while engine is not None and not isinstance(engine, FlowEngine):
        engine = getattr(engine, "engine", None)
    return engine


@contextmanager
def flow_given(engine: Any, held: Tensor | None) -> Iterator[None]:
    """Route only the rounds that a gradient goes through, from discharge as it was held."""
    flow = flow_engine_of(engine)
    if flow is None:
        yield
        return
    flow.given = held
    try:
        yield
    finally:
        flow.given = None


def say_change(change: float | None, rounds: Rounds) -> None:
    """Log once in a process that the last round changed discharge by more than `CHANGE`."""
    if change is None or change <= CHANGE or rounds in _SAID:
        return
    _SAID.add(rounds)
    log.warning(
        "flow_exponent: round %d changed the discharge of a reach by %.1f %%; expected at most %.0f %%, or more rounds "
        "(--flow-rounds, flow.rounds)",
        rounds.rounds,
        100 * change,
        100 * CHANGE,
    )


def _parts(name: str, values: Tensor | None, count: int, axis: int) -> list[Tensor | None]:
    """The parts of an array that belong to each round."""
    if values is None:
        return [None] * count
    if values.shape[axis] % count:
        raise InputError(
            f"{name}: expected that of {count} rounds, found {values.shape[axis]} along axis {axis}"
        )
    return list(values.chunk(count, dim=axis))


def change_of(before: Tensor, now: Tensor) -> float:
    """Largest over reaches of Σ|ΔQ| / Σ|Q|."""
    if now.numel() == 0:
        return 0.0
    size = now.abs().sum(dim=(0, 1)).clamp_min(torch.finfo(now.dtype).tiny)
    return float(((now - before).abs().sum(dim=(0, 1)) / size).max())
