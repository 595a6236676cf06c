"""A case with the parameter model to estimate and the pieces of the network on their workers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from rivercut.partition import Partition
from rivergrad.cluster.executor import Executor
from rivergrad.cluster.placement import Needs
from rivergrad.config.schema import Workflow
from rivergrad.inference.loss import LossSpec
from rivergrad.model.layout import FLOW, HILLSLOPE, RUNOFF, Coefficients, Layout
from rivergrad.model.physical import MEAN_FLOW
from rivergrad.model.prior import Prior
from rivergrad.model.smoothing import ties_of
from rivergrad.model.timing import TimingModel
from rivergrad.model.volume import VolumeModel, increment_areas, make_volume
from rivergrad.pieces.leastsquares import LeastSquares, covering_windows
from rivergrad.pieces.needs import piece_needs
from rivergrad.pieces.parameters import Given
from rivergrad.pieces.pieceread import piece_runoff
from rivergrad.pieces.setup import FitSetup, PieceSetup, Window
from rivergrad.pieces.simulate import targets_of
from rivergrad.pieces.sweep import Sweep
from rivergrad.routing.pieces import Piece, make_pieces
from rivergrad.run.case import Case, make_case
from rivergrad.run.flowlaw import FlowOfReaches, flow_of, mean_flow_of, rounds_of
from rivergrad.run.flowrounds import Routed, settled_rounds
from rivergrad.run.hillslope import HillslopeChoice, choose_hillslope, response_of
from rivergrad.run.inputs import Inputs
from rivergrad.run.lakes import lakes_of_inputs
from rivergrad.run.learnedrunoff import LearnedRunoff, make_learned
from rivergrad.run.modelchoice import ModelChoice, choose_model, prior_about
from rivergrad.run.periods import Periods
from rivergrad.run.screening import screen_inputs

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

KEPT_BYTES = 48
"""Of a reach and step of a window that is kept for products with the Jacobian, in double precision, about."""

RUNOFF_SHARE = 1 / 4
"""Of `compute.memory_budget`, what runoff takes on CPUs; what does not fit is read again as steps need it."""


@dataclass(frozen=True, eq=False)
class GaugedPieces:
    """The pieces on their workers, and which gauges each has.

    Attributes:
        sweep: the pieces.
        columns: gauges of each piece.
        order: (gauge,) of the pieces' gauges laid side by side, to put them in the order of the observations.
        windows: what is routed of the fit period as a least-squares problem.
    """

    sweep: Sweep
    columns: list[NDArray[np.int64]]
    order: NDArray[np.int64]
    windows: Sequence[Window]

    def split(self, values: Float) -> list[Float]:
        """Arrays (…, gauge) by piece."""
        return [np.ascontiguousarray(values[..., at]) for at in self.columns]

    def join(self, values: list[Float]) -> Float:
        """The pieces' arrays (…, gauge) as one."""
        return np.concatenate(values, axis=-1)[..., self.order]

    def discharge(self, given: Given, start: int, stop: int) -> Float:
        """Discharge at all gauges over steps start..stop of the record, from rest: (time, gauge) m³/s."""
        return self.join(self.sweep.simulate([given] * len(self.columns), start, stop))


@dataclass(frozen=True, eq=False)
class Problem:
    """What is estimated, from what, and where it is computed.

    Attributes:
        config: the workflow.
        case: observations, periods and weights.
        choice: the parameter model with its features and classes.
        hillslope: the stage before routing, where there is one.
        learned: the runoff model, where runoff is learned; its weights are among the shared coefficients.
        volume: the volume error of the runoff, timing: its delay, where they are estimated; increment_area: (reach,)
            that each lies in.
        flow: how celerity depends on flow; None where it does not.
        pieces: the pieces, ready for estimation.
        unrouted: (time, gauge) runoff upstream of each gauge summed in the same step, m³/s; NaN where none is given.
        cut, executor, engine, run_dir: partition, workers, name of the engine (not `auto`), and the run directory.
    """

    config: Workflow
    case: Case
    choice: ModelChoice
    hillslope: HillslopeChoice | None
    learned: LearnedRunoff | None
    volume: VolumeModel | None
    timing: TimingModel | None
    increment_area: NDArray[np.int64] | None
    flow: FlowOfReaches | None
    pieces: GaugedPieces
    unrouted: Float
    cut: Partition
    executor: Executor
    engine: str
    run_dir: Path

    @cached_property
    def layout(self) -> Layout:
        """All shared coefficients."""
        return layout_of(self.choice, self.hillslope, self.volume, self.timing, self.flow, self.learned)

    @property
    def sweep(self) -> Sweep:
        """The pieces of the network."""
        return self.pieces.sweep

    @property
    def n_reaches(self) -> int:
        """Reaches of the network."""
        return self.case.inputs.network.n_reaches

    def start(
        self,
        celerity: float,
        delay: float | None = None,
        spreading: float | None = None,
        exponent: float | None = None,
    ) -> Coefficients[Float]:
        """Coefficients at which every reach has a celerity (m/s), and runoff is as given or as the model starts.

        `delay` (s) is that on hillslopes, `exponent` that of flow, where they are estimated; by default they and
        `spreading` are as the workflow gives them.
        """
        spreading = self.choice.spreading if spreading is None else spreading
        start = self.choice.model.start(celerity, spreading, self.config.seed)
        others = self.layout.without(*start.layout.names)
        known: dict[str, ArrayLike] = {} if self.learned is None else {RUNOFF: self.learned.start}
        if self.hillslope is not None:
            known |= self.hillslope.model.start(delay)
        if self.flow is not None:
            law = self.flow.law
            known[FLOW] = law.start if exponent is None else law.exponent.free(exponent)
        return start.join(others.coefficients(others.fill(known)))

    def prior(self, about: Coefficients[Float]) -> Prior:
        """The Gaussian prior of all coefficients about some point, whose layout it takes."""
        volume_sd = 1.0 if self.volume is None else self.volume.sd
        network = self.case.inputs.network
        slope_sd: dict[str, float] = {}
        if self.hillslope is not None and HILLSLOPE in about:
            slope_sd = self.hillslope.model.prior_sd(float(about[HILLSLOPE]))
        law = None if self.flow is None else self.flow.law
        return prior_about(self.config.parameters, self.choice, network, about, volume_sd, slope_sd, law)

    def least_squares(self, layout: Layout) -> tuple[LeastSquares, Float]:
        """The training record as a least-squares problem.

        Args:
            layout: of the shared coefficients.

        Returns:
            The problem, and its observations (window, time, gauge) m³/s, NaN where missing or not for training.
        """
        pieces = self.pieces
        problem = LeastSquares(
            pieces.sweep, pieces.windows, self.n_reaches, layout.size, pieces.split, pieces.join
        )
        return problem, np.where(self.case.trains > 0, problem.observed(self.case.record), np.nan)

    def least_squares_error(self, problem: LeastSquares) -> Float | None:
        """(window, time, gauge) standard deviation of the observations' own error, where the file gives it."""
        given = self.case.inputs.observed_error
        return None if given is None else problem.observed(given)

    def latent(self, shared: Coefficients[Float], free: Float) -> Float:
        """(n_free, reach) arguments of the bounded curves at some coefficients and deviations."""
        choice = self.choice
        region = None if choice.regions is None else torch.from_numpy(choice.regions)
        at = shared.layout.coefficients(torch.from_numpy(shared.values))
        common = choice.model.common(at, torch.from_numpy(choice.values), region).numpy()
        if choice.lakes is not None:  # which have nothing in common
            common = np.where(choice.lakes.apart, 0.0, common)
        found: Float = common + free
        return found


def layout_of(
    choice: ModelChoice,
    hillslope: HillslopeChoice | None,
    volume: VolumeModel | None,
    timing: TimingModel | None,
    flow: FlowOfReaches | None,
    learned: LearnedRunoff | None,
) -> Layout:
    """The shared coefficients: of the parameter model, hillslopes, runoff's errors, celerity by flow, runoff model."""
    found = choice.model.layout
    slope = None if hillslope is None else hillslope.model
    law = None if flow is None else flow.law
    for more in (slope, volume, timing, law, learned):
        found = found if more is None else found.join(more.layout)
    return found


def make_problem(
    config: Workflow,
    inputs: Inputs,
    periods: Periods,
    cut: Partition,
    executor: Executor,
    engine: str,
    run_dir: Path,
) -> Problem:
    """Put the pieces on their workers, screen the observations, and get everything ready for estimation.

    Args:
        config: the workflow.
        inputs: as read; periods: of the record.
        cut: the partition.
        executor: with the workers.
        engine: name of what routes (not `auto`).
        run_dir: where screening.csv is written.

    Raises:
        InputError: whatever of the input cannot be estimated from.
    """
    reference = mean_flow_of(config, inputs, periods)
    more = {} if reference is None else {MEAN_FLOW: reference}
    choice = choose_model(config, inputs.network, lakes_of_inputs(config, inputs), more)
    routed = Routed(inputs.network, inputs.runoff, periods.fit, config.time.routing_step)
    config = settled_rounds(config, routed, choice, reference)
    flow = flow_of(config, reference, choice.regions)
    slope = choose_hillslope(config, inputs.network)
    learned = make_learned(config, inputs, periods.fit[1])
    pieces = make_pieces(inputs.network, cut)
    placed = _place(config, inputs, periods, choice, learned, pieces, executor, engine)
    placed.sweep.load()
    unrouted = np.full(inputs.observed.shape, np.nan)
    if inputs.runoff_is_given:
        unrouted = placed.discharge(Given("unrouted"), 0, periods.steps)
    screened = screen_inputs(inputs, unrouted, config, run_dir)
    loss = LossSpec.parse(config.estimate.loss, config.estimate.student_t_nu)
    case = make_case(screened, periods, loss, config.gauges.validation, config.seed)
    volume, timing, area = _runoff_errors(config, case)
    problem = Problem(
        config,
        case,
        choice,
        slope,
        learned,
        volume,
        timing,
        area,
        flow,
        placed,
        unrouted,
        cut,
        executor,
        engine,
        run_dir,
    )
    placed.sweep.prepare_fit(_fit_setups(problem, pieces))
    return problem


def with_model(problem: Problem, config: Workflow, case: Case, reference: Float | None) -> Problem:
    """The same pieces, with their runoff, for another parameter model and other observations.

    Args:
        problem: whose hillslope response and rounds of flow are those of `config`, or are not used there.
        config: the workflow with the other model.
        case: what it is estimated and judged on.
        reference: (reach,) mean flow, where the model takes it.
    """
    network = case.inputs.network
    more = {} if reference is None else {MEAN_FLOW: reference}
    choice = choose_model(config, network, problem.choice.lakes, more)
    flow = flow_of(config, reference, choice.regions)
    slope = choose_hillslope(config, network)
    volume, timing, area = _runoff_errors(config, case)
    found = replace(
        problem,
        config=config,
        case=case,
        choice=choice,
        hillslope=slope,
        volume=volume,
        timing=timing,
        increment_area=area,
        flow=flow,
    )
    found.sweep.prepare_fit(_fit_setups(found, found.sweep.placed.pieces))
    return found


def _place(
    config: Workflow,
    inputs: Inputs,
    periods: Periods,
    choice: ModelChoice,
    learned: LearnedRunoff | None,
    pieces: Sequence[Piece],
    executor: Executor,
    engine: str,
) -> GaugedPieces:
    mine, order = targets_of(tuple(pieces), inputs.observations.reach, inputs.network.n_reaches)
    gauges = np.argsort(order)  # gauge of each column of the pieces' results laid side by side
    columns = np.split(gauges, np.cumsum([local.size for local in mine])[:-1])
    compute, by_reach = config.compute, _by_reach(config) or learned is not None
    setups = []
    for piece, local in zip(pieces, mine, strict=True):
        read, grid = None, None
        if inputs.runoff_is_given:
            read, grid = piece_runoff(inputs.runoff, piece, "closure" if by_reach else engine, compute.dtype)
        setups.append(
            PieceSetup(
                piece=piece,
                scheme=choice.model.scheme,
                forcing_step=inputs.runoff.step,
                routing_step=config.time.routing_step,
                targets=local,
                steps=inputs.runoff.time.size,
                read=read,
                dtype=compute.dtype,
                device=compute.device,
                threads=compute.threads_per_worker,
                memory=compute.memory_budget,
                engine=engine,
                grid=grid,
                hillslope=response_of(config),
                report=inputs.report,
                rounds=rounds_of(config),
            )
        )
    if learned is None:
        setups = _with_room(setups, max(1, compute.workers) * compute.memory_budget)
    first, last = periods.fit
    length = min(max(1, round(config.estimate.window / inputs.runoff.step)), last - first)
    width = max(max(piece.reaches.size for piece in pieces), 1)
    windows = covering_windows(
        periods.fit, periods.warmup, length, int(compute.memory_budget // (KEPT_BYTES * width))
    )
    forcings = 0 if learned is None else max(1, len(learned.spec.forcings))
    errors = inputs.observed_error is not None
    needs = [
        _needs(config, setup, choice, periods.warmup + length, windows, forcings, errors) for setup in setups
    ]
    return GaugedPieces(Sweep(executor, setups, needs), columns, order, windows)


def _with_room(setups: Sequence[PieceSetup], memory: int) -> list[PieceSetup]:
    """Set-ups in which runoff takes `RUNOFF_SHARE` of the memory of all workers, each piece as much as it is large."""
    columns = max(1, sum(setup.columns for setup in setups))
    return [replace(setup, room=int(RUNOFF_SHARE * memory * setup.columns / columns)) for setup in setups]


def _needs(
    config: Workflow,
    setup: PieceSetup,
    choice: ModelChoice,
    steps: int,
    windows: Sequence[Window],
    forcings: int,
    errors: bool,
) -> Needs:
    """What a piece will take of its worker's memory; `steps` are those of a window with its warm-up."""
    estimate = config.estimate
    by_adam = not estimate.least_squares or forcings > 0  # whose last stage is by Gauss-Newton
    squares = not by_adam or forcings > 0 or config.uncertainty.enabled
    return piece_needs(
        setup,
        choice.model,
        stepped=(estimate.windows_per_step, steps) if by_adam else (0, 0),
        linearised=windows if squares else (),
        forcings=forcings,
        errors=errors,
    )


def _by_reach(config: Workflow) -> bool:
    """Whether runoff is corrected reach by reach."""
    return config.parameters.nuisance is not None or config.parameters.timing is not None


def _runoff_errors(
    config: Workflow, case: Case
) -> tuple[VolumeModel | None, TimingModel | None, NDArray[np.int64] | None]:
    """The models of the runoff's errors in volume and time, and the increment area (reach,) of each reach."""
    if not _by_reach(config):
        return None, None, None
    section, late, step = config.parameters.nuisance, config.parameters.timing, case.inputs.runoff.step
    gauges = np.flatnonzero(case.trains > 0)
    area = increment_areas(case.inputs.network, case.inputs.observations.reach[gauges])
    volume = None
    if section is not None:
        volume = make_volume(gauges.size, *case.periods.fit, section.knots / step, section.sd)
        log.info("runoff error: %d increment areas with %d knots", gauges.size, volume.knots)
    return volume, None if late is None else TimingModel(gauges.size, late.sd / step), area


def _fit_setups(problem: Problem, pieces: Sequence[Piece]) -> list[FitSetup]:
    config, case, choice = problem.config, problem.case, problem.choice
    network = case.inputs.network
    error = case.inputs.observed_error
    error = None if error is None else error.astype(np.float32)
    observed = case.record.astype(np.float32)
    regions, area, learned = choice.regions, problem.increment_area, problem.learned
    slope = problem.hillslope
    return [
        FitSetup(
            model=choice.model,
            layout=problem.layout,
            features=choice.values[piece.reaches],
            length=np.array(network.length)[piece.reaches],
            observed=np.ascontiguousarray(observed[:, at]),
            loss=case.loss,
            statistics=case.statistics.select(at),
            shrinkage=config.parameters.shrinkage / network.n_reaches,
            rate=config.estimate.learning_rate,
            error=None if error is None else np.ascontiguousarray(error[:, at]),
            region=None if regions is None else regions[piece.reaches],
            volume=problem.volume,
            timing=problem.timing,
            area=None if area is None else area[piece.reaches],
            smoothing=config.parameters.smoothing * config.parameters.shrinkage / network.n_reaches,
            runoff=None if learned is None else learned.setup(piece.reaches),
            flow=None if problem.flow is None else problem.flow.law,
            reference_flow=None if problem.flow is None else problem.flow.reference[piece.reaches],
            lakes=None if choice.lakes is None else choice.lakes.select(piece.reaches),
            ties=None if choice.lakes is None else ties_of(piece, pieces, choice.lakes.apart),
            hillslope=None if slope is None else slope.model,
            hillslope_features=None if slope is None else slope.values[piece.reaches],
            hillslope_region=None if slope is None or slope.regions is None else slope.regions[piece.reaches],
        )
        for piece, at in zip(pieces, problem.pieces.columns, strict=True)
    ]
