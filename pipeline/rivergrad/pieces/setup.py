"""The set-up of a piece, as sent to its worker: frozen, and small except for the observations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivergrad.inference.loss import GaugeStatistics, LossSpec
from rivergrad.model.flowlaw import FlowLaw
from rivergrad.model.hillslope import HillslopeModel
from rivergrad.model.lakes import Lakes
from rivergrad.model.layout import Layout
from rivergrad.model.parametermodel import ParameterModel
from rivergrad.model.smoothing import Ties
from rivergrad.model.timing import TimingModel
from rivergrad.model.volume import VolumeModel
from rivergrad.pieces.learned import RunoffSetup
from rivergrad.routing import GridWeights
from rivergrad.routing.flow import Rounds
from rivergrad.routing.hillslope import Hillslope
from rivergrad.routing.pieces import Piece
from rivergrad.routing.reported import MEAN, Report
from rivergrad.routing.schemes import Scheme

ReadRunoff = Callable[[int, int], NDArray[Any]]
"""(start, stop) -> runoff (time, reach of the piece) m³/s, or (time, cell) with a grid; runs on the worker."""
Window = tuple[int, int, int]
"""Forcing steps of the record: the first of the warm-up, the first that counts, and the end (exclusive)."""


@dataclass(frozen=True)
class PieceSetup:
    """The set-up of a piece for routing.

    Attributes:
        piece: the piece of the network.
        scheme: the routing scheme, with its convention.
        forcing_step, routing_step: s.
        targets: (m,) local positions of the reaches whose discharge is wanted.
        steps: number of forcing steps in the record.
        read: reads the piece's runoff; None if no runoff is given and all of it is learned.
        engine: the engine that routes (see `rivergrad.routing.choose_engine`).
        grid: weights of grid cells for the piece's reaches, if `read` gives cells; None if it gives reaches.
        hillslope: what runoff passes before it enters a reach; None where it enters as it is.
        report: which discharge of the targets is reported.
        rounds: how a celerity that depends on flow is computed; None where it does not.
        dtype, device: of the routing.
        threads: number of threads of this worker.
        memory: approximate bytes for what is kept for the gradient and for one chunk of time.
        room: bytes of runoff that stay in memory on a CPU; a longer record is read again as it is needed. None for all.
    """

    piece: Piece
    scheme: Scheme
    forcing_step: float
    routing_step: float
    targets: NDArray[np.int64]
    steps: int
    read: ReadRunoff | None
    dtype: str = "float32"
    device: str = "cpu"
    threads: int = 1
    memory: int = 2_000_000_000
    room: int | None = None
    engine: str = "auto"
    grid: GridWeights | None = None
    hillslope: Hillslope | None = None
    report: Report = MEAN
    rounds: Rounds | None = None

    @property
    def columns(self) -> int:
        """Columns of the runoff as it is read: reaches, or cells of a grid."""
        return self.piece.reaches.size if self.grid is None else self.grid.n_cells

    @property
    def value_bytes(self) -> int:
        """Bytes of a number in the routing's precision."""
        return 8 if self.dtype == "float64" else 4


@dataclass(frozen=True)
class FitSetup:
    """What estimation needs in addition.

    Attributes:
        model: the parameter model.
        layout: layout of the shared coefficients: the parameter model's, then those of what else is estimated.
        features: (reach, feature) standardised features.
        length: (reach,) m.
        observed: (time, target) m³/s aligned with the runoff, NaN where missing or not for training.
        loss: the terms of the loss and their weights.
        statistics: (target,) statistics of the training record.
        shrinkage: weight of the penalty on deviations, divided by the number of reaches of the whole network.
        rate: learning rate.
        error: (time, target) m³/s standard deviation of the observation error, if known.
        region: (reach,) class of each reach, if the parameter model has classes.
        volume: the model of the runoff's volume error, if it is estimated.
        timing: the model of its delay, if that is estimated.
        area: (reach,) index of each reach's increment area in `volume` and `timing`, −1 for none.
        smoothing: weight of the penalty on differences along the river, divided in the same way.
        runoff: the runoff model, if runoff is learned.
        flow: how celerity depends on flow; None where it does not. reference_flow: (reach,) Q₀, m³/s.
        lakes: of the piece's reaches; None where all are channels.
        ties: which neighbours are tied where deviations are smoothed along the river; None for all.
        hillslope: the model of the delay on hillslopes, where there is one; hillslope_features: (reach, feature) and
            hillslope_region: (reach,) of its trend and classes.
    """

    model: ParameterModel
    layout: Layout
    features: NDArray[np.float64]
    length: NDArray[np.float64]
    observed: NDArray[np.float32]
    loss: LossSpec
    statistics: GaugeStatistics
    shrinkage: float
    rate: float
    error: NDArray[np.float32] | None = None
    region: NDArray[np.int64] | None = None
    volume: VolumeModel | None = None
    timing: TimingModel | None = None
    area: NDArray[np.int64] | None = None
    smoothing: float = 0.0
    runoff: RunoffSetup | None = None
    flow: FlowLaw | None = None
    reference_flow: NDArray[np.float64] | None = None
    lakes: Lakes | None = None
    ties: Ties | None = None
    hillslope: HillslopeModel | None = None
    hillslope_features: NDArray[np.float64] | None = None
    hillslope_region: NDArray[np.int64] | None = None
