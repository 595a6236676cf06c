"""The posterior of a workflow's parameters at a point, and the prior's scale that the evidence asks for there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from rivergrad.estimate.evidence import update_tau
from rivergrad.estimate.gaussnewton import Prior
from rivergrad.estimate.posterior import Posterior, gauge_posterior, laplace_posterior
from rivergrad.workflow.leastsquares import LeastSquares

if TYPE_CHECKING:
    from rivergrad.workflow.estimation import Estimation

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

MOST_REGRESSORS = 24
"""Shared coefficients up to which their uncertainty is part of the reaches'."""
EVIDENCE_STEPS = 2
"""Directions a gauge from which the prior's scale is told."""
SEEN_BEFORE = 10.0
"""The scale that the fit starts from counts as much as so many deviations seen before: few gauges say little of it."""


def regressors(work: Estimation, shared: Float) -> Float:
    """d(what the bounded curves take)/d(shared coefficients), (n_free, reach, n_shared), at given coefficients."""
    network, model = work.inputs.network, work.model
    features = torch.from_numpy(work.features.apply(network.attributes, network.n_reaches))
    region = None if work.regions is None else torch.from_numpy(work.regions)
    at = torch.from_numpy(shared[: model.n_shared].copy())
    derivative = torch.func.jacfwd(lambda s: model.common(s, features, region))(at)
    return derivative.numpy()


def posterior(
    work: Estimation,
    problem: LeastSquares,
    weight: Float,
    prior: Prior,
    shared: Float,
    steps: int,
    *,
    checks: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Posterior:
    """Laplace's approximation where `problem` is linearised.

    Gauge by gauge; where the directions of all gauges of a basin would take more than the memory budget, basin by
    basin, with as many products.

    Args:
        weight: (window, time, gauge) of the squared residuals.
        prior: whose deviations have a scale.
        shared: coefficients of the point.
        steps: directions a gauge.
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
    most = np.bincount(basin[reaches]).max(initial=1) * steps
    gauged = np.isin(basin, basin[reaches]).sum() * model.n_free
    if gauged * most * 8.0 > work.config.compute.memory_budget:
        problem.weigh(weight)
        none = np.zeros(shared.size)
        return laplace_posterior(
            lambda v: problem.information(none, v)[1],
            prior.tree,
            basin,
            each,
            sd,
            work.config.uncertainty.products,
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
    found = posterior(work, problem, weight, before, shared, EVIDENCE_STEPS)
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
