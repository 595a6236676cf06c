"""How many rounds it takes until discharge changes no more, and how far the last one is from what they converge to.

Rounds are Picard's iteration. Round r is no further from what they converge to than all later changes together. So some
rounds more than are taken are computed once: their changes are added up, and beyond the last of them, δ, each is taken
to be a share ρ of the one before, the larger of the last two shares: δ ρ/(1 − ρ) in all. That sum is the bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor

from rivergrad.routing.flow.engine import FlowEngine, FlowPrepared, change_of
from rivergrad.routing.flow.law import Rounds, interval_means

BOUND = 0.01
"""Of the discharge of a reach (Σ|ΔQ| / Σ|Q|): what rounds that are chosen may be away from the converged scheme."""
MOST = 24
"""Rounds that are computed."""
SMALL = 0.1
"""Of the bound: what is left beyond the last round that is computed."""
DAMPED = 0.5
"""The damping of rounds that do not come closer without one."""


@dataclass(frozen=True)
class Settled:
    """Rounds that were chosen.

    Attributes:
        rounds: how many, and their damping.
        change: of the discharge of a reach by the last round, the largest: Σ|ΔQ| / Σ|Q|.
        bound: of the distance from the converged scheme, by the same measure; infinite where rounds do not converge.
    """

    rounds: Rounds
    change: float
    bound: float

    def text(self) -> str:
        """In words."""
        damped = f", damping {self.rounds.damping:g}" if self.rounds.damping < 1 else ""
        return (
            f"{self.rounds.rounds} rounds{damped}; the last changes discharge of a reach by at most "
            f"{100 * self.change:.2g} %, the converged scheme is within {100 * self.bound:.2g} %"
        )


@torch.no_grad()
def changes(engine: FlowEngine, prepared: FlowPrepared, runoff: Tensor, rounds: Rounds) -> Iterator[float]:
    """Largest change of the discharge of a reach by round 1, 2, …, from rest.

    Args:
        engine: of all reaches; its own rounds do not count.
        prepared: by it; runoff: (batch, time, reach) m³/s.
        rounds: interval and damping.
    """
    flow: Tensor | None = None
    before = engine.first_round(prepared, runoff)
    while True:
        flow = rounds.next_flow(flow, interval_means(before, engine.hold))
        now = engine.next_round(prepared, runoff, flow)
        yield change_of(before, now)
        before = now


def bounds_of(found: list[float]) -> list[float]:
    """How far each round is from the converged scheme, by the changes that round 1, 2, … made."""
    last = found[-1]
    if last == 0:
        rest = 0.0
    elif len(found) < 3:
        rest = math.inf
    else:
        share = max(last / found[-2], found[-2] / found[-3])
        rest = last * share / (1 - share) if share < 1 else math.inf
    later = [rest]
    for change in reversed(found[1:]):
        later.append(later[-1] + change)
    return later[::-1]


def _tried(
    engine: FlowEngine, prepared: FlowPrepared, runoff: Tensor, rounds: Rounds, bound: float, least: int
) -> list[Settled]:
    """Rounds 1, 2, … of a damping, until what is beyond the last is a small part of the bound."""
    found: list[float] = []
    for change in islice(changes(engine, prepared, runoff, rounds), MOST):
        found.append(change)
        if len(found) > least and bounds_of(found)[-1] <= SMALL * bound:
            break
    pairs = zip(found, bounds_of(found), strict=True)
    return [
        Settled(_numbered(rounds, number), change, limit)
        for number, (change, limit) in enumerate(pairs, start=1)
    ]


def _numbered(rounds: Rounds, number: int) -> Rounds:
    return replace(rounds, rounds=number, gradient_rounds=min(rounds.gradient_rounds, number + 1))


def settle(
    engine: FlowEngine, prepared: FlowPrepared, runoff: Tensor, rounds: Rounds, bound: float = BOUND
) -> Settled:
    """The fewest rounds within a bound of the converged scheme; damped where they do not get there otherwise.

    Args:
        engine, prepared, runoff: see `changes`.
        rounds: interval and gradient rounds; their number and damping are chosen.
        bound: of the distance from the converged scheme.

    Returns:
        The rounds; the closest of those tried where none is within the bound.
    """
    tried: list[Settled] = []
    for damping in (1.0, DAMPED):
        own = replace(rounds, rounds=MOST, damping=damping)
        of_damping = _tried(engine, prepared, runoff, own, bound, 3)
        for one in of_damping:
            if one.bound <= bound:
                return one
        tried += of_damping
    return min(tried, key=lambda one: (one.bound, one.change))


def measure(engine: FlowEngine, prepared: FlowPrepared, runoff: Tensor, rounds: Rounds) -> Settled:
    """What rounds as they are given come to; arguments as of `settle`."""
    found = _tried(engine, prepared, runoff, rounds, BOUND, rounds.rounds)
    at = min(rounds.rounds, len(found)) - 1
    return replace(found[at], rounds=rounds)
