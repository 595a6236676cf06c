"""The estimation: optimiser steps over windows of time, early stopping, checkpoints."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rivergrad.distributed.sweep import Sweep
from rivergrad.estimate.adam import Adam
from rivergrad.workflow.checkpoint import Checkpoint, read_newest
from rivergrad.workflow.periods import Periods
from rivergrad.workflow.progress import Progress
from rivergrad.workflow.sections import EstimateSection

log = logging.getLogger("rivergrad")

PROGRESS = 1e-5
"""A validation score has to rise by this much to count as progress."""


@dataclass(frozen=True)
class FitResult:
    """Shared coefficients at the best step (the best deviations are in the pieces), and how it got there."""

    shared: NDArray[np.float64]
    best_step: int
    steps: int
    history: list[dict[str, float]]


def draw_windows(
    seed: int, step: int, periods: Periods, length: int, count: int
) -> list[tuple[int, int, int]]:
    """The windows of a step: (start of the warm-up, first step that counts, end). A pure function of (seed, step)."""
    first, last = periods.fit
    length = min(length, last - first)
    rng = np.random.default_rng([seed, 303, step])
    starts = rng.integers(first, last - length, size=count, endpoint=True)
    return [(int(s) - periods.warmup, int(s), int(s) + length) for s in starts]


def fit(
    sweep: Sweep,
    start: NDArray[np.float64],
    settings: EstimateSection,
    periods: Periods,
    *,
    seed: int,
    forcing_step: float,
    n_reaches: int,
    validate: Callable[[NDArray[np.float64]], float],
    folder: Path,
    write_history: Callable[[Sequence[dict[str, float]]], None],
) -> FitResult:
    """Estimate, from the newest checkpoint in `folder` if there is one.

    Args:
        sweep: the pieces, ready for estimation.
        start: shared coefficients to begin with.
        settings: the workflow's section.
        periods: of the record.
        validate: score of given shared coefficients (with the pieces' present deviations); higher is better.
        folder: for checkpoints.
        write_history: called with all rows so far.
    """
    length = max(1, round(settings.window / forcing_step))
    adam = Adam.zeros(start.shape)
    shared, best = start.copy(), start.copy()
    numbers = {"score": -np.inf, "best_step": 0.0, "stale": 0.0, "stopped": 0.0}
    history: list[dict[str, float]] = []
    done = 0
    found = read_newest(folder)
    if found is not None:
        log.info("going on from the checkpoint of step %d", found.step)
        sweep.restore(found.pieces, found.step)
        adam = Adam(*found.adam, found.step)
        shared, best, numbers, history, done = (
            found.shared, found.shared_best, found.numbers, found.history, found.step,
        )  # fmt: skip
    else:
        numbers["score"] = validate(shared)
        history.append({"step": 0, "loss": float("nan"), "validation_nse": numbers["score"], "seconds": 0.0})
        log.info("step 0 (best uniform): validation NSE %.4f", numbers["score"])

    def checkpoint() -> None:
        Checkpoint(
            step=done,
            shared=shared,
            shared_best=best,
            adam=(adam.mean, adam.square),
            pieces=sweep.collect(n_reaches),
            numbers=numbers,
            history=history,
        ).write(folder)
        write_history(history)

    began, before = time.perf_counter(), history[-1]["seconds"] if history else 0.0
    with Progress(settings.steps, "estimate", start=done) as progress:
        while done < settings.steps and not numbers["stopped"]:
            windows = draw_windows(seed, done, periods, length, settings.windows_per_step)
            results = sweep.step(shared, windows)
            loss = sum(result["loss"] for result in results)
            gradient = np.sum([result["shared"] for result in results], axis=0)
            shared = shared + adam.update(gradient, settings.learning_rate)
            done += 1
            row = {
                "step": done,
                "loss": loss,
                "validation_nse": float("nan"),
                "seconds": before + time.perf_counter() - began,
            }
            if done % settings.evaluate_every == 0 or done == settings.steps:
                score = validate(shared)
                row["validation_nse"] = score
                if score > numbers["score"] + PROGRESS:
                    numbers.update(score=score, best_step=float(done), stale=0.0)
                    best = shared.copy()
                    sweep.keep_best()
                else:
                    numbers["stale"] += 1
                    numbers["stopped"] = float(numbers["stale"] >= settings.patience)
                log.info("step %d: loss %.5f, validation NSE %.4f", done, loss, score)
            history.append(row)
            if done % settings.checkpoint_every == 0 or done == settings.steps or numbers["stopped"]:
                checkpoint()
            progress.update(done, loss=loss, validation=numbers["score"])
    if numbers["stopped"]:
        log.info("stopped at step %d: no progress in %d looks", done, settings.patience)
    write_history(history)
    return FitResult(best, int(numbers["best_step"]), done, history)
