"""How many rounds a celerity that depends on flow takes in a workflow: chosen, and measured, on a part of the network.

The part is the largest tree upstream of a reach that is small enough, and the time is that about its largest runoff. So
the number is the same for any partition and any number of workers, and again where a run goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rivercut import graph
from rivercut.network import RiverNetwork
from rivergrad.config.schema import Workflow
from rivergrad.io import RunoffReader
from rivergrad.routing.flow import FlowEngine, FlowPrepared, Rounds
from rivergrad.routing.flow.convergence import BOUND, Settled, measure, settle
from rivergrad.routing.flow.names import EXPONENT, REFERENCE
from rivergrad.routing.recurrence import RecurrenceEngine
from rivergrad.routing.schemes import Scheme
from rivergrad.run.modelchoice import ModelChoice

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

REACHES, INTERVALS, VALUES = 4000, 90, 1 << 25
"""Of the part: reaches at most, intervals of coefficients, and values of runoff that are looked at."""


def part_of(network: RiverNetwork, most: int = REACHES) -> NDArray[np.int64]:
    """Positions of the largest tree of at most so many reaches: all upstream of one reach."""
    count = graph.accumulate(network.downstream, network.order, np.ones(network.n_reaches))
    foot = int(np.argmax(np.where(count <= most, count, 0)))
    inside = np.zeros(network.n_reaches, np.bool_)
    inside[foot] = True
    for i in network.order[::-1]:  # downstream reaches first
        below = network.downstream[i]
        if below >= 0 and inside[below]:
            inside[i] = True
    return np.flatnonzero(inside)


def highest(runoff: RunoffReader, reaches: NDArray[np.int64], period: tuple[int, int], steps: int) -> Float:
    """(time, reach) m³/s of so many steps at most, two thirds of them before the largest runoff of a period."""
    first, last = period
    last = min(last, first + max(steps, VALUES // max(1, reaches.size)))
    found = np.asarray(runoff.read(reaches, first, last), np.float64)
    peak = int(np.argmax(found.sum(axis=1)))
    begin = max(0, min(peak - 2 * steps // 3, found.shape[0] - steps))
    return found[begin : begin + steps]


@dataclass(frozen=True, eq=False)
class Routed:
    """What is routed, of which rounds are tried on a part.

    Attributes:
        network; runoff: of it, m³/s.
        period: steps of the runoff to look at.
        routing_step: s.
    """

    network: RiverNetwork
    runoff: RunoffReader
    period: tuple[int, int]
    routing_step: float

    def settled(
        self, scheme: Scheme, parameters: Mapping[str, Float], rounds: Rounds, choose: bool = False
    ) -> Settled:
        """What rounds come to on the part; or, to `choose`, the fewest within `BOUND` of the converged scheme.

        Args:
            scheme: of the reaches; parameters: its own, m and Q₀, (reach,) each.
            rounds: interval and gradient rounds, and where nothing is chosen their number and damping.
        """
        network, step = self.network, self.runoff.step
        reaches = part_of(network)
        place = np.full(network.n_reaches + 1, -1, np.int64)  # the last is what an outlet drains to
        place[reaches] = np.arange(reaches.size)
        given = highest(self.runoff, reaches, self.period, INTERVALS * rounds.hold(step))
        below, every = place[network.downstream[reaches]], np.arange(reaches.size)
        plain = RecurrenceEngine(below, scheme, step, self.routing_step, every, dtype=torch.float64)
        engine = FlowEngine(plain, rounds)
        own = {
            name: torch.from_numpy(np.asarray(value, np.float64)[reaches])
            for name, value in parameters.items()
        }
        prepared = engine.prepare(own)
        assert isinstance(prepared, FlowPrepared)
        found = (settle if choose else measure)(engine, prepared, torch.from_numpy(given)[None], rounds)
        _say(found)
        return found


def settled_rounds(
    config: Workflow, routed: Routed, choice: ModelChoice, reference: Float | None
) -> Workflow:
    """The workflow with a number in place of `rounds: auto`.

    The estimate may be slower and steeper than the start: rounds are chosen at half the default celerity, and at the
    exponent that is a standard deviation above the mean of its prior.

    Args:
        choice: the parameter model; reference: (reach,) Q₀, m³/s.
    """
    section = config.parameters.flow_exponent
    if section is None or section.rounds != "auto" or reference is None:
        return config
    n = routed.network.n_reaches
    celerity = torch.full((n,), config.parameters.celerity.initial / 2, dtype=torch.float64)
    spread = None if choice.spreading is None else torch.full_like(celerity, choice.spreading)
    scheme = choice.model.scheme
    made = scheme.from_celerity(celerity, spread, torch.from_numpy(np.array(routed.network.length)))
    values = {name: value.numpy() for name, value in made.items()}
    values |= {EXPONENT: np.full(n, min(section.prior + section.sd, section.bounds[1])), REFERENCE: reference}
    own = Rounds(interval=section.interval, gradient_rounds=section.gradient_rounds)
    found = routed.settled(scheme, values, own, choose=True).rounds
    more = {"rounds": found.rounds, "damping": found.damping, "gradient_rounds": found.gradient_rounds}
    parameters = config.parameters.model_copy(update={"flow_exponent": section.model_copy(update=more)})
    return config.model_copy(update={"parameters": parameters})


def measured_rounds(
    routed: Routed, scheme: Scheme, values: Mapping[str, Float], rounds: Rounds
) -> dict[str, Any]:
    """For run.json: what the rounds of a run come to at its estimate; arguments as of `Routed.settled`."""
    names = (*scheme.parameter_names, EXPONENT, REFERENCE)
    found = routed.settled(scheme, {name: values[name] for name in names if name in values}, rounds)
    return {
        "rounds": found.rounds.rounds,
        "damping": found.rounds.damping,
        "change": found.change,
        "bound": found.bound if np.isfinite(found.bound) else None,
    }


def _say(found: Settled) -> None:
    """Log what rounds come to: louder where they are further away than wanted."""
    if found.bound <= BOUND:
        log.info("celerity by flow: %s", found.text())
        return
    log.warning("flow_exponent: %s; expected %.2g %%, or more rounds", found.text(), 100 * BOUND)
