"""Gauss-Newton for the most probable parameters, given gauges with noise and a Gaussian prior.

What is minimised, over shared coefficients s and deviations u,

    ½ Σ w (q(s, u) − observed)² + ½ Σ ((s − s₀)/σ_s)² + ½ uᵀ Q u,

is minus the logarithm of the posterior up to a constant, with weights w = 1/variance of a value (see `noise`).
A step solves (Jᵀ W J + prior) d = −gradient by conjugate gradients in coordinates in which the prior is the identity,
from products with J and Jᵀ alone, and is halved until the sum falls. The noise is measured again at every step.

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
"""How often a step is halved before it counts as failed."""
ACCEPT = 1e-4
"""Share of the decrease that the slope promises which a step has to bring (Armijo)."""


class Problem(Protocol):
    """Discharge at the gauges as a function of shared coefficients and deviations, and its linearisation."""

    def linearise(self, shared: Float, free: Float) -> Float:
        """Discharge (window, time, gauge) there; later calls are about this point."""

    def weigh(self, weight: Float) -> None:
        """The weights (window, time, gauge) of `information`."""

    def pull(self, seed: Float) -> tuple[Float, Float]:
        """Jᵀ seed, of shared coefficients and deviations."""

    def information(self, shared: Float, free: Float) -> tuple[Float, Float]:
        """Jᵀ W J of a direction."""


@dataclass
class Step:
    """What a step did.

    Attributes:
        before, after: of what is minimised, with the weights of this step.
        promised: by how much a whole step lowers it if discharge is linear.
        products: products with the information matrix.
        length: the share of the Gauss-Newton step that was taken; 0 where none brought anything.
        moved: root mean square change of the shared coefficients or of the deviations, the larger of the two.
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
) -> tuple[tuple[Float, Float], float, int]:
    """Where the most probable point lies if discharge is linear, seen from a point where `problem` is linearised.

    Args:
        weighted: (window, time, gauge) weights, which `problem` has, times residuals.
        tolerance, most: of the conjugate gradients.

    Returns:
        The direction in shared coefficients and deviations, the slope along it, and the products that it took.
    """
    pulled = problem.pull(weighted)
    slope = prior.gradient(shared, free)
    gradient = prior.to_white(pulled[0] + slope[0], pulled[1] + slope[1])

    def product(vector: Float) -> Float:
        there = problem.information(*prior.from_white(vector))
        return vector + prior.to_white(*there)

    found, products, _ = solve(product, -gradient, tolerance, most)
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
) -> tuple[Float, Float, Float, Step]:
    """One step from a point at which `problem` is linearised.

    Args:
        shared, free: the point; discharge: (window, time, gauge) there.
        observed: (window, time, gauge), NaN where missing.
        weigh: (window, time, gauge) weights from residuals (0 where missing) and discharge.
        tolerance, most: of the conjugate gradients.

    Returns:
        The new point, discharge there (where `problem` is linearised now), and what was done.
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
    along, descent, products = newton_direction(problem, prior, shared, free, weight * r, tolerance, most)
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
