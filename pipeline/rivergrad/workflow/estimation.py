"""The pieces of a workflow at work: set up, judged, fitted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivercut.partition import Partition
from rivergrad.distributed.executor import Executor
from rivergrad.distributed.simulate import PieceRunoff, targets_of
from rivergrad.distributed.sweep import Sweep
from rivergrad.estimate.bounds import Bounded
from rivergrad.estimate.loss import MIN_VALUES
from rivergrad.estimate.model import ParameterModel, log_features
from rivergrad.estimate.resident import FitSetup, Given, PieceSetup
from rivergrad.estimate.scores import nse
from rivergrad.routing import schemes
from rivergrad.routing.pieces import make_pieces
from rivergrad.workflow.baselines import best_uniform
from rivergrad.workflow.fit import FitResult, fit
from rivergrad.workflow.inputs import Inputs
from rivergrad.workflow.periods import Periods
from rivergrad.workflow.schema import Workflow

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]


def parameter_model(config: Workflow) -> tuple[ParameterModel, float | None]:
    """The parameter model of a workflow, and the spreading every reach starts from."""
    scheme = schemes.get(config.scheme.name, config.scheme.convention)
    section = config.parameters
    spreading: Bounded | None = None
    initial: float | None = None
    if scheme.spreading is not None:
        lower, upper, initial = scheme.spreading.lower, scheme.spreading.upper, scheme.spreading.default
        if section.spreading is not None:
            (lower, upper), initial = section.spreading.bounds, section.spreading.initial
        spreading = Bounded(lower, upper, logarithmic=lower > 0 and upper / lower > 20)
    celerity = Bounded(*section.celerity.bounds, logarithmic=True)
    return ParameterModel(scheme, celerity, spreading, len(section.trend)), initial


@dataclass
class Estimation:
    """A workflow's pieces on an executor.

    Attributes:
        spreading: where it starts, and stays in the baselines.
    """

    config: Workflow
    inputs: Inputs
    periods: Periods
    cut: Partition
    executor: Executor

    def __post_init__(self) -> None:
        config, inputs = self.config, self.inputs
        network = inputs.network
        assert network.length is not None
        self.model, self.spreading = parameter_model(config)
        self.pieces = make_pieces(network, self.cut)
        mine, self._order = targets_of(self.pieces, inputs.observations.reach, network.n_reaches)
        gauges = np.argsort(self._order)  # gauge of each column of the pieces' results laid side by side
        columns = np.split(gauges, np.cumsum([local.size for local in mine])[:-1])
        features = log_features(network.attributes, config.parameters.trend)
        if not config.parameters.trend:
            features = np.zeros((network.n_reaches, 0))
        scale = self._scale()
        observed = np.where(self._in_fit()[:, None], inputs.observed, np.nan).astype(np.float32)
        compute = config.compute
        self.sweep = Sweep(
            self.executor,
            [
                PieceSetup(
                    piece=piece,
                    scheme=self.model.scheme,
                    forcing_step=inputs.runoff.step,
                    routing_step=config.time.routing_step,
                    targets=local,
                    steps=inputs.runoff.time.size,
                    read=PieceRunoff(inputs.runoff.select(piece.reaches)),
                    dtype=compute.dtype,
                    device=compute.device,
                    threads=compute.threads_per_worker,
                )
                for piece, local in zip(self.pieces, mine, strict=True)
            ],
        )
        self.sweep.load()
        self.sweep.prepare_fit(
            [
                FitSetup(
                    model=self.model,
                    features=features[piece.reaches],
                    length=np.array(network.length[piece.reaches]),
                    observed=np.ascontiguousarray(observed[:, at]),
                    scale=scale[at],
                    shrinkage=config.parameters.shrinkage / network.n_reaches,
                    rate=config.estimate.learning_rate,
                )
                for piece, at in zip(self.pieces, columns, strict=True)
            ]
        )

    def _in_fit(self) -> NDArray[np.bool_]:
        steps = np.arange(self.periods.steps)
        return (steps >= self.periods.fit[0]) & (steps < self.periods.fit[1])

    def _scale(self) -> Float:
        """(gauge,) one over variance and number of training gauges; 0 for gauges that do not train."""
        inputs = self.inputs
        observed = np.where(self._in_fit()[:, None], inputs.observed, np.nan)
        count = (~np.isnan(observed)).sum(axis=0)
        mean = np.nansum(observed, axis=0) / np.maximum(count, 1)
        variance = np.nansum((observed - mean) ** 2, axis=0) / np.maximum(count, 1)
        enough = min(MIN_VALUES, self.periods.fit[1] - self.periods.fit[0])
        trains = (count >= enough) & (variance > 0) & ~inputs.held_out
        dropped = inputs.observations.gauge[~trains & ~inputs.held_out]
        if dropped.size:
            log.warning(
                "%d gauges have too few different values to train on: %s",
                dropped.size,
                ", ".join(dropped[:5]),
            )
        return np.where(trains, 1 / np.where(trains, variance, 1.0) / max(1, int(trains.sum())), 0.0)

    def discharge(self, given: Callable[[], Given] | Given, start: int = 0, stop: int | None = None) -> Float:
        """Discharge at all gauges over steps start..stop of the record, from rest: (time, gauge)."""
        stop = self.periods.steps if stop is None else stop
        one = given() if callable(given) else given
        parts = self.sweep.simulate([one] * len(self.pieces), start, stop)
        return np.concatenate(parts, axis=1)[:, self._order]

    def uniform(self, celerity: float) -> Given:
        """The same celerity everywhere, and the spreading the estimate starts from."""
        return Given("uniform", celerity=celerity, spreading=self.spreading)

    def training_loss(self, given: Given) -> float:
        """Mean over training gauges of the squared error over the variance, on the whole fit period."""
        first, last = self.periods.fit
        start = first - self.periods.warmup
        discharge = self.discharge(given, start, last)[first - start :]
        observed = self.inputs.observed[first:last]
        error = np.where(np.isnan(observed), 0.0, discharge - observed)
        count = np.maximum((~np.isnan(observed)).sum(axis=0), 1)
        return float(((error**2).sum(axis=0) / count * self._scale_cached).sum())

    @property
    def _scale_cached(self) -> Float:
        if not hasattr(self, "_scale_value"):
            self._scale_value = self._scale()
        return self._scale_value

    def find_uniform(self) -> float:
        """The best single celerity on the training data, m/s."""
        return best_uniform(
            lambda celerity: self.training_loss(self.uniform(celerity)),
            self.config.parameters.celerity.bounds,
            self.config.estimate.uniform_grid,
        )

    def validation(self, shared: Float) -> float:
        """Mean over training gauges of NSE (at least −1) in the validation period."""
        first, last = self.periods.validation
        start = first - self.periods.warmup
        discharge = self.discharge(Given("estimate", shared=shared), start, last)[first - start :]
        at = self._scale_cached > 0
        scores = nse(discharge[:, at], self.inputs.observed[first:last][:, at])
        scores = scores[~np.isnan(scores)]
        return float(np.maximum(scores, -1.0).mean()) if scores.size else 0.0

    def fit(self, uniform: float, folder: Path, write_history: Callable[[Any], None]) -> FitResult:
        """Estimate, starting from the best uniform celerity."""
        return fit(
            self.sweep,
            self.model.start(uniform, self.spreading),
            self.config.estimate,
            self.periods,
            seed=self.config.seed,
            forcing_step=self.inputs.runoff.step,
            n_reaches=self.inputs.network.n_reaches,
            validate=self.validation,
            folder=folder,
            write_history=write_history,
        )
