"""Who owns which block: METIS over the blocks of basins that must be cut, whole basins packed around them."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivercut.carve import carve, carve_shallow
from rivercut.compiling import njit
from rivercut.network import RiverNetwork
from rivercut.quiet import quiet

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

METIS_IMBALANCE = 20  # per mille above a part's target
TOLERANCE = 1.03  # most that a part may carry over its share before blocks are moved or another basin is cut
SMALL = 0.01  # of a share: basins up to this size are poured in by position, larger ones packed one by one
SHALLOW_ABOVE = 1 / 4  # of a share: blocks above the one at the outlet, where rounds are to be few
SHALLOW_BELOW = 1 / 2  # of a share: the block at the outlet, which the others wait for
METIS_TOTAL = 2**30  # METIS counts cost in integers; this much is all of it


@dataclass(frozen=True, eq=False)
class Blocks:
    """The blocks of some whole basins: `reaches` (r,) positions and the `block` of each; per block its `cost`
    and the block `downstream` of it, -1 at an outlet. Every block is numbered below its downstream one."""

    reaches: Int
    block: Int
    cost: Float
    downstream: Int


def summed(index: Int, values: Float, count: int) -> Float:
    """Sum of `values` by `index`, (count,)."""
    return np.asarray(np.bincount(index, values, count), np.float64)


def carve_basins(
    network: RiverNetwork, chosen: Bool, cost: Float, limit: float, below: float | None = None
) -> Blocks:
    """Carve the basins where `chosen` (n_basins,) into blocks of cost at most `limit`.

    With `below`, blocks flow straight into the one at the outlet, which costs at most that (`carve_shallow`).
    """
    inside = chosen[network.basin]
    reaches = np.flatnonzero(inside)
    local = np.full(network.n_reaches + 1, -1, np.int64)  # the last entry serves downstream == -1
    local[reaches] = np.arange(reaches.size)
    downstream = local[network.downstream[reaches]]
    sequence = network.order[inside[network.order]]
    if below is None:
        block = carve(downstream, local[sequence], cost[reaches], limit)
    else:
        block = carve_shallow(downstream, local[sequence], cost[reaches], limit, below)
    leaving = np.flatnonzero((downstream < 0) | (block != block[downstream]))
    block_downstream = np.full(leaving.size, -1, np.int64)
    onward = leaving[downstream[leaving] >= 0]
    block_downstream[block[onward]] = block[downstream[onward]]
    return Blocks(reaches, block, summed(block, cost[reaches], leaving.size), block_downstream)


def adjacency(downstream: Int) -> tuple[Int, Int]:
    """The forest as an undirected graph in CSR form: starts (B+1,), neighbours (2 edges,)."""
    child = np.flatnonzero(downstream >= 0)
    parent = downstream[child]
    one, other = np.concatenate([child, parent]), np.concatenate([parent, child])
    starts = np.zeros(downstream.size + 1, np.int64)
    np.cumsum(np.bincount(one, minlength=downstream.size), out=starts[1:])
    return starts, other[np.argsort(one, kind="stable")]


def metis(blocks: Blocks, targets: Float, seed: int) -> Int:
    """Part of each block, (B,): part p gets about `targets[p]` (P,) of the cost, and few edges are cut."""
    if targets.size <= 1 or blocks.cost.size <= 1:
        return np.zeros(blocks.cost.size, np.int64)
    import pymetis  # here: whoever cuts nothing does not need it

    starts, neighbours = adjacency(blocks.downstream)
    index = pymetis.zero_copy_dtype()
    total = blocks.cost.sum()
    cost = np.maximum(1, np.rint(blocks.cost * (METIS_TOTAL / total))).astype(index)
    # A block has one outlet, so what crosses any edge between blocks is one series: all edges weigh the same.
    traffic = np.ones(neighbours.size, index)
    limit = int(np.iinfo(index).max)
    with quiet():  # it says so where there are more parts than blocks, and goes on
        _, part = pymetis.part_graph(
            int(targets.size),
            pymetis.CSRAdjacency(starts.astype(index), neighbours.astype(index)),
            vweights=cost,
            eweights=traffic,
            tpwgts=(targets / targets.sum()).tolist(),
            options=pymetis.Options(
                seed=seed if -limit <= seed <= limit else seed % limit, ufactor=METIS_IMBALANCE, niter=20
            ),
        )
    return np.array(part, np.int64)


@njit(cache=True)
def _repair(
    starts: Int, neighbours: Int, cost: Float, part: Int, load: Float, limit: float
) -> None:  # pragma: no cover - compiled
    for _ in range(4 * cost.size):
        p, q = int(np.argmax(load)), int(np.argmin(load))
        if load[p] <= limit:
            return
        best, best_to = -1, -1
        best_cut, best_miss = 0, 0.0
        for b in range(cost.size):
            if part[b] != p or cost[b] <= 0.0:
                continue
            for at in range(starts[b] - 1, starts[b + 1]):
                # The least loaded part, then those of the neighbours.
                to = q if at < starts[b] else part[neighbours[at]]
                if to == p or load[to] + cost[b] >= load[p]:
                    continue
                if to != q and load[to] + cost[b] > limit:
                    continue
                cut = 0
                for other in range(starts[b], starts[b + 1]):
                    if part[neighbours[other]] == p:
                        cut += 1
                    elif part[neighbours[other]] == to:
                        cut -= 1
                miss = abs(cost[b] - (load[p] - limit))
                if best < 0 or cut < best_cut or (cut == best_cut and miss < best_miss):
                    best, best_to, best_cut, best_miss = b, to, cut, miss
        if best < 0:
            return
        part[best] = best_to
        load[p] -= cost[best]
        load[best_to] += cost[best]


def repair(blocks: Blocks, part: Int, load: Float, limit: float) -> None:
    """Move blocks out of parts above `limit`, cutting few edges; `part`, `load` change in place."""
    _repair(*adjacency(blocks.downstream), blocks.cost, part, load, limit)


@njit(cache=True)
def _pack(cost: Float, sequence: Int, load: Float, limit: float) -> Int:  # pragma: no cover - compiled
    part = np.full(cost.size, -1, np.int64)
    heap = [(load[p], p) for p in range(load.size)]
    heapq.heapify(heap)
    for basin in sequence:
        lightest, p = heap[0]
        if lightest + cost[basin] <= limit:
            part[basin] = p
            load[p] += cost[basin]
            heapq.heapreplace(heap, (load[p], p))
    return part


@njit(cache=True)
def _pour(cost: Float, sequence: Int, load: Float, level: float) -> Int:  # pragma: no cover - compiled
    part = np.full(cost.size, -1, np.int64)
    p, last = 0, load.size - 1
    while last > 0 and load[last] >= level:
        last -= 1
    for basin in sequence:
        while p < last and load[p] >= level:
            p += 1
        part[basin] = p
        load[p] += cost[basin]
    return part


def water_level(load: Float, volume: float) -> float:
    """The level to which `volume` fills up parts that hold `load` already."""
    floor = np.sort(load)
    room = np.arange(1, floor.size + 1)
    level = (volume + np.cumsum(floor)) / room
    above = np.append(floor[1:], np.inf)
    return float(level[np.flatnonzero(level <= above)[0]])


def assign(
    network: RiverNetwork, n_parts: int, cost: Float, max_block_share: float, seed: int, shallow: bool = False
) -> tuple[Int, Int]:
    """Part of each reach, and the carved piece it moved with, (n,) both; pieces of whole basins are negative.

    Basins larger than a part's share are carved, and METIS deals their blocks to as many parts as they fill.
    The others stay whole, packed largest first; only one that would overfill every part is carved after all,
    and METIS deals its blocks to the room left. Small basins fill what remains, by position, so that a part's
    basins are neighbours. `shallow` carves by `carve_shallow`.
    """
    share = float(cost.sum()) / n_parts
    grain = max(share * max_block_share, float(cost.mean()))
    below = max(share * SHALLOW_BELOW, grain) if shallow else None
    limit = max(share * TOLERANCE, share + float(cost.mean()) * (1 - 1e-9))
    basin_cost = summed(network.basin, cost, network.n_basins)
    load = np.zeros(n_parts)
    part = np.full(network.n_reaches, -1, np.int64)
    piece = -1 - network.basin
    pieces = 0

    def deal(chosen: Bool, parts: Int, targets: Float) -> None:
        nonlocal pieces
        blocks = carve_basins(network, chosen, cost, grain, below)
        owner = parts[metis(blocks, targets, seed)]
        load[:] += summed(owner, blocks.cost, n_parts)
        repair(blocks, owner, load, limit)
        part[blocks.reaches] = owner[blocks.block]
        piece[blocks.reaches] = pieces + blocks.block
        pieces += blocks.cost.size

    large = basin_cost > share * (1 + 1e-9)
    if large.any():
        total = float(basin_cost[large].sum())
        full = min(max(int(total / share * (1 + 1e-9)), 1), n_parts)
        rest = total - full * share
        # A sliver is not worth a part of its own: the full parts take it, within METIS's imbalance.
        targets = np.full(full, share) if rest <= 0.01 * total else np.append(np.full(full, share), rest)
        deal(large, np.arange(targets.size), targets)

    by_cost = np.argsort(-basin_cost, kind="stable")
    middle = by_cost[(~large & (basin_cost > SMALL * share))[by_cost]]
    owner = _pack(basin_cost, middle, load, limit)
    homeless = np.zeros(network.n_basins, dtype=bool)
    homeless[middle] = owner[middle] < 0
    if homeless.any():
        room = np.maximum(share - load, 0.0)
        parts = np.flatnonzero(room > SMALL * share)
        deal(homeless, parts, room[parts])

    small = np.flatnonzero(~large & (basin_cost <= SMALL * share))
    poured = _pour(basin_cost, small, load, water_level(load, float(basin_cost[small].sum())))
    owner = np.where(poured >= 0, poured, owner)
    whole = part < 0
    part[whole] = owner[network.basin[whole]]
    return part, piece


@njit(cache=True)
def _deal_out(downstream: Int, cost: Float, n_parts: int, first: int) -> Int:  # pragma: no cover - compiled
    part = np.zeros(cost.size, np.int64)
    load = np.zeros(n_parts)
    for b in range(cost.size - 1, -1, -1):  # downstream first
        taken = part[downstream[b]] if downstream[b] >= 0 and n_parts > 1 else -1
        best = -1
        for k in range(n_parts):
            p = (first + k) % n_parts
            if p != taken and (best < 0 or load[p] < load[best]):
                best = p
        part[b] = best
        load[best] += cost[b]
    return part


def assign_spread(blocks: Blocks, n_parts: int, seed: int) -> Int:
    """Part of each block, never that of the block just downstream: every edge between blocks is cut."""
    return np.asarray(_deal_out(blocks.downstream, blocks.cost, n_parts, seed % n_parts))
