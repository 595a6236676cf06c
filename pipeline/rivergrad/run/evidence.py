"""The posterior of a workflow's parameters at a point, and the prior's scale that the evidence asks for there."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rivergrad.inference.evidence import update_tau
from rivergrad.inference.gaugewise import NEGLIGIBLE, gauge_stems
from rivergrad.inference.posterior import Posterior, gauge_posterior
from rivergrad.inference.timing import TangentProblem
from rivergrad.model.layout import Coefficients
from rivergrad.model.prior import Prior
from rivergrad.pieces.leastsquares import LeastSquares
from rivergrad.run.problem import Problem

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

MOST_REGRESSORS = 24
"""Shared coefficients up to which their uncertainty is part of the reaches'."""
FEW = 300
"""Numbers in the largest gauged basin up to which as many products are taken, which leaves nothing out."""
EVIDENCE_SHARE = 1.0
"""Share of the products of `uncertainty.products` that is spent on telling the prior's scale."""
TELLING = 1e-3
"""Gauges of which a direction holds less information than this, against the prior's 1, are looked at no more."""
LEAST_DIRECTIONS = 16
"""Directions of a basin that are kept at least, however little memory there is."""
SEEN_BEFORE = 10.0
"""The scale that the fit starts from counts as much as so many deviations seen before: few gauges say little of it."""


def regressors(work: Problem, shared: Coefficients[Float]) -> Float:
    """(n_free, reach, coefficient of the parameter model), see `ParameterModel.regressors`."""
    return work.choice.model.regressors(shared, work.choice.values, work.choice.regions)


def shared_part(work: Problem, prior: Prior, shared: Coefficients[Float]) -> tuple[Float | None, Float]:
    """What the shared coefficients do to the latent values of the reaches, and their prior.

    Args:
        work: with the parameter model.
        prior: of the fit; the posterior takes the same standard deviation for each coefficient.
        shared: coefficients of the point.

    Returns:
        Regressors (n_free, reach, coefficient) of the coefficients that move any reach, and their prior standard
        deviations (coefficient,). None and no number where the model has more than `MOST_REGRESSORS`.
    """
    if work.choice.model.layout.size > MOST_REGRESSORS:
        return None, np.zeros(0)
    by = regressors(work, shared)
    moves = np.abs(by).max(axis=(0, 1)) > 0
    return by[..., moves], prior.sd_of(work.choice.model.layout)[moves]


def posterior(
    work: Problem,
    problem: TangentProblem,
    weight: Float,
    prior: Prior,
    shared: Coefficients[Float],
    products: int,
    *,
    checks: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Posterior:
    """Laplace's approximation where `problem` is linearised.

    Each product finds as many directions as stems of gauges lie side by side (see `rivergrad.inference.gaugewise`).
    Where they do not fit into `compute.memory_budget`, the strongest are kept.

    Args:
        weight: (window, time, gauge) of the squared residuals.
        prior: whose deviations have a scale.
        shared: coefficients of the point.
        products: with the Jacobian and its transpose.
        checks: products spent on what was left out.
    """
    assert prior.tree is not None
    network, model = work.case.inputs.network, work.choice.model
    each, sd = shared_part(work, prior, shared)
    counts = np.flatnonzero(weight.any(axis=(0, 1)))
    reaches = work.case.inputs.observations.reach[counts]
    basin = np.asarray(network.basin)
    largest = int(np.bincount(basin)[basin[reaches]].max(initial=0)) * model.n_free
    exact = largest < FEW  # at a price that nobody minds
    levels, side_by_side = _breadth(work, reaches)
    if exact:  # it ends where nothing is left to find
        products = max(products, levels * (largest + 1))
    inside = int(np.count_nonzero(np.isin(basin, basin[reaches]))) * model.n_free
    room = int(work.config.compute.memory_budget // (8 * max(inside, 1)))
    needed = products * max(side_by_side, 1)
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
        products,
        work.config.seed,
        checks=checks,
        least=NEGLIGIBLE if exact else TELLING,
        most=None if needed <= room else max(room, LEAST_DIRECTIONS),
        progress=progress,
    )


def _breadth(work: Problem, reaches: NDArray[np.int64]) -> tuple[int, int]:
    """Levels of the stems of gauges on `reaches`, and the most stems that one level of a basin has."""
    network = work.case.inputs.network
    stem, level, _ = gauge_stems(network.downstream, network.order, reaches, np.ones(reaches.size, np.bool_))
    _, one = np.unique(stem, return_index=True)  # a gauge of each
    _, count = np.unique([np.asarray(network.basin)[reaches[one]], level], axis=1, return_counts=True)
    return int(level.max(initial=-1)) + 1, int(count.max(initial=0))


def retuned(
    work: Problem,
    problem: LeastSquares,
    weight: Float,
    before: Prior,
    shared: Coefficients[Float],
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
