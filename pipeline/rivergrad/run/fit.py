"""The fit: the loop of optimiser steps, validation scores, the rule for stopping, and checkpoints."""

from __future__ import annotations

import io
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rivergrad import registry
from rivergrad.config.sections import EstimateSection
from rivergrad.model.layout import TIMING, VOLUME, Coefficients, Layout
from rivergrad.model.prior import Prior
from rivergrad.pieces.leastsquares import LeastSquares
from rivergrad.run.evaluation import estimated, validation_score
from rivergrad.run.evidence import retuned
from rivergrad.run.optimisers import MovesPrior, Optimiser, Squares, Task
from rivergrad.run.overhead import Aside, Overhead
from rivergrad.run.periods import Periods
from rivergrad.run.problem import Problem
from rivergrad.run.progress import Progress
from rivergrad.run.training import Training
from rivergrad.rundir.checkpoint import Checkpoint, read_newest
from rivergrad.rundir.identity import Identity, differences, identity_from, listed
from rivergrad.rundir.stopping import at_step_ends, requested, stopped

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

PROGRESS = 1e-5
"""A fit makes progress if its validation score rises by at least this much."""
FLAT = 2e-3
"""A fit without progress has converged if its recent validation scores differ by at most this; else it is stuck."""
LAST_RATE = 0.1
"""The final learning rate of a cosine schedule, as a share of the initial one."""

REASONS = {
    0: "all steps taken",
    1: "converged",
    2: "stuck",
    3: "no step brings anything",
    4: "the start is the estimate",
}


@dataclass(frozen=True)
class FitResult:
    """The result of a fit. The pieces on the workers keep the best deviations.

    Attributes:
        shared: shared coefficients at the best step.
        best_step: the step with the best validation score, or the last step of Gauss-Newton.
        steps: number of steps done.
        history: a row per step: `step`, `loss`, `validation_nse` (NaN if not evaluated), `seconds`.
        ended: why the fit ended, one of `REASONS`.
        prior: the prior at the end of the fit.
        overhead: time that was not the workers' own work.
    """

    shared: Coefficients[Float]
    best_step: int
    steps: int
    history: list[dict[str, float]]
    ended: str
    prior: Prior
    overhead: Overhead = field(default_factory=Overhead)


def draw_windows(
    seed: int, step: int, periods: Periods, length: int, count: int
) -> list[tuple[int, int, int]]:
    """Draw the windows of a step. The same seed and step always give the same windows.

    Args:
        seed: of the workflow.
        step: number of the optimiser's step.
        periods: of the workflow.
        length: forcing steps that count in a window.
        count: number of windows.

    Returns:
        (start of the warm-up, first step that counts, end) of each window, in forcing steps of the record.
    """
    first, last = periods.fit
    length = min(length, last - first)
    rng = np.random.default_rng([seed, 303, step])
    starts = rng.integers(first, last - length, size=count, endpoint=True)
    return [(int(s) - periods.warmup, int(s), int(s) + length) for s in starts]


def learning_rate(settings: EstimateSection, step: int) -> float:
    """Adam's learning rate at a step."""
    if settings.schedule == "constant":
        return settings.learning_rate
    share = 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, settings.steps))))
    return settings.learning_rate * (LAST_RATE + (1 - LAST_RATE) * share)


def make_optimiser(
    work: Problem,
    training: Training,
    start: Coefficients[Float],
    prior: Prior,
    aside: Aside | None = None,
) -> Optimiser:
    """The optimiser that the workflow asks for; `aside` counts the evidence's own work."""
    settings, periods = training.settings, work.case.periods
    length = max(1, round(settings.window / work.case.inputs.runoff.step))

    make: Callable[[Task], Optimiser] = registry.load("optimiser", settings.method)
    task = Task(
        sweep=work.sweep,
        start=start.values,
        windows=lambda step: draw_windows(work.config.seed, step, periods, length, settings.windows_per_step),
        rate=lambda step: learning_rate(settings, step),
        penalty=partial(_penalty, work, start.layout),
        clip=settings.clip,
        scale=training.scale,
        decay=training.decay,
        deviations=training.deviations * settings.deviation_rate,
        shared_steps=settings.shared_steps,
        inner=settings.inner,
        prior=prior,
    )
    if settings.least_squares:
        task = replace(task, make_squares=partial(_squares, work, start.layout, prior, aside or Aside()))
    return make(task)


def _penalty(work: Problem, layout: Layout, shared: Float) -> tuple[float, Float]:
    """What coefficients of the runoff's errors add to the loss: their mean squares in units of their prior."""
    parameters, value, slope = work.config.parameters, 0.0, np.zeros_like(shared)
    errors: list[tuple[str, float, float]] = []
    if work.volume is not None and parameters.nuisance is not None:
        errors.append((VOLUME, work.volume.sd, parameters.nuisance.shrinkage))
    if work.timing is not None and parameters.timing is not None:
        errors.append((TIMING, 1.0, parameters.timing.shrinkage))
    for name, sd, shrinkage in errors:
        at = layout.positions(name)
        scaled = shared[at] / sd
        weight = shrinkage / scaled.size
        value += weight * float(scaled @ scaled)
        slope[at] = 2 * weight * scaled / sd
    return value, slope


def _squares(work: Problem, layout: Layout, prior: Prior, aside: Aside) -> Squares:
    """The training record as a least-squares problem, for coefficients of a layout."""
    problem, observed = work.least_squares(layout)
    follows = work.config.parameters.deviation_sd == "auto" and work.choice.model.deviates
    return Squares(
        problem=problem,
        observed=observed,
        trains=work.case.trains * np.count_nonzero(work.case.trains),
        spread=np.sqrt(work.case.statistics.variance.numpy()),
        error=work.least_squares_error(problem),
        retune=partial(_retuned, work, problem, prior, aside) if follows else None,
        free=work.sweep.collect(work.case.inputs.network.n_reaches)["free"],
    )


def _retuned(
    work: Problem,
    problem: LeastSquares,
    first: Prior,
    aside: Aside,
    weight: Float,
    before: Prior,
    shared: Float,
    free: Float,
) -> Prior:
    assert first.tree is not None
    at = first.layout.coefficients(shared)
    with aside.work(lambda: work.sweep.seconds):
        return retuned(work, problem, weight, before, at, free, np.array(first.tree.tau))


def fit(
    work: Problem,
    training: Training,
    start: Coefficients[Float],
    prior: Prior,
    *,
    folder: Path | None,
    write_history: Callable[[Sequence[dict[str, float]]], None],
) -> FitResult:
    """Run the fit. It resumes from the newest checkpoint in `folder` if there is one.

    Args:
        work: the pieces, ready for estimation.
        training: what is trained, and how.
        start: shared coefficients to start from.
        prior: the prior of all coefficients.
        folder: for checkpoints; None for a fit that leaves nothing and shows no progress.
        write_history: called with all rows of the history so far.

    Returns:
        The best coefficients and how the fit went.

    Raises:
        InputError: a checkpoint belongs to other input or has other shapes.
    """
    settings, sweep, n_reaches = training.settings, work.sweep, work.n_reaches
    aside = Aside()
    optimiser = make_optimiser(work, training, start, prior, aside)
    best = start.values.copy()
    numbers = {"score": -np.inf, "best_step": 0.0, "stale": 0.0, "stopped": 0.0, "restarts": 0.0}
    history: list[dict[str, float]] = []
    done = 0
    overhead, told = Overhead(), Overhead()

    def score_now() -> float:
        at = start.layout.coefficients(optimiser.shared)
        return validation_score(work, estimated(work, at, routed=training.routed, best=False, fitting=True))

    found = (
        None
        if folder is None
        else read_newest(
            folder,
            partial(
                _misfit,
                shared=start.values,
                free=(work.choice.model.n_free, n_reaches),
                now=work.case.inputs.identity,
            ),
        )
    )
    if found is not None:
        log.info("going on from the checkpoint of step %d", found.step)
        sweep.restore(found.pieces, found.step)
        optimiser.restore(found.shared, found.optimiser, found.step)
        best, history, done = found.shared_best, found.history, found.step
        numbers |= found.numbers
    else:
        numbers["score"] = score_now()
        history.append({"step": 0, "loss": float("nan"), "validation_nse": numbers["score"], "seconds": 0.0})
        log.info("step 0 (best uniform): validation NSE %.4f", numbers["score"])

    def checkpoint() -> None:
        if folder is None:
            return
        Checkpoint(
            step=done,
            shared=optimiser.shared,
            shared_best=best,
            optimiser=optimiser.state(),
            pieces=sweep.collect(n_reaches),
            numbers=numbers,
            history=history,
            of={} if work.case.inputs.identity is None else work.case.inputs.identity.as_dict(),
        ).write(folder, settings.checkpoints)
        write_history(history)

    def stale() -> float:
        """Decide what lasting lack of progress means: a key of `REASONS`, or 0 after a restart from the best step."""
        looks = [row["validation_nse"] for row in history if not np.isnan(row["validation_nse"])]
        recent = looks[-settings.patience :]
        if max(recent) - min(recent) <= FLAT and numbers["score"] - recent[-1] <= FLAT:
            return 1.0
        if numbers["restarts"] >= settings.restarts:
            return 2.0
        numbers["restarts"] += 1
        numbers["stale"] = 0.0
        sweep.back_to_best()
        optimiser.rest(best, 0.5)
        log.info("stuck at step %d: back to step %d with half the rate", done, int(numbers["best_step"]))
        return 0.0

    most_probable = settings.least_squares
    began, before = time.perf_counter(), history[-1]["seconds"] if history else 0.0
    shown = None if folder is not None else io.StringIO()
    if not settings.steps and found is None:
        numbers["stopped"] = 4.0
        checkpoint()
    with Progress(max(1, settings.steps), "estimate", start=done, stream=shown) as progress, at_step_ends():
        while done < settings.steps and not numbers["stopped"]:
            with overhead.step(lambda: sweep.seconds + aside.seconds):
                loss = optimiser.step(done)
            done += 1
            row = {
                "step": done,
                "loss": loss,
                "validation_nse": float("nan"),
                "seconds": before + time.perf_counter() - began,
            }
            history.append(row)
            if done % settings.evaluate_every == 0 or done == settings.steps or optimiser.finished:
                score = score_now()
                row["validation_nse"] = score
                # Gauss-Newton: the last step is the most probable one, and its prior prevents overfitting
                if most_probable or score > numbers["score"] + PROGRESS:
                    numbers.update(score=score, best_step=float(done), stale=0.0)
                    best = optimiser.shared.copy()
                    sweep.keep_best()
                elif done > settings.shared_steps:  # else the deviations are yet to come
                    numbers["stale"] += 1
                    if numbers["stale"] >= settings.patience:
                        numbers["stopped"] = stale()
                log.info(
                    "step %d: loss %.5f, validation NSE %.4f; %s",
                    done, loss, score, overhead.since(told).text(),
                )  # fmt: skip
                told = replace(overhead)
            if optimiser.finished and not numbers["stopped"]:
                numbers["stopped"] = 1.0 if optimiser.converged else 3.0
            stop = requested()
            if done % settings.checkpoint_every == 0 or done == settings.steps or numbers["stopped"] or stop:
                checkpoint()
            if stop:
                raise stopped(done)
            progress.update(done, loss=loss, validation=numbers["score"])
    ended = REASONS[int(numbers["stopped"])]
    if numbers["stopped"]:
        log.info("stopped at step %d: %s (best step %d)", done, ended, int(numbers["best_step"]))
    if numbers["score"] < history[0]["validation_nse"] - FLAT:
        log.warning(
            "validation NSE %.4f is below that of the best uniform celerity, %.4f",
            numbers["score"],
            history[0]["validation_nse"],
        )
    write_history(history)
    return FitResult(
        start.layout.coefficients(best),
        int(numbers["best_step"]),
        done,
        history,
        ended,
        optimiser_prior(optimiser, prior),
        overhead,
    )


def _misfit(
    found: Checkpoint, shared: Float, free: tuple[int, int], now: Identity | None = None
) -> str | None:
    """Why a checkpoint cannot belong to this fit on the input `now`; None if it can."""
    expected = {"shared": shared.shape, "free": free}
    shapes = {"shared": found.shared.shape, "free": found.pieces["free"].shape}
    for name, shape in expected.items():
        if shapes[name] != shape:
            return f"{name} of shape {shapes[name]}; expected {shape}"
    of = identity_from(found.of)
    if of is not None and now is not None:
        others = differences(of, now)
        return listed(others) if others else None
    return None


def optimiser_prior(optimiser: Optimiser, prior: Prior) -> Prior:
    """The prior at the end of a fit. Some optimisers update its scale; others keep it."""
    return optimiser.prior if isinstance(optimiser, MovesPrior) else prior
