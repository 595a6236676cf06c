"""A step whose windows are routed in groups, so that pieces downstream begin while those upstream go on.

Groups are routed one after the other, each with a graph of its own. The loss is of all windows together, as it is
where they are routed at once; then gradients go back group by group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.model.smoothing import Neighbours
from rivergrad.pieces.series import Series, apart, side_by_side

if TYPE_CHECKING:
    from rivergrad.pieces.resident import ResidentPiece

Window = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class RoutedWindows:
    """Windows of a piece that are routed, and their graph.

    Attributes:
        discharge: (window, time, target) of the steps that count.
        outflow: (window, outlet, routing step); inflow: (window, inlet, routing step), empty where there is none.
        leaf: shared coefficients; free: deviations.
    """

    discharge: Tensor
    outflow: Tensor
    inflow: Tensor
    leaf: Tensor
    free: Tensor

    def leaving(self) -> list[Series]:
        """The series of each outlet, (window, routing step)."""
        return apart(self.outflow)

    def pull(
        self, root: Tensor, seed: Tensor, gradients: Sequence[Series]
    ) -> tuple[Tensor, Tensor, list[Series]]:
        """Gradients of shared coefficients, deviations and inflows.

        Args:
            root: what they are of, beside the outlets, with its `seed`.
            gradients: of each outlet's series.
        """
        roots, seeds = [root], [seed]
        if gradients:
            roots.append(self.outflow)
            seeds.append(side_by_side(gradients, self.outflow.device, self.outflow.dtype))
        # of a piece without gauges an engine may have routed nothing
        heard = [k for k, one in enumerate(roots) if one.requires_grad]
        if heard:
            torch.autograd.backward([roots[k] for k in heard], [seeds[k] for k in heard])
        # where no gauge lies downstream, the loss knows nothing of the routing and autograd leaves no gradient
        shared, deviations, incoming = (
            torch.zeros_like(t) if t.grad is None else t.grad for t in (self.leaf, self.free, self.inflow)
        )
        into = apart(incoming) if self.inflow.numel() else []
        return shared, deviations, into


class PipelinedStep:
    """One step of a piece: `forward` for each group, `judge`, `backward` for each group, `totals`."""

    def __init__(self) -> None:
        self._groups: list[RoutedWindows | None] = []
        self._seeds: list[Tensor] = []
        self._gradients: dict[int, tuple[Tensor, Tensor]] = {}
        self._loss = 0.0
        self._penalty: Tensor | None = None

    def forward(
        self,
        piece: ResidentPiece,
        shared: NDArray[np.float64],
        windows: Sequence[Window],
        inflows: Sequence[Series],
    ) -> list[Series]:
        """Route the next group; the series of each outlet."""
        routed = piece.routed_windows(shared, windows, inflows)
        self._groups.append(routed)
        return routed.leaving()

    def judge(self, piece: ResidentPiece, windows: Sequence[Window], neighbours: Neighbours | None) -> None:
        """The loss of all windows, and its gradients of discharge and (by the penalties) of deviations."""
        parts = [group.discharge.detach() for group in self._groups if group is not None]
        discharge = torch.cat(parts).requires_grad_()
        free = piece.free.clone().requires_grad_()
        loss, elsewhere = piece.judged(discharge, windows, free, neighbours)
        if loss.requires_grad:
            loss.backward()
        of_discharge = torch.zeros_like(discharge) if discharge.grad is None else discharge.grad
        self._seeds = list(of_discharge.split([part.shape[0] for part in parts]))
        self._penalty = torch.zeros_like(free) if free.grad is None else free.grad
        self._loss = float(loss.detach()) - elsewhere

    def backward(self, group: int, gradients: Sequence[Series]) -> list[Series]:
        """Gradients of each inflow's series by way of a group, whose graph is freed."""
        routed = self._groups[group]
        assert routed is not None
        self._groups[group] = None
        shared, deviations, into = routed.pull(routed.discharge, self._seeds[group], gradients)
        self._gradients[group] = shared, deviations
        return into

    def totals(self) -> tuple[float, Tensor, Tensor]:
        """Loss, and its gradients of shared coefficients and deviations."""
        assert self._penalty is not None
        shared, deviations = None, self._penalty
        for _, (of_shared, of_deviations) in sorted(self._gradients.items()):  # in an order of its own
            shared = of_shared if shared is None else shared + of_shared
            deviations = deviations + of_deviations
        assert shared is not None
        return self._loss, shared, deviations
