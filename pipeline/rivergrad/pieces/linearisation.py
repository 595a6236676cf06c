"""Products with the Jacobian of gauged discharge, for Gauss-Newton steps and for what the gauges can tell.

All in double precision. With q(z) the discharge at the gauges and J its Jacobian at the present coefficients z:
J v is a forward difference, (q(z + h v) − q(z)) / h, whose error is of the order of h; Jᵀ w is the routing's own
adjoint, exact, on the graph of q(z), which is kept. So one product Jᵀ W J v costs a routing forward and one backward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.pieces.series import Series, apart, side_by_side

if TYPE_CHECKING:
    from rivergrad.pieces.resident import ResidentPiece

Array = NDArray[Any]
Float = NDArray[np.float64]


class PieceInformation:
    """The linearisation of one piece, over some windows of the record.

    Args:
        resident: the piece, ready for estimation, with runoff read.
        shared: shared coefficients.
        windows: (first step of the warm-up, first step that counts, end), all of the same lengths.
        inflows: (window, routing step) each.

    Attributes:
        discharge: (window, time that counts, target).
        outflow: the series of each outlet.
    """

    def __init__(
        self,
        resident: ResidentPiece,
        shared: Float,
        windows: Sequence[tuple[int, int, int]],
        inflows: Sequence[Series],
    ) -> None:
        setup = resident.setup
        self._resident, self._windows = resident, windows
        self._warmup = windows[0][1] - windows[0][0]
        self._cut = bool(setup.piece.sources)
        self._engine = resident.double_engine()
        self._leaf = torch.from_numpy(shared.copy()).to(resident.free).requires_grad_()
        self._free = resident.free.clone().requires_grad_()
        self._inflow = self._series(inflows)
        if self._cut:
            self._inflow.requires_grad_()
        with torch.enable_grad():
            found, self._outflow = self._route(self._leaf, self._free, self._inflow)
        self._found = found
        self._toward: Tensor | None = None
        self._weight: Tensor | None = None
        self.discharge: Array = found.detach().cpu().numpy()
        self.outflow: list[Series] = apart(self._outflow)

    def _series(self, inflows: Sequence[Series]) -> Tensor:
        if not self._cut:
            return torch.zeros(0)
        return side_by_side(inflows, self._engine.device, torch.float64)

    def _route(self, shared: Tensor, free: Tensor, inflow: Tensor) -> tuple[Tensor, Tensor]:
        resident = self._resident
        runoff = resident.rained(shared, self._windows, torch.float64)
        prepared = self._engine.prepare(resident.parameters(shared, free), runoff.shape[1])
        discharge, outflow, _ = self._engine.apply(prepared, runoff, inflow if self._cut else None)
        return discharge[:, self._warmup :], outflow

    @torch.no_grad()
    def tangent(self, shared: Float, free: Float, step: float, inflows: Sequence[Series]) -> list[Series]:
        """Route at z + step · direction, for `pull` to take the difference quotient.

        Args:
            shared, free: the direction, of shared coefficients and of this piece's deviations.
            step: h.
            inflows: of the same step elsewhere.

        Returns:
            The series of each outlet.
        """
        moved, outflow = self._route(
            self._leaf + step * torch.from_numpy(shared).to(self._leaf),
            self._free + step * torch.from_numpy(free).to(self._free),
            self._series(inflows),
        )
        self._toward = (moved - self._found) / step
        return apart(outflow)

    def toward(self) -> Array:
        """J v of the last `tangent`, (window, time that counts, target)."""
        assert self._toward is not None
        found: Array = self._toward.cpu().numpy()
        return found

    def weigh(self, weight: Array) -> None:
        """Keep W, (window, time, target), for products Jᵀ W J v."""
        self._weight = torch.from_numpy(weight).to(self._found)

    def pull(self, seed: Array | None, gradients: Sequence[Series]) -> tuple[dict[str, Any], list[Series]]:
        """Jᵀ of this piece and of all downstream of it.

        Args:
            seed: (window, time, target) what to pull back; None for W J v of the last `tangent`.
            gradients: with respect to each outlet's series, from downstream.

        Returns:
            `shared` and `free` gradients, and that of each inflow.
        """
        if seed is None:
            assert self._toward is not None
            assert self._weight is not None
            toward = self._weight * self._toward
        else:
            toward = torch.from_numpy(seed).to(self._found)
        roots, seeds = [self._found], [toward]
        if gradients:
            roots.append(self._outflow)
            seeds.append(side_by_side(gradients, self._outflow.device, self._outflow.dtype))
        leaves = [self._leaf, self._free] + ([self._inflow] if self._cut else [])
        # of a piece without gauges an engine may have routed nothing
        heard = [k for k, root in enumerate(roots) if root.requires_grad]
        grads: Sequence[Tensor | None] = [None] * len(leaves)
        if heard:
            grads = torch.autograd.grad(
                [roots[k] for k in heard],
                leaves,
                [seeds[k] for k in heard],
                retain_graph=True,
                allow_unused=True,
            )
        found = [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, grads, strict=True)]
        into = apart(found[2]) if self._cut else []
        return {"shared": found[0].cpu().numpy(), "free": found[1].cpu().numpy()}, into
