"""What every estimate is judged against: unrouted, default parameters, the best parameters that all reaches share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

log = logging.getLogger("rivergrad")

WORSE_IN_A_ROW = 3
"""Slower celerities that have to be worse, one after the other, before the search ends: travel times that no
river has are the dearest to compute."""
REFINEMENTS = 8
SECOND_VALLEY = 0.02
"""A second valley of the grid is searched too where its loss is above that of the first by at most this much."""
POLISHES = 2
"""How often delay and celerity are refined in turn."""
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Uniform:
    """Parameters that all reaches share.

    Attributes:
        celerity: m/s.
        spreading: the scheme's; None for a scheme without.
        delay: of runoff on hillslopes, s; None lets runoff enter as it is, or after the delay that is given.
        exponent: of celerity by flow; None where celerity does not depend on flow.
    """

    celerity: float
    spreading: float | None = None
    delay: float | None = None
    exponent: float | None = None

    def as_dict(self) -> dict[str, float | None]:
        """As plain data, for JSON."""
        return {
            "celerity": self.celerity,
            "spreading": self.spreading,
            "delay": self.delay,
            "exponent": self.exponent,
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Uniform:
        """What `as_dict` made."""
        names = ("celerity", "spreading", "delay", "exponent")
        return cls(**{name: float(data[name]) for name in names if data.get(name) is not None})

    def text(self) -> str:
        """`0.612 m/s, x 0.21, 1.4 days on hillslopes, exponent 0.3`: what it has of these."""
        said = [f"{self.celerity:.3f} m/s"]
        if self.spreading is not None:
            said.append(f"spreading {self.spreading:.3g}")
        if self.delay is not None:
            said.append(f"{self.delay / 86400:.3g} days on hillslopes")
        if self.exponent is not None:
            said.append(f"exponent of flow {self.exponent:.3g}")
        return ", ".join(said)


@dataclass(frozen=True)
class Choices:
    """What the best uniform parameters are looked for among, besides celerity.

    Attributes:
        first: where the search starts: its spreading, delay and exponent.
        bounds: of the celerity, m/s; grid: celerities tried on it.
        more: celerities that are tried in any case, m/s.
        spreadings, delays, exponents: further values; none where the workflow estimates no such thing.
    """

    first: Uniform
    bounds: tuple[float, float]
    grid: int
    more: Sequence[float] = ()
    spreadings: Sequence[float] = ()
    delays: Sequence[float] = ()
    exponents: Sequence[float] = ()


@dataclass(eq=False)
class Tried:
    """Losses of all that was tried: nothing is routed twice.

    Attributes:
        score: the loss of parameters; losses: by parameters.
    """

    score: Callable[[Uniform], float]
    losses: dict[Uniform, float] = field(default_factory=dict)

    def loss(self, one: Uniform) -> float:
        """The loss of some parameters, routed if they are new."""
        if one not in self.losses:
            self.losses[one] = self.score(one)
        return self.losses[one]

    def best(self, among: Callable[[Uniform], bool] = lambda one: True) -> Uniform:
        """The best of those that were tried: the first of equals."""
        return min((one for one in self.losses if among(one)), key=self.losses.__getitem__)


def find_best(score: Callable[[Uniform], float], choices: Choices) -> Tried:
    """Look for the parameters with the least loss: celerity, then delay, exponent and spreading, each with a celerity.

    A delay may stand in for much of a travel time, so that a celerity is found on all of the grid for each delay. An
    exponent moves the best celerity by little: a golden section about the best so far finds it. Spreading hardly moves
    it.

    Args:
        score: the loss of parameters that all reaches share.
        choices: what is tried.

    Returns:
        All that was tried; its `best` is the answer.
    """
    tried = Tried(score)

    def with_celerity(about: Uniform) -> None:
        best_uniform(
            lambda celerity: tried.loss(replace(about, celerity=celerity)), choices.bounds, choices.grid
        )

    def near(about: Uniform) -> None:
        _golden(
            lambda celerity: tried.loss(replace(about, celerity=celerity)),
            *_cell(about.celerity, choices.bounds, choices.grid),
        )

    def polish(about: Uniform) -> None:
        ends = _neighbours(about.delay, choices.delays)
        _golden(lambda delay: tried.loss(replace(about, delay=delay)), *ends)
        near(tried.best(lambda one: one.delay is not None))

    with_celerity(choices.first)
    for celerity in choices.more:
        tried.loss(replace(choices.first, celerity=celerity))
    for delay in choices.delays:
        with_celerity(replace(choices.first, delay=delay))
    for _ in range(POLISHES if choices.delays else 0):
        polish(tried.best(lambda one: one.delay is not None))
    for exponent in choices.exponents:
        near(replace(tried.best(), exponent=exponent))
    if choices.spreadings:
        found = tried.best()
        for spreading in choices.spreadings:
            tried.loss(replace(found, spreading=spreading))
        near(tried.best())
    log.info("best uniform parameters of %d tried: %s", len(tried.losses), tried.best().text())
    return tried


def _neighbours(delay: float | None, delays: Sequence[float]) -> tuple[float, float]:
    """The logarithms of the delays to either side of one, the greater first."""
    assert delay is not None
    low = max((one for one in delays if one < delay * 0.999), default=min(delays))
    high = min((one for one in delays if one > delay * 1.001), default=max(delays))
    return float(np.log(high)), float(np.log(low))


def _cell(celerity: float, bounds: tuple[float, float], grid: int) -> tuple[float, float]:
    """The logarithms of a cell of the grid to either side of a celerity, faster first, within the grid."""
    low, high = np.log(bounds[0] * 1.02), np.log(bounds[1] * 0.98)
    cell = (high - low) / max(1, grid - 1)
    at = float(np.log(celerity))
    return float(min(at + cell, max(high, at))), float(max(at - cell, min(low, at)))


def best_uniform(score: Callable[[float], float], bounds: tuple[float, float], grid: int) -> float:
    """The celerity with the least loss: a grid even in the logarithm, then a golden section about its best.

    Where the grid has a second valley almost as deep as the first, that one is searched too.

    Args:
        score: the training loss of one celerity (m/s) for all reaches.
        bounds: of the celerity, m/s.
        grid: celerities on the grid, tried from the fastest on.
    """
    celerities = np.geomspace(bounds[0] * 1.02, bounds[1] * 0.98, grid)[::-1]
    losses: list[float] = []
    for celerity in celerities:
        losses.append(score(float(celerity)))
        log.info("uniform celerity %.3f m/s: training loss %.5f", celerity, losses[-1])
        best = int(np.argmin(losses))
        if len(losses) - 1 - best >= WORSE_IN_A_ROW:
            break
    candidates = [(losses[at], float(celerities[at])) for at in _valleys(losses)]
    for at in _valleys(losses):
        slow = float(np.log(celerities[min(at + 1, grid - 1)]))
        fast = float(np.log(celerities[max(at - 1, 0)]))
        candidates.append(_golden(score, fast, slow))
    return min(candidates)[1]


def _valleys(losses: Sequence[float]) -> list[int]:
    """Where the least loss of a grid is, and the least of those apart from it that no neighbour lies below."""
    best = int(np.argmin(losses))
    padded = [np.inf, *losses, np.inf]
    others = [
        at
        for at, loss in enumerate(losses)
        if abs(at - best) > 1
        and loss <= min(padded[at], padded[at + 2])
        and loss - losses[best] <= SECOND_VALLEY
    ]
    return [best, *sorted(others, key=losses.__getitem__)[:1]]


def _golden(score: Callable[[float], float], fast: float, slow: float) -> tuple[float, float]:
    """The least loss between the logarithms of two celerities (or delays), and where it is."""
    a, b = fast - _GOLDEN * (fast - slow), slow + _GOLDEN * (fast - slow)
    loss_a, loss_b = score(float(np.exp(a))), score(float(np.exp(b)))
    for _ in range(REFINEMENTS):
        if loss_a < loss_b:
            fast, b, loss_b = b, a, loss_a
            a = fast - _GOLDEN * (fast - slow)
            loss_a = score(float(np.exp(a)))
        else:
            slow, a, loss_a = a, b, loss_b
            b = slow + _GOLDEN * (fast - slow)
            loss_b = score(float(np.exp(b)))
    return min((loss_a, float(np.exp(a))), (loss_b, float(np.exp(b))))
