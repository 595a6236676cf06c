"""A piece of the network with everything that stays on its worker: plan, runoff, observations, parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.inference.adam import Adam
from rivergrad.inference.loss import GaugeStatistics, LossSpec, gauge_loss
from rivergrad.model.parametermodel import ParameterModel
from rivergrad.model.smoothing import Neighbours, river_penalty
from rivergrad.model.volume import VolumeModel
from rivergrad.pieces.information import PieceInformation
from rivergrad.pieces.learned import PieceRunoffModel, RunoffSetup
from rivergrad.pieces.pipelined import PipelinedStep, RoutedWindows
from rivergrad.pieces.series import Series, apart, side_by_side
from rivergrad.routing import GridWeights, Prepared, RouterState, choose_engine, make_engine
from rivergrad.routing.allocator import keep_pages
from rivergrad.routing.engines import Engine
from rivergrad.routing.pieces import Piece
from rivergrad.routing.schemes import PureLag, Scheme

Array = NDArray[Any]
After = Literal["move", "hold", "tell"]
"""What becomes of the deviations at the end of a step: they move, or wait for `advance`, or their gradient is told."""
ReadRunoff = Callable[[int, int], NDArray[np.float64]]
"""(start, stop) -> runoff (time, reach of the piece) m³/s, or (time, cell) with a grid; runs on the worker."""


@dataclass(frozen=True)
class PieceSetup:
    """What a worker is sent to set up a piece; small, but for the observations.

    Attributes:
        piece: the piece.
        scheme: the scheme (with its convention).
        forcing_step, routing_step: s.
        targets: (m,) local reaches whose discharge is wanted.
        steps: forcing steps in the record.
        read: reads the piece's runoff; None where none is given, and all of it is learned.
        engine: what routes (see `rivergrad.routing.choose_engine`).
        grid: the weights of the piece's reaches, where `read` gives cells of a grid; None where it gives reaches.
        dtype, device: of the routing.
        threads: threads this worker computes with.
        memory: bytes to spend on what is kept for the gradient and on a chunk of time, about.
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


@dataclass(frozen=True)
class FitSetup:
    """What a piece needs besides for estimation.

    Attributes:
        model: the parameter model.
        features: (reach, feature); length: (reach,) m.
        observed: (time, target) m³/s aligned with the runoff, NaN where missing or not for training.
        loss: what is minimised; statistics: (target,) of the training record.
        shrinkage: weight of the penalty on deviations, already divided by the reaches of the whole network.
        rate: learning rate.
        error: (time, target) standard deviation of the observations' own error, where it is known.
        region: (reach,) class of each reach, where the model has classes.
        volume: the volume error of the runoff, where it is estimated; its numbers follow the model's shared ones.
        area: (reach,) increment area of each reach in `volume`, −1 for none.
        smoothing: weight of the penalty on differences along the river, divided likewise.
        runoff: the model of the runoff, where that is learned; its weights follow the other shared numbers.
    """

    model: ParameterModel
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


@dataclass(frozen=True)
class Given:
    """How to get parameters for a forward run: a kind, and what it needs.

    `unrouted`: discharge is the sum of upstream runoff of the same step; `uniform`: the same celerity (and
    spreading) everywhere; `estimate`: shared coefficients with the piece's current (or best) deviations;
    `table`: scheme parameters per reach of the piece. Runoff is taken as it is given, with `runoff` as a learned model
    has it at these weights, with `volume` less its volume error as the shared coefficients have that.
    """

    kind: str
    shared: NDArray[np.float64] | None = None
    celerity: float = 0.0
    spreading: float | None = None
    best: bool = False
    table: dict[str, NDArray[np.float64]] | None = None
    runoff: NDArray[np.float64] | None = None
    volume: bool = False


SHARE_ASIDE = 7 / 8
"""Of a GPU, what a piece takes that goes on beside others: their kernels, which are waited for, find the rest free."""


class ResidentPiece:
    """The worker's side of a piece. Methods take and return arrays; tensors and graphs stay here.

    Args:
        setup: what it is.
        aside: whether it has whole basins while others of the network are cut: on a GPU its steps go on beside
            those of the pieces that wait for each other.
    """

    def __init__(self, setup: PieceSetup, aside: bool = False) -> None:
        keep_pages()
        torch.set_num_threads(setup.threads)
        self.setup, self._aside = setup, aside
        self.dtype = getattr(torch, setup.dtype)
        self.engine = self._make_engine(self.dtype)
        self._double: Engine | None = None
        self._stream: torch.cuda.Stream | None = None
        self._columns = setup.piece.reaches.size if setup.grid is None else setup.grid.n_cells
        self._runoff: Tensor | None = None
        self._route: tuple[Prepared, RouterState | None] | None = None
        self._pending: tuple[Tensor, RoutedWindows, float] | None = None
        self._information: PieceInformation | None = None
        self.learned: PieceRunoffModel | None = None
        self.routed = True
        self.frozen: NDArray[np.float64] | None = None

    def _make_engine(self, dtype: torch.dtype) -> Engine:
        setup = self.setup
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
            dtype=dtype,
            device=setup.device,
            keep_bytes=setup.memory // 4,
            share=SHARE_ASIDE if self._aside else 1.0,
        )

    def _put(self, values: Array) -> Tensor:
        """A copy of an array on this piece's device."""
        return torch.tensor(values, device=self.engine.device)

    # -- forward only ---------------------------------------------------------------------------------------

    def load(self) -> None:
        """Read the whole record of runoff and keep it."""
        if self.setup.read is None:
            return
        values = self.setup.read(0, self.setup.steps)
        self._runoff = torch.from_numpy(values).to(self.engine.device, self.dtype)

    def prepare_fit(self, fit: FitSetup) -> None:
        """Get ready for estimation: deviations at zero, optimiser at rest."""
        self.fit = fit
        device = self.engine.device
        self.features = self._put(fit.features)
        self.length = self._put(fit.length)
        self.observed = self._put(fit.observed)
        self.error = None if fit.error is None else self._put(fit.error)
        self.statistics = fit.statistics.to(device)
        self.region = None if fit.region is None else self._put(fit.region)
        self.area = None if fit.area is None else self._put(fit.area)
        self._inlets, self._outlets = self._put(self.setup.piece.inlets), self._put(self.setup.piece.outlets)
        n = self.setup.piece.reaches.size
        self.free = torch.zeros(fit.model.n_free, n, dtype=torch.float64, device=device)
        self.best = self.free
        self.adam = Adam.at_rest(self.free)
        self.learned = None
        if fit.runoff is not None:
            self.learned = PieceRunoffModel(
                fit.runoff, self.setup.steps, self.dtype, torch.device(device), self.setup.memory // 4
            )

    def begin_stage(self, routed: bool, weights: NDArray[np.float64] | None) -> None:
        """What the next steps are about.

        Args:
            routed: discharge takes time; else all runoff upstream is summed in the same step.
            weights: of the runoff model where it is frozen, so that runoff is computed but once; None where it learns.
        """
        self.routed, self.frozen = routed, weights

    def _parameters(self, given: Given) -> tuple[Scheme, dict[str, Tensor]]:
        scheme: Scheme = self.setup.scheme
        n = self.setup.piece.reaches.size
        if given.kind == "unrouted":
            return PureLag(), {"delay": torch.zeros(n, dtype=torch.float64)}
        if given.kind == "table":
            assert given.table is not None
            return scheme, {name: torch.from_numpy(np.array(v)) for name, v in given.table.items()}
        if given.kind == "uniform":
            celerity = torch.full_like(self.length, given.celerity)
            spreading = None if given.spreading is None else torch.full_like(celerity, given.spreading)
            return scheme, scheme.from_celerity(celerity, spreading, self.length)
        assert given.shared is not None
        return scheme, self.parameters(self._put(given.shared), self.best if given.best else self.free)

    def parameters(self, shared: Tensor, free: Tensor) -> dict[str, Tensor]:
        """The scheme's parameters of each reach at shared coefficients and deviations, differentiable."""
        return self.fit.model.parameters(shared, free, self.features, self.length, self.region)

    def factor(self, shared: Tensor, start: int, stop: int) -> Tensor | None:
        """Factors on the runoff of steps start..stop, (time, reach); None where runoff is taken as it is."""
        if self.fit.volume is None:
            return None
        assert self.area is not None
        return self.fit.volume.factor(shared[self.fit.model.n_shared :], self.area, start, stop)

    def rained(self, shared: Tensor, windows: Sequence[tuple[int, int, int]], dtype: torch.dtype) -> Tensor:
        """Runoff of some windows, learned or volume error taken out where so asked, (window, time, reach or cell)."""
        if self.learned is not None:
            runoff = self._learned(self.learned, shared, windows).to(dtype)
        else:
            assert self._runoff is not None
            runoff = torch.stack([self._runoff[a:c] for a, _, c in windows]).to(dtype)
        if self.fit.volume is None:
            return runoff
        factors = [self.factor(shared, a, c) for a, _, c in windows]
        return runoff * torch.stack([f for f in factors if f is not None]).to(runoff)

    def _learned(
        self, model: PieceRunoffModel, shared: Tensor, windows: Sequence[tuple[int, int, int]]
    ) -> Tensor:
        if self.frozen is not None:
            record = model.record(self.frozen, self.setup.steps, self._runoff)
            return torch.stack([record[a:c] for a, _, c in windows])
        given = None if self._runoff is None else torch.stack([self._runoff[a:c] for a, _, c in windows])
        return model.windows(shared, windows, given)

    def _prepared(self, given: Given, horizon: int) -> Prepared:
        scheme, parameters = self._parameters(given)
        prepared: Prepared = self.engine.prepare(parameters, horizon, scheme)
        return prepared

    def _chunk_steps(self) -> int:
        """Forcing steps of which a quarter of the memory holds what a chunk is there as.

        That is runoff as it is read (float64) and as it is routed, and as much again twice, for the closure's
        history and gathered columns or the recurrence's series between blocks; discharge is no more than runoff.
        """
        values = max(1, self._columns, self.setup.piece.reaches.size)
        return max(16, self.setup.memory // 4 // (values * self.dtype.itemsize * 4))

    def _inflow(self, inflows: Sequence[Series], start: int, stop: int) -> Tensor | None:
        if not self.setup.piece.sources:
            return None
        first, last = start * self.engine.ratio, stop * self.engine.ratio
        return side_by_side([q[:, first:last] for q in inflows], self.engine.device, self.dtype)

    @torch.no_grad()
    def simulate(self, given: Given, start: int, stop: int, *inflows: Series) -> tuple[Array, list[Array]]:
        """Route steps start..stop of the record from rest.

        Returns:
            discharge (time, target) float64 and the series of each outlet (1, routing step).
        """
        prepared = self._prepared(given, stop - start)
        state: RouterState | None = None
        discharge, outflow = [], []
        size = self._chunk_steps()
        for a in range(start, stop, size):
            b = min(a + size, stop)
            q, out, state = self.engine.apply(
                prepared,
                self._read(given, a, b, stop)[None],
                self._inflow(inflows, a - start, b - start),
                state,
            )
            discharge.append(q[0].to("cpu", torch.float64).numpy())
            outflow.append(out[0].cpu().numpy())
        leaving = np.concatenate(outflow, axis=1)
        return np.concatenate(discharge), [series[None] for series in leaving]

    def runoff(self, weights: NDArray[np.float64]) -> dict[str, Array]:
        """The learned runoff of the record at some weights, (time, reach) m³/s."""
        assert self.learned is not None
        return {"runoff": self.learned.record(weights, self.setup.steps, self._runoff).cpu().numpy()}

    def _read(self, given: Given, start: int, stop: int, last: int) -> Tensor:
        """Runoff of steps start..stop, of which there will be no more than `last`."""
        if given.runoff is not None:
            assert self.learned is not None
            return self.learned.record(given.runoff, last, self._runoff)[start:stop]
        if given.volume:
            assert given.shared is not None
            assert self._runoff is not None
            factor = self.factor(self._put(given.shared), start, stop)
            assert factor is not None
            return self._runoff[start:stop] * factor.to(self._runoff)
        if self._runoff is not None:
            return self._runoff[start:stop]
        assert self.setup.read is not None
        return torch.from_numpy(self.setup.read(start, stop)).to(self.engine.device, self.dtype)

    @torch.no_grad()
    def route_chunk(
        self, given: Given, start: int, stop: int, *inflows: Series
    ) -> tuple[Array, list[Series]]:
        """Route the next steps of the record, going on from the last call (from rest where start is 0).

        Returns:
            discharge (time, target) in the routing's dtype, and the series of each outlet.
        """
        if start == 0:
            self._route = (self._prepared(given, self.setup.steps), None)
        assert self._route is not None
        prepared, state = self._route
        q, out, state = self.engine.apply(
            prepared,
            self._read(given, start, stop, stop)[None],
            self._inflow(inflows, 0, stop - start),
            state,
        )
        self._route = (prepared, state)
        return q[0].cpu().numpy(), apart(out)

    # -- estimation -----------------------------------------------------------------------------------------

    def forward(
        self,
        shared: NDArray[np.float64],
        windows: Sequence[tuple[int, int, int]],
        neighbours: Neighbours | None,
        *inflows: Series,
    ) -> tuple[None, list[Series]]:
        """Route some windows of the record and keep the graph for `backward`.

        Args:
            shared: shared coefficients.
            windows: (first step of the warm-up, first step that counts, end), all of the same lengths.
            neighbours: deviations of the reaches next to this piece, where they are smoothed along the river.
            inflows: (window, routing step) each.

        Returns:
            Nothing, and the series of each outlet (window, routing step).
        """
        routed = self.routed_windows(shared, windows, inflows)
        loss, elsewhere = self.judged(routed.discharge, windows, routed.free, neighbours)
        self._pending = (loss, routed, elsewhere)
        return None, routed.leaving()

    def routed_windows(
        self, shared: NDArray[np.float64], windows: Sequence[tuple[int, int, int]], inflows: Sequence[Series]
    ) -> RoutedWindows:
        """Route some windows and keep the graph; arguments as for `forward`."""
        leaf = self._put(shared).requires_grad_()
        free = self.free.clone().requires_grad_()
        runoff = self.rained(leaf, windows, self.dtype)
        inflow = torch.zeros(0)
        if self.setup.piece.sources:
            inflow = side_by_side(inflows, self.engine.device, self.dtype).requires_grad_()
        if self.routed:
            prepared = self.engine.prepare(self.parameters(leaf, free), runoff.shape[1])
        else:
            prepared = self._prepared(Given("unrouted"), runoff.shape[1])
        discharge, outflow, _ = self.engine.apply(
            prepared, runoff, inflow if self.setup.piece.sources else None
        )
        a, b, _ = windows[0]
        return RoutedWindows(discharge[:, b - a :], outflow, inflow, leaf, free)

    def judged(
        self,
        discharge: Tensor,
        windows: Sequence[tuple[int, int, int]],
        free: Tensor,
        neighbours: Neighbours | None,
    ) -> tuple[Tensor, float]:
        """The loss of discharge (window, time, target) and deviations, and what of it other pieces count too."""
        observed = torch.stack([self.observed[b0:c] for _, b0, c in windows])
        error = None if self.error is None else torch.stack([self.error[b0:c] for _, b0, c in windows])
        each = gauge_loss(self.fit.loss, discharge, observed, self.statistics, error)
        loss = each.sum()
        elsewhere = 0.0
        if self.fit.model.deviates and self.routed:
            loss = loss + self.fit.shrinkage * (free * free).sum()
            if self.fit.smoothing:
                mine, theirs = river_penalty(free, self.setup.piece, neighbours)
                loss = loss + self.fit.smoothing * (mine + theirs)
                elsewhere = self.fit.smoothing * float(theirs.detach())
        return loss, elsewhere

    def backward(
        self, after: After, rate: float | None, *gradients: Series
    ) -> tuple[dict[str, Any], list[Series]]:
        """Finish a step: gradients of everything, and Adam's step for the deviations.

        Args:
            after: what becomes of the deviations.
            rate: learning rate; that of the set-up by default.
            gradients: of the loss with respect to each outlet's series, (window, routing step).

        Returns:
            `loss`, `shared` (its gradient), `square` (of the deviations' gradient, summed), `free` (that gradient, if
            it is to be told), `edge` (deviations at the cuts, see `Neighbours`), and the gradient of each inflow.
        """
        assert self._pending is not None
        loss, routed, elsewhere = self._pending
        self._pending = None
        shared, deviations, into = routed.pull(loss, torch.ones_like(loss), gradients)
        return self.finished(float(loss.detach()) - elsewhere, shared, deviations, after, rate), into

    def finished(
        self, loss: float, shared: Tensor, deviations: Tensor, after: After, rate: float | None
    ) -> dict[str, Any]:
        """End a step with its gradients; see `backward`."""
        if not self.fit.model.deviates:
            deviations = torch.zeros_like(deviations)
        self._gradient = deviations
        result: dict[str, Any] = {
            "loss": loss,
            "shared": shared.cpu().numpy(),
            "square": float((deviations * deviations).sum()),
        }
        if after == "move":
            self.advance(self.fit.rate if rate is None else rate, 1.0)
        elif after == "tell":
            result["free"] = deviations.cpu().numpy()
        result["edge"] = self.edge()
        return result

    def advance(self, rate: float, scale: float) -> Neighbours:
        """Adam's step for the deviations by the last gradient times `scale`; the deviations at the cuts afterwards."""
        if self.fit.model.deviates:
            self.free = self.free + self.adam.update(self._gradient * scale, rate)
        return self.edge()

    def edge(self) -> Neighbours:
        """Deviations of the reaches at the cuts."""
        inlets, outlets = (self.free[:, at].cpu().numpy() for at in (self._inlets, self._outlets))
        return Neighbours(inlets, outlets)

    def both(
        self,
        after: After,
        rate: float | None,
        shared: NDArray[np.float64],
        windows: Sequence[tuple[int, int, int]],
        neighbours: Neighbours | None,
        *inflows: Series,
    ) -> tuple[dict[str, Any], list[Series]]:
        """`forward` and `backward` in one, for a piece that nothing flows out of."""
        with self._beside():
            self.forward(shared, windows, neighbours, *inflows)
            return self.backward(after, rate)

    @contextmanager
    def _beside(self) -> Iterator[None]:
        """Work on a stream of its own, where this piece's steps go on beside those of others of the same GPU."""
        device = torch.device(self.engine.device)
        if not self._aside or device.type != "cuda":
            yield
            return
        if self._stream is None:
            self._stream = torch.cuda.Stream(device)
        # all that is used here was made there, and the other way round
        self._stream.wait_stream(torch.cuda.default_stream(device))
        with torch.cuda.stream(self._stream):
            yield
        self._stream.synchronize()

    # -- the same with windows in groups, see `PipelinedStep` -------------------------------------------------

    def forward_group(
        self,
        group: int,
        shared: NDArray[np.float64],
        windows: Sequence[tuple[int, int, int]],
        *inflows: Series,
    ) -> tuple[None, list[Series]]:
        """Route the windows of a group; as `forward`, without the loss."""
        if group == 0:
            self._step = PipelinedStep()
        return None, self._step.forward(self, shared, windows, inflows)

    def judge(self, windows: Sequence[tuple[int, int, int]], neighbours: Neighbours | None) -> None:
        """The loss of all groups' windows."""
        self._step.judge(self, windows, neighbours)

    def backward_group(self, group: int, *gradients: Series) -> tuple[None, list[Series]]:
        """Gradients by way of a group's windows, from those of its outlets' series to those of its inflows."""
        return None, self._step.backward(group, gradients)

    def finish(self, after: After, rate: float | None) -> dict[str, Any]:
        """End the step; as `backward`."""
        return self.finished(*self._step.totals(), after, rate)

    # -- sensitivities, see `PieceInformation` --------------------------------------------------------------

    def linearise(
        self, shared: NDArray[np.float64], windows: Sequence[tuple[int, int, int]], *inflows: Series
    ) -> tuple[Array, list[Series]]:
        """Route windows in double precision at the present deviations; (window, time, target) of what counts."""
        self._information = PieceInformation(self, shared, windows, inflows)
        return self._information.discharge, self._information.outflow

    def tangent(
        self, shared: NDArray[np.float64], free: NDArray[np.float64], step: float, *inflows: Series
    ) -> tuple[None, list[Series]]:
        """Route again, a small step along a direction; see `PieceInformation.tangent`."""
        assert self._information is not None
        return None, self._information.tangent(shared, free, step, inflows)

    def toward(self) -> Array:
        """How discharge at the targets changed in the last `tangent`, (window, time, target)."""
        assert self._information is not None
        return self._information.toward()

    def weigh(self, weight: Array) -> None:
        """Keep the weights of discharge for `pull`."""
        assert self._information is not None
        self._information.weigh(weight)

    def pull(self, seed: Array | None, *gradients: Series) -> tuple[dict[str, Any], list[Series]]:
        """Pull something about discharge back to coefficients; see `PieceInformation.pull`."""
        assert self._information is not None
        return self._information.pull(seed, gradients)

    def double_engine(self) -> Engine:
        """An engine like this piece's own, in double precision."""
        if self.dtype == torch.float64:
            return self.engine
        if self._double is None:
            self._double = self._make_engine(torch.float64)
        return self._double

    def forget_information(self) -> None:
        """Free what `linearise` keeps."""
        self._information = None

    # -- state ----------------------------------------------------------------------------------------------

    def keep_best(self) -> None:
        """Remember the present deviations as the best ones."""
        self.best = self.free

    def back_to_best(self) -> None:
        """Go back to the best deviations, the optimiser at rest."""
        self.free = self.best
        self.adam = Adam.at_rest(self.free)

    def place(self, free: NDArray[np.float64]) -> None:
        """Put the deviations somewhere else; the optimiser stays as it is."""
        self.free = self._put(free)

    def state(self) -> dict[str, NDArray[np.float64]]:
        """What a checkpoint holds of this piece; every array ends in its reaches."""
        held = {
            "free": self.free,
            "best": self.best,
            "adam_mean": self.adam.mean,
            "adam_square": self.adam.square,
        }
        return {name: value.cpu().numpy() for name, value in held.items()}

    def restore(self, state: dict[str, NDArray[np.float64]], steps: int) -> None:
        """Go back to a checkpoint."""
        names = ("free", "best", "adam_mean", "adam_square")
        self.free, self.best, mean, square = (self._put(state[name]) for name in names)
        self.adam = Adam(mean, square, steps)

    def physical(self, shared: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Celerity, spreading, diffusivity and the scheme's parameters at the best deviations, (reach,) each."""
        model = self.fit.model
        leaf = self._put(shared)
        celerity, spreading = model.physical(leaf, self.best, self.features, self.region)
        values = {
            "celerity": celerity,
            "diffusivity": model.scheme.diffusivity(celerity, spreading, self.length),
        }
        if spreading is not None and model.scheme.spreading is not None:
            values[model.scheme.spreading.name] = spreading
        values.update(self.parameters(leaf, self.best))
        return {name: value.cpu().numpy() for name, value in values.items()}
