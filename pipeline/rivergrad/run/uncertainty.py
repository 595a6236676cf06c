"""The uncertainty of each reach's parameters: the columns that it adds to parameters.zarr."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rivergrad.config.sections import EstimateSection
from rivergrad.gauges.sizes import river_size
from rivergrad.inference.evidence import NORMAL_90
from rivergrad.inference.gaussnewton import gauss_newton_step, newton_direction
from rivergrad.inference.newgauge import delay_noise, draws_for, new_gauges
from rivergrad.inference.noise import measure
from rivergrad.inference.nuisance import Beside
from rivergrad.inference.posterior import Posterior, with_nuisance
from rivergrad.inference.timing import DELAY_SD, Delayed
from rivergrad.model.bounds import Bounded
from rivergrad.model.lakes import Lakes
from rivergrad.model.layout import DELAY, Coefficients
from rivergrad.model.prior import Prior
from rivergrad.pieces.leastsquares import LeastSquares
from rivergrad.routing.schemes import RESIDENCE_TIME
from rivergrad.run.allowance import Allowance, allowance_of
from rivergrad.run.besides import beside_columns, of_besides, segments_of
from rivergrad.run.ensemble import spread_of_members
from rivergrad.run.evidence import MOST_REGRESSORS, again, posterior, regressors, updated
from rivergrad.run.fit import FitResult
from rivergrad.run.flowspread import exponent_variance
from rivergrad.run.mostprobable import holding, most_probable
from rivergrad.run.problem import Problem
from rivergrad.run.progress import Progress

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

TOLERANCE = 0.01
"""Relative residual at which the conjugate gradients for the most probable deviations stop."""
DELAY_STEPS = 2
"""Gauss-Newton steps from the estimate to the most probable celerities with an unknown delay. They lie close."""


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """What the uncertainty of a run is written from.

    Attributes:
        columns: (reach,) arrays for parameters.zarr, by name.
        summary: numbers for run.json, by name.
        posterior: of the deviations, where there is one.
    """

    columns: dict[str, Float]
    summary: dict[str, Any]
    posterior: Posterior | None = None


def estimate_uncertainty(
    work: Problem, result: FitResult, settings: EstimateSection, *, learned: bool = False
) -> Uncertainty:
    """Estimate the uncertainty at the best parameters: by Laplace's approximation, or by an ensemble.

    The residuals at the best parameters give the noise of each gauge. The scale of the prior is that of the fit, or is
    measured from the evidence.

    Args:
        work: the pieces on their workers.
        result: the estimate.
        settings: the settings of the fit that found the estimate.
        learned: whether the runoff was learned in the same run. Then the delay of runoff is unknown too: see
            `_beside_learned`. For Laplace's approximation of models with deviations only.

    Returns:
        The columns for parameters.zarr and the summary for run.json.
    """
    problem, observed = work.least_squares(result.shared.layout)
    allowance = allowance_of(work, problem, result)
    free = work.sweep.collect(work.case.inputs.network.n_reaches)["best"]
    discharge = problem.linearise(result.shared.values, free)
    present = ~np.isnan(observed)
    trains = work.case.trains * np.count_nonzero(work.case.trains)
    spread, error = np.sqrt(work.case.statistics.variance.numpy()), work.least_squares_error(problem)

    def weigh(residual: Float, discharge: Float) -> Float:
        return measure(residual, discharge, present, spread).weights(present, trains, error)

    members = work.config.uncertainty.method == "ensemble"
    elsewhere = not (settings.least_squares or learned or members)
    estimate, best = result, free
    if elsewhere:
        with _told("most probable parameters"):
            shared, free, discharge = most_probable(
                problem,
                result.prior,
                result.shared,
                free,
                discharge,
                observed,
                weigh,
                allowance,
                settings.inner,
            )
        result = replace(result, shared=shared)
    residual = np.where(present, discharge - observed, 0.0)
    weight = weigh(residual, discharge)
    try:
        if members:
            found = _of_members(work, settings, problem, weight, residual, result, free, allowance)
        elif result.prior.tree is None:
            problem.weigh(weight)
            found = _of_shared(work, problem, result.prior, result.shared)
        else:
            found = _of_reaches(
                work,
                settings,
                problem,
                weight,
                residual,
                result,
                free,
                allowance,
                observed if learned else None,
            )
            told = delay_noise(weight, discharge, work.case.inputs.runoff.step)[work.case.trains > 0]
            with _told("new gauges"):
                found = _with_new_gauges(work, found, result, free, float(np.median(told)))
    finally:
        work.sweep.forget_information()
    if elsewhere:
        work.sweep.place(best)
        values = work.sweep.physical(estimate.shared.values, work.n_reaches)
        found = replace(found, columns=holding(found.columns, values))
    log.info("uncertainty: %s", found.summary)
    return found


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Log how long a part of the uncertainty took."""
    began = time.perf_counter()
    yield
    log.info("uncertainty: %s took %.1f s", what, time.perf_counter() - began)


def _of_reaches(
    work: Problem,
    settings: EstimateSection,
    problem: LeastSquares,
    weight: Float,
    residual: Float,
    result: FitResult,
    free: Float,
    allowance: Allowance,
    learned_from: Float | None,
) -> Uncertainty:
    shared = result.shared
    prior, earlier = _prior(work, settings, problem, weight, residual, result, free, allowance)
    assert prior.tree is not None
    more: dict[str, Any] = {}
    intervals: dict[str, Float] = {}
    about = None
    if learned_from is None:
        with _told("posterior at that scale"):
            held = again(work, earlier, prior, shared, anyhow=allowance.spent)
        found = held if held is not None else _with_checks(work, problem, weight, prior, shared, allowance)
        found, intervals, more = of_besides(work, problem, weight, prior, shared, found)
        if work.flow is not None:
            with _told("exponents of single reaches"):
                extra = exponent_variance(work, problem, weight, found)
            found = replace(found, variance=found.variance + extra)
        if not settings.least_squares and not allowance.spent:  # the scale of the prior is another by now
            about = _about(
                work, problem, prior, shared, free, weight, residual, allowance.inner(settings.inner)
            )
    else:
        found, about, more = _beside_learned(
            work, settings, problem, weight, prior, shared, free, learned_from
        )
        work.sweep.place(free)
    told = found.identifiability
    columns = _columns(work, shared, free, np.sqrt(found.variance), about)
    columns |= intervals
    columns["identifiability"] = told[0]
    if work.choice.model.spreading is not None:
        columns["identifiability_spreading"] = told[1]
    return Uncertainty(
        columns,
        {
            "deviation_sd": float(
                prior.tree.tau[0] * work.choice.model.celerity.log_slope(_middle(work, shared))
            ),
            "determined": float(found.effective[0]),
            "identified_reaches": float((told[0] > 0.5).sum()),
            "left_out": found.left_out,
            "left_out_error": found.left_out_error,
            "products": float(found.calls),
            **_limited(work, allowance),
            **more,
        },
        found,
    )


def _about(
    work: Problem,
    problem: LeastSquares,
    prior: Prior,
    shared: Coefficients[Float],
    free: Float,
    weight: Float,
    residual: Float,
    inner: int,
) -> Float:
    """(n_free, reach) the most probable latent values under a prior, a step from where `problem` is linearised."""
    problem.weigh(weight)
    along, _, _ = newton_direction(problem, prior, shared.values, free, weight * residual, TOLERANCE, inner)
    return work.latent(shared.layout.coefficients(shared.values + along[0]), free + along[1])


def _limited(work: Problem, allowance: Allowance) -> dict[str, float]:
    """What the budget allowed, where that is less than the workflow asks for."""
    wanted = work.config.uncertainty.products
    return {} if allowance.most >= wanted else {"products_wanted": float(wanted)}


def _with_new_gauges(
    work: Problem, found: Uncertainty, result: FitResult, free: Float, noise: float
) -> Uncertainty:
    """The same with `gauge_value`, what a gauge at each reach would bring, and the best `new_gauges` by reach id.

    Args:
        work: with network and parameter model.
        found: with its posterior; result, free: the estimate.
        noise: standard deviation with which a gauge tells a delay, s.
    """
    network = work.case.inputs.network
    if found.posterior is None or network.length is None or not np.isfinite(noise):
        return found
    bounded, latent = work.choice.model.celerity, work.latent(result.shared, free)[0]
    celerity = bounded.value(torch.from_numpy(latent)).numpy()
    rng = np.random.default_rng([work.config.seed, 406])
    draws = found.posterior.sample_field(rng, draws_for(network.n_reaches), 0, shared=True)
    apart = np.zeros(network.n_reaches, bool) if work.choice.lakes is None else work.choice.lakes.apart
    more = new_gauges(
        draws * np.where(apart, 0.0, _slope(bounded, latent) / celerity),
        np.where(apart, 0.0, network.length / celerity),
        river_size(network),
        network.downstream,
        network.order,
        network.basin,
        noise,
        rng,
    )
    best = [
        {"reach_id": int(network.reach_id[at]), "gain": float(gain)}
        for at, gain in zip(more.best, more.gain, strict=True)
    ]
    return replace(
        found,
        columns=found.columns | {"gauge_value": more.value},
        summary=found.summary | {"new_gauges": best},
    )


def _with_checks(
    work: Problem,
    problem: LeastSquares,
    weight: Float,
    prior: Prior,
    shared: Coefficients[Float],
    allowance: Allowance,
) -> Posterior:
    """The posterior, and what it left out, with a bar of its products."""
    section = work.config.uncertainty
    products = allowance.directions(section.products)
    if products < section.products:
        log.warning(
            "uncertainty: %d products, where uncertainty.products is %d: more would take longer than the fit "
            "(uncertainty.budget %g)",
            products,
            section.products,
            section.budget,
        )
    with _told("directions"), _bar() as show:
        return posterior(
            work,
            problem,
            weight,
            prior,
            shared,
            products,
            checks=section.checks,
            limit=max(products, allowance.left),
            progress=show,
        )


def _beside_learned(
    work: Problem,
    settings: EstimateSection,
    problem: LeastSquares,
    weight: Float,
    prior: Prior,
    shared: Coefficients[Float],
    free: Float,
    observed: Float,
) -> tuple[Posterior, Float, dict[str, float]]:
    """The uncertainty of celerities where runoff was learned. Errors of learned runoff persist; residuals hide them.

    - All runoff may come too early or too late (`Delayed`), and celerities compensate for it. The delay is therefore a
      coefficient here. Intervals are centred on the most probable celerities with an unknown delay; the estimate is the
      most probable without one. Identifiability assumes a known delay, as it assumes a known trend.
    - Deviations absorb runoff errors of parts of a basin. A reach that is too slow for this reason looks well known:
      the longer the travel time, the more discharge depends on ln(celerity). So the posterior is computed twice, at the
      estimated deviations and at zero deviations (the trend alone). Each reach takes the larger variance and the
      smaller identifiability of the two.

    Returns:
        The posterior, the (n_free, reach) latent values that intervals are centred on (see `Problem.latent`), and
        numbers for the summary.
    """
    section, inner = work.config.uncertainty, settings.inner
    timed = Delayed(problem, shared.layout)
    delay = timed.layout.only(DELAY)
    here = shared.join(delay.coefficients(np.zeros(delay.size)))

    def about(deviations: Float, checks: int) -> tuple[Posterior, float]:
        timed.linearise(here.values, deviations)
        with _bar() as show:
            found = posterior(
                work, timed, weight, prior, here, section.products, checks=checks, progress=show
            )
        pulled = timed.pull(weight * timed.slope)[1]
        return with_nuisance(found, pulled, float((weight * timed.slope**2).sum()), DELAY_SD)

    trend, _ = about(np.zeros_like(free), 0)
    found, delay_sd = about(free, section.checks)
    at, around = here.values, free
    if settings.least_squares:
        wide = prior.join(delay, 0.0, DELAY_SD)
        discharge = timed.linearise(at, around)
        for _ in range(DELAY_STEPS):
            at, around, discharge, _ = gauss_newton_step(
                timed, wide, at, around, discharge, observed, lambda r, q: weight, TOLERANCE, inner
            )
    step, most_probable = work.case.inputs.runoff.step, timed.layout.coefficients(at)
    return (
        replace(
            found,
            variance=np.maximum(found.variance, trend.variance),
            identifiability=np.minimum(found.identifiability, trend.identifiability),
            calls=found.calls + trend.calls,
        ),
        work.latent(most_probable.part(shared.layout), around),
        {"runoff_late_s": float(-most_probable[DELAY] * step), "runoff_late_sd_s": delay_sd * step},
    )


def _of_members(
    work: Problem,
    settings: EstimateSection,
    problem: LeastSquares,
    weight: Float,
    residual: Float,
    result: FitResult,
    free: Float,
    allowance: Allowance,
) -> Uncertainty:
    """The uncertainty from the spread of an ensemble."""
    prior, _ = _prior(work, settings, problem, weight, residual, result, free, allowance)
    with _bar() as show:
        found = spread_of_members(
            work, settings.inner, problem, weight, residual, prior, result.shared, free, show
        )
    before = found.prior_sd
    if (
        prior.tree is not None
    ):  # the shared coefficients are nearly known: compare with the prior of deviations
        before = np.sqrt(prior.tree.variance())
    if work.choice.lakes is not None and prior.tree is None:  # lakes have nothing but their prior
        own = work.choice.lakes.own_sd()
        found.sd[0], before[0] = (np.where(np.isnan(own), one[0], own) for one in (found.sd, before))
        found.sd[1:, ~np.isnan(own)] = before[1:, ~np.isnan(own)] = 1.0
    columns = _columns(work, result.shared, free, found.sd)
    sure = np.clip(1 - (found.sd / before) ** 2, 0.0, 1.0)
    columns["identifiability"] = sure[0]
    if work.choice.model.spreading is not None:
        columns["identifiability_spreading"] = sure[1]
    return Uncertainty(
        columns,
        {
            "members": float(work.config.uncertainty.members),
            "identified_reaches": float((sure[0] > 0.5).sum()),
            "products": float(found.products),
        },
    )


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A progress bar. Yields a function of the number done and the number in all, of products or members."""
    with ExitStack() as stack:
        bars: list[Progress] = []

        def show(done: int, total: int) -> None:
            if not bars:
                bars.append(stack.enter_context(Progress(total, "uncertainty")))
            bars[0].update(min(done, bars[0].total))

        yield show


def _prior(
    work: Problem,
    settings: EstimateSection,
    problem: LeastSquares,
    weight: Float,
    residual: Float,
    result: FitResult,
    free: Float,
    allowance: Allowance,
) -> tuple[Prior, Posterior | None]:
    """The prior of the fit. If the fit used a penalty instead, the prior at the scale that maximises the evidence.

    Returns:
        The prior; and a posterior with checks, under a prior of perhaps another scale, if one was needed.
    """
    follows = work.config.parameters.deviation_sd == "auto" and not settings.least_squares
    if result.prior.tree is None or not follows:
        return result.prior, None
    return _measured(work, settings.inner, problem, weight, residual, result, free, allowance)


def _measured(
    work: Problem,
    inner: int,
    problem: LeastSquares,
    weight: Float,
    residual: Float,
    result: FitResult,
    free: Float,
    allowance: Allowance,
) -> tuple[Prior, Posterior | None]:
    """The prior at the scale that the evidence gives (MacKay's update, `uncertainty.rounds` times).

    The update needs the most probable deviations under this prior. The estimate was found with a penalty and may lie
    far from them where no gauge constrains a reach, so one Gauss-Newton step finds them first. Linearisation and
    weights stay the same from round to round: each starts from the step before, and the posterior of one serves the
    next as long as the scale moves little.
    """
    prior = result.prior
    assert prior.tree is not None
    first = np.array(prior.tree.tau)
    found: Posterior | None = None
    along: tuple[Float, Float] | None = None
    for _ in range(work.config.uncertainty.rounds):
        if found is not None and allowance.spent:
            break  # the scale stays as the rounds before have it
        problem.weigh(weight)
        with _told("most probable deviations"):
            along, _, _ = newton_direction(
                problem,
                prior,
                result.shared.values,
                free,
                weight * residual,
                TOLERANCE,
                allowance.inner(inner),
                along,
            )
        here = again(work, found, prior, result.shared, anyhow=allowance.spent)
        if here is None:
            here = found = _with_checks(work, problem, weight, prior, result.shared, allowance)
        prior = updated(prior, here, free + along[1], first)
    return prior, found


def _of_shared(
    work: Problem, problem: LeastSquares, prior: Prior, shared: Coefficients[Float]
) -> Uncertainty:
    """The uncertainty of a model without deviations, from the dense covariance of its coefficients."""
    model = work.choice.model
    n, layout = model.layout.size, shared.layout
    beside = segments_of(work, layout)
    own = np.flatnonzero(layout.mask(*model.layout.names, *beside))
    nothing = np.zeros((model.n_free, work.case.inputs.network.n_reaches))
    columns: dict[str, Float] = {}
    if n > MOST_REGRESSORS:
        log.warning(
            "uncertainty: left out, the model has %d shared coefficients; expected at most %d",
            n,
            MOST_REGRESSORS,
        )
        return Uncertainty(columns, {})
    rows = [problem.information(np.eye(layout.size)[k], nothing)[0][own] for k in own]
    information = (np.array(rows) + np.array(rows).T) / 2
    every: Float = np.linalg.inv(information + np.diag(1 / prior.sd[own] ** 2)).astype(np.float64)
    sd = prior.sd_of(model.layout)
    mine = np.flatnonzero(layout.mask(*model.layout.names)[own])
    covariance = every[np.ix_(mine, mine)]
    by = regressors(work, shared)
    variance = np.einsum("frp,pq,frq->fr", by, covariance, by, optimize=True)
    before = np.einsum("frp,p->fr", by**2, sd**2)
    if work.choice.lakes is not None:  # which have nothing but their prior here
        apart = np.square(work.choice.lakes.own_sd())
        variance[0], before[0] = (np.where(np.isnan(apart), one[0], apart) for one in (variance, before))
    columns = _columns(work, shared, nothing, np.sqrt(variance))
    columns["identifiability"] = np.clip(1 - variance[0] / before[0], 0.0, 1.0)
    more: dict[str, Any] = {}
    if beside:
        theirs = np.flatnonzero(layout.mask(*beside)[own])
        root = np.sqrt(np.diag(every))
        correlation = every[np.ix_(mine, theirs)] / np.outer(root[mine], root[theirs])
        alone = information[np.ix_(theirs, theirs)] + np.diag(1 / prior.sd[own][theirs] ** 2)
        known = Beside(every[np.ix_(theirs, theirs)], correlation, np.diag(np.linalg.inv(alone)))
        intervals, more = beside_columns(work, shared, known, prior.sd[own][theirs])
        columns |= intervals
    return Uncertainty(columns, {"products": float(len(own)), **more})


def _middle(work: Problem, shared: Coefficients[Float]) -> float:
    return work.choice.model.middle(shared)


def _columns(
    work: Problem, shared: Coefficients[Float], free: Float, sd: Float, about: Float | None = None
) -> dict[str, Float]:
    """Standard deviations and 90 % intervals of celerity and spreading.

    The ends of an interval are mapped from latent to physical values; the mapping is monotonic.

    Args:
        work: with the parameter model.
        shared: shared coefficients of the estimate.
        free: (n_free, reach) deviations of the estimate.
        sd: (n_free, reach) standard deviations of the latent values.
        about: (n_free, reach) latent values that intervals are centred on; the estimate by default.

    Returns:
        (reach,) arrays by name: celerity in m/s, spreading in the unit of the scheme.
    """
    model, latent = work.choice.model, work.latent(shared, free)
    about = latent if about is None else about
    columns = _interval("celerity", model.celerity, about[0], sd[0])
    middle = model.celerity.value(torch.from_numpy(latent[0])).numpy()
    slope = _slope(model.celerity, latent[0]) / middle
    columns["celerity_log_sd"] = slope * sd[0]
    if model.spreading is not None and model.scheme.spreading is not None:
        name = model.scheme.spreading.name
        columns |= _interval(name, model.spreading, about[1], sd[1])
        columns[f"{name}_sd"] = _slope(model.spreading, latent[1]) * sd[1]
    if work.choice.lakes is None:
        return columns
    apart = work.choice.lakes.apart
    return {name: np.where(apart, np.nan, value) for name, value in columns.items()} | _of_lakes(
        work.choice.lakes, about[0], sd[0]
    )


def _of_lakes(lakes: Lakes, about: Float, sd: Float) -> dict[str, Float]:
    """The interval of residence times, s, and the standard deviation of their logarithms; NaN where is no lake."""

    def at(deviation: Float) -> Float:
        found: Float = lakes.residence(torch.from_numpy(deviation)).numpy()
        return np.where(lakes.stored, found, np.nan)

    return {
        f"{RESIDENCE_TIME}_lower": at(about - NORMAL_90 * sd),
        f"{RESIDENCE_TIME}_upper": at(about + NORMAL_90 * sd),
        f"{RESIDENCE_TIME}_log_sd": np.where(lakes.stored, sd, np.nan),
    }


def _slope(bounded: Bounded, latent: Float) -> Float:
    at = torch.from_numpy(latent.copy()).requires_grad_()
    (slope,) = torch.autograd.grad(bounded.value(at).sum(), at)
    found: Float = slope.numpy()
    return found


def _interval(name: str, bounded: Bounded, latent: Float, sd: Float) -> dict[str, Float]:
    return {
        f"{name}_lower": bounded.value(torch.from_numpy(latent - NORMAL_90 * sd)).numpy(),
        f"{name}_upper": bounded.value(torch.from_numpy(latent + NORMAL_90 * sd)).numpy(),
    }
