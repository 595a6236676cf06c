"""Training in stages: the runoff model, the routing, then both. Each stage starts from the best of an earlier one.

Each stage is one call of `fit` and has its own folder of checkpoints (the last stage uses that of the run). A run that
was stopped resumes in the stage where it stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivergrad.config.schema import Workflow
from rivergrad.config.sections import SCRATCH, StageSection
from rivergrad.model.layout import RUNOFF, Coefficients
from rivergrad.run.baselines import Uniform
from rivergrad.run.evaluation import estimated, kept_uniform, record_discharge
from rivergrad.run.fit import FitResult, fit
from rivergrad.run.problem import Problem
from rivergrad.run.results import informed_reaches, rank_correlation
from rivergrad.run.training import Training, settings_of, stage_training
from rivergrad.rundir.contents import CHECKPOINTS
from rivergrad.rundir.reading import LEARNED_METHODS

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

NEWTON_STEPS = 8
"""Default number of Gauss-Newton steps: enough for the scale of deviations to converge."""


@dataclass(frozen=True)
class _Kept:
    """The best of a stage: shared coefficients, deviations (n_free, reach), and whether routing has a start."""

    shared: Coefficients[Float]
    free: Float
    routing: bool


@dataclass(frozen=True)
class StagedResult:
    """The result of all stages.

    Attributes:
        fit: result of the last stage. Its steps are counted from the start of the first stage.
        uniform: the best parameters for all reaches.
        base: (weight,) weights of the runoff model for the baselines; None if runoff is given.
        discharge: (time, gauge) m³/s, by name of the stages that are baselines (LEARNED_METHODS).
        stages: a summary of each stage, for run.json.
    """

    fit: FitResult
    uniform: Uniform
    base: Float | None
    discharge: dict[str, Float]
    stages: list[dict[str, Any]]


def stages_of(config: Workflow) -> tuple[StageSection, ...]:
    """The stages that the workflow names, or the default stages for learned runoff."""
    if config.estimate.stages:
        return config.estimate.stages
    steps = config.estimate.steps
    corrects = config.runoff is not None and config.runoff.path is not None
    stages = (
        StageSection(name="lumped", train=("runoff",), unrouted=True, steps=steps),
        StageSection(name="two_step", train=("routing",), steps=steps),
        StageSection(
            name="joint", train=("runoff", "routing"), steps=steps, start=None if corrects else SCRATCH
        ),
    )
    if corrects or config.estimate.loss != "nse":  # Gauss-Newton minimises squared errors only
        return stages
    rivers = StageSection(name="rivers", train=("routing",), method="gauss_newton", steps=NEWTON_STEPS)
    return stages[0], rivers.model_copy(update={"name": "two_step"}), stages[2], rivers


def fit_stages(
    work: Problem, run_dir: Path, write_history: Callable[[list[dict[str, float]]], None]
) -> StagedResult:
    """Run the stages of a workflow with learned runoff. Each resumes from its checkpoints if there are any.

    Routing starts from the best uniform celerity for the runoff of its first stage: given runoff, or runoff that
    earlier stages have learned. A stage with `start: scratch` starts from the initial celerity instead. The reason: a
    runoff model trained without routing learns to delay runoff, and the best celerity for delayed runoff is too fast.

    Args:
        work: the pieces, ready for estimation, with a runoff model.
        run_dir: the run directory, for checkpoints.
        write_history: called with all rows of the history so far.

    Returns:
        The estimate, the baselines and a summary of each stage.
    """
    assert work.learned is not None
    stages, n_reaches = stages_of(work.config), work.case.inputs.network.n_reaches
    first = work.start(work.config.parameters.celerity.initial)
    before = _Kept(first, np.zeros((work.choice.model.n_free, n_reaches)), routing=False)
    scratch = replace(before, routing=True)
    kept: dict[str, _Kept] = {}
    discharge: dict[str, Float] = {}
    told: list[dict[str, Any]] = []
    history: list[dict[str, float]] = []
    uniform: tuple[Uniform, Uniform] | None = None
    base: Float | None = None
    for stage in stages:
        start = scratch if stage.start == SCRATCH else before if stage.start is None else kept[stage.start]
        if not stage.unrouted and not start.routing:
            if uniform is None:
                uniform, base = _uniform(work, run_dir, start.shared, learned=bool(kept))
            weights = start.shared[RUNOFF]
            start = replace(
                start,
                shared=work.start(uniform[1].celerity, uniform[1].delay).replace({RUNOFF: weights}),
                routing=True,
            )
        work.sweep.restore(
            {
                "free": start.free,
                "best": start.free,
                "adam_mean": np.zeros_like(start.free),
                "adam_square": np.zeros_like(start.free),
            },
            0,
        )
        frozen = None if "runoff" in stage.train else start.shared[RUNOFF]
        work.sweep.begin_stage(work.layout, not stage.unrouted, frozen)
        log.info("stage %s: training %s", stage.name, " and ".join(stage.train))
        is_last = stage is stages[-1]
        folder = run_dir / CHECKPOINTS
        offset = (int(history[-1]["step"]), history[-1]["seconds"]) if history else (0, 0.0)
        done = list(history)

        def write(rows: Any, done: list[dict[str, float]] = done, offset: tuple[int, float] = offset) -> None:
            write_history(done + _after(rows, *offset))

        # the prior mean: the initial routing coefficients, and the present runoff weights (Gauss-Newton freezes them)
        about = first.replace({RUNOFF: start.shared[RUNOFF]})
        result = fit(
            work,
            stage_training(work.config, stage, work.layout, work.learned),
            start.shared,
            work.prior(about),
            folder=folder if is_last else folder / stage.name,
            write_history=write,
        )
        history = done + _after(result.history, *offset)
        before = _Kept(result.shared, work.sweep.collect(n_reaches)["best"], start.routing)
        kept[stage.name] = before
        told.append(
            {
                "name": stage.name,
                "train": list(stage.train),
                "method": stage.method,
                "steps": result.steps,
                "best_step": result.best_step,
                "ended": result.ended,
                "validation_nse": max(
                    row["validation_nse"] for row in result.history if not np.isnan(row["validation_nse"])
                ),
            }
        )
        truth = work.case.inputs.true_celerity
        if truth is not None and not stage.unrouted:
            informed = informed_reaches(work.case.inputs, work.case.trains > 0)
            celerity = work.sweep.physical(result.shared.values, n_reaches)["celerity"]
            told[-1]["celerity_rank_correlation"] = rank_correlation(celerity[informed], truth[informed])
        if stage.name in LEARNED_METHODS and not is_last:
            discharge[stage.name] = record_discharge(
                work, estimated(work, result.shared, routed=not stage.unrouted)
            )
        if is_last:
            result = replace(
                result,
                steps=offset[0] + result.steps,
                best_step=offset[0] + result.best_step,
                history=history,
            )
    if uniform is None:  # every stage with routing started from scratch
        uniform, base = _uniform(work, run_dir, next(iter(kept.values())).shared, learned=stages[0].unrouted)
    if base is None and not work.case.inputs.runoff_is_given:
        base = result.shared[RUNOFF]
    return StagedResult(result, uniform[0], base, discharge, told)


def routing_alone(work: Problem, staged: StagedResult) -> tuple[Training, FitResult]:
    """Freeze the learned runoff of a staged estimate, so that the uncertainty of the routing alone can be computed."""
    shared, layout = staged.fit.shared, work.layout.without(RUNOFF)
    work.sweep.begin_stage(layout, True, shared[RUNOFF])
    last = stages_of(work.config)[-1]
    prior = work.prior(work.start(work.config.parameters.celerity.initial).part(layout))
    if last.least_squares and prior.tree is not None:  # Gauss-Newton has measured the scale of deviations
        assert staged.fit.prior.tree is not None
        prior = prior.scaled(staged.fit.prior.tree.tau)
    training = Training(settings_of(work.config, last))
    return training, replace(staged.fit, shared=shared.part(layout), prior=prior)


def _uniform(
    work: Problem, run_dir: Path, shared: Coefficients[Float], *, learned: bool
) -> tuple[tuple[Uniform, Uniform], Float | None]:
    """The best uniform parameters and those to start from, and the runoff weights (weight,) they were found with.

    The weights are None if runoff is given.
    """
    if work.case.inputs.runoff_is_given:
        return kept_uniform(work, run_dir), None
    if not learned:  # an untrained runoff model says nothing about celerity
        one = Uniform(work.config.parameters.celerity.initial, work.choice.spreading)
        return (one, one), None
    return kept_uniform(work, run_dir, shared[RUNOFF]), shared[RUNOFF]


def _after(rows: Any, step: int, seconds: float) -> list[dict[str, float]]:
    """A stage's history, shifted to follow the stage before. Its row 0 repeats the last row there and is dropped."""
    return [
        row | {"step": row["step"] + step, "seconds": row["seconds"] + seconds}
        for row in rows
        if row["step"] or not step
    ]
