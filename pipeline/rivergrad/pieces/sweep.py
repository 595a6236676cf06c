"""All pieces of a network, as the client uses them: a method for each operation of a run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivergrad.cluster.calls import Plan
from rivergrad.cluster.executor import Executor
from rivergrad.cluster.placement import Needs
from rivergrad.model.layout import Layout
from rivergrad.model.smoothing import Neighbours
from rivergrad.pieces import deviations, linearisation, parameters, record, runoff, state
from rivergrad.pieces.parameters import Given
from rivergrad.pieces.placed import PlacedPieces
from rivergrad.pieces.setup import FitSetup, PieceSetup, Window
from rivergrad.pieces.step import After
from rivergrad.pieces.stepcalls import StepRequest, group_count, step_plan, step_values

Float = NDArray[np.float64]

ADDED = ("loss", "shared", "square")
"""What a step adds up over all pieces."""


class Sweep:
    """The pieces of a network at work; arguments as for `PlacedPieces`.

    Attributes:
        placed: the pieces where they live.
    """

    def __init__(
        self, executor: Executor, setups: Sequence[PieceSetup], needs: Sequence[Needs] | None = None
    ) -> None:
        self.placed = PlacedPieces(executor, setups, needs)
        self._neighbours: list[Neighbours | None] = [None] * len(setups)
        self._plans: dict[int, Plan] = {}  # of steps, by their number of groups

    @property
    def seconds(self) -> float:
        """The time of all sweeps so far, s, counting only the pieces' own work."""
        return self.placed.seconds

    def load(self) -> None:
        """Every worker reads the runoff of its pieces."""
        self.placed.everywhere(runoff.load)

    def prepare_fit(self, fits: Sequence[FitSetup]) -> None:
        """Prepare every piece for estimation."""
        self.placed.each([partial(state.prepare_fit, fit=fit) for fit in fits])

    def begin_stage(self, layout: Layout, routed: bool, weights: Float | None) -> None:
        """Set what the next steps train. The arguments are the attributes of `state.Stage`."""
        self.placed.everywhere(partial(state.begin_stage, stage=state.Stage(layout, routed, weights)))

    def runoff(self, weights: Float, n_reaches: int) -> Float:
        """The learned runoff of all reaches, (time, reach) m³/s."""
        found = self.placed.everywhere(partial(runoff.learned_runoff, weights=weights))
        return self.placed.assembled(found, n_reaches)["runoff"]

    def physical(self, shared: Float, n_reaches: int) -> dict[str, Float]:
        """Parameters of all reaches at the best deviations, (reach,) each; see `parameters.physical`."""
        found = self.placed.everywhere(partial(parameters.physical, shared=shared))
        return self.placed.assembled(found, n_reaches)

    def simulate(self, given: Sequence[Given], start: int, stop: int) -> list[Float]:
        """Discharge (time, target) m³/s of each piece over steps start..stop of the record, from rest."""
        return self.placed.downstream(
            [partial(record.route_record, given=one, start=start, stop=stop) for one in given]
        )

    def step(
        self,
        shared: Float,
        windows: Sequence[Window],
        after: After = "move",
        rate: float | None = None,
        ahead: Sequence[Window] = (),
    ) -> dict[str, Any]:
        """Route some windows, take the gradient of the loss back, and move the deviations.

        Args:
            shared: (coefficient,) coefficients.
            windows: of the record, all of the same lengths.
            after: what to do with the deviations once their gradient is known.
            rate: learning rate of the deviations; that of the set-up by default.
            ahead: windows of the step that follows: runoff that is not in memory is read meanwhile.

        Returns:
            `loss`, `shared` (its gradient) and `square` (sum of squares of the deviations' gradient), over all pieces;
            with `tell` also `free`, the deviations' gradients (n_free, reach) by piece.
        """
        request = StepRequest(shared, list(windows), after, rate, self._neighbours, list(ahead))
        groups = group_count(self.placed, len(windows))
        if groups not in self._plans:
            self._plans[groups] = step_plan(self.placed, groups, ADDED)
        answer = self.placed.repeat(self._plans[groups], step_values(request, groups))
        rest = self.placed.in_order(answer.results)
        self._remember([result["edge"] for result in rest])
        if after != "tell":
            return answer.sums
        return {**answer.sums, "free": [result["free"] for result in rest]}

    def gradient(
        self, shared: Float, windows: Sequence[Window], n_reaches: int
    ) -> tuple[float, Float, Float]:
        """Loss, and its gradients of shared coefficients and of deviations (n_free, reach); nothing moves."""
        found = self.step(shared, windows, after="tell")
        free = self.placed.assembled([{"free": of_piece} for of_piece in found["free"]], n_reaches)["free"]
        return found["loss"], found["shared"], free

    def advance(self, rate: float, scale: float) -> None:
        """Move the deviations of every piece by Adam, with the last gradient times `scale`."""
        self._remember(self.placed.everywhere(partial(deviations.advance, rate=rate, scale=scale)))

    def place(self, free: Float) -> None:
        """Set the deviations (n_free, reach) of all pieces."""
        self.placed.each([partial(deviations.place, free=free[:, p.reaches]) for p in self.placed.pieces])
        self._remember(self.placed.everywhere(deviations.edge))

    def keep_best(self) -> None:
        """Every piece remembers its present deviations as the best."""
        self.placed.everywhere(deviations.keep_best)

    def back_to_best(self) -> None:
        """Every piece goes back to its best deviations, with its optimiser at rest."""
        self.placed.everywhere(deviations.back_to_best)
        self._remember(self.placed.everywhere(deviations.edge))

    def collect(self, n_reaches: int) -> dict[str, Float]:
        """The state of all pieces for a checkpoint, arrays (…, reach): the same for any partition."""
        return self.placed.assembled(self.placed.everywhere(deviations.state), n_reaches)

    def restore(self, state: dict[str, Float], steps: int) -> None:
        """Give every piece its share of a checkpoint that was made after so many steps."""
        shares = [
            {name: value[..., piece.reaches] for name, value in state.items()} for piece in self.placed.pieces
        ]
        self.placed.each([partial(deviations.restore, state=share, steps=steps) for share in shares])
        self._remember(self.placed.everywhere(deviations.edge))

    def forget_information(self) -> None:
        """Free what Jacobian products keep."""
        self.placed.everywhere(linearisation.forget)

    def _remember(self, edges: Sequence[Neighbours]) -> None:
        """Sort the deviations at the cuts, as the pieces report them, by the piece that needs them."""
        if not self.placed.cut:
            return
        for piece in self.placed.pieces:
            n_free = edges[piece.number].inlets.shape[0]
            above = [edges[source].outlets[:, outlet] for source, outlet in piece.sources]
            below = [edges[number].inlets[:, inlet] for number, inlet in self.placed.takers_of(piece)]
            self._neighbours[piece.number] = Neighbours(_columns(above, n_free), _columns(below, n_free))


def _columns(columns: Sequence[Float], n_free: int) -> Float:
    return np.stack(columns, axis=1) if columns else np.zeros((n_free, 0))
