"""Training in stages: the runoff model, the routing, and both together, each from the best of an earlier stage.

A stage is a fit like any other, with checkpoints in a folder of its own (the last one's are the run's), so that a run
that was stopped goes on in the stage that it was in.
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
"""Of Gauss-Newton, by default: enough for the scale of deviations to settle."""


@dataclass(frozen=True)
class _Kept:
    """The best of a stage: shared coefficients, deviations, and whether the routing has been given a start."""

    shared: Coefficients[Float]
    free: Float
    routing: bool


@dataclass(frozen=True)
class StagedResult:
    """Attributes:
    fit: of the last stage, its steps counted from the first stage on.
    uniform: the best uniform celerity, m/s.
    base: (weight,) of the runoff model that the baselines take, where no runoff is given.
    discharge: by the stages that are baselines (LEARNED_METHODS), (time, gauge) m³/s.
    stages: what became of each, for run.json.
    """

    fit: FitResult
    uniform: float
    base: Float | None
    discharge: dict[str, Float]
    stages: list[dict[str, Any]]


def stages_of(config: Workflow) -> tuple[StageSection, ...]:
    """The stages of a workflow with learned runoff, or those by default."""
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
    if corrects or config.estimate.loss != "nse":  # Gauss-Newton has a loss of its own
        return stages
    rivers = StageSection(name="rivers", train=("routing",), method="gauss_newton", steps=NEWTON_STEPS)
    return stages[0], rivers.model_copy(update={"name": "two_step"}), stages[2], rivers


def fit_stages(
    work: Problem, run_dir: Path, write_history: Callable[[list[dict[str, float]]], None]
) -> StagedResult:
    """Carry out the stages of a workflow with learned runoff, from their checkpoints where there are any.

    Routing starts from the best uniform celerity for the runoff that is there when it is first trained: the given one,
    or what the stages before have learned. From scratch it starts from the initial celerity: a runoff model that was
    trained without routing has learned to wait, and a celerity that suits it is too fast.
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
    uniform: float | None = None
    base: Float | None = None
    for stage in stages:
        start = scratch if stage.start == SCRATCH else before if stage.start is None else kept[stage.start]
        if not stage.unrouted and not start.routing:
            if uniform is None:
                uniform, base = _uniform(work, run_dir, start.shared, learned=bool(kept))
            weights = start.shared[RUNOFF]
            start = replace(start, shared=work.start(uniform).replace({RUNOFF: weights}), routing=True)
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

        # of the routing about where a fit begins that has seen nothing, of weights about themselves: they are frozen
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
    if uniform is None:  # all that routes began from scratch
        uniform, base = _uniform(work, run_dir, next(iter(kept.values())).shared, learned=stages[0].unrouted)
    if base is None and not work.case.inputs.runoff_is_given:
        base = result.shared[RUNOFF]
    return StagedResult(result, uniform, base, discharge, told)


def routing_alone(work: Problem, staged: StagedResult) -> tuple[Training, FitResult]:
    """The routing of a staged estimate with its learned runoff as it is: for how sure that is."""
    shared, layout = staged.fit.shared, work.layout.without(RUNOFF)
    work.sweep.begin_stage(layout, True, shared[RUNOFF])
    last = stages_of(work.config)[-1]
    prior = work.prior(work.start(work.config.parameters.celerity.initial).part(layout))
    if last.least_squares and prior.tree is not None:  # which has measured the scale of deviations
        assert staged.fit.prior.tree is not None
        prior = prior.scaled(staged.fit.prior.tree.tau)
    training = Training(settings_of(work.config, last))
    return training, replace(staged.fit, shared=shared.part(layout), prior=prior)


def _uniform(
    work: Problem, run_dir: Path, shared: Coefficients[Float], *, learned: bool
) -> tuple[float, Float | None]:
    """The best uniform celerity (m/s), and the weights (weight,) that it is for where no runoff is given."""
    if work.case.inputs.runoff_is_given:
        return kept_uniform(work, run_dir), None
    if not learned:  # runoff of a model that knows nothing says nothing of celerities
        return work.config.parameters.celerity.initial, None
    return kept_uniform(work, run_dir, shared[RUNOFF]), shared[RUNOFF]


def _after(rows: Any, step: int, seconds: float) -> list[dict[str, float]]:
    """Rows of a history that go on from a step; the look before its first step is the last one of the stage before."""
    return [
        row | {"step": row["step"] + step, "seconds": row["seconds"] + seconds}
        for row in rows
        if row["step"] or not step
    ]
