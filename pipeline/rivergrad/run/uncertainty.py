"""How sure the parameters of every reach are: what goes into parameters.zarr beside the estimate."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from rivergrad.config.sections import EstimateSection
from rivergrad.inference.gaussnewton import gauss_newton_step, newton_direction
from rivergrad.inference.noise import measure
from rivergrad.inference.posterior import Posterior, with_nuisance
from rivergrad.inference.timing import DELAY_SD, Delayed
from rivergrad.model.bounds import Bounded
from rivergrad.model.layout import DELAY, LEVEL, Coefficients
from rivergrad.model.prior import Prior
from rivergrad.pieces.leastsquares import LeastSquares
from rivergrad.run.ensemble import spread_of_members
from rivergrad.run.evidence import MOST_REGRESSORS, posterior, regressors, retuned
from rivergrad.run.fit import FitResult
from rivergrad.run.problem import Problem
from rivergrad.run.progress import Progress

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

TOLERANCE = 0.01
"""Of the conjugate gradients that look for the most probable deviations."""
DELAY_STEPS = 2
"""Gauss-Newton steps from the estimate to the most probable celerities where runoff may be late: they lie near."""
NORMAL_90 = 1.6448536269514722
"""Half the width of a 90 % interval of a normal distribution, in standard deviations."""


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Attributes:
    columns: (reach,) arrays for parameters.zarr, by name.
    summary: numbers for run.json.
    """

    columns: dict[str, Float]
    summary: dict[str, float]


def estimate_uncertainty(
    work: Problem, result: FitResult, settings: EstimateSection, *, learned: bool = False
) -> Uncertainty:
    """Laplace's approximation at the best parameters.

    The noise of every gauge is what its residuals show there; the prior's scale is that of the fit, or measured from
    the evidence.

    Args:
        work, result: the estimate.
        settings: that it was found with.
        learned: the runoff was learned with it, by `laplace`, for models with deviations: see `_beside_learned`.
    """
    problem, observed = work.least_squares(result.shared.layout)
    free = work.sweep.collect(work.case.inputs.network.n_reaches)["best"]
    discharge = problem.linearise(result.shared.values, free)
    present = ~np.isnan(observed)
    residual = np.where(present, discharge - observed, 0.0)
    noise = measure(residual, discharge, present, np.sqrt(work.case.statistics.variance.numpy()))
    trains = work.case.trains * np.count_nonzero(work.case.trains)
    weight = noise.weights(present, trains, work.least_squares_error(problem))
    try:
        if work.config.uncertainty.method == "ensemble":
            found = _of_members(work, settings, problem, weight, residual, result, free)
        elif result.prior.tree is None:
            problem.weigh(weight)
            found = _of_shared(work, problem, result.prior, result.shared)
        else:
            found = _of_reaches(
                work, settings, problem, weight, residual, result, free, observed if learned else None
            )
    finally:
        work.sweep.forget_information()
    log.info("uncertainty: %s", found.summary)
    return found


def _of_reaches(
    work: Problem,
    settings: EstimateSection,
    problem: LeastSquares,
    weight: Float,
    residual: Float,
    result: FitResult,
    free: Float,
    learned_from: Float | None,
) -> Uncertainty:
    section, shared = work.config.uncertainty, result.shared
    prior = _prior(work, settings, problem, weight, residual, result, free)
    assert prior.tree is not None
    more: dict[str, float] = {}
    about = None
    if learned_from is None:
        with _bar() as show:
            found = posterior(
                work, problem, weight, prior, shared, section.products, checks=section.checks, progress=show
            )
    else:
        found, about, more = _beside_learned(
            work, settings, problem, weight, prior, shared, free, learned_from
        )
        work.sweep.place(free)
    told = found.identifiability
    columns = _columns(work, shared, free, np.sqrt(found.variance), about)
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
            **more,
        },
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
    """Uncertainty of celerities beside learned runoff, whose errors last, so that no residuals show them.

    - All runoff may come too early or too late (`Delayed`), and celerities that suit it make up for that. Intervals
      lie about the most probable celerities whatever the delay, where the estimate is the most probable without one.
      Identifiability is for a known delay, as it is for a known trend.
    - Deviations take up errors of the runoff of a part of a basin: a reach that is too slow by them looks well known,
      as discharge depends on ln(celerity) the more the longer water takes. So a reach counts as known only as well as
      it does both as it was found and as the trend has it: the larger of both variances, the lesser identifiability.

    Returns:
        The posterior; (n_free, reach) what intervals lie about, see `Problem.latent`; and numbers for the summary.
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
) -> Uncertainty:
    """By the spread of an ensemble."""
    prior = _prior(work, settings, problem, weight, residual, result, free)
    with _bar() as show:
        found = spread_of_members(
            work, settings.inner, problem, weight, residual, prior, result.shared, free, show
        )
    before = found.prior_sd
    if prior.tree is not None:  # of deviations, where the shared coefficients are nearly known
        before = np.sqrt(prior.tree.variance())
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
    """What shows how far the work is, told the products or members done and in all."""
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
) -> Prior:
    """That of the fit, or where the fit took a penalty instead, one at the scale that the evidence asks for."""
    follows = work.config.parameters.deviation_sd == "auto" and not settings.least_squares
    if result.prior.tree is None or not follows:
        return result.prior
    return _measured(work, settings.inner, problem, weight, residual, result, free)


def _measured(
    work: Problem,
    inner: int,
    problem: LeastSquares,
    weight: Float,
    residual: Float,
    result: FitResult,
    free: Float,
) -> Prior:
    """The prior at the scale that the evidence asks for.

    The deviations that it goes by are the most probable ones as seen from the estimate, which was found with another
    penalty and may be far from them where no gauge informs.
    """
    prior = result.prior
    assert prior.tree is not None
    first = np.array(prior.tree.tau)
    for _ in range(work.config.uncertainty.rounds):
        problem.weigh(weight)
        along, _, _ = newton_direction(
            problem,
            prior,
            result.shared.values,
            free,
            weight * residual,
            TOLERANCE,
            inner,
        )
        prior = retuned(work, problem, weight, prior, result.shared, free + along[1], first)
    return prior


def _of_shared(
    work: Problem, problem: LeastSquares, prior: Prior, shared: Coefficients[Float]
) -> Uncertainty:
    """Of a model without deviations: the covariance of its coefficients, dense."""
    model = work.choice.model
    n, layout = model.layout.size, shared.layout
    own = np.flatnonzero(layout.mask(*model.layout.names))
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
    sd = prior.sd_of(model.layout)
    covariance = np.linalg.inv(information + np.diag(1 / sd**2))
    by = regressors(work, shared)
    variance = np.einsum("frp,pq,frq->fr", by, covariance, by, optimize=True)
    before = np.einsum("frp,p->fr", by**2, sd**2)
    columns = _columns(work, shared, nothing, np.sqrt(variance))
    columns["identifiability"] = np.clip(1 - variance[0] / before[0], 0.0, 1.0)
    return Uncertainty(columns, {"products": float(n)})


def _middle(work: Problem, shared: Coefficients[Float]) -> float:
    return work.choice.model.celerity.value_of(float(shared[LEVEL]))


def _columns(
    work: Problem, shared: Coefficients[Float], free: Float, sd: Float, about: Float | None = None
) -> dict[str, Float]:
    """Standard deviations and 90 % intervals, through the bounded curves, whose order they keep.

    Args:
        sd: (n_free, reach) of what the bounded curves take.
        about: (n_free, reach) what intervals lie about, where that is not the estimate.
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
    return columns


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
