"""Sweeps over all pieces of a network: downstream with discharge, upstream with gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivergrad.distributed.executor import Executor, Handle
from rivergrad.estimate.resident import FitSetup, Given, PieceSetup, ResidentPiece
from rivergrad.routing.pieces import Piece


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

    def step(
        self, shared: NDArray[np.float64], windows: Sequence[tuple[int, int, int]], update: bool = True
    ) -> list[dict[str, Any]]:
        """One forward and backward sweep: what `ResidentPiece.backward` reports, by piece."""
        forward: list[Handle] = []
        whole: dict[int, Handle] = {}
        for piece in self.pieces:
            series = [(forward[source], outlet) for source, outlet in piece.sources]
            if piece.outlets.size:
                handle = self.executor.call(piece.number, "forward", shared, windows, series=series)
            else:
                handle = self.executor.call(piece.number, "both", update, shared, windows, series=series)
                whole[piece.number] = handle
            forward.append(handle)
        for piece in reversed(self.pieces):
            if piece.number not in whole:
                takers = [self._taken[piece.number, outlet] for outlet in range(piece.outlets.size)]
                gradients = [(whole[number], inlet) for number, inlet in takers]
                whole[piece.number] = self.executor.call(piece.number, "backward", update, series=gradients)
        results: list[dict[str, Any]] = self.executor.gather_results(
            [whole[piece.number] for piece in self.pieces]
        )
        return results

    def keep_best(self) -> None:
        """Every piece remembers its present deviations as the best."""
        self._everywhere("keep_best")

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
