"""The state of one piece of the network on its worker, from the set-up to the end of a run.

`ResidentPiece` is data only: a frozen set-up and a mutable store. The functions that a worker is asked to call on it
stand in the modules around this one, by what they are for: `runoff`, `parameters`, `record` (routing forward only),
`step` and `groups` (loss and gradient), `deviations` and `linearisation` (Jacobian products).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.inference.adam import Adam
from rivergrad.inference.loss import GaugeStatistics
from rivergrad.model.layout import EMPTY, Layout
from rivergrad.pieces.chunkread import ChunkReader
from rivergrad.pieces.graph import RoutedWindows
from rivergrad.pieces.learned import PieceRunoffModel
from rivergrad.pieces.setup import FitSetup, PieceSetup, Window
from rivergrad.pieces.streamed import Runoff
from rivergrad.routing import Prepared, RouterState, choose_engine, make_engine
from rivergrad.routing.allocator import keep_pages
from rivergrad.routing.engines import Engine

SHARE_WHEN_CONCURRENT = 7 / 8
"""Share of a GPU that a piece takes whose steps run concurrently with those of others: their kernels find room."""


@dataclass(frozen=True)
class Stage:
    """What the present stage trains.

    Attributes:
        layout: layout of the shared coefficients.
        routed: whether to route; if not, discharge is the sum of the upstream runoff of the same step.
        weights: (weight,) of the runoff model if it is frozen (its runoff is then computed once); None if it trains.
    """

    layout: Layout = EMPTY
    routed: bool = True
    weights: NDArray[np.float64] | None = None


@dataclass
class FitState:
    """The state of estimation for a piece, on its device.

    Attributes:
        setup: what it was made of; `features` to `outlets` are its arrays on the device and do not change.
        inlets, outlets: local reaches at the cuts.
        learned: the runoff model, where runoff is learned.
        slope_features, slope_region: of the delay on hillslopes, where there is one.
        free: (n_free, reach) present deviations; best: the best so far; adam: their optimiser.
        gradient: (n_free, reach) of the last step.
    """

    setup: FitSetup
    features: Tensor
    length: Tensor
    observed: Tensor
    error: Tensor | None
    statistics: GaugeStatistics
    region: Tensor | None
    area: Tensor | None
    inlets: Tensor
    outlets: Tensor
    reference_flow: Tensor | None
    learned: PieceRunoffModel | None
    slope_features: Tensor | None
    slope_region: Tensor | None
    free: Tensor
    best: Tensor
    adam: Adam[Tensor]
    gradient: Tensor


@dataclass(frozen=True, eq=False)
class PendingStep:
    """A step after its forward pass, before its backward pass.

    Attributes:
        routed: the routed windows with their graph.
        loss: the loss of these windows.
        elsewhere: the part of the loss that other pieces count too.
    """

    routed: RoutedWindows
    loss: Tensor
    elsewhere: float


@dataclass
class GroupedStep:
    """A step whose windows are routed in groups; see `rivergrad.pieces.groups`.

    Attributes:
        groups: routed windows, None once their gradients are there.
        seeds: gradients of the loss with respect to each group's discharge.
        gradients: by group, of shared coefficients and deviations.
        loss: of all windows; penalty: gradient of the loss with respect to deviations by way of the penalties.
    """

    groups: list[RoutedWindows | None] = field(default_factory=list)
    seeds: list[Tensor] = field(default_factory=list)
    gradients: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    loss: float = 0.0
    penalty: Tensor | None = None


@dataclass
class Linearised:
    """A piece linearised at its present coefficients, over some windows; see `rivergrad.pieces.linearisation`.

    Attributes:
        windows: of the record; routed: the same, routed in double precision, with the graph.
        held: discharge that the rounds took as given, where celerity depends on flow (see `FlowRouted`).
        image: (window, time, target) J v of the last `tangent`; weight: of discharge, alike.
    """

    windows: list[Window]
    routed: RoutedWindows
    held: Tensor | None = None
    image: Tensor | None = None
    weight: Tensor | None = None


@dataclass
class ResidentPiece:
    """A piece of the network on its worker. Tensors and graphs stay here; only arrays leave.

    Attributes:
        setup: what it is.
        concurrent: it has whole basins while others of the network are cut: on a GPU its steps run concurrently with
            those of the pieces that wait for each other.
        engine: routes in the set-up's precision; double: the same in float64, made when it is first needed.
        runoff: (time, reach or cell) m³/s of the record, once it is read; see `rivergrad.pieces.streamed`.
        fit: what estimation keeps, once it is prepared; stage: what is trained at present.
        chunk: parameters and state of a record that is routed chunk by chunk; ahead: reads its runoff.
        pending, grouped: the step under way; linearised: for products with the Jacobian.
        stream: of the GPU, where steps run concurrently.
    """

    setup: PieceSetup
    concurrent: bool
    engine: Engine
    runoff: Runoff | None = None
    fit: FitState = field(init=False)
    stage: Stage = Stage()
    chunk: tuple[Prepared, RouterState | None] | None = None
    ahead: ChunkReader | None = None
    pending: PendingStep | None = None
    grouped: GroupedStep = field(default_factory=GroupedStep)
    linearised: Linearised | None = None
    double: Engine | None = None
    stream: torch.cuda.Stream | None = None

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the routing."""
        return self.engine.dtype

    @property
    def device(self) -> torch.device:
        """The device of the piece's tensors."""
        return torch.device(self.engine.device)

    def put(self, values: NDArray[Any]) -> Tensor:
        """A copy of an array on the piece's device."""
        return torch.tensor(values, device=self.engine.device)

    def double_engine(self) -> Engine:
        """The engine in double precision."""
        if self.dtype == torch.float64:
            return self.engine
        if self.double is None:
            self.double = _make_engine(self.setup, self.concurrent, torch.float64)
        return self.double


def set_up(setup: PieceSetup, concurrent: bool = False) -> ResidentPiece:
    """Set up a piece on this worker. The arguments are attributes of `ResidentPiece`."""
    keep_pages()
    torch.set_num_threads(setup.threads)
    dtype = torch.float64 if setup.dtype == "float64" else torch.float32
    return ResidentPiece(setup, concurrent, _make_engine(setup, concurrent, dtype))


def _make_engine(setup: PieceSetup, concurrent: bool, dtype: torch.dtype) -> Engine:
    return make_engine(
        choose_engine(setup.engine, setup.scheme, setup.device)[0],
        setup.piece.downstream,
        setup.scheme,
        setup.forcing_step,
        setup.routing_step,
        targets=setup.targets,
        inlets=setup.piece.inlets,
        outlets=setup.piece.outlets,
        grid=setup.grid,
        hillslope=setup.hillslope,
        report=setup.report,
        dtype=dtype,
        device=setup.device,
        keep_bytes=setup.memory // 4,
        rounds=setup.rounds,
        share=SHARE_WHEN_CONCURRENT if concurrent else 1.0,
    )


def prepare_fit(piece: ResidentPiece, fit: FitSetup) -> None:
    """Prepare a piece for estimation: set deviations to zero and reset the optimiser."""
    setup = piece.setup
    learned = None
    if fit.runoff is not None:
        learned = PieceRunoffModel(fit.runoff, setup.steps, piece.dtype, piece.device, setup.memory // 4)
    free = torch.zeros(
        fit.model.n_free, setup.piece.reaches.size, dtype=torch.float64, device=piece.engine.device
    )
    piece.stage = Stage(fit.layout)
    piece.fit = FitState(
        setup=fit,
        features=piece.put(fit.features),
        length=piece.put(fit.length),
        observed=piece.put(fit.observed),
        error=None if fit.error is None else piece.put(fit.error),
        statistics=fit.statistics.to(piece.engine.device),
        region=None if fit.region is None else piece.put(fit.region),
        area=None if fit.area is None else piece.put(fit.area),
        inlets=piece.put(setup.piece.inlets),
        outlets=piece.put(setup.piece.outlets),
        reference_flow=None if fit.reference_flow is None else piece.put(fit.reference_flow),
        learned=learned,
        slope_features=None if fit.hillslope_features is None else piece.put(fit.hillslope_features),
        slope_region=None if fit.hillslope_region is None else piece.put(fit.hillslope_region),
        free=free,
        best=free,
        adam=Adam.at_rest(free),
        gradient=torch.zeros_like(free),
    )


def begin_stage(piece: ResidentPiece, stage: Stage) -> None:
    """Set what the next steps train."""
    piece.stage = stage
