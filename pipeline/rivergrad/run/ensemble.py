"""Uncertainty by an ensemble: each member fits its own draw of the noise and of the prior, and perhaps of the gauges.

A member minimises the same objective as the estimate. Its observations are shifted by a draw of their noise, and its
prior mean by a draw of the prior (randomised maximum likelihood: Oliver, He & Reynolds 1996, ECMOR V; Bardsley et al.
2014, doi:10.1137/140964023). If discharge is linear in the coefficients, the members are draws from the posterior. The
ensemble linearises discharge at the estimate. Members also cover the shared coefficients and the runoff's volume error.
With `bootstrap` a member also draws its training gauges with replacement (Efron 1979, doi:10.1214/aos/1176344552). This
shows how much the result depends on single gauges.
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
"""Relative residual at which the conjugate gradients of a member stop."""


@dataclass(frozen=True, eq=False)
class Spread:
    """The spread of the members, in units of the latent values (see `Problem.latent`).

    Attributes:
        sd: (n_free, reach) standard deviation of the members.
        prior_sd: (n_free, reach) standard deviation of the prior draws that the members started from.
        products: number of products with the information matrix, over all members.
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
    """Fit the members at the point where `problem` is linearised.

    Args:
        work: the pieces on their workers.
        inner: most products with the information matrix for one member.
        problem: linearised at the estimate.
        weight: (window, time, gauge) weights of the squared residuals, 1/(m³/s)².
        residual: (window, time, gauge) simulated − observed, m³/s, 0 where missing.
        prior: the prior of all coefficients.
        shared: shared coefficients of the estimate.
        free: (n_free, reach) deviations of the estimate.
        progress: called with the number of members done and the number of all members.

    Returns:
        The standard deviations of members and of prior draws.
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
