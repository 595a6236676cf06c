"""Sweeps over all pieces of a network: downstream with discharge, upstream with gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivergrad.cluster.calls import Call, Node
from rivergrad.cluster.executor import Answer, Executor, Pending
from rivergrad.cluster.placement import Needs, fit_parts, room_here
from rivergrad.cluster.totals import Total
from rivergrad.model.smoothing import Neighbours
from rivergrad.pieces.resident import After, FitSetup, Given, PieceSetup, ResidentPiece
from rivergrad.routing.pieces import Piece

Float = NDArray[np.float64]
Window = tuple[int, int, int]

GROUPS = 4
"""Into how many groups at most the windows of a step are dealt where basins are cut: while a piece routes one group,
those downstream route the group before. On GPUs there is one: a kernel's time is that of the longest way through its
tree, not of its windows."""
ADDED = ("loss", "shared", "square")
"""What a step adds up over all pieces."""


class Sweep:
    """The pieces of a network on an executor.

    Args:
        executor: where they live.
        setups: one a piece, in the order of their numbers.
        needs: what each takes where it lives; by default nothing is asked for.

    Raises:
        InputError: a part will not fit anywhere; it is named.

    Attributes:
        seconds: what all sweeps so far would have taken if nothing cost time but the pieces' own work.
    """

    def __init__(
        self, executor: Executor, setups: Sequence[PieceSetup], needs: Sequence[Needs] | None = None
    ) -> None:
        self.executor = executor
        self.pieces: list[Piece] = [setup.piece for setup in setups]
        # which (piece, inlet) takes each outlet's series: the gradient comes back from there
        self._taken: dict[tuple[int, int], tuple[int, int]] = {
            source: (piece.number, e) for piece in self.pieces for e, source in enumerate(piece.sources)
        }
        self._neighbours: list[Neighbours | None] = [None] * len(self.pieces)
        self.seconds = 0.0
        self._cut = any(piece.sources for piece in self.pieces)
        self._device = setups[0].device
        self._on_gpu = self._device.startswith("cuda")
        part = [piece.part for piece in self.pieces]
        room = executor.everywhere(room_here, self._device)
        of_part = [Needs()] * (max(part) + 1)
        for p, need in zip(part, needs or (), strict=False):
            of_part[p] += need
        self._home = fit_parts(np.bincount(part, [p.reaches.size for p in self.pieces]), of_part, room)
        executor.gather(
            [
                executor.create(
                    p.number,
                    (self._home[p.part] + 0.5) / len(room),
                    ResidentPiece,
                    setup,
                    self._cut and p.whole,
                )
                for p, setup in zip(self.pieces, setups, strict=True)
            ]
        )

    def load(self) -> None:
        """Every worker reads the runoff of its pieces."""
        self._everywhere("load")

    def prepare_fit(self, fits: Sequence[FitSetup]) -> None:
        """Every piece gets ready for estimation."""
        self._each("prepare_fit", [(fit,) for fit in fits])

    def _do(self, calls: Sequence[Call], total: Total | None = None) -> Answer:
        answer = self.executor.do(calls, total)
        self.seconds += answer.seconds
        return answer

    def _results(self, calls: Sequence[Call]) -> list[Any]:
        results = self._do(calls).results
        return [results[piece.number] for piece in self.pieces]

    def begin_stage(self, routed: bool, weights: Float | None) -> None:
        """Every piece learns what the next steps are about; see `ResidentPiece.begin_stage`."""
        self._everywhere("begin_stage", routed, weights)

    def runoff(self, weights: Float, n_reaches: int) -> Float:
        """The learned runoff of all reaches, (time, reach) m³/s."""
        return self._assembled(self._everywhere("runoff", weights), n_reaches)["runoff"]

    def _everywhere(self, method: str, *args: Any) -> list[Any]:
        return self._each(method, [args] * len(self.pieces))

    def _each(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        return self._results(
            [
                Call(piece.number, piece.number, method, args)
                for piece, args in zip(self.pieces, arguments, strict=True)
            ]
        )

    def _downstream(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> list[Call]:
        return [
            Call(piece.number, piece.number, method, args, piece.sources, gives=True)
            for piece, args in zip(self.pieces, arguments, strict=True)
        ]

    def _upstream(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> list[Call]:
        return [
            Call(
                piece.number,
                piece.number,
                method,
                arguments[piece.number],
                tuple(self._taken[piece.number, outlet] for outlet in range(piece.outlets.size)),
                gives=True,
            )
            for piece in reversed(self.pieces)
        ]

    def simulate(self, given: Sequence[Given], start: int, stop: int) -> list[NDArray[np.float64]]:
        """Discharge (time, target) of each piece over steps start..stop of the record, from rest."""
        return self._results(self._downstream("simulate", [(g, start, stop) for g in given]))

    def start_chunk(
        self, given: Sequence[Given], start: int, stop: int, after: Pending | None = None
    ) -> Pending:
        """Send off the next chunk of a record, which goes on from the chunk `after`; see `end_chunk`."""
        calls = self._downstream("route_chunk", [(g, start, stop) for g in given])
        return self.executor.start(calls, after=after)

    def end_chunk(self, pending: Pending) -> list[NDArray[Any]]:
        """Discharge (time, target) of each piece in a chunk that was sent off."""
        answer = self.executor.finish(pending)
        self.seconds += answer.seconds
        results = answer.results
        return [results[piece.number] for piece in self.pieces]

    def step(
        self,
        shared: Float,
        windows: Sequence[Window],
        after: After = "move",
        rate: float | None = None,
    ) -> dict[str, Any]:
        """One forward and backward sweep: what `ResidentPiece.backward` reports, added up over the pieces.

        Args:
            shared: shared coefficients.
            windows: see `ResidentPiece.forward`.
            after: what becomes of the deviations; they move by Adam.
            rate: learning rate; that of the set-up by default.

        Returns:
            `loss`, `shared` and `square`; with `tell` also `free`, the deviations' gradients by piece.
        """
        answer = self._do(
            self._step_calls(shared, list(windows), after, rate), Total(ADDED, len(self.pieces))
        )
        rest = [answer.results[piece.number] for piece in self.pieces]
        self._remember([result["edge"] for result in rest])
        if after != "tell":
            return answer.sums
        return {**answer.sums, "free": [result["free"] for result in rest]}

    def _step_calls(
        self, shared: Float, windows: list[Window], after: After, rate: float | None
    ) -> list[Call]:
        """The calls of a step. Pieces that nothing flows into or out of do all in one."""
        several = self._cut and not self._on_gpu
        groups = np.array_split(np.arange(len(windows)), min(GROUPS, len(windows)) if several else 1)
        if len(groups) == 1:
            return self._whole_step(shared, windows, after, rate)
        forward: list[Call] = []
        judge: list[Call] = []
        backward: list[Call] = []
        ends: list[Call] = []
        for piece, beside in zip(self.pieces, self._neighbours, strict=True):
            p = piece.number
            if piece.whole:
                args = (after, rate, shared, windows, beside)
                ends.append(Call(("end", p), p, "both", args, gives=True, label=len(groups)))
                continue
            judge.append(Call(("judge", p), p, "judge", (windows, beside), wanted=False, label=len(groups)))
            ends.append(Call(("end", p), p, "finish", (after, rate), label=2 * len(groups) + 1))
        apart = [p for p in self.pieces if not p.whole]
        for g, members in enumerate(groups):
            mine = [windows[w] for w in members]
            for piece in apart:
                forward.append(
                    Call(
                        ("forward", g, piece.number),
                        piece.number,
                        "forward_group",
                        (g, shared, mine),
                        tuple((("forward", g, source), outlet) for source, outlet in piece.sources),
                        gives=True,
                        wanted=False,
                        label=g,
                    )
                )
            for piece in reversed(apart):
                takers = [self._taken[piece.number, outlet] for outlet in range(piece.outlets.size)]
                backward.append(
                    Call(
                        ("backward", g, piece.number),
                        piece.number,
                        "backward_group",
                        (g,),
                        tuple((("backward", g, number), inlet) for number, inlet in takers),
                        gives=True,
                        wanted=False,
                        label=len(groups) + 1 + g,
                    )
                )
        return [*forward, *judge, *backward, *ends]

    def _whole_step(
        self, shared: Float, windows: list[Window], after: After, rate: float | None
    ) -> list[Call]:
        calls: list[Call] = []
        turned: dict[int, Node] = {}
        for piece, beside in zip(self.pieces, self._neighbours, strict=True):
            p = piece.number
            args = (shared, windows, beside)
            # what a piece without outlets gives are gradients, which nobody takes for series
            takes = tuple((("forward", source), outlet) for source, outlet in piece.sources)
            if piece.outlets.size:
                calls.append(Call(("forward", p), p, "forward", args, takes, gives=True, wanted=False))
            else:
                turned[p] = ("both", p)
                aside = self._on_gpu and self._cut and piece.whole
                calls.append(Call(turned[p], p, "both", (after, rate, *args), takes, gives=True, aside=aside))
        for piece in reversed(self.pieces):
            if piece.number not in turned:
                p = piece.number
                takers = [self._taken[p, outlet] for outlet in range(piece.outlets.size)]
                gradients = tuple((turned[number], inlet) for number, inlet in takers)
                turned[p] = ("backward", p)
                calls.append(Call(turned[p], p, "backward", (after, rate), gradients, gives=True))
        return calls

    def advance(self, rate: float, scale: float) -> None:
        """Every piece moves its deviations by the last gradient times `scale`."""
        self._remember(self._everywhere("advance", rate, scale))

    def _remember(self, edges: Sequence[Neighbours]) -> None:
        """Sort what the pieces tell of their deviations at the cuts by who needs it."""
        if not self._cut:
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
        found = self.step(shared, windows, after="tell")
        free = self._assembled([{"free": of_piece} for of_piece in found["free"]], n_reaches)["free"]
        return found["loss"], found["shared"], free

    def place(self, free: Float) -> None:
        """Put the deviations (n_free, reach) of all pieces somewhere."""
        self._each("place", [(free[:, piece.reaches],) for piece in self.pieces])
        self._remember(self._everywhere("edge"))

    def linearise(self, shared: Float, windows: Sequence[Window]) -> list[Float]:
        """Route windows in double precision and keep their graph; discharge (window, time, target) by piece."""
        return self._results(self._downstream("linearise", [(shared, windows)] * len(self.pieces)))

    def weigh(self, weights: Sequence[Float]) -> None:
        """Give every piece the weights (window, time, target) of `information`."""
        self._each("weigh", [(weight,) for weight in weights])

    def pull(self, seeds: Sequence[Float], n_reaches: int) -> tuple[Float, Float]:
        """Jᵀ of something about discharge (window, time, target): of shared coefficients and deviations."""
        return self._pulled([(seed,) for seed in seeds], n_reaches)

    def information(self, shared: Float, free: Float, step: float) -> tuple[Float, Float]:
        """Jᵀ W J of a direction (see `rivergrad.pieces.information`).

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
        self._do(self._downstream("tangent", [(shared, free[:, p.reaches], step) for p in self.pieces]))

    def _pulled(self, arguments: Sequence[tuple[Any, ...]], n_reaches: int) -> tuple[Float, Float]:
        answer = self._do(self._upstream("pull", arguments), Total(("shared",), len(self.pieces)))
        rest = [{"free": answer.results[piece.number]["free"]} for piece in self.pieces]
        return answer.sums["shared"], self._assembled(rest, n_reaches)["free"]

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
        self._each(
            "restore",
            [
                ({name: value[..., piece.reaches] for name, value in state.items()}, steps)
                for piece in self.pieces
            ],
        )
        self._remember(self._everywhere("edge"))


def _side_by_side(columns: Sequence[Float], n_free: int) -> Float:
    return np.stack(columns, axis=1) if columns else np.zeros((n_free, 0))
