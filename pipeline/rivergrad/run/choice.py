"""The choice of `parameters.model: auto`: models of a ladder scored by cross-validation within the training data.

A fold leaves out a third of the training gauges everywhere and a third of the time at all of them; with few gauges it
leaves out time alone. A model is scored in the cells that its fold left out. All folds and models share one set-up: the
same pieces with their runoff, and for models without anything that varies over reaches the same routed parameters.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivergrad.config.load import load_workflow
from rivergrad.config.schema import Workflow
from rivergrad.errors import InputError
from rivergrad.gauges.holdout import deal_folds
from rivergrad.gauges.scores import middle_mean
from rivergrad.gauges.standarderror import FEW_GAUGES, Standing, simplest, standings
from rivergrad.model.physical import PHYSICAL
from rivergrad.run.baselines import Tried, Uniform, find_best
from rivergrad.run.case import Case, make_case
from rivergrad.run.evaluation import best_level, choices_of, estimated, start_of, uniform_given
from rivergrad.run.fit import fit
from rivergrad.run.flowlaw import mean_flow_of
from rivergrad.run.inputs import Inputs
from rivergrad.run.ladder import (
    AUTO,
    Extras,
    Rung,
    extras_of,
    resolved_by,
    simplicity,
    uniform_rungs,
    variations,
    varied_rungs,
    widest,
)
from rivergrad.run.problem import Problem, with_model
from rivergrad.run.training import Training
from rivergrad.rundir.contents import CHOICE, CONFIG
from rivergrad.rundir.identity import Identity, mark_of, seal, unsealed
from rivergrad.rundir.record import write_json

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

FOLDS = 3
BLOCKS = 5
"""Blocks of time that scores are counted in, in each stretch that a fold leaves out."""


@dataclass(frozen=True)
class Choice:
    """What was chosen, and from what.

    Attributes:
        rungs: of the ladder, the simplest first; standings: how each stands.
        chosen: which of them.
        gauges: training gauges that were scored.
    """

    rungs: Sequence[Rung]
    standings: Sequence[Standing]
    chosen: int
    gauges: int

    @property
    def rung(self) -> Rung:
        """What was chosen."""
        return self.rungs[self.chosen]

    def text(self) -> str:
        """What was chosen and why, in a sentence or two."""
        mine = self.standings[self.chosen]
        at = max(range(len(self.rungs)), key=lambda one: self.standings[one].score)
        where = f"{self.gauges} training gauges" if self.gauges > 1 else "the training gauge"
        begin = f"Model chosen by cross-validation at {where}: {self.rung.name}, NSE {mine.score:.3f}"
        if at == self.chosen:
            return f"{begin}, the best of {len(self.rungs)}."
        return (
            f"{begin}. The best of {len(self.rungs)}, {self.rungs[at].name}, has {self.standings[at].score:.3f}: the "
            f"difference of {mine.behind:.3f} is within one standard error, {mine.error:.3f}, and the simpler is taken."
        )

    def as_dict(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        table = [
            {
                "name": rung.name,
                **rung.as_dict(),
                "nse": round(one.score, 6),
                "behind": round(one.behind, 6),
                "standard_error": round(one.error, 6),
                "as_good": one.as_good,
            }
            for rung, one in zip(self.rungs, self.standings, strict=True)
        ]
        chosen = {"chosen": self.rung.name, "gauges": self.gauges, "folds": FOLDS, "text": self.text()}
        return {**chosen, "rungs": table}


def kept_choice(problem: Problem, config: Workflow, run_dir: Path) -> Mapping[str, Any]:
    """The choice of a run, made now and written, or as it was written: a resumed run goes on with that one.

    Args:
        problem: of `widest`; config: the workflow with the model `auto`.
        run_dir: where choice.json is.
    """
    found = choose(problem, config).as_dict()
    of = None if problem.case.inputs.identity is None else mark_of(problem.case.inputs.identity)
    write_json(run_dir / CHOICE, seal({**found, "of": of}))
    return found


def written_choice(run_dir: Path, identity: Identity | None = None) -> Mapping[str, Any] | None:
    """The choice as choice.json has it; None where it is not there, damaged, or of another input."""
    found = unsealed(run_dir / CHOICE)
    if found is None:
        return None
    of = found.pop("of", None)
    if identity is not None and of not in (None, mark_of(identity)):
        return None
    return found


def resolved(config: Workflow, choice: Mapping[str, Any] | None) -> Workflow:
    """The workflow with the model that was chosen; as it is where its model is not `auto`, or nothing was chosen."""
    if config.parameters.model != AUTO or choice is None:
        return config
    row = next(one for one in choice["rungs"] if one["name"] == choice["chosen"])
    return resolved_by(config, Rung.of(row))


def workflow_of(run_dir: Path) -> Workflow:
    """The workflow of a run directory, with the model that was chosen where its model is `auto`."""
    return resolved(load_workflow(run_dir / CONFIG), written_choice(run_dir))


def widest_of(config: Workflow, inputs: Inputs, lakes: bool) -> Workflow:
    """The workflow that all models of the ladder are routed in."""
    return widest(config, extras_of(config, inputs.network, lakes))


@dataclass(frozen=True, eq=False)
class Fold:
    """What a fold leaves out.

    Attributes:
        case: to fit; left: (gauge, block) the cells that it is scored in; blocks: (block,) left out everywhere.
    """

    case: Case
    left: NDArray[np.bool_]
    blocks: NDArray[np.bool_]


@dataclass(eq=False)
class Trial:
    """A ladder being climbed.

    Attributes:
        problem: of `widest`, with all training data; config: the workflow; extras: of its ladder.
        folds: of the training data; edges: of the blocks, in steps of the record that may have observations.
        observed: (time, gauge) of those steps; steps: where they are.
        spread: (gauge, block) sum of squares about the gauge's mean.
        routed: (gauge, block) squared errors of parameters that all reaches share.
        tried: of each uniform rung and fold, what its search tried.
    """

    problem: Problem
    config: Workflow
    extras: Extras
    folds: list[Fold]
    edges: NDArray[np.int64]
    steps: slice
    observed: Float
    spread: Float
    reference: Float | None
    routed: dict[Uniform, Float] = field(default_factory=dict)
    tried: dict[tuple[str, int], Tried] = field(default_factory=dict)


def choose(problem: Problem, config: Workflow) -> Choice:
    """Climb the ladder: score its rungs, and take the simplest that is as good as the best."""
    trial = make_trial(problem, config)
    rungs = uniform_rungs(trial.extras)
    errors = {rung: uniform_errors(trial, rung) for rung in rungs}
    base = rungs[_best(trial, errors)]
    varied = varied_rungs(config, trial.extras, base)
    errors |= {rung: fitted_errors(trial, rung) for rung in varied}
    here = {rung: errors[rung] for rung in varied}
    more = variations(config, trial.extras, varied[_best(trial, here)])
    errors |= {rung: fitted_errors(trial, rung) for rung in more if rung not in errors}
    rungs = sorted(errors, key=simplicity)
    stand = standings([errors[rung] for rung in rungs], trial.spread, config.seed)
    found = Choice(rungs, stand, simplest(stand), int((trial.problem.case.trains > 0).sum()))
    for rung, one in zip(rungs, stand, strict=True):
        log.info(
            "model %s: NSE %.4f, %.4f behind the best (%.4f)", rung.name, one.score, one.behind, one.error
        )
    log.info("%s", found.text())
    return found


def _best(trial: Trial, errors: Mapping[Rung, Float]) -> int:
    found = standings(list(errors.values()), trial.spread, trial.config.seed)
    return int(np.argmax([one.score for one in found]))


def make_trial(problem: Problem, config: Workflow) -> Trial:
    """Deal the training data out to folds."""
    case = problem.case
    inputs, periods = case.inputs, case.periods
    extras = extras_of(config, inputs.network, problem.choice.lakes is not None)
    start, stop = max(periods.train[0], periods.warmup), periods.train[1]
    steps = inputs.compared(start, stop)
    observed = np.where(case.trains > 0, inputs.observed, np.nan)[steps]
    edges = np.linspace(0, len(observed), FOLDS * BLOCKS + 1).round().astype(np.int64)
    spread = (observed - _means(observed)) ** 2
    reference = mean_flow_of(_with_mean_flow(problem.config, extras), inputs, periods)
    folds = deal(problem, config, steps, edges)
    return Trial(problem, config, extras, folds, edges, steps, observed, by_block(spread, edges), reference)


def _with_mean_flow(config: Workflow, extras: Extras) -> Workflow:
    needs = {"trend": extras.trend, "prior": PHYSICAL if extras.prior else "none"}
    return config.model_copy(update={"parameters": config.parameters.model_copy(update=needs)})


def _means(observed: Float) -> Float:
    count = np.maximum((~np.isnan(observed)).sum(axis=0), 1)
    found: Float = np.nansum(observed, axis=0) / count
    return found


def by_block(values: Float, edges: NDArray[np.int64]) -> Float:
    """Sums (gauge, block) of values (time, gauge) over blocks of time; NaN where a block has none."""
    parts = [values[a:b] for a, b in pairwise(edges)]
    found = [np.where(np.isnan(one).all(axis=0), np.nan, np.nansum(one, axis=0)) for one in parts]
    return np.stack(found, axis=1)


def deal(problem: Problem, config: Workflow, steps: slice, edges: NDArray[np.int64]) -> list[Fold]:
    """The folds: gauges and time that each leaves out, and the case that is left."""
    case = problem.case
    inputs, trains = case.inputs, case.trains > 0
    count = trains.size
    basin = inputs.network.basin[inputs.observations.reach]
    group = basin if config.gauges.holdout_by == "basin" else np.arange(count)
    by_gauge = int(trains.sum()) >= FEW_GAUGES and np.unique(group[trains]).size >= FOLDS
    fold_of = deal_folds(group, ~trains, FOLDS, config.seed) if by_gauge else np.zeros(count, np.int64)
    found = []
    for k in range(FOLDS):
        gauges = fold_of == k + 1
        blocks = np.arange(FOLDS * BLOCKS) // BLOCKS == k
        left = np.repeat(gauges[:, None], blocks.size, axis=1) if by_gauge else trains[:, None] & blocks
        observed = inputs.observed.copy()
        observed[:, gauges] = np.nan
        time = np.arange(len(observed))[steps]
        first, last = edges[k * BLOCKS], edges[(k + 1) * BLOCKS]
        observed[time[first:last]] = np.nan
        part = replace(inputs, observed=observed, held_out=inputs.held_out | gauges)
        try:
            here = make_case(part, case.periods, case.loss, config.gauges.validation, config.seed)
        except InputError as error:  # too little is left to train on
            log.info("fold %d of %d is left out: %s", k + 1, FOLDS, error)
            continue
        found.append(Fold(here, left, blocks))
    return found


def _errors(trial: Trial, discharge: Float) -> Float:
    """(gauge, block) squared errors of discharge (time of the record, gauge)."""
    return by_block((discharge[trial.steps] - trial.observed) ** 2, trial.edges)


def uniform_errors(trial: Trial, rung: Rung) -> Float:
    """(gauge, block) squared errors of a uniform rung in the cells that each fold left out.

    The parameters of a fold are those with the best NSE at what it did not leave out, as for the baseline.
    """
    found = np.full(trial.spread.shape, np.nan)
    for k, fold in enumerate(trial.folds):
        best = search(trial, rung, k).best()
        found = np.where(fold.left, routed(trial, best), found)
    return found


def search(trial: Trial, rung: Rung, k: int) -> Tried:
    """What the search of a uniform rung tried in a fold; what another one has routed is not routed again."""
    key = rung.name, k
    if key in trial.tried:
        return trial.tried[key]
    fold = trial.folds[k]
    seen = (fold.case.trains > 0)[:, None] & ~fold.blocks

    def loss(one: Uniform) -> float:
        lost = np.where(seen, routed(trial, one), np.nan)
        all_of_it = np.nansum(np.where(np.isnan(lost), np.nan, trial.spread), axis=1)
        known = all_of_it > 0
        return 1 - float(middle_mean(1 - np.nansum(lost, axis=1)[known] / all_of_it[known]))

    choices = choices_of(trial.problem)
    choices = replace(
        choices,
        delays=choices.delays if rung.stage else (),
        exponents=choices.exponents if rung.flow else (),
    )
    trial.tried[key] = find_best(loss, choices)
    return trial.tried[key]


def routed(trial: Trial, one: Uniform) -> Float:
    """(gauge, block) squared errors of parameters that all reaches share."""
    if one not in trial.routed:
        given, stop = uniform_given(trial.problem, one), trial.problem.case.periods.train[1]
        trial.routed[one] = _errors(trial, trial.problem.pieces.discharge(given, 0, stop))
    return trial.routed[one]


def fitted_errors(trial: Trial, rung: Rung) -> Float:
    """(gauge, block) squared errors of a rung that is fitted, in the cells that each fold left out."""
    config = resolved_by(trial.config, rung)
    found = np.full(trial.spread.shape, np.nan)
    base = Rung("uniform", stage=rung.stage, flow=rung.flow)
    starts = [search(trial, base, k) for k in range(len(trial.folds))]  # before the pieces are for this rung
    for k, fold in enumerate(trial.folds):
        log.info("model %s without fold %d of %d", rung.name, k + 1, len(trial.folds))
        work = with_model(trial.problem, config, fold.case, trial.reference)
        first = start_of(work, starts[k])
        if work.choice.physical is not None:
            first = replace(first, celerity=best_level(work, first))
        start = work.start(first.celerity, first.delay)
        result = fit(
            work,
            Training(config.estimate),
            start,
            work.prior(start),
            folder=None,
            write_history=lambda _: None,
        )
        stop = work.case.periods.train[1]
        discharge = work.pieces.discharge(estimated(work, result.shared), 0, stop)
        found = np.where(fold.left, _errors(trial, discharge), found)
    # what is routed next is the widest again
    with_model(trial.problem, trial.problem.config, trial.problem.case, trial.reference)
    return found
