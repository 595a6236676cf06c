"""The penalty on differences of deviations along the river, also across cuts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.routing.pieces import Piece

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Neighbours:
    """Deviations (n_free, …) next to a piece: of the reach upstream of each inlet and downstream of each outlet.

    As what a piece tells of itself: of its own reaches at its inlets and outlets.
    """

    inlets: Float
    outlets: Float


def river_penalty(free: Tensor, piece: Piece, neighbours: Neighbours | None) -> tuple[Tensor, Tensor]:
    """Σ (u_i − u_down(i))² over a piece's reaches, and over the reaches that flow into it.

    The first counts each edge once, at its upstream reach; the second is the share of edges counted elsewhere that
    moves with this piece's deviations, so that the gradient of their sum is that of the whole network's penalty.

    Args:
        free: (n_free, reach).
        neighbours: at the cuts; None where there are none.
    """
    down = torch.from_numpy(piece.downstream).to(free.device)
    inside = torch.nonzero(down >= 0)[:, 0]
    mine = ((free[:, inside] - free[:, down[inside]]) ** 2).sum()
    theirs = free.new_zeros(())
    if neighbours is not None:
        outlets, inlets = (torch.from_numpy(at).to(free.device) for at in (piece.outlets, piece.inlets))
        mine = mine + ((free[:, outlets] - torch.from_numpy(neighbours.outlets).to(free)) ** 2).sum()
        theirs = ((free[:, inlets] - torch.from_numpy(neighbours.inlets).to(free)) ** 2).sum()
    return mine, theirs
