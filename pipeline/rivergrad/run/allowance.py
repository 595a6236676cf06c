"""How many products the uncertainty may take: as many as cost what the fit did.

Work is counted, not timed, so that a run gives the same numbers again on any machine: in forcing steps that are routed
there and back, single precision being 1.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

from rivergrad.pieces.leastsquares import LeastSquares
from rivergrad.run.fit import FitResult
from rivergrad.run.problem import Problem

log = logging.getLogger("rivergrad")

DOUBLE = 2.0
"""What double precision, in which products are, costs more than single precision."""
ASIDE = {"cpu": 300.0, "cuda": 60_000.0}
"""Routing steps there and back that cost as much as what a product does besides routing: passes over all reaches, by
the host. A GPU routes a hundred times as many steps meanwhile."""
QUICK = 8e10
"""Reaches times routing steps, times `DOUBLE`, that are never too many: a minute or so of one core."""
INNER_SHARE = 0.25
"""Of the products that are left, what the search for the most probable deviations takes at most."""
FEWEST = 4
"""Products that are taken in any case, at each of their uses."""


@dataclass
class Allowance:
    """Products that may be taken, and how many of those were.

    Attributes:
        problem: counts its products.
        most: products that may be taken from now on.
        before: products that the problem had taken before.
    """

    problem: LeastSquares
    most: float
    before: int = 0

    @property
    def taken(self) -> int:
        """Products that were taken."""
        return self.problem.products - self.before

    @property
    def left(self) -> float:
        """Products that may still be taken."""
        return max(0.0, self.most - self.taken)

    @property
    def spent(self) -> bool:
        """Whether nothing worth starting is left."""
        return self.left < FEWEST

    def inner(self, wanted: int) -> int:
        """Products of a search for the most probable deviations."""
        return _few(wanted, INNER_SHARE * self.left)

    def directions(self, wanted: int) -> int:
        """Products of a search for directions."""
        return _few(wanted, self.left)


def allowance_of(work: Problem, problem: LeastSquares, result: FitResult) -> Allowance:
    """What `uncertainty.budget` allows after a fit."""
    window = sum(end - start for start, _, end in problem.windows)
    ratio = work.case.inputs.runoff.step / work.config.time.routing_step
    compute = work.config.compute
    product = DOUBLE * window + ASIDE.get(compute.device, ASIDE["cpu"]) / ratio
    quick = QUICK / (product * ratio * max(1, work.n_reaches))
    most = max(quick, work.config.uncertainty.budget * _work_of_fit(work, result, window) / product)
    return Allowance(problem, most, problem.products)


def _work_of_fit(work: Problem, result: FitResult, window: int) -> float:
    """Forcing steps that the fit has routed there and back."""
    settings, periods = work.config.estimate, work.case.periods
    if work.learned is not None:
        return math.inf  # its stages differ, and the runoff model costs more than the routing
    if settings.least_squares:
        return DOUBLE * result.steps * settings.inner * window
    length = min(round(settings.window / work.case.inputs.runoff.step), periods.fit[1] - periods.fit[0])
    return float(result.steps * settings.windows_per_step * (periods.warmup + max(1, length)))


def _few(wanted: int, allowed: float) -> int:
    return int(min(wanted, max(FEWEST, allowed)))
