"""Gauss-Newton for the most probable parameters, given noisy gauges and a Gaussian prior.

The objective, over shared coefficients s and deviations u, is

    ½ Σ w (q(s, u) − observed)² + ½ Σ ((s − s₀)/σ_s)² + ½ uᵀ Q u.

It is the negative log posterior up to a constant. The weights w are 1/variance of each value (see `noise`). A step
solves (Jᵀ W J + prior) d = −gradient by conjugate gradients, in coordinates in which the prior is the identity. It
needs only JVPs and VJPs. The step is halved until the objective falls. The noise is measured again at every step.

Source: Nocedal & Wright (2006), Numerical Optimization, sections 7.1 and 10.3; Tarantola (2005), Inverse Problem
Theory, section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rivergrad.inference.conjugate import solve
from rivergrad.model.prior import Prior

Float = NDArray[np.float64]

HALVINGS = 5
"""A step fails after this many halvings."""
ACCEPT = 1e-4
"""A step must bring at least this share of the decrease that the slope predicts (Armijo)."""


class Problem(Protocol):
    """Discharge at the gauges as a function of shared coefficients and deviations, and its linearisation.

    Shared coefficients are (coefficient,), deviations (n_free, reach), discharge (window, time, gauge) in m³/s.
    """

    def linearise(self, shared: Float, free: Float) -> Float:
        """Linearise at a point and return discharge there. Later calls refer to this point."""

    def weigh(self, weight: Float) -> None:
        """Set the weights W (window, time, gauge) of `information`."""

    def pull(self, seed: Float) -> tuple[Float, Float]:
        """VJP: Jᵀ times `seed` (window, time, gauge), for shared coefficients and for deviations."""

    def information(self, shared: Float, free: Float) -> tuple[Float, Float]:
        """Jᵀ W J times a direction, for shared coefficients and for deviations."""


@dataclass
class Step:
    """The record of one step.

    Attributes:
        before, after: the objective before and after the step, both with the weights of this step.
        promised: the decrease of the objective by a full step if discharge were linear.
        products: number of products with the information matrix.
        length: share of the Gauss-Newton step that was taken; 0 if no share lowered the objective.
        moved: root mean square change of the shared coefficients or of the deviations, whichever is larger.
    """

    before: float
    after: float
    promised: float
    products: int
    length: float
    moved: float


def newton_direction(
    problem: Problem,
    prior: Prior,
    shared: Float,
    free: Float,
    weighted: Float,
    tolerance: float,
    most: int,
    start: tuple[Float, Float] | None = None,
) -> tuple[tuple[Float, Float], float, int]:
    """The direction to the most probable point if discharge were linear.

    Args:
        problem: linearised at the point, with its weights set.
        prior: the prior of all coefficients.
        shared: (coefficient,) shared coefficients of the point.
        free: (n_free, reach) deviations of the point.
        weighted: (window, time, gauge) weights times residuals (simulated − observed).
        tolerance: relative residual at which the conjugate gradients stop.
        most: the largest number of products.
        start: a direction (shared coefficients, deviations) that is nearly it; zero by default.

    Returns:
        The direction (shared coefficients, deviations), the slope of the objective along it, the number of products.
    """
    pulled = problem.pull(weighted)
    slope = prior.gradient(shared, free)
    gradient = prior.to_white(pulled[0] + slope[0], pulled[1] + slope[1])

    def product(vector: Float) -> Float:
        there = problem.information(*prior.from_white(vector))
        return vector + prior.to_white(*there)

    begin = None if start is None else prior.whitened(*start)
    found, products, _ = solve(product, -gradient, tolerance, most, begin)
    return prior.from_white(found), float(gradient @ found), products


def gauss_newton_step(
    problem: Problem,
    prior: Prior,
    shared: Float,
    free: Float,
    discharge: Float,
    observed: Float,
    weigh: Callable[[Float, Float], Float],
    tolerance: float,
    most: int,
    *,
    anew: bool = False,
) -> tuple[Float, Float, Float, Step]:
    """Take one Gauss-Newton step.

    Args:
        problem: linearised at the point (`shared`, `free`).
        prior: the prior of all coefficients.
        shared: (coefficient,) shared coefficients of the point.
        free: (n_free, reach) deviations of the point.
        discharge: (window, time, gauge) m³/s at the point.
        observed: (window, time, gauge) m³/s, NaN where missing.
        weigh: function of residuals (0 where missing) and discharge that returns weights, all (window, time, gauge).
        tolerance: relative residual at which the conjugate gradients stop.
        most: the largest number of products.
        anew: search from deviations of zero. However few the products, what is found then has no deviation that no
            gauge asks for, such as a fit by other means leaves at every reach.

    Returns:
        The new shared coefficients and deviations, discharge there, and the record of the step. `problem` is linearised
        at the new point.
    """
    present = ~np.isnan(observed)
    target = np.where(present, observed, 0.0)

    def residual(q: Float) -> Float:
        return np.where(present, q - target, 0.0)

    r = residual(discharge)
    weight = weigh(r, discharge)
    problem.weigh(weight)

    def value(r: Float, s: Float, u: Float) -> float:
        return 0.5 * float((weight * r * r).sum()) + prior.value(s, u)

    before = value(r, shared, free)
    start = (np.zeros_like(shared), -free) if anew else None
    along, descent, products = newton_direction(
        problem, prior, shared, free, weight * r, tolerance, most, start
    )
    length = 1.0
    for _ in range(HALVINGS + 1):
        there = shared + length * along[0], free + length * along[1]
        q = problem.linearise(*there)
        after = value(residual(q), *there)
        if after <= before + ACCEPT * length * descent:
            moved = length * max(_size(along[0]), _size(along[1]))
            return *there, q, Step(before, after, -descent / 2, products, length, moved)
        length /= 2
    q = problem.linearise(shared, free)
    return shared, free, q, Step(before, before, -descent / 2, products, 0.0, 0.0)


def _size(values: Float) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0
