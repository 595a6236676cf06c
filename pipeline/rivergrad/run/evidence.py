"""The posterior of a workflow's parameters at a point, and the prior's scale that the evidence gives there."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rivergrad.inference.evidence import update_tau
from rivergrad.inference.gaugewise import gauge_stems
from rivergrad.inference.lowrank import NEGLIGIBLE
from rivergrad.inference.posterior import Posterior, at_scale, gauge_posterior
from rivergrad.inference.stemrank import turns_that_fit
from rivergrad.inference.timing import TangentProblem
from rivergrad.model.layout import Coefficients
from rivergrad.model.prior import Prior
from rivergrad.pieces.leastsquares import LeastSquares
from rivergrad.run.problem import Problem

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

MOST_REGRESSORS = 24
"""Up to this many shared coefficients, their uncertainty is part of that of each reach."""
FEW = 300
"""If the largest gauged basin has fewer unknowns than this, it gets enough products for an exact posterior."""
EVIDENCE_SHARE = 1.0
"""Measuring the prior's scale takes this share of `uncertainty.products`."""
TELLING = 1e-3
"""A stem of gauges gets no more products once its last direction held less information than this (the prior has 1)."""
MANY = 30.0
"""Numbers that the data determine, from which the scale may move far in one update: with fewer it would swing."""
SEEN_BEFORE = 10.0
"""The initial scale of the fit counts as this many observed deviations: few gauges determine the scale poorly."""


SCALE_HELD = 2.0
"""A posterior serves priors whose scale is within this factor of that which it was found with."""


def regressors(work: Problem, shared: Coefficients[Float]) -> Float:
    """Derivatives of latent values by coefficients of the parameter model, (n_free, reach, coefficient)."""
    found = work.choice.model.regressors(shared, work.choice.values, work.choice.regions)
    if work.choice.lakes is not None:  # which have nothing in common
        found = np.where(work.choice.lakes.apart[:, None], 0.0, found)
    return found


def shared_part(work: Problem, prior: Prior, shared: Coefficients[Float]) -> tuple[Float | None, Float]:
    """The effect of the shared coefficients on the latent values of the reaches, and their prior.

    Args:
        work: with the parameter model.
        prior: the prior of the fit. The posterior uses the same standard deviation for each coefficient.
        shared: shared coefficients at the point.

    Returns:
        Regressors (n_free, reach, coefficient) of the coefficients that affect any reach, and their prior standard
        deviations (coefficient,). None and an empty array if the model has more than `MOST_REGRESSORS` coefficients.
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
    limit: float = math.inf,
    progress: Callable[[int, int], None] | None = None,
) -> Posterior:
    """Laplace's approximation at the point where `problem` is linearised.

    One product finds one direction for each stem of gauges of one level (see `rivergrad.inference.gaugewise`). If the
    directions do not fit into `compute.memory_budget`, what products gave is kept reach by reach (see
    `rivergrad.inference.stemrank`).

    Args:
        work: the case and the parameter model.
        problem: linearised; it gives the JVP and the VJP.
        weight: (window, time, gauge) weights of the squared residuals, 1/(m³/s)².
        prior: the prior of all coefficients, with a prior of deviations.
        shared: shared coefficients at the point.
        products: most products (one JVP and one VJP each). Small basins get as many as an exact result needs.
        checks: further products, to estimate the information that was left out.
        limit: of the products, also where more would be exact.
        progress: called with the number of products done and the number of all products.

    Returns:
        The posterior variance and the identifiability of each reach, and how much was left out.
    """
    assert prior.tree is not None
    network, model = work.case.inputs.network, work.choice.model
    each, sd = shared_part(work, prior, shared)
    counts = np.flatnonzero(weight.any(axis=(0, 1)))
    reaches = work.case.inputs.observations.reach[counts]
    basin = np.asarray(network.basin)
    largest = int(np.bincount(basin)[basin[reaches]].max(initial=0)) * model.n_free
    exact = largest < FEW  # so few that exactness costs little
    levels, side_by_side = _breadth(work, reaches)
    if exact:  # an upper limit: the search ends as soon as nothing is left to find
        products = max(products, int(min(levels * (largest + 1), limit)))
    inside = int(np.count_nonzero(np.isin(basin, basin[reaches]))) * model.n_free
    memory = work.config.compute.memory_budget
    room = int(memory // (8 * max(inside, 1)))
    fits = products * max(side_by_side, 1) <= room
    if not fits:
        products = max(1, min(products, turns_that_fit(memory, model.n_free, network.n_reaches)))
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
        progress=progress,
        rows=work.config.compute.threads_per_worker if not fits else 0,
    )


def again(
    work: Problem,
    found: Posterior | None,
    prior: Prior,
    shared: Coefficients[Float],
    *,
    anyhow: bool = False,
) -> Posterior | None:
    """A posterior of the same linearisation and weights under a prior of another scale.

    Args:
        found: the posterior under an earlier prior, if there is one.
        anyhow: take it however far the scale has moved, as there is nothing to find a better one with.

    Returns:
        None where there is none, or where the scale has moved too far for its directions.
    """
    if found is None:
        return None
    assert prior.tree is not None
    moved = prior.tree.tau / found.prior.tau
    if not anyhow and max(moved.max(), (1 / moved).max()) > SCALE_HELD:
        return None
    each, sd = shared_part(work, prior, shared)
    return at_scale(found, prior.tree, each, sd, np.asarray(work.case.inputs.network.basin))


def _breadth(work: Problem, reaches: NDArray[np.int64]) -> tuple[int, int]:
    """The number of levels of the gauges' stems, and the largest number of stems in one level of one basin."""
    network = work.case.inputs.network
    stem, level, _ = gauge_stems(network.downstream, network.order, reaches, np.ones(reaches.size, np.bool_))
    _, one = np.unique(stem, return_index=True)  # one gauge of each stem
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
    """Update the scale of the prior's deviations from the evidence: one step of MacKay's fixed point.

    Args:
        work: the case and the parameter model.
        problem: linearised at the point.
        weight: (window, time, gauge) weights of the squared residuals, 1/(m³/s)².
        before: the prior before the update.
        shared: shared coefficients at the point.
        free: (n_free, reach) most probable deviations under `before`.
        first: (n_free,) the scale that the fit started from; it counts as `SEEN_BEFORE` deviations.

    Returns:
        The prior with the new scale.
    """
    products = max(2, round(EVIDENCE_SHARE * work.config.uncertainty.products))
    return updated(before, posterior(work, problem, weight, before, shared, products), free, first)


def updated(before: Prior, found: Posterior, free: Float, first: Float) -> Prior:
    """The prior with the scale that the evidence gives.

    Args:
        before: the prior before the update; found: the posterior under it.
        free, first: see `retuned`.
    """
    assert before.tree is not None
    told = np.maximum(found.effective, 0.0)
    tau = update_tau(free, found, before.tree, most=np.where(told >= MANY, 4.0, 1.5))
    tau = np.sqrt((told * tau**2 + SEEN_BEFORE * first**2) / (told + SEEN_BEFORE))
    log.info(
        "evidence: %s numbers determined, deviations' scale %s to %s",
        np.round(found.effective, 1).tolist(),
        np.round(before.tree.tau, 4).tolist(),
        np.round(tau, 4).tolist(),
    )
    return before.scaled(tau)
