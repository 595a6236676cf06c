"""Sweeps over all pieces of a network: downstream with discharge, upstream with gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivergrad.distributed.executor import Executor, Handle
from rivergrad.estimate.resident import FitSetup, Given, PieceSetup, ResidentPiece
from rivergrad.estimate.smoothing import Neighbours
from rivergrad.routing.pieces import Piece

Float = NDArray[np.float64]
Window = tuple[int, int, int]


class Sweep:
    """The pieces of a network on an executor.

    Args:
        executor: where they live.
        setups: one a piece, in the order of their numbers.
    """

    def __init__(self, executor: Executor, setups: Sequence[PieceSetup]) -> None:
        self.executor = executor
        self.pieces: list[Piece] = [setup.piece for setup in setups]
        # which (piece, inlet) takes each outlet's series: the gradient comes back from there
        self._taken: dict[tuple[int, int], tuple[int, int]] = {
            source: (piece.number, e) for piece in self.pieces for e, source in enumerate(piece.sources)
        }
        self._neighbours: list[Neighbours | None] = [None] * len(self.pieces)
        executor.gather(
            [executor.create(setup.piece.number, setup.piece.part, ResidentPiece, setup) for setup in setups]
        )

    def load(self) -> None:
        """Every worker reads the runoff of its pieces."""
        self._everywhere("load")

    def prepare_fit(self, fits: Sequence[FitSetup]) -> None:
        """Every piece gets ready for estimation."""
        self.executor.gather(
            [self.executor.run(p.number, "prepare_fit", f) for p, f in zip(self.pieces, fits, strict=True)]
        )

    def begin_stage(self, routed: bool, weights: Float | None) -> None:
        """Every piece learns what the next steps are about; see `ResidentPiece.begin_stage`."""
        self._everywhere("begin_stage", routed, weights)

    def runoff(self, weights: Float, n_reaches: int) -> Float:
        """The learned runoff of all reaches, (time, reach) m³/s."""
        return self._assembled(self._everywhere("runoff", weights), n_reaches)["runoff"]

    def _everywhere(self, method: str, *args: Any) -> list[Any]:
        return self.executor.gather([self.executor.run(p.number, method, *args) for p in self.pieces])

    def _downstream(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> list[Handle]:
        handles: list[Handle] = []
        for piece, args in zip(self.pieces, arguments, strict=True):
            series = [(handles[source], outlet) for source, outlet in piece.sources]
            handles.append(self.executor.call(piece.number, method, *args, series=series))
        return handles

    def simulate(self, given: Sequence[Given], start: int, stop: int) -> list[NDArray[np.float64]]:
        """Discharge (time, target) of each piece over steps start..stop of the record, from rest."""
        handles = self._downstream("simulate", [(g, start, stop) for g in given])
        return self.executor.gather_results(handles)

    def route_chunk(self, given: Sequence[Given], start: int, stop: int) -> list[Handle]:
        """Handles of the next chunk's discharge of each piece (see `Executor.gather_results`)."""
        return self._downstream("route_chunk", [(g, start, stop) for g in given])

    def _upstream(
        self, method: str, arguments: Sequence[tuple[Any, ...]], whole: dict[int, Handle] | None = None
    ) -> list[Handle]:
        """Call every piece's method with the gradient of its outlets; pieces in `whole` have been called before."""
        handles = {} if whole is None else whole
        for piece in reversed(self.pieces):
            if piece.number not in handles:
                takers = [self._taken[piece.number, outlet] for outlet in range(piece.outlets.size)]
                gradients = [(handles[number], inlet) for number, inlet in takers]
                handles[piece.number] = self.executor.call(
                    piece.number, method, *arguments[piece.number], series=gradients
                )
        return [handles[piece.number] for piece in self.pieces]

    def step(
        self,
        shared: Float,
        windows: Sequence[Window],
        update: bool = True,
        rate: float | None = None,
    ) -> list[dict[str, Any]]:
        """One forward and backward sweep: what `ResidentPiece.backward` reports, by piece.

        Args:
            shared: shared coefficients.
            windows: see `ResidentPiece.forward`.
            update: move the deviations by Adam, else only report their gradient.
            rate: learning rate; that of the set-up by default.
        """
        forward: list[Handle] = []
        whole: dict[int, Handle] = {}
        for piece, beside in zip(self.pieces, self._neighbours, strict=True):
            series = [(forward[source], outlet) for source, outlet in piece.sources]
            if piece.outlets.size:
                handle = self.executor.call(piece.number, "forward", shared, windows, beside, series=series)
            else:
                handle = self.executor.call(
                    piece.number, "both", update, rate, shared, windows, beside, series=series
                )
                whole[piece.number] = handle
            forward.append(handle)
        handles = self._upstream("backward", [(update, rate)] * len(self.pieces), whole)
        results: list[dict[str, Any]] = self.executor.gather_results(handles)
        self._remember([result["edge"] for result in results])
        return results

    def advance(self, rate: float, scale: float) -> None:
        """Every piece moves its deviations by the last gradient times `scale`."""
        self._remember(self._everywhere("advance", rate, scale))

    def _remember(self, edges: Sequence[Neighbours]) -> None:
        """Sort what the pieces tell of their deviations at the cuts by who needs it."""
        if not any(piece.sources for piece in self.pieces):
            return
        beside = []
        for piece in self.pieces:
            n_free = edges[piece.number].inlets.shape[0]
            above = [edges[source].outlets[:, outlet] for source, outlet in piece.sources]
            takers = [self._taken[piece.number, outlet] for outlet in range(piece.outlets.size)]
            below = [edges[number].inlets[:, inlet] for number, inlet in takers]
            beside.append(Neighbours(_side_by_side(above, n_free), _side_by_side(below, n_free)))
        self._neighbours = list(beside)

    def gradient(
        self, shared: Float, windows: Sequence[Window], n_reaches: int
    ) -> tuple[float, Float, Float]:
        """Loss, and its gradients of shared coefficients and of deviations (n_free, reach); nothing moves."""
        results = self.step(shared, windows, update=False)
        free = self._assembled([{"free": result["free"]} for result in results], n_reaches)["free"]
        loss = sum(result["loss"] for result in results)
        return loss, np.sum([result["shared"] for result in results], axis=0), free

    def place(self, free: Float) -> None:
        """Put the deviations (n_free, reach) of all pieces somewhere."""
        self._each("place", [(free[:, piece.reaches],) for piece in self.pieces])
        self._remember(self._everywhere("edge"))

    def _each(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        return self.executor.gather(
            [
                self.executor.run(p.number, method, *args)
                for p, args in zip(self.pieces, arguments, strict=True)
            ]
        )

    def linearise(self, shared: Float, windows: Sequence[Window]) -> list[Float]:
        """Route windows in double precision and keep their graph; discharge (window, time, target) by piece."""
        handles = self._downstream("linearise", [(shared, windows)] * len(self.pieces))
        return self.executor.gather_results(handles)

    def weigh(self, weights: Sequence[Float]) -> None:
        """Give every piece the weights (window, time, target) of `information`."""
        self._each("weigh", [(weight,) for weight in weights])

    def pull(self, seeds: Sequence[Float], n_reaches: int) -> tuple[Float, Float]:
        """Jᵀ of something about discharge (window, time, target): of shared coefficients and deviations."""
        return self._pulled([(seed,) for seed in seeds], n_reaches)

    def information(self, shared: Float, free: Float, step: float) -> tuple[Float, Float]:
        """Jᵀ W J of a direction (see `rivergrad.estimate.information`).

        Args:
            shared: (n_shared,) and free: (n_free, reach), the direction.
            step: of the difference quotient.
        """
        self._move(shared, free, step)
        return self._pulled([(None,)] * len(self.pieces), free.shape[1])

    def tangent(self, shared: Float, free: Float, step: float) -> list[Float]:
        """J of a direction, (window, time, target) by piece; arguments as for `information`."""
        self._move(shared, free, step)
        return self._everywhere("toward")

    def _move(self, shared: Float, free: Float, step: float) -> None:
        handles = self._downstream("tangent", [(shared, free[:, p.reaches], step) for p in self.pieces])
        self.executor.gather_results(handles)

    def _pulled(self, arguments: Sequence[tuple[Any, ...]], n_reaches: int) -> tuple[Float, Float]:
        results = self.executor.gather_results(self._upstream("pull", arguments))
        free = self._assembled([{"free": result["free"]} for result in results], n_reaches)["free"]
        return np.sum([result["shared"] for result in results], axis=0), free

    def forget_information(self) -> None:
        """Free what `linearise` keeps."""
        self._everywhere("forget_information")

    def keep_best(self) -> None:
        """Every piece remembers its present deviations as the best."""
        self._everywhere("keep_best")

    def back_to_best(self) -> None:
        """Every piece goes back to its best deviations, its optimiser at rest."""
        self._everywhere("back_to_best")
        self._remember(self._everywhere("edge"))

    def collect(self, n_reaches: int) -> dict[str, NDArray[np.float64]]:
        """The state of all pieces, arrays (…, reach) in the network's order: the same for any partition."""
        states = self._everywhere("state")
        return self._assembled(states, n_reaches)

    def physical(self, shared: NDArray[np.float64], n_reaches: int) -> dict[str, NDArray[np.float64]]:
        """Parameters of all reaches at the best deviations, (reach,) each."""
        return self._assembled(self._everywhere("physical", shared), n_reaches)

    def _assembled(
        self, states: Sequence[dict[str, NDArray[np.float64]]], n_reaches: int
    ) -> dict[str, NDArray[np.float64]]:
        whole: dict[str, NDArray[np.float64]] = {}
        for name, value in states[0].items():
            whole[name] = np.empty((*value.shape[:-1], n_reaches))
        for piece, state in zip(self.pieces, states, strict=True):
            for name, value in state.items():
                whole[name][..., piece.reaches] = value
        return whole

    def restore(self, state: dict[str, NDArray[np.float64]], steps: int) -> None:
        """Give every piece its share of a checkpoint."""
        self.executor.gather(
            [
                self.executor.run(
                    piece.number,
                    "restore",
                    {name: value[..., piece.reaches] for name, value in state.items()},
                    steps,
                )
                for piece in self.pieces
            ]
        )
        self._remember(self._everywhere("edge"))


def _side_by_side(columns: Sequence[Float], n_free: int) -> Float:
    return np.stack(columns, axis=1) if columns else np.zeros((n_free, 0))
