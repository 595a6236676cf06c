"""Uncertainty by an ensemble: every member fits other noise, another prior draw, and perhaps other gauges.

A member minimises what the estimate minimises, with the observations shifted by a draw of their noise and the prior by
a draw of itself (randomised maximum likelihood: Oliver, He & Reynolds 1996, ECMOR V; Bardsley et al. 2014,
doi:10.1137/140964023). Where discharge is linear in the coefficients, as it is taken to be about the estimate, the
members are draws from the posterior, of shared coefficients and the runoff's volume error too. With `bootstrap` a
member also draws its training gauges with replacement (Efron 1979, doi:10.1214/aos/1176344552), which shows how much
hangs on single gauges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivergrad.inference.gaussnewton import newton_direction
from rivergrad.model.layout import Coefficients
from rivergrad.model.prior import Prior
from rivergrad.pieces.leastsquares import LeastSquares
from rivergrad.run.problem import Problem

Float = NDArray[np.float64]

TOLERANCE = 1e-3
"""Of the conjugate gradients of a member."""


@dataclass(frozen=True, eq=False)
class Spread:
    """What members say, (n_free, reach) each, in the units of the bounded curves' arguments.

    Attributes:
        sd: standard deviation of the members; prior_sd: of the prior draws that they started from.
        products: products with the information matrix in all.
    """

    sd: Float
    prior_sd: Float
    products: int


def spread_of_members(
    work: Problem,
    inner: int,
    problem: LeastSquares,
    weight: Float,
    residual: Float,
    prior: Prior,
    shared: Coefficients[Float],
    free: Float,
    progress: Callable[[int, int], None],
) -> Spread:
    """Fit the members where `problem` is linearised.

    Args:
        inner: products of a member at most.
        weight: (window, time, gauge) of squared residuals; residual: simulated − observed.
        prior, shared, free: of the estimate.
        progress: is told the members done and in all.
    """
    section = work.config.uncertainty
    trains = np.flatnonzero(weight.any(axis=(0, 1)))
    noise = np.where(weight > 0, 1 / np.sqrt(np.where(weight > 0, weight, 1.0)), 0.0)
    found, drawn, products = [], [], 0
    for member in range(section.members):
        rng = np.random.default_rng([work.config.seed, 505, member])
        mine = weight
        if section.bootstrap:
            counts = np.zeros(weight.shape[2])
            counts[trains] = np.bincount(rng.integers(trains.size, size=trains.size), minlength=trains.size)
            mine = weight * counts
        of_shared = prior.sd * rng.standard_normal(prior.sd.size)
        of_free = np.zeros_like(free) if prior.tree is None else prior.tree.sample(rng, 1)[0]
        problem.weigh(mine)
        shifted = residual + noise * rng.standard_normal(residual.shape)
        along, _, took = newton_direction(
            problem,
            prior,
            shared.values - of_shared,
            free - of_free,
            mine * shifted,
            TOLERANCE,
            inner,
        )
        products += took
        member_at = shared.layout.coefficients(shared.values + along[0])
        found.append(work.latent(member_at, free + along[1]))
        drawn.append(work.latent(prior.layout.coefficients(prior.mean + of_shared), of_free))
        progress(member + 1, section.members)
    return Spread(np.std(found, axis=0, ddof=1), np.std(drawn, axis=0, ddof=1), products)
