"""What a worker is sent to set up a piece of the network: frozen, and small but for the observations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivergrad.inference.loss import GaugeStatistics, LossSpec
from rivergrad.model.layout import Layout
from rivergrad.model.parametermodel import ParameterModel
from rivergrad.model.volume import VolumeModel
from rivergrad.pieces.learned import RunoffSetup
from rivergrad.routing import GridWeights
from rivergrad.routing.pieces import Piece
from rivergrad.routing.schemes import Scheme

ReadRunoff = Callable[[int, int], NDArray[np.float64]]
"""(start, stop) -> runoff (time, reach of the piece) m³/s, or (time, cell) with a grid; runs on the worker."""
Window = tuple[int, int, int]
"""Forcing steps of the record: the first of the warm-up, the first that counts, and the end (exclusive)."""


@dataclass(frozen=True)
class PieceSetup:
    """What routing a piece takes.

    Attributes:
        piece: the piece.
        scheme: the scheme (with its convention).
        forcing_step, routing_step: s.
        targets: (m,) local reaches whose discharge is wanted.
        steps: forcing steps in the record.
        read: reads the piece's runoff; None where no runoff is given and all of it is learned.
        engine: what routes (see `rivergrad.routing.choose_engine`).
        grid: the weights of the piece's reaches, where `read` gives cells of a grid; None where it gives reaches.
        dtype, device: of the routing.
        threads: threads this worker computes with.
        memory: bytes, about, for what is kept for the gradient and for a chunk of time.
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
    engine: str = "auto"
    grid: GridWeights | None = None

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
    """What estimation takes besides.

    Attributes:
        model: the parameter model.
        layout: of the shared coefficients: the model's, and those of `volume` and `runoff` where these are estimated.
        features: (reach, feature); length: (reach,) m.
        observed: (time, target) m³/s aligned with the runoff, NaN where missing or not for training.
        loss: what is minimised; statistics: (target,) of the training record.
        shrinkage: weight of the penalty on deviations, already divided by the reaches of the whole network.
        rate: learning rate.
        error: (time, target) m³/s standard deviation of the observations' own error, where it is known.
        region: (reach,) class of each reach, where the model has classes.
        volume: the volume error of the runoff, where it is estimated.
        area: (reach,) increment area of each reach in `volume`, −1 for none.
        smoothing: weight of the penalty on differences along the river, divided likewise.
        runoff: the model of the runoff, where that is learned.
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
    area: NDArray[np.int64] | None = None
    smoothing: float = 0.0
    runoff: RunoffSetup | None = None
