"""The pieces of a workflow at work: set up, judged, fitted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rivercut.partition import Partition
from rivergrad.cluster.executor import Executor
from rivergrad.cluster.placement import Needs
from rivergrad.config.schema import Workflow
from rivergrad.config.sections import StageSection as Stage
from rivergrad.errors import InputError
from rivergrad.gauges.screening import ScreeningSettings
from rivergrad.inference.loss import LossSpec, gauge_loss, gauge_statistics, values_needed
from rivergrad.model.layout import RUNOFF, Coefficients, Layout
from rivergrad.model.volume import VolumeModel, increment_areas, make_volume
from rivergrad.pieces.leastsquares import LeastSquares, covering_windows
from rivergrad.pieces.needs import piece_needs
from rivergrad.pieces.parameters import Given
from rivergrad.pieces.setup import FitSetup, PieceSetup
from rivergrad.pieces.simulate import piece_runoff, targets_of
from rivergrad.pieces.sweep import Sweep
from rivergrad.routing.pieces import make_pieces
from rivergrad.run.baselines import best_uniform
from rivergrad.run.fit import FitResult, fit
from rivergrad.run.inputs import Inputs
from rivergrad.run.learnedrunoff import make_learned
from rivergrad.run.modelchoice import make_model, prior_of, reach_regions
from rivergrad.run.periods import Periods
from rivergrad.run.screening import screen_inputs

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

MIN_DEVIATION = ScreeningSettings.least_deviation
"""A gauge whose observed discharge varies by less (standard deviation, m³/s) is a flat line: nothing to learn from."""
KEPT_BYTES = 48
"""Of a reach and step of a window that is kept for products with the Jacobian, in double precision, about."""


@dataclass
class Estimation:
    """A workflow's pieces on an executor.

    Attributes:
        inputs: gauges and values that `gauges.screening` finds wrong are left out of them.
        engine: what routes, by its name (not `auto`).
        run_dir: where screening.csv goes.
        spreading: where it starts, and stays in the baselines.
        unrouted: (time, gauge) runoff upstream of each gauge summed in the same step, m³/s; NaN while there is none.
        learned: the runoff model, where runoff is learned; its weights are among the shared coefficients.
        stage: what is trained at present, where runoff is learned.
        base: weights of the runoff model that the baselines take their runoff from, where none is given.
        judges: (gauge,) those that decide when to stop and do not train, if any.
        trains: (gauge,) weight of each gauge that trains, all together 1; 0 for the others.
        volume: the volume error of the runoff, where it is estimated; increment_area: (reach,) that each lies in.
    """

    config: Workflow
    inputs: Inputs
    periods: Periods
    cut: Partition
    executor: Executor
    engine: str
    run_dir: Path

    def __post_init__(self) -> None:
        config, inputs = self.config, self.inputs
        network = inputs.network
        assert network.length is not None
        self.features, self.regions = reach_regions(config, network)
        self.model, self.spreading = make_model(config, self.features, self.regions)
        self.learned = make_learned(config, inputs, self.periods.fit[1])
        self.stage: Stage | None = None
        self.base: Float | None = None
        self.pieces = make_pieces(network, self.cut)
        mine, self._order = targets_of(self.pieces, inputs.observations.reach, network.n_reaches)
        gauges = np.argsort(self._order)  # gauge of each column of the pieces' results laid side by side
        self._columns = np.split(gauges, np.cumsum([local.size for local in mine])[:-1])
        compute = config.compute
        setups = []
        for piece, local in zip(self.pieces, mine, strict=True):
            read, grid = None, None
            if inputs.runoff_is_given:
                by_reach = config.parameters.nuisance is not None or self.learned is not None
                read, grid = piece_runoff(inputs.runoff, piece, "closure" if by_reach else self.engine)
            setups.append(
                PieceSetup(
                    piece=piece,
                    scheme=self.model.scheme,
                    forcing_step=inputs.runoff.step,
                    routing_step=config.time.routing_step,
                    targets=local,
                    steps=inputs.runoff.time.size,
                    read=read,
                    dtype=compute.dtype,
                    device=compute.device,
                    threads=compute.threads_per_worker,
                    memory=compute.memory_budget,
                    engine=self.engine,
                    grid=grid,
                )
            )
        self.sweep = Sweep(self.executor, setups, [self._needs(setup) for setup in setups])
        self.sweep.load()
        if inputs.runoff_is_given:
            self.unrouted = self.discharge(Given("unrouted"))
        else:
            self.unrouted = np.full(inputs.observed.shape, np.nan)
        self.inputs = screen_inputs(inputs, self.unrouted, config, self.run_dir)
        self._prepare()

    def _needs(self, setup: PieceSetup) -> Needs:
        """What a piece will take of its worker's memory."""
        estimate = self.config.estimate
        by_adam = estimate.method == "adam" or self.learned is not None  # whose last stage is by Gauss-Newton
        squares = not by_adam or self.learned is not None or self.config.uncertainty.enabled
        return piece_needs(
            setup,
            self.model,
            stepped=(estimate.windows_per_step, self.periods.warmup + self._window()) if by_adam else (0, 0),
            linearised=self._windows() if squares else (),
            forcings=0 if self.learned is None else max(1, len(self.learned.spec.forcings)),
            errors=self.inputs.observed_error is not None,
        )

    def _window(self) -> int:
        """Forcing steps of a window that count."""
        first, last = self.periods.fit
        return min(max(1, round(self.config.estimate.window / self.inputs.runoff.step)), last - first)

    def _windows(self) -> list[tuple[int, int, int]]:
        """What is routed of the training record as a least-squares problem."""
        width = max(max(piece.reaches.size for piece in self.pieces), 1)
        most = int(self.config.compute.memory_budget // (KEPT_BYTES * width))
        return covering_windows(self.periods.fit, self.periods.warmup, self._window(), most)

    def _prepare(self) -> None:
        """What the pieces need for estimation."""
        config, network = self.config, self.inputs.network
        assert network.length is not None
        self.record = np.where(self._in_fit()[:, None], self.inputs.observed, np.nan)
        self.trains = self._training_weights()
        self.statistics = gauge_statistics(self.record, self.trains, self.inputs.observed_error)
        error = None if self.inputs.observed_error is None else self.inputs.observed_error.astype(np.float32)
        self.loss = LossSpec.parse(config.estimate.loss, config.estimate.student_t_nu)
        area = self.increment_area = self._volume()
        features = self.feature_values
        observed = self.record.astype(np.float32)
        self.sweep.prepare_fit(
            [
                FitSetup(
                    model=self.model,
                    layout=self.layout,
                    features=features[piece.reaches],
                    length=np.array(network.length[piece.reaches]),
                    observed=np.ascontiguousarray(observed[:, at]),
                    loss=self.loss,
                    statistics=self.statistics.select(at),
                    shrinkage=config.parameters.shrinkage / network.n_reaches,
                    rate=config.estimate.learning_rate,
                    error=None if error is None else np.ascontiguousarray(error[:, at]),
                    region=None if self.regions is None else self.regions[piece.reaches],
                    volume=self.volume,
                    area=None if area is None else area[piece.reaches],
                    smoothing=config.parameters.smoothing * config.parameters.shrinkage / network.n_reaches,
                    runoff=None if self.learned is None else self.learned.setup(piece.reaches),
                )
                for piece, at in zip(self.pieces, self._columns, strict=True)
            ]
        )

    @property
    def layout(self) -> Layout:
        """The shared coefficients: those of the parameter model, of the volume error, of the runoff model."""
        found = self.model.layout
        for more in (self.volume, self.learned):
            found = found if more is None else found.join(more.layout)
        return found

    def rates(self) -> tuple[Float, Float, float] | None:
        """How each coefficient moves in the stage at present; None where all move alike.

        Returns:
            (coefficient,) learning rates as multiples of `estimate.learning_rate`, 0 for what is frozen;
            (coefficient,) weight decay per unit of learning rate; and that multiple for the deviations.
        """
        if self.learned is None or self.stage is None or self.config.runoff is None:
            return None
        section, train = self.config.runoff, self.stage.train
        routing = float("routing" in train)
        weights = section.learning_rate / self.config.estimate.learning_rate if "runoff" in train else 0.0
        scale = self.layout.fill({RUNOFF: weights}, default=routing)
        decay = self.layout.fill({RUNOFF: section.weight_decay * self.learned.decays})
        return scale, decay, routing

    def begin(self, stage: Stage, shared: Coefficients[Float]) -> None:
        """From now on this is what is trained, beginning at these shared coefficients."""
        self.stage = stage
        frozen = None if "runoff" in stage.train else shared.get(RUNOFF)
        self.sweep.begin_stage(self.layout, not stage.unrouted, frozen)

    @cached_property
    def feature_values(self) -> Float:
        """(reach, feature), standardised."""
        network = self.inputs.network
        return self.features.apply(network.attributes, network.n_reaches)

    def latent(self, shared: Coefficients[Float], free: Float) -> Float:
        """(n_free, reach) what the bounded curves take, at some coefficients and deviations."""
        region = None if self.regions is None else torch.from_numpy(self.regions)
        at = shared.layout.coefficients(torch.from_numpy(shared.values))
        common = self.model.common(at, torch.from_numpy(self.feature_values), region)
        found: Float = common.numpy() + free
        return found

    def _volume(self) -> NDArray[np.int64] | None:
        """The model of the runoff's volume error, and the increment area of each reach."""
        self.volume: VolumeModel | None = None
        section = self.config.parameters.nuisance
        if section is None:
            return None
        gauges = np.flatnonzero(self.trains > 0)
        area = increment_areas(self.inputs.network, self.inputs.observations.reach[gauges])
        spacing = section.knots / self.inputs.runoff.step
        self.volume = make_volume(gauges.size, *self.periods.fit, spacing, section.sd)
        log.info("runoff error: %d increment areas with %d knots", gauges.size, self.volume.knots)
        return area

    def split(self, values: Float) -> list[Float]:
        """Arrays (…, gauge) by piece."""
        return [np.ascontiguousarray(values[..., at]) for at in self._columns]

    def join(self, values: list[Float]) -> Float:
        """The pieces' arrays (…, gauge) as one."""
        return np.concatenate(values, axis=-1)[..., self._order]

    def _in_fit(self) -> NDArray[np.bool_]:
        steps = np.arange(self.periods.steps)
        return (steps >= self.periods.fit[0]) & (steps < self.periods.fit[1])

    def _training_weights(self) -> Float:
        inputs = self.inputs
        count = (~np.isnan(self.record)).sum(axis=0)
        mean = np.nansum(self.record, axis=0) / np.maximum(count, 1)
        variance = np.nansum((self.record - mean) ** 2, axis=0) / np.maximum(count, 1)
        enough = values_needed(self.periods.fit[1] - self.periods.fit[0])
        able = (count >= enough) & (variance > MIN_DEVIATION**2) & ~inputs.held_out
        self.judges = self._draw_judges(able)
        trains = able & ~self.judges
        if not trains.any():
            raise InputError(
                f"{inputs.observations.path}: no training gauge has {enough} different values within "
                f"{self.periods.fit[1] - self.periods.fit[0]} steps of time.train; expected at least one that has"
            )
        dropped = inputs.observations.gauge[~able & ~inputs.held_out]
        if dropped.size:
            log.warning(
                "%d gauges have too few different values to train on: %s",
                dropped.size,
                ", ".join(dropped[:5]),
            )
        weight = np.where(trains, 1.0 if inputs.weight is None else inputs.weight, 0.0)
        if not weight.any():
            raise InputError(
                f"{inputs.observations.path}: every training gauge has the weight 0; expected one above it"
            )
        return weight / weight.sum()

    def _draw_judges(self, able: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(gauge,) those that decide when to stop and do not train, where `gauges.validation` asks for some."""
        judges = np.zeros(able.size, bool)
        share = self.config.gauges.validation
        if share:
            there = np.flatnonzero(able)
            count = min(max(1, round(share * there.size)), there.size - 1)
            judges[np.random.default_rng([self.config.seed, 105]).permutation(there)[:count]] = True
            log.info("validation by %d gauges that do not train", count)
        return judges

    def discharge(self, given: Callable[[], Given] | Given, start: int = 0, stop: int | None = None) -> Float:
        """Discharge at all gauges over steps start..stop of the record, from rest: (time, gauge)."""
        stop = self.periods.steps if stop is None else stop
        one = given() if callable(given) else given
        parts = self.sweep.simulate([one] * len(self.pieces), start, stop)
        return np.concatenate(parts, axis=1)[:, self._order]

    def uniform(self, celerity: float) -> Given:
        """The same celerity everywhere, and the spreading the estimate starts from."""
        return Given("uniform", celerity=celerity, spreading=self.spreading, runoff=self.base)

    def training_loss(self, given: Given) -> float:
        """The loss on the whole fit period: what the uniform celerity is chosen by."""
        first, last = self.periods.fit
        discharge, error = self.discharge(given, 0, last)[first:], self.inputs.observed_error
        each = gauge_loss(
            self.loss,
            torch.from_numpy(discharge)[None],
            torch.from_numpy(self.record[first:last])[None],
            self.statistics,
            None if error is None else torch.from_numpy(error[first:last])[None],
        )
        return float(each.sum())

    def find_uniform(self) -> float:
        """The best single celerity on the training data, m/s."""
        return best_uniform(
            lambda celerity: self.training_loss(self.uniform(celerity)),
            self.config.parameters.celerity.bounds,
            self.config.estimate.uniform_grid,
        )

    def estimated(self, shared: Coefficients[Float], best: bool = True) -> Given:
        """The estimate, at its best or present deviations, with runoff as it is given or learned."""
        if self.stage is not None and self.stage.unrouted:
            return Given("unrouted", runoff=shared.get(RUNOFF))
        section = self.config.parameters.nuisance
        predicts = section is not None and section.predict
        return Given("estimate", shared=shared.values, best=best, runoff=shared.get(RUNOFF), volume=predicts)

    def compared(self, uniform: float, shared: Coefficients[Float]) -> dict[str, Float]:
        """Discharge at all gauges over the record by the baselines and by the best estimate, (time, gauge) each."""
        if self.base is not None:
            self.unrouted = self.discharge(Given("unrouted", runoff=self.base))
        return {
            "unrouted": self.unrouted,
            "default": self.discharge(self.uniform(self.config.parameters.celerity.initial)),
            "uniform": self.discharge(self.uniform(uniform)),
            "estimate": self.discharge(self.estimated(shared)),
        }

    def validation(self, shared: Coefficients[Float]) -> float:
        """Mean over training gauges of NSE in the validation period, each at least −1; or over `judges`, if any.

        As in the loss, errors are measured against the variance of the fit period: a short or quiet validation
        period has none of its own to speak of. Runoff is taken as it is given: what its errors were in the fit period
        says little about another one.
        """
        first, last = self.periods.validation
        given = self.estimated(shared, best=False)
        observed = self.inputs.observed[first:last]
        by = self.judges / max(1, self.judges.sum()) if self.judges.any() else self.trains
        seen = (by > 0) & ~np.isnan(observed).all(axis=0)
        if not seen.any():
            return -self.training_loss(given)
        error = np.where(np.isnan(observed), 0.0, self.discharge(given, 0, last)[first:] - observed)
        count = np.maximum((~np.isnan(observed)).sum(axis=0), 1)
        variance = self.statistics.variance.numpy()
        if self.judges.any():  # of gauges that do not train the statistics say nothing
            variance = np.nanvar(np.where(by > 0, self.record, 0.0), axis=0)
        share = (error**2).sum(axis=0) / count / np.where(seen, variance, 1.0)
        weight = by[seen] / by[seen].sum()
        return float((weight * np.maximum(1 - share[seen], -1.0)).sum())

    def least_squares(self) -> tuple[LeastSquares, Float]:
        """The training record as a least-squares problem; its observations (window, time, gauge), NaN elsewhere."""
        n_reaches, size = self.inputs.network.n_reaches, self.layout.size
        problem = LeastSquares(self.sweep, self._windows(), n_reaches, size, self.split, self.join)
        observed = np.where(self.trains > 0, problem.observed(self.record), np.nan)
        return problem, observed

    def least_squares_error(self, problem: LeastSquares) -> Float | None:
        """(window, time, gauge) standard deviation of the observations' own error, where the file gives it."""
        given = self.inputs.observed_error
        return None if given is None else problem.observed(given)

    def shared_start(self, uniform: float) -> Coefficients[Float]:
        """Shared coefficients that make every reach have the best uniform celerity, and runoff as it is given."""
        start = self.model.start(uniform, self.spreading, self.config.seed)
        others = self.layout.without(*start.layout.names)
        return start.join(
            others.coefficients(others.fill({} if self.learned is None else {RUNOFF: self.learned.start}))
        )

    def fit(self, uniform: float, folder: Path, write_history: Callable[[Any], None]) -> FitResult:
        """Estimate, beginning at the best uniform celerity."""
        start = self.shared_start(uniform)
        return fit(self, start, prior_of(self, start), folder=folder, write_history=write_history)
