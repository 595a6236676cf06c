"""Responses of paths: the product of the transfer functions of the reaches on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass(frozen=True)
class ProductIndex:
    """`Paths` as tensors: see there. `reach` indexes rows of the transfer functions."""

    reach: Tensor
    parent: Tensor
    slices: tuple[tuple[int, int], ...]


class _PathProduct(torch.autograd.Function):
    """P[p] = P[parent[p]] · H[reach[p]]: one complex product a path, whatever its length.

    No logarithms are taken, so a transfer function may vanish at a frequency, and the error grows with the
    number of factors only (a few ulp each), not with the size of a sum of logarithms.
    """

    @staticmethod
    def forward(ctx: Any, transfer: Tensor, index: ProductIndex) -> Tensor:
        product = transfer[index.reach]
        for start, stop in index.slices[1:]:
            product[start:stop] *= product[index.parent[start:stop]]
        ctx.save_for_backward(transfer, product)
        ctx.index = index
        return product

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        transfer, product = ctx.saved_tensors
        index: ProductIndex = ctx.index
        # The conjugate of the gradient is carried, so that no factor has to be conjugated: that is slow.
        carried = torch.view_as_complex(torch.view_as_real(grad) * grad.real.new_tensor([1.0, -1.0]))
        for start, stop in reversed(index.slices[1:]):
            # parents are distinct inside a slice: a plain indexed addition is exact and deterministic
            parent = index.parent[start:stop]
            here = carried[start:stop]
            carried[parent] = carried[parent].addcmul_(here, transfer[index.reach[start:stop]])
            here *= product[parent]
        out = torch.zeros_like(transfer)
        out.index_add_(0, index.reach, carried)
        out = torch.conj_physical(out)
        return out, None


def path_product(transfer: Tensor, index: ProductIndex) -> Tensor:
    """Response of each path at some frequencies.

    Args:
        transfer: (reach, frequency) complex.
        index: the paths.

    Returns:
        (path, frequency) complex.
    """
    product: Tensor = _PathProduct.apply(transfer, index)
    return product
