"""Forward runs of a problem, and how good they are: the training loss, the validation score, the baselines."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from rivergrad.gauges.scores import nse
from rivergrad.inference.loss import gauge_loss
from rivergrad.model.layout import RUNOFF, Coefficients
from rivergrad.pieces.parameters import Given
from rivergrad.run.baselines import best_uniform
from rivergrad.run.case import Case
from rivergrad.run.problem import Problem
from rivergrad.rundir.checkpoint import has_checkpoints
from rivergrad.rundir.identity import read_baselines, read_start, write_baselines

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

DELAYS = 7
"""Delays that the start of a fit is looked for among."""


def record_discharge(problem: Problem, given: Given) -> Float:
    """Discharge at all gauges over the record, from rest: (time, gauge) m³/s."""
    return problem.pieces.discharge(given, 0, problem.case.periods.steps)


def uniform_given(
    problem: Problem, celerity: float, base: Float | None = None, delay: float | None = None
) -> Given:
    """The same celerity (m/s) everywhere, and the spreading that the estimate starts from.

    Args:
        problem: with the parameter model.
        celerity: m/s.
        base: (weight,) of the runoff model, where no runoff is given.
        delay: on hillslopes, s, where it is estimated; None lets runoff enter as it is.
    """
    return Given("uniform", celerity=celerity, spreading=problem.choice.spreading, delay=delay, runoff=base)


def estimated(
    problem: Problem, shared: Coefficients[Float], *, routed: bool = True, best: bool = True
) -> Given:
    """The estimate, with runoff as it is given or learned.

    Args:
        problem: says whether the volume error is taken out of the runoff.
        shared: its coefficients.
        routed: discharge takes time; else the upstream runoff of a step is summed in the same step.
        best: at the best deviations, not the present ones.
    """
    if not routed:
        return Given("unrouted", runoff=shared.get(RUNOFF))
    section = problem.config.parameters.nuisance
    predicts = section is not None and section.predict
    return Given("estimate", shared=shared.values, best=best, runoff=shared.get(RUNOFF), volume=predicts)


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


def median_loss(problem: Problem, given: Given) -> float:
    """1 − the median NSE of the training gauges over the fit period: what a few very bad gauges do not decide.

    Where no training gauge has an NSE there, it is the training loss.
    """
    first, last = problem.case.periods.fit
    trains = problem.case.trains > 0
    discharge = problem.pieces.discharge(given, 0, last)[first:, trains]
    scores = nse(discharge, problem.case.record[first:last, trains])
    known = scores[np.isfinite(scores)]
    return 1 - float(np.median(known)) if known.size else training_loss(problem, given)


def find_uniform(problem: Problem, base: Float | None = None) -> float:
    """The single celerity (m/s) with the best median NSE at the training gauges, as estimates are judged."""
    return best_uniform(
        lambda celerity: median_loss(problem, uniform_given(problem, celerity, base)),
        problem.config.parameters.celerity.bounds,
        problem.config.estimate.uniform_grid,
    )


def find_delayed(problem: Problem, base: Float | None = None) -> tuple[float, float]:
    """The single celerity (m/s) with the single delay on hillslopes (s) that are best together: where a fit starts.

    A celerity is found for each of a few delays, even in the logarithm.
    """
    assert problem.hillslope is not None
    bounds = problem.hillslope.model.bounds
    assert bounds is not None
    grid, found = max(6, problem.config.estimate.uniform_grid // 2), []
    for delay in np.geomspace(bounds.lower * 1.02, bounds.upper * 0.98, DELAYS):
        losses: dict[float, float] = {}

        def loss(celerity: float, delay: float = float(delay), losses: dict[float, float] = losses) -> float:
            losses[celerity] = median_loss(problem, uniform_given(problem, celerity, base, delay))
            return losses[celerity]

        celerity = best_uniform(loss, problem.config.parameters.celerity.bounds, grid)
        log.info("uniform delay %.3g days: celerity %.3f m/s", delay / 86400, celerity)
        found.append((losses[celerity], celerity, float(delay)))
    _, celerity, delay = min(found)
    return celerity, delay


def kept_start(
    problem: Problem, run_dir: Path, uniform: float, base: Float | None = None
) -> tuple[float, float | None]:
    """Celerity (m/s) and delay on hillslopes (s) that a fit starts from, the same in a resumed run.

    `uniform` is the best uniform celerity, which is the start where no delay is estimated.
    """
    if problem.hillslope is None or not problem.hillslope.model.estimated:
        return uniform, None
    identity = problem.case.inputs.identity
    known = read_start(run_dir, identity) if has_checkpoints(run_dir) else None
    if known is not None:
        return known
    start = find_delayed(problem, base)
    write_baselines(run_dir, uniform, identity, start)
    return start


def kept_uniform(problem: Problem, run_dir: Path, base: Float | None = None) -> float:
    """The best uniform celerity, kept so that a resumed run starts from the very same number."""
    identity = problem.case.inputs.identity
    known = read_baselines(run_dir, identity) if has_checkpoints(run_dir) else None
    if known is not None:
        return known
    celerity = find_uniform(problem, base)
    write_baselines(run_dir, celerity, identity)
    return celerity


def compared(
    problem: Problem, uniform: float, shared: Coefficients[Float], base: Float | None = None
) -> dict[str, Float]:
    """Discharge by the baselines and by the best estimate, over the record.

    Args:
        problem: with the deviations of the best estimate on its pieces.
        uniform: the best uniform celerity, m/s.
        shared: coefficients of the estimate.
        base: (weight,) of the runoff model that the baselines take, where no runoff is given.

    Returns:
        By name, (time, gauge) m³/s each.
    """
    initial = problem.config.parameters.celerity.initial
    unrouted = problem.unrouted
    if base is not None:
        unrouted = record_discharge(problem, Given("unrouted", runoff=base))
    return {
        "unrouted": unrouted,
        "default": record_discharge(problem, uniform_given(problem, initial, base)),
        "uniform": record_discharge(problem, uniform_given(problem, uniform, base)),
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
