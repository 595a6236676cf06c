"""The estimate of a problem, from its baselines to its uncertainty: what needs the workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from rivergrad.routing.outside import Outside
from rivergrad.run.baselines import Uniform
from rivergrad.run.discharge import within_range, write_every_discharge
from rivergrad.run.evaluation import compared, kept_uniform
from rivergrad.run.fit import FitResult, fit
from rivergrad.run.problem import Problem
from rivergrad.run.runoffmodel import save_runoff_model, write_learned_runoff
from rivergrad.run.stages import StagedResult, fit_stages, routing_alone
from rivergrad.run.timings import Timer
from rivergrad.run.training import Training
from rivergrad.run.uncertainty import Uncertainty, estimate_uncertainty
from rivergrad.rundir.contents import CHECKPOINTS, HISTORY, HISTORY_COLUMNS
from rivergrad.rundir.record import write_rows

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Estimate:
    """What was found on the workers.

    Attributes:
        problem: what was estimated.
        fit: of the last stage.
        uniform: the best parameters for all reaches.
        discharge: of the estimate and of each baseline at the gauges, (time, gauge) m³/s, by method.
        values: celerity, spreading and the scheme's parameters, (reach,) by name.
        uncertainty: None where the workflow asks for none.
        outside: what there is to say where the scheme is outside its range; None where it is not.
        stages: what became of each stage, where training has stages.
    """

    problem: Problem
    fit: FitResult
    uniform: Uniform
    discharge: Mapping[str, Float]
    values: dict[str, Float]
    uncertainty: Uncertainty | None
    outside: Outside | None
    stages: list[dict[str, Any]] | None


def estimate(problem: Problem, timer: Timer, console: Console) -> Estimate:
    """Fit a problem, or go on from its last checkpoint, and find out how sure the estimate is.

    Args:
        problem: with its pieces on the workers.
        timer: notes how long each part takes.
        console: says what the best uniform celerity is.
    """
    staged: StagedResult | None = None
    if problem.learned is None:
        uniform, result = _fit_routing(problem, timer, console)
        discharge = None
    else:
        staged = fit_stages(problem, problem.run_dir, lambda rows: _write_history(problem, rows))
        uniform, result, discharge = staged.uniform, staged.fit, staged.discharge
    timer.note("estimate")
    base = None if staged is None else staged.base
    discharge = compared(problem, uniform, result.shared, base) | (discharge or {})
    physical = problem.sweep.physical(result.shared.values, problem.n_reaches)
    values, outside = within_range(problem, physical)
    timer.note("evaluation")
    if staged is not None:
        save_runoff_model(problem.run_dir, problem, result.shared)
        write_learned_runoff(problem.run_dir, problem, result.shared)
        timer.note("runoff")
    sure = _uncertainty(problem, result, staged)
    timer.note("uncertainty")
    if problem.config.report.discharge or problem.config.report.state:
        write_every_discharge(problem, result.shared, values, outside)
        timer.note("discharge")
    stages = None if staged is None else staged.stages
    return Estimate(problem, result, uniform, discharge, values, sure, outside, stages)


def _fit_routing(problem: Problem, timer: Timer, console: Console) -> tuple[Uniform, FitResult]:
    """The best parameters for all reaches, and the fit that starts from them."""
    uniform, first = kept_uniform(problem, problem.run_dir)
    console.print(
        f"best uniform celerity on the training data: {uniform.text()}", highlight=False, soft_wrap=True
    )
    timer.note("uniform")
    start = problem.start(first.celerity, first.delay)
    if not problem.config.estimate.steps and _has_all(
        uniform, first
    ):  # of `model: auto`: the baseline is the estimate
        start = problem.start(uniform.celerity, uniform.delay, uniform.spreading, uniform.exponent)
    result = fit(
        problem,
        Training(problem.config.estimate),
        start,
        problem.prior(start),
        folder=problem.run_dir / CHECKPOINTS,
        write_history=lambda rows: _write_history(problem, rows),
    )
    return uniform, result


def _has_all(uniform: Uniform, first: Uniform) -> bool:
    """Whether the best parameters have all that the estimate has: a delay on hillslopes, an exponent of flow."""
    return (uniform.delay is None, uniform.exponent is None) == (first.delay is None, first.exponent is None)


def _uncertainty(problem: Problem, result: FitResult, staged: StagedResult | None) -> Uncertainty | None:
    if not problem.config.uncertainty.enabled:
        return None
    training = Training(problem.config.estimate)
    if staged is not None:
        training, result = routing_alone(problem, staged)
    return estimate_uncertainty(problem, result, training.settings, learned=staged is not None)


def _write_history(problem: Problem, rows: Sequence[Mapping[str, float]]) -> None:
    write_rows(problem.run_dir / HISTORY, rows, HISTORY_COLUMNS)
