"""Forward runs of a problem, and how good they are: the training loss, the validation score, the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from rivergrad.gauges.scores import middle_mean, nse
from rivergrad.inference.loss import gauge_loss
from rivergrad.model.layout import RUNOFF, Coefficients
from rivergrad.model.physical import AboutPrior, within
from rivergrad.pieces.parameters import Given
from rivergrad.run.baselines import Choices, Tried, Uniform, best_uniform, find_best
from rivergrad.run.case import Case
from rivergrad.run.problem import Problem
from rivergrad.rundir.checkpoint import has_checkpoints
from rivergrad.rundir.identity import read_baselines, write_baselines

Float = NDArray[np.float64]

DELAYS = 7
"""Delays that the best uniform parameters are looked for among, besides none."""
EXPONENTS = (0.15, 0.3, 0.45, 0.6)
"""Exponents of flow that they are looked for among, besides 0 and the mean of the prior."""
FACTOR, LEVELS = 6.0, 9
"""How far from the physical prior its best level is looked for, either way, and celerities on that grid."""
SPREADINGS = (-2.0, -0.7, 0.7, 2.0)
"""Where within its bounds spreading is looked for, as arguments of the bounded curve."""


def record_discharge(problem: Problem, given: Given) -> Float:
    """Discharge at all gauges over the record, from rest: (time, gauge) m³/s."""
    return problem.pieces.discharge(given, 0, problem.case.periods.steps)


def uniform_given(problem: Problem, uniform: Uniform | float, base: Float | None = None) -> Given:
    """The same parameters everywhere.

    Args:
        problem: with the parameter model.
        uniform: the parameters; a celerity (m/s) alone goes with the spreading that the estimate starts from.
        base: (weight,) of the runoff model, where no runoff is given.
    """
    if not isinstance(uniform, Uniform):
        uniform = Uniform(uniform, problem.choice.spreading)
    return Given(
        "uniform",
        celerity=uniform.celerity,
        spreading=uniform.spreading,
        delay=uniform.delay,
        exponent=uniform.exponent,
        runoff=base,
    )


def estimated(
    problem: Problem,
    shared: Coefficients[Float],
    *,
    routed: bool = True,
    best: bool = True,
    fitting: bool = False,
) -> Given:
    """The estimate, with runoff as it is given or learned.

    Args:
        problem: says whether errors in volume and time are taken out of the runoff.
        shared: its coefficients.
        routed: discharge takes time; else the upstream runoff of a step is summed in the same step.
        best: at the best deviations, not the present ones.
        fitting: while fitting runoff is in time in any case: else late runoff would ask for slow rivers.
    """
    if not routed:
        return Given("unrouted", runoff=shared.get(RUNOFF))
    volume, late = problem.config.parameters.nuisance, problem.config.parameters.timing
    return Given(
        "estimate",
        shared=shared.values,
        best=best,
        runoff=shared.get(RUNOFF),
        volume=volume is not None and volume.predict,
        timing=late is not None and (late.predict or fitting),
    )


def training_loss(problem: Problem, given: Given) -> float:
    """The loss on the whole fit period."""
    case = problem.case
    first, last = case.periods.fit
    discharge, error = problem.pieces.discharge(given, 0, last)[first:], case.inputs.observed_error
    each = gauge_loss(
        case.loss,
        torch.from_numpy(discharge)[None],
        torch.from_numpy(case.record[first:last])[None],
        case.statistics,
        None if error is None else torch.from_numpy(error[first:last])[None],
    )
    return float(each.sum())


def middle_loss(problem: Problem, given: Given) -> float:
    """1 − the mean NSE of the middle half of the training gauges over the training time, which scores are taken over.

    A few very bad gauges do not decide it. Where no training gauge has an NSE there, it is the training loss.
    """
    case = problem.case
    steps = case.inputs.compared(max(case.periods.train[0], case.periods.warmup), case.periods.train[1])
    trains = case.trains > 0
    discharge = problem.pieces.discharge(given, 0, case.periods.train[1])[steps][:, trains]
    scores = nse(discharge, case.inputs.observed[steps][:, trains])
    known = scores[np.isfinite(scores)]
    return 1 - float(middle_mean(known)) if known.size else training_loss(problem, given)


def choices_of(problem: Problem) -> Choices:
    """What the best uniform parameters of a workflow are looked for among."""
    parameters, choice = problem.config.parameters, problem.choice
    stage, law, bounds = problem.hillslope, problem.flow, choice.model.spreading
    delays: Sequence[float] = ()
    if stage is not None and stage.model.bounds is not None:
        low, high = stage.model.bounds.lower, stage.model.bounds.upper
        delays = [float(one) for one in np.geomspace(low * 1.02, high * 0.98, DELAYS)]
    exponents: Sequence[float] = ()
    if law is not None:
        low, high = law.law.exponent.lower, law.law.exponent.upper
        own = [one for one in EXPONENTS if low < one < high] if law.law.estimated else []
        exponents = sorted({law.law.prior, *own})
    return Choices(
        first=Uniform(parameters.celerity.initial, choice.spreading),
        bounds=parameters.celerity.bounds,
        grid=problem.config.estimate.uniform_grid,
        more=(parameters.celerity.initial,),
        spreadings=() if bounds is None else [bounds.value_of(free) for free in SPREADINGS],
        delays=delays,
        exponents=exponents,
    )


def find_uniform(problem: Problem, base: Float | None = None) -> tuple[Uniform, Uniform]:
    """The parameters for all reaches with the best NSE at the middle half of the training gauges.

    Returns:
        The best of all, which is the baseline; and the best with the spreading and exponent that a fit starts from,
        with a delay where it has one.
    """
    tried = find_best(
        lambda one: middle_loss(problem, uniform_given(problem, one, base)), choices_of(problem)
    )
    return tried.best(), start_of(problem, tried)


def start_of(problem: Problem, tried: Tried) -> Uniform:
    """The best of what was tried that a fit can start from: at the mean of the prior of spreading and exponent."""
    delayed = problem.hillslope is not None and problem.hillslope.model.estimated
    exponent = None if problem.flow is None else problem.flow.law.prior
    spreading = problem.choice.spreading

    def fits(one: Uniform) -> bool:
        return (one.delay is not None) == delayed and one.exponent == exponent and one.spreading == spreading

    if any(fits(one) for one in tried.losses):
        return tried.best(fits)
    # the best with an exponent had no delay: the best delay of those without an exponent
    without = tried.best(lambda one: (one.delay is not None) == delayed and one.spreading == spreading)
    return replace(without, exponent=exponent)


def kept_uniform(problem: Problem, run_dir: Path, base: Float | None = None) -> tuple[Uniform, Uniform]:
    """What `find_uniform` found, kept so that a resumed run starts from the very same numbers."""
    identity = problem.case.inputs.identity
    if has_checkpoints(run_dir):
        known = read_baselines(run_dir, identity)
        if known is not None and known.uniform is not None and known.start is not None:
            return Uniform.of(known.uniform), Uniform.of(known.start)
        if known is not None:  # of an earlier version
            one = Uniform(known.celerity, problem.choice.spreading)
            return one, one if known.start is None else Uniform.of(known.start)
    uniform, start = find_uniform(problem, base)
    if problem.choice.physical is not None:
        start = replace(start, celerity=best_level(problem, start, base))
    write_baselines(run_dir, uniform.as_dict(), start.as_dict(), identity)
    return uniform, start


def without_deviations(
    problem: Problem, level: float, delay: float | None, base: Float | None = None
) -> Given:
    """Shared coefficients where they start, with a level of celerity (m/s) and a delay (s): no reach deviates.

    With a physical prior and its `reference` as level, that is the prior itself.
    """
    shared = problem.start(level, delay)
    return Given("shared", shared=shared.values, runoff=base if base is not None else shared.get(RUNOFF))


def best_level(problem: Problem, about: Uniform, base: Float | None = None) -> float:
    """The level of celerity (m/s) at which the physical prior has the best NSE at the middle half of the gauges."""
    model = problem.choice.model
    assert isinstance(model, AboutPrior)
    low, high = (within(model, model.reference * factor) for factor in (1 / FACTOR, FACTOR))

    def loss(level: float) -> float:
        return middle_loss(problem, without_deviations(problem, level, about.delay, base))

    return best_uniform(loss, (low, high), LEVELS)


def compared(
    problem: Problem, uniform: Uniform, shared: Coefficients[Float], base: Float | None = None
) -> dict[str, Float]:
    """Discharge by the baselines and by the best estimate, over the record.

    Args:
        problem: with the deviations of the best estimate on its pieces.
        uniform: the best parameters for all reaches.
        shared: coefficients of the estimate.
        base: (weight,) of the runoff model that the baselines take, where no runoff is given.

    Returns:
        By name, (time, gauge) m³/s each.
    """
    initial = problem.config.parameters.celerity.initial
    unrouted = problem.unrouted
    if base is not None:
        unrouted = record_discharge(problem, Given("unrouted", runoff=base))
    prior: dict[str, Float] = {}
    model = problem.choice.model
    if isinstance(model, AboutPrior):
        given = without_deviations(problem, model.reference, uniform.delay, base)
        prior["physical"] = record_discharge(problem, given)
    return {
        "unrouted": unrouted,
        "default": record_discharge(problem, uniform_given(problem, initial, base)),
        "uniform": record_discharge(problem, uniform_given(problem, uniform, base)),
        **prior,
        "estimate": record_discharge(problem, estimated(problem, shared)),
    }


def validation_score(problem: Problem, given: Given) -> float:
    """Mean over training gauges of NSE in the validation period, each at least −1; over validation gauges, if any.

    As in the loss, errors are measured against the variance of the fit period: a short or quiet validation period has
    no reliable variance of its own. Without observations in that period it is minus the training loss.
    """
    case = problem.case
    first, last = case.periods.validation
    weight = case.judges / max(1, case.judges.sum()) if case.judges.any() else case.trains
    if not ((weight > 0) & ~np.isnan(case.inputs.observed[first:last]).all(axis=0)).any():
        return -training_loss(problem, given)
    return _mean_nse(case, weight, problem.pieces.discharge(given, 0, last)[first:])


def _mean_nse(case: Case, by: Float, discharge: Float) -> float:
    """Of discharge (time, gauge) in the validation period, weighted by `by` (gauge,)."""
    first, last = case.periods.validation
    observed = case.inputs.observed[first:last]
    seen = (by > 0) & ~np.isnan(observed).all(axis=0)
    error = np.where(np.isnan(observed), 0.0, discharge - observed)
    count = np.maximum((~np.isnan(observed)).sum(axis=0), 1)
    variance = case.statistics.variance.numpy()
    if case.judges.any():  # of gauges that do not train the statistics say nothing
        variance = np.nanvar(np.where(by > 0, case.record, 0.0), axis=0)
    share = (error**2).sum(axis=0) / count / np.where(seen, variance, 1.0)
    weight = by[seen] / by[seen].sum()
    return float((weight * np.maximum(1 - share[seen], -1.0)).sum())
