"""A partition as pieces that can be routed one after the other, and the series that pass between them.

Whole basins of a part make a piece, which has nothing to do with any other. Of basins that are cut, blocks of one part
that can work at the same stage make a piece: stage 0 needs nothing from other parts, stage 1 needs stage 0 of some
other part, and so on.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rivercut.network import RiverNetwork
from rivercut.partition import Partition
from rivergrad.routing.recurrence.cuda.layout import sweep_order
from rivergrad.routing.recurrence.problem import Index


@dataclass(frozen=True, eq=False)
class Piece:
    """One piece; positions called local count within `reaches`.

    Attributes:
        number: among all pieces; a piece only needs pieces of lower number.
        part: the part (and so the worker) it belongs to.
        reaches: (r,) positions in the network, upstream before downstream.
        downstream: (r,) local position downstream, −1 where the water leaves the piece.
        inlets: (e,) local reach that each inflow enters.
        sources: (e,) the piece each inflow comes from, and which of its outlets it is.
        outlets: (o,) local reaches whose series at the routing step others need.
    """

    number: int
    part: int
    reaches: Index
    downstream: Index
    inlets: Index
    sources: tuple[tuple[int, int], ...]
    outlets: Index

    @property
    def whole(self) -> bool:
        """Whether it is whole basins, which nothing flows into or out of."""
        return not self.sources and not self.outlets.size


def make_pieces(network: RiverNetwork, partition: Partition) -> tuple[Piece, ...]:
    """The pieces of a partition, in an order in which each comes after those it needs."""
    reach_stage = partition.block_stage[partition.reach_block]
    reach_part = partition.reach_part
    onward = np.flatnonzero(network.downstream >= 0)
    across = onward[reach_part[onward] != reach_part[network.downstream[onward]]]
    whole = np.ones(network.n_basins, np.int64)
    whole[network.basin[across]] = 0
    # first what others wait for
    parts = int(reach_part.max(initial=0)) + 1
    key = (reach_stage * 2 + whole[network.basin]) * parts + reach_part
    keys, piece_of = _ranks(key)
    order = network.order
    by_piece = order[np.argsort(piece_of[order], kind="stable")]
    bounds = np.searchsorted(piece_of[by_piece], np.arange(keys.shape[0] + 1))
    down = network.downstream
    has = np.flatnonzero(down >= 0)
    same = piece_of[has] == piece_of[down[has]]
    crossing = has[~same]
    inside = np.full(network.n_reaches, -1)  # position downstream in the same piece
    inside[has[same]] = down[has[same]]
    local = np.empty(network.n_reaches, np.int64)
    for begin, end in pairwise(bounds.tolist()):
        reaches = by_piece[begin:end]
        local[reaches] = np.arange(reaches.size)
        below = inside[reaches]
        # sweeps read runoff column by column: those they need together stand together
        by_piece[begin:end] = reaches[sweep_order(np.where(below >= 0, local[below], -1))]
    local[by_piece] = np.arange(network.n_reaches) - bounds[piece_of[by_piece]]

    crossing = crossing[np.lexsort((crossing, piece_of[crossing]))]
    first = np.searchsorted(piece_of[crossing], np.arange(keys.shape[0] + 1))
    outlet_number = np.arange(crossing.size) - first[piece_of[crossing]]
    entering = np.lexsort((crossing, piece_of[down[crossing]]))
    first_in = np.searchsorted(piece_of[down[crossing[entering]]], np.arange(keys.shape[0] + 1))

    pieces = []
    for number in range(keys.shape[0]):
        reaches = by_piece[bounds[number] : bounds[number + 1]]
        below = inside[reaches]
        into = entering[first_in[number] : first_in[number + 1]]
        pieces.append(
            Piece(
                number=number,
                part=int(keys[number] % parts),
                reaches=reaches,
                downstream=np.where(below >= 0, local[below], -1),
                inlets=local[down[crossing[into]]],
                sources=tuple((int(piece_of[crossing[c]]), int(outlet_number[c])) for c in into),
                outlets=local[crossing[first[number] : first[number + 1]]],
            )
        )
    return tuple(pieces)


def _ranks(key: Index) -> tuple[Index, Index]:
    """The different keys (0 or more), rising, and for each key which of them it is."""
    most = int(key.max(initial=0)) + 1
    if most > max(key.size, 1 << 16):  # a table of all would be longer than the keys
        keys, rank = np.unique(key, return_inverse=True)
        return keys, rank
    there = np.zeros(most, np.bool_)
    there[key] = True
    return np.flatnonzero(there), (np.cumsum(there) - 1)[key]
