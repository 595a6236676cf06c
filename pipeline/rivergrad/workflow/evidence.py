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
from rivergrad.estimate.posterior import Posterior, laplace_posterior
from rivergrad.workflow.leastsquares import LeastSquares

if TYPE_CHECKING:
    from rivergrad.workflow.estimation import Estimation

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

MOST_REGRESSORS = 24
"""Shared coefficients up to which each is worth a product with the information matrix of its own."""
EVIDENCE_CALLS = 16
"""Products from which the prior's scale is told between Gauss-Newton steps."""


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
    prior: Prior,
    shared: Float,
    calls: int,
    *,
    complete: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Posterior:
    """Laplace's approximation where `problem` is linearised and weighed.

    Args:
        prior: whose deviations have a scale.
        shared: coefficients of the point.
        calls: products with the information matrix.
        complete: spend more products on shared coefficients and on what was left out.
    """
    assert prior.tree is not None
    none = np.zeros(shared.size)
    model = work.model
    each: list[Float] | None = None
    sd = np.array([prior.sd[0], prior.sd[model.n_shared - 1]])[: model.n_free]
    if model.n_shared <= MOST_REGRESSORS:
        by = regressors(work, shared)
        each = [x[:, np.abs(x).max(axis=0) > 0] for x in by]
    return laplace_posterior(
        lambda v: problem.information(none, v)[1],
        prior.tree,
        work.inputs.network.basin,
        each,
        sd,
        calls,
        work.config.seed,
        shared=complete and each is not None,
        checks=2 if complete else 0,
        progress=progress,
    )


def retuned(work: Estimation, problem: LeastSquares, prior: Prior, shared: Float, free: Float) -> Prior:
    """The prior at the scale of deviations that the evidence asks for (MacKay's fixed point, one step)."""
    assert prior.tree is not None
    found = posterior(work, problem, prior, shared, EVIDENCE_CALLS, complete=False)
    tau = update_tau(free, found, prior.tree, most=1.5)
    log.info(
        "evidence: %s numbers determined, deviations' scale %s to %s",
        np.round(found.effective, 1).tolist(),
        np.round(prior.tree.tau, 4).tolist(),
        np.round(tau, 4).tolist(),
    )
    return prior.scaled(tau)
