"""The posterior of a workflow's parameters at a point, and the prior's scale that the evidence asks for there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rivergrad.estimate.evidence import update_tau
from rivergrad.estimate.gaugewise import gauge_levels
from rivergrad.estimate.gaussnewton import Prior
from rivergrad.estimate.posterior import Posterior, gauge_posterior, laplace_posterior
from rivergrad.workflow.leastsquares import LeastSquares

if TYPE_CHECKING:
    from rivergrad.workflow.estimation import Estimation

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

MOST_REGRESSORS = 24
"""Shared coefficients up to which their uncertainty is part of the reaches'."""
FEW = 300
"""Numbers in the largest gauged basin up to which as many products are taken, which leaves nothing out."""
EVIDENCE_SHARE = 1.0
"""Share of the products of `uncertainty.products` that is spent on telling the prior's scale."""
DIRECTIONS = 8
"""Directions in which a gauge tells anything to speak of, at most."""
SEEN_BEFORE = 10.0
"""The scale that the fit starts from counts as much as so many deviations seen before: few gauges say little of it."""


def regressors(work: Estimation, shared: Float) -> Float:
    """(n_free, reach, n_shared), see `ParameterModel.regressors`."""
    return work.model.regressors(shared, work.feature_values, work.regions)


def posterior(
    work: Estimation,
    problem: LeastSquares,
    weight: Float,
    prior: Prior,
    shared: Float,
    products: int,
    *,
    checks: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Posterior:
    """Laplace's approximation where `problem` is linearised.

    By the search that finds more of what can be told with so many products: basin by basin, each product one
    direction in every basin, or gauge by gauge, one direction at every gauge of a level.

    Args:
        weight: (window, time, gauge) of the squared residuals.
        prior: whose deviations have a scale.
        shared: coefficients of the point.
        products: with the Jacobian and its transpose.
        checks: products spent on what was left out.
    """
    assert prior.tree is not None
    network, model = work.inputs.network, work.model
    each: list[Float] | None = None
    sd = np.array([prior.sd[0], prior.sd[model.n_shared - 1]])[: model.n_free]
    if model.n_shared <= MOST_REGRESSORS:
        each = [x[:, np.abs(x).max(axis=0) > 0] for x in regressors(work, shared)]
    counts = np.flatnonzero(weight.any(axis=(0, 1)))
    reaches = work.inputs.observations.reach[counts]
    basin = np.asarray(network.basin)
    largest = int(np.bincount(basin)[basin[reaches]].max(initial=0)) * model.n_free
    if largest < FEW:  # exact at a price that nobody minds
        products = max(products, largest + 1)
    steps = _steps(work, reaches, products)
    if steps == 0:
        problem.weigh(weight)
        none = np.zeros(shared.size)
        return laplace_posterior(
            lambda v: problem.information(none, v)[1],
            prior.tree,
            basin,
            each,
            sd,
            products,
            work.config.seed,
            checks=checks,
            progress=progress,
        )
    root = np.sqrt(weight)

    def tangent(v: Float) -> Float:
        return (root * problem.tangent(v)).reshape(-1, weight.shape[2])[:, counts]

    def pull(series: Float) -> Float:
        seed = np.zeros((series.shape[0], weight.shape[2]))
        seed[:, counts] = series
        return problem.pull(root * seed.reshape(weight.shape))[1]

    return gauge_posterior(
        tangent,
        pull,
        prior.tree,
        basin,
        reaches,
        each,
        sd,
        steps,
        work.config.seed,
        checks=checks,
        progress=progress,
    )


def _steps(work: Estimation, reaches: NDArray[np.int64], products: int) -> int:
    """Directions to seek for each of the gauges on `reaches`; 0 where basin by basin more is found."""
    network = work.inputs.network
    basin = np.asarray(network.basin)
    level, _ = gauge_levels(network.downstream, network.order, reaches, np.ones(reaches.size, np.bool_))
    levels = int(level.max(initial=0)) + 1
    steps = min(products // levels, DIRECTIONS)
    gauges = np.bincount(basin[reaches])
    by_basin = np.minimum(products, DIRECTIONS * gauges).sum()
    held = np.isin(basin, basin[reaches]).sum() * work.model.n_free * gauges.max(initial=0) * steps * 8.0
    fits = held <= work.config.compute.memory_budget
    return steps if steps * reaches.size > by_basin and fits else 0


def retuned(
    work: Estimation,
    problem: LeastSquares,
    weight: Float,
    before: Prior,
    shared: Float,
    free: Float,
    first: Float,
) -> Prior:
    """The prior at the scale of deviations that the evidence asks for (MacKay's fixed point, one step).

    Args:
        before: the prior now; first: (n_free,) the scale that the fit started from, see `SEEN_BEFORE`.
    """
    assert before.tree is not None
    products = max(2, round(EVIDENCE_SHARE * work.config.uncertainty.products))
    found = posterior(work, problem, weight, before, shared, products)
    told = np.maximum(found.effective, 0.0)
    tau = update_tau(free, found, before.tree, most=1.5)
    tau = np.sqrt((told * tau**2 + SEEN_BEFORE * first**2) / (told + SEEN_BEFORE))
    log.info(
        "evidence: %s numbers determined, deviations' scale %s to %s",
        np.round(found.effective, 1).tolist(),
        np.round(before.tree.tau, 4).tolist(),
        np.round(tau, 4).tolist(),
    )
    return before.scaled(tau)
