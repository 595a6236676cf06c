"""The penalty on differences of deviations along the river, also across cuts."""

from __future__ import annotations

from collections.abc import Sequence
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


@dataclass(frozen=True)
class Ties:
    """Which edges of a piece are tied: by their upstream reach in the piece (reach,), and of each inlet (e,)."""

    down: NDArray[np.bool_]
    inlets: NDArray[np.bool_]


def ties_of(piece: Piece, pieces: Sequence[Piece], apart: NDArray[np.bool_]) -> Ties:
    """The ties of a piece between reaches of which neither stands apart.

    Args:
        piece: the piece; pieces: all of them.
        apart: (reach,) of the network.
    """
    below = np.zeros(piece.reaches.size, np.bool_)
    inside = piece.downstream >= 0
    below[inside] = apart[piece.reaches[piece.downstream[inside]]]
    for other in pieces:
        for e, (number, outlet) in enumerate(other.sources):
            if number == piece.number:
                below[piece.outlets[outlet]] = apart[other.reaches[other.inlets[e]]]
    above = np.array([apart[pieces[p].reaches[pieces[p].outlets[o]]] for p, o in piece.sources], np.bool_)
    return Ties(~apart[piece.reaches] & ~below, ~above & ~apart[piece.reaches[piece.inlets]])


def river_penalty(
    free: Tensor, piece: Piece, neighbours: Neighbours | None, ties: Ties | None = None
) -> tuple[Tensor, Tensor]:
    """Σ (u_i − u_down(i))² over a piece's reaches, and over the reaches that flow into it.

    The first counts each edge once, at its upstream reach; the second is the share of edges counted elsewhere that
    moves with this piece's deviations, so that the gradient of their sum is that of the whole network's penalty.

    Args:
        free: (n_free, reach).
        neighbours: at the cuts; None where there are none.
        ties: which edges count; None for all.
    """
    down_counts = inlet_counts = None
    if ties is not None:
        down_counts = torch.from_numpy(ties.down).to(free)
        inlet_counts = torch.from_numpy(ties.inlets).to(free)
    down = torch.from_numpy(piece.downstream).to(free.device)
    inside = torch.nonzero(down >= 0)[:, 0]
    mine = _sum((free[:, inside] - free[:, down[inside]]) ** 2, down_counts, inside)
    theirs = free.new_zeros(())
    if neighbours is not None:
        outlets, inlets = (torch.from_numpy(at).to(free.device) for at in (piece.outlets, piece.inlets))
        mine = mine + _sum(
            (free[:, outlets] - torch.from_numpy(neighbours.outlets).to(free)) ** 2, down_counts, outlets
        )
        theirs = _sum((free[:, inlets] - torch.from_numpy(neighbours.inlets).to(free)) ** 2, inlet_counts)
    return mine, theirs


def _sum(squares: Tensor, counts: Tensor | None, at: Tensor | None = None) -> Tensor:
    if counts is None:
        return squares.sum()
    return (squares * (counts if at is None else counts[at])).sum()
