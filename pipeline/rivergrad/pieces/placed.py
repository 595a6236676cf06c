"""The pieces of a network where they live, and the ways to call a function on all of them.

A function is called as function(piece), or, if series pass from piece to piece, as function(piece, [series, ...]), and
then returns (result, [series, ...]); see `rivergrad.cluster.calls.Call`. `functools.partial` binds its other arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rivergrad.cluster.calls import Call, Plan
from rivergrad.cluster.executor import Answer, Executor, Pending
from rivergrad.cluster.placement import Needs, fit_parts, room_here
from rivergrad.cluster.totals import Total
from rivergrad.pieces.series import Series
from rivergrad.pieces.setup import PieceSetup
from rivergrad.pieces.state import ResidentPiece, set_up
from rivergrad.routing.pieces import Piece

T = TypeVar("T")
Local = Callable[[ResidentPiece], T]
"""What a worker does with a piece alone."""
Linked = Callable[[ResidentPiece, Sequence[Series]], tuple[T, list[Series]]]
"""What a worker does with a piece and the series of its neighbours."""


class PlacedPieces:
    """The pieces of a network on an executor.

    Args:
        executor: the executor of the workers that hold the pieces.
        setups: the set-up of each piece, in the order of their numbers.
        needs: memory that each piece needs; by default memory is not checked.

    Raises:
        InputError: a part fits on no worker; the message names it.

    Attributes:
        pieces: the pieces in the order of their numbers.
        takers: maps (piece, outlet) to the (piece, inlet) that receives its series and returns the gradient.
        cut: whether any basin is cut.
        on_gpu: whether the pieces are on GPUs.
        seconds: the time of all sweeps so far, counting only the pieces' own work.
    """

    def __init__(
        self, executor: Executor, setups: Sequence[PieceSetup], needs: Sequence[Needs] | None = None
    ) -> None:
        self._executor = executor
        self.pieces: list[Piece] = [setup.piece for setup in setups]
        self.takers: dict[tuple[int, int], tuple[int, int]] = {
            source: (piece.number, e) for piece in self.pieces for e, source in enumerate(piece.sources)
        }
        self.cut = any(piece.sources for piece in self.pieces)
        self.on_gpu = setups[0].device.startswith("cuda")
        self.seconds = 0.0
        self._place(setups, needs or ())

    def _place(self, setups: Sequence[PieceSetup], needs: Sequence[Needs]) -> None:
        part = [piece.part for piece in self.pieces]
        room = self._executor.everywhere(room_here, setups[0].device)
        of_part = [Needs()] * (max(part) + 1)
        for p, need in zip(part, needs, strict=False):
            of_part[p] += need
        home = fit_parts(np.bincount(part, [p.reaches.size for p in self.pieces]), of_part, room)
        self._executor.gather(
            [
                self._executor.create(
                    p.number, (home[p.part] + 0.5) / len(room), set_up, setup, self.cut and p.whole
                )
                for p, setup in zip(self.pieces, setups, strict=True)
            ]
        )

    def takers_of(self, piece: Piece) -> list[tuple[int, int]]:
        """The (piece, inlet) that receives the series of each (piece, outlet)."""
        return [self.takers[piece.number, outlet] for outlet in range(piece.outlets.size)]

    def do(self, calls: Sequence[Call], total: Total | None = None) -> Answer:
        """Carry out a sweep."""
        answer = self._executor.do(calls, total)
        self.seconds += answer.seconds
        return answer

    def repeat(self, plan: Plan, given: Mapping[Hashable, Any]) -> Answer:
        """Carry out a sweep that comes again and again with other values."""
        answer = self._executor.repeat(plan, given)
        self.seconds += answer.seconds
        return answer

    def in_order(self, results: dict[int, T]) -> list[T]:
        """Results by the pieces' numbers as a list."""
        return [results[piece.number] for piece in self.pieces]

    def everywhere(self, function: Local[T]) -> list[T]:
        """Call one function on every piece; returns the results."""
        return self.each([function] * len(self.pieces))

    def each(self, functions: Sequence[Local[T]]) -> list[T]:
        """Call each piece's own function on it; returns the results."""
        calls = [Call(p.number, p.number, f) for p, f in zip(self.pieces, functions, strict=True)]
        return self.in_order(self.do(calls).results)

    def downstream(self, functions: Sequence[Linked[T]]) -> list[T]:
        """Call each piece's own function on it, with series passed downstream; returns the results."""
        return self.in_order(self.do(self._downstream(functions)).results)

    def upstream(self, functions: Sequence[Linked[Any]], total: Total) -> Answer:
        """Call each piece's own function on it, with gradients of series passed upstream."""
        calls = [
            Call(p.number, p.number, functions[p.number], tuple(self.takers_of(p)), linked=True)
            for p in reversed(self.pieces)
        ]
        return self.do(calls, total)

    def start_downstream(self, functions: Sequence[Linked[Any]], after: Pending | None = None) -> Pending:
        """Start a sweep like that of `downstream` without waiting. It queues behind earlier sweeps."""
        return self._executor.start(self._downstream(functions), after=after)

    def finish(self, pending: Pending) -> list[Any]:
        """Wait for a sweep that was started, and return its results."""
        answer = self._executor.finish(pending)
        self.seconds += answer.seconds
        return self.in_order(answer.results)

    def _downstream(self, functions: Sequence[Linked[Any]]) -> list[Call]:
        return [
            Call(p.number, p.number, f, p.sources, linked=True)
            for p, f in zip(self.pieces, functions, strict=True)
        ]

    def assembled(
        self, of_pieces: Sequence[dict[str, NDArray[Any]]], n_reaches: int
    ) -> dict[str, NDArray[np.float64]]:
        """Arrays (…, reach) of the pieces as those of the network, by name: the same for any partition."""
        whole: dict[str, NDArray[np.float64]] = {}
        for name, value in of_pieces[0].items():
            whole[name] = np.empty((*value.shape[:-1], n_reaches))
        for piece, values in zip(self.pieces, of_pieces, strict=True):
            for name, value in values.items():
                whole[name][..., piece.reaches] = value
        return whole
