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
from rivergrad.distributed.simulate import piece_runoff, targets_of
from rivergrad.distributed.sweep import Sweep
from rivergrad.errors import InputError
from rivergrad.estimate.bounds import Bounded
from rivergrad.estimate.loss import values_needed
from rivergrad.estimate.model import ParameterModel, log_features
from rivergrad.estimate.resident import FitSetup, Given, PieceSetup
from rivergrad.routing import schemes
from rivergrad.routing.pieces import make_pieces
from rivergrad.workflow.baselines import best_uniform
from rivergrad.workflow.fit import FitResult, fit
from rivergrad.workflow.inputs import Inputs
from rivergrad.workflow.periods import Periods
from rivergrad.workflow.schema import Workflow

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

MIN_DEVIATION = 1e-3
"""A gauge whose observed discharge varies by less (standard deviation, m³/s) is a flat line: nothing to learn from."""


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
        engine: what routes, by its name (not `auto`).
        spreading: where it starts, and stays in the baselines.
        scale: (gauge,) one over variance and number of training gauges; 0 for gauges that do not train.
    """

    config: Workflow
    inputs: Inputs
    periods: Periods
    cut: Partition
    executor: Executor
    engine: str

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
        self.scale = self._scale()
        observed = np.where(self._in_fit()[:, None], inputs.observed, np.nan).astype(np.float32)
        compute = config.compute
        setups = []
        for piece, local in zip(self.pieces, mine, strict=True):
            read, grid = piece_runoff(inputs.runoff, piece, self.engine)
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
        self.sweep = Sweep(self.executor, setups)
        self.sweep.load()
        self.sweep.prepare_fit(
            [
                FitSetup(
                    model=self.model,
                    features=features[piece.reaches],
                    length=np.array(network.length[piece.reaches]),
                    observed=np.ascontiguousarray(observed[:, at]),
                    scale=self.scale[at],
                    shrinkage=config.parameters.shrinkage / network.n_reaches,
                    rate=config.estimate.learning_rate,
                    share=1 / max(1, int(np.count_nonzero(self.scale)))
                    if config.estimate.loss == "nnse"
                    else None,
                )
                for piece, at in zip(self.pieces, columns, strict=True)
            ]
        )

    def _in_fit(self) -> NDArray[np.bool_]:
        steps = np.arange(self.periods.steps)
        return (steps >= self.periods.fit[0]) & (steps < self.periods.fit[1])

    def _scale(self) -> Float:
        inputs = self.inputs
        observed = np.where(self._in_fit()[:, None], inputs.observed, np.nan)
        count = (~np.isnan(observed)).sum(axis=0)
        mean = np.nansum(observed, axis=0) / np.maximum(count, 1)
        variance = np.nansum((observed - mean) ** 2, axis=0) / np.maximum(count, 1)
        enough = values_needed(self.periods.fit[1] - self.periods.fit[0])
        trains = (count >= enough) & (variance > MIN_DEVIATION**2) & ~inputs.held_out
        if not trains.any():
            raise InputError(
                f"{inputs.observations.path}: no training gauge has {enough} different values within "
                f"{self.periods.fit[1] - self.periods.fit[0]} steps of time.train; expected at least one that has"
            )
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
        """The loss on the whole fit period: what the uniform celerity is chosen by."""
        errors = self._errors(given, *self.periods.fit)
        if self.config.estimate.loss == "nnse":
            errors = errors / (1 + errors * np.count_nonzero(self.scale))
        return float(errors.sum())

    def _errors(self, given: Given, first: int, last: int) -> Float:
        """(gauge,) share of each training gauge in the loss over some steps, routed from the record's start."""
        discharge = self.discharge(given, 0, last)[first:]
        observed = self.inputs.observed[first:last]
        error = np.where(np.isnan(observed), 0.0, discharge - observed)
        count = np.maximum((~np.isnan(observed)).sum(axis=0), 1)
        return (error**2).sum(axis=0) / count * self.scale

    def find_uniform(self) -> float:
        """The best single celerity on the training data, m/s."""
        return best_uniform(
            lambda celerity: self.training_loss(self.uniform(celerity)),
            self.config.parameters.celerity.bounds,
            self.config.estimate.uniform_grid,
        )

    def compared(self, uniform: float, shared: Float) -> dict[str, Float]:
        """Discharge at all gauges over the record by the baselines and by the best estimate, (time, gauge) each."""
        return {
            "unrouted": self.discharge(Given("unrouted")),
            "default": self.discharge(self.uniform(self.config.parameters.celerity.initial)),
            "uniform": self.discharge(self.uniform(uniform)),
            "estimate": self.discharge(Given("estimate", shared=shared, best=True)),
        }

    def validation(self, shared: Float) -> float:
        """Mean over training gauges of NSE in the validation period, each at least −1.

        As in the loss, errors are measured against the variance of the fit period: a short or quiet validation
        period has none of its own to speak of.
        """
        first, last = self.periods.validation
        errors = self._errors(Given("estimate", shared=shared), first, last)
        seen = (self.scale > 0) & ~np.isnan(self.inputs.observed[first:last]).all(axis=0)
        if not seen.any():
            return -self.training_loss(Given("estimate", shared=shared))
        trains = np.count_nonzero(self.scale)
        return float(np.maximum(1 - errors[seen] * trains, -1.0).mean())

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
