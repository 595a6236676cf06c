"""Windows of a piece that are routed, with the graph that takes gradients back through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rivergrad.pieces.series import Series, apart, side_by_side


@dataclass(frozen=True, eq=False)
class RoutedWindows:
    """Routed windows of a piece and their graph.

    Attributes:
        discharge: (window, time, target) m³/s of the steps that count.
        outflow: (window, outlet, routing step); inflow: (window, inlet, routing step), empty without inlets.
        shared: shared coefficients; free: (n_free, reach) deviations: the leaves of the graph.
    """

    discharge: Tensor
    outflow: Tensor
    inflow: Tensor
    shared: Tensor
    free: Tensor

    def leaving(self) -> list[Series]:
        """The outflow series of each outlet, (window, routing step) m³/s."""
        return apart(self.outflow)

    def vjp(
        self, root: Tensor, seed: Tensor, gradients: Sequence[Series], keep: bool = False
    ) -> tuple[Tensor, Tensor, list[Series]]:
        """Vector-Jacobian product: gradients of shared coefficients, deviations and inflows.

        Args:
            root: the tensor to differentiate, in addition to the outlets' series.
            seed: the gradient with respect to `root`, of the same shape.
            gradients: (window, routing step) gradient with respect to each outlet's series, from downstream.
            keep: whether to keep the graph for another product.

        Returns:
            Gradients of `shared` and `free`, and of each inlet's series.
        """
        roots, seeds = [root], [seed]
        if gradients:
            roots.append(self.outflow)
            seeds.append(side_by_side(gradients, self.outflow.device, self.outflow.dtype))
        leaves = [self.shared, self.free] + ([self.inflow] if self.inflow.numel() else [])
        # an engine may have routed nothing where no gauge lies downstream: then the root has no graph
        connected = [k for k, one in enumerate(roots) if one.requires_grad]
        found: Sequence[Tensor | None] = [None] * len(leaves)
        if connected:
            found = torch.autograd.grad(
                [roots[k] for k in connected],
                leaves,
                [seeds[k] for k in connected],
                retain_graph=keep,
                allow_unused=True,
            )
        grads = [torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, found, strict=True)]
        return grads[0], grads[1], apart(grads[2]) if len(grads) > 2 else []
