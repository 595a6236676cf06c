"""Block-sparse causal convolution: a matrix of finite responses, stored as dense tiles, over many series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

GATHER_BYTES = 1 << 26
"""Series gathered for the tiles at work at once; bounds the temporary memory of a convolution."""


@dataclass(frozen=True)
class TileIndex:
    """Where the tiles of a block-sparse matrix stand.

    Attributes:
        rows, columns: rows and columns of one tile.
        tile_row, tile_column: (tile,) which tile row and tile column each one is.
        n_tile_rows, n_tile_columns: tile rows and columns of the whole matrix.
    """

    rows: int
    columns: int
    tile_row: Tensor
    tile_column: Tensor
    n_tile_rows: int
    n_tile_columns: int

    @property
    def n_tiles(self) -> int:
        return int(self.tile_row.numel())

    def groups(self, length: int, item: int) -> list[slice]:
        """Runs of tiles whose gathered series stay within `GATHER_BYTES`."""
        size = max(1, GATHER_BYTES // max(1, self.columns * length * item))
        return [slice(a, min(a + size, self.n_tiles)) for a in range(0, self.n_tiles, size)]


class _BlockSparseConvolution(torch.autograd.Function):
    """y[r, t] = Σ_c Σ_m tiles[m, r, c] x[c, t + W−1 − m]: one batched matrix product a lag."""

    @staticmethod
    def forward(ctx: Any, tiles: Tensor, series: Tensor, index: TileIndex) -> Tensor:
        ctx.save_for_backward(tiles, series)
        ctx.index = index
        window, length = tiles.shape[0], series.shape[-1]
        out_length = length - window + 1
        columns = series.view(index.n_tile_columns, index.columns, length)
        out = series.new_zeros(index.n_tile_rows, index.rows, out_length)
        for group in index.groups(length, series.element_size()):
            x = columns[index.tile_column[group]]
            y = x.new_zeros(x.shape[0], index.rows, out_length)
            for m in range(window):
                start = window - 1 - m
                y.baddbmm_(tiles[m, group], x[:, :, start : start + out_length])
            out.index_add_(0, index.tile_row[group], y)
        return out.reshape(-1, out_length)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        tiles, series = ctx.saved_tensors
        index: TileIndex = ctx.index
        window, length = tiles.shape[0], series.shape[-1]
        out_length = length - window + 1
        columns = series.view(index.n_tile_columns, index.columns, length)
        grad_rows = grad.reshape(index.n_tile_rows, index.rows, out_length)
        need_tiles, need_series = ctx.needs_input_grad[:2]
        grad_tiles = torch.empty_like(tiles) if need_tiles else None
        grad_series = torch.zeros_like(columns) if need_series else None
        for group in index.groups(length, series.element_size()):
            g = grad_rows[index.tile_row[group]]
            x = columns[index.tile_column[group]] if need_tiles else None
            gx = g.new_zeros(g.shape[0], index.columns, length) if need_series else None
            for m in range(window):
                start = window - 1 - m
                if grad_tiles is not None and x is not None:
                    grad_tiles[m, group] = torch.bmm(g, x[:, :, start : start + out_length].transpose(1, 2))
                if gx is not None:
                    gx[:, :, start : start + out_length].baddbmm_(tiles[m, group].transpose(1, 2), g)
            if grad_series is not None and gx is not None:
                grad_series.index_add_(0, index.tile_column[group], gx)
        return grad_tiles, None if grad_series is None else grad_series.view_as(series), None


def block_sparse_convolution(tiles: Tensor, series: Tensor, index: TileIndex) -> Tensor:
    """Convolve series with a block-sparse matrix of causal responses.

    Args:
        tiles: (window, tile, row, column) responses by lag.
        series: (tile columns · columns, history + time), history = window − 1 steps before the first wanted.
        index: where the tiles stand.

    Returns:
        (tile rows · rows, time).
    """
    out: Tensor = _BlockSparseConvolution.apply(tiles, series, index)
    return out
