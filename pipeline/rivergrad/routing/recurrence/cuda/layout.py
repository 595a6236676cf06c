"""How a network lies on warps: blocks of reaches in postorder, and what to do at each."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from rivercut import graph
from rivercut.carve import carve
from rivercut.compiling import njit
from rivergrad.routing.recurrence.problem import Index, Problem

Int32 = NDArray[np.int32]

LEAF, FRESH, PUSH, POP, ENTER, LEAVE, ROOT, KEPT, SETTLE = (1 << k for k in range(9))
"""What to do at a reach; the same numbers stand in `common.cu`."""

DEPTH = 10
"""Branches that may wait at once. A branch that waits is at least as large as the one worked on, so blocks of
fewer than 2^DEPTH reaches never need more."""


@dataclass(frozen=True, eq=False)
class Layout:
    """The arrays of `Net` in `sweep.cu`, all int32; a slot holds a reach.

    Attributes:
        start: (block + 1,) first slot of each block. A block comes after those that it waits for, and those with
            the longest way still to go come first, so that short ways are left to fill the end.
        back: (block,) the other way, for the adjoint: after those that it waits for, see `_back`.
        op: (slot,) what to do there.
        column: (slot,) position of the reach.
        enter, enter_flow: (slot + 1,) and what they point into: series between blocks, or ~i for inlet i.
        leave, leave_flow: the same for what leaves, ~i for outlet i.
        n_flows: series between blocks.
    """

    start: Int32
    back: Int32
    op: Int32
    column: Int32
    enter: Int32
    enter_flow: Int32
    leave: Int32
    leave_flow: Int32
    n_flows: int

    @property
    def n_blocks(self) -> int:
        return int(self.start.size - 1)

    @property
    def n_slots(self) -> int:
        return int(self.column.size)

    def places(self, rows: int) -> tuple[Int32, int]:
        """Row of each slot in its block's scratch, where a headwater takes one row and any other reach `rows`.

        Returns:
            (slot,) first rows, and the rows of the block that takes most.
        """
        size = np.where(self.op & LEAF, 1, rows)
        after = np.cumsum(size)
        before = after - size
        begin = before[self.start[:-1]] if self.n_slots else np.zeros(0, np.int64)
        place = before - np.repeat(begin, np.diff(self.start))
        ends = after[self.start[1:] - 1] if self.n_slots else np.zeros(0, np.int64)
        return place.astype(np.int32), int((ends - begin).max(initial=1))

    def kept(self, panel: int, rows: int) -> tuple[Int32, Int32, int]:
        """What `adjoint.cu` keeps of each reach: a row, and `rows` of errors where they can't be made again.

        Args:
            panel: reaches that it holds in shared memory at once; errors are made again from within a panel.
            rows: that the errors of a reach take.

        Returns:
            (slot,) what to do, with KEPT and SETTLE; (slot,) first row of the errors in the block's scratch; and the
            rows of the block that takes most.
        """
        op, place = self.op.copy(), np.zeros_like(self.op)
        most = _keep(self.start, op, place, panel, rows)
        return op, place, most


SMALLEST_BLOCK, USUAL_BLOCK, LARGEST_BLOCK = 8, 128, 512
"""Large blocks pass fewer series through memory; small ones keep a GPU busy that has few of them."""
BLOCKS_WANTED = 3072
"""Blocks get smaller than usual where there would be fewer of them than this."""
BLOCKS_ENOUGH = 3400
"""Blocks get larger than usual where there would be more of them than this."""

APART = 64
"""Blocks that the adjoint begins between a block and one that waits for it, so that it has not to wait long."""

CENTRED = 12
"""Reaches other than headwaters after which `adjoint.cu` makes a series small again."""

LAST_BLOCK = 4
"""Small basins are put together in blocks of this part of a block: a few more blocks, but none that has to wait."""


def usual_block(n_reaches: int) -> int:
    """Reaches of a block in a network of that size."""
    usual = min(USUAL_BLOCK, max(SMALLEST_BLOCK, n_reaches // BLOCKS_WANTED))
    return max(usual, min(LARGEST_BLOCK, n_reaches // BLOCKS_ENOUGH))


def sweep_order(downstream: Index, block_reaches: int | None = None) -> Index:
    """Positions in the order in which a GPU's warps hold the reaches: upstream before downstream.

    Where reaches are numbered like this, a warp reads and writes neighbouring columns of runoff and discharge;
    in any other order the results are the same, only later.

    Args:
        downstream: (reach,) position of the downstream reach or −1.
        block_reaches: as given to `CudaSweep`.
    """
    down = graph.as_index(downstream)
    return _place(down, usual_block(down.size) if block_reaches is None else block_reaches)[0]


def make_layout(problem: Problem, block_reaches: int, leaves: bool) -> Layout:
    """Lay a network out on warps.

    Args:
        problem: the network and what enters and leaves.
        block_reaches: reaches a block may have, fewer than 2^DEPTH.
        leaves: whether headwaters are done by their closed form.
    """
    if not 1 <= block_reaches < 1 << DEPTH:
        raise ValueError(f"block_reaches must be 1 to {(1 << DEPTH) - 1}, got {block_reaches}")
    down = graph.as_index(problem.downstream)
    column, start, inside, rank, first = _place(down, block_reaches)
    n = down.size
    slot = np.empty(n, np.int64)
    slot[column] = np.arange(n)
    crossing = np.flatnonzero((inside < 0) & (down >= 0))
    block = np.repeat(np.arange(start.size - 1), np.diff(start))
    back = _back(block[slot[crossing]], block[slot[down[crossing]]], start.size - 1)
    inlets, outlets = problem.inlets, problem.outlets
    number = np.arange(crossing.size)
    enter, enter_flow = _by_slot(
        slot[np.concatenate([down[crossing], inlets])], np.concatenate([number, ~np.arange(inlets.size)]), n
    )
    leave, leave_flow = _by_slot(
        slot[np.concatenate([crossing, outlets])], np.concatenate([number, ~np.arange(outlets.size)]), n
    )
    enters, leaves_at = np.diff(enter) > 0, np.diff(leave) > 0

    head = np.ones(n, bool)
    head[inside[inside >= 0]] = False
    wanted = np.zeros(n, bool)
    wanted[outlets] = True
    # a headwater next to another branch is only added to it: its own series is nowhere to be had
    leaf = head & ~enters[slot] & ~wanted if leaves else np.zeros(n, bool)
    branch = (rank > 0) & ~leaf  # begins while another one waits, and is added to it at its end
    op = np.zeros(n, np.int64)
    op[leaf] |= LEAF
    op[head & ~(leaf & (rank > 0))] |= FRESH
    op[branch] |= POP
    op[inside < 0] |= ROOT
    by_slot = op[column]
    by_slot[first[branch]] |= PUSH
    by_slot[enters] |= ENTER
    by_slot[leaves_at] |= LEAVE
    return Layout(
        start=start.astype(np.int32),
        back=back.astype(np.int32),
        op=by_slot.astype(np.int32),
        column=column.astype(np.int32),
        enter=enter,
        enter_flow=enter_flow,
        leave=leave,
        leave_flow=leave_flow,
        n_flows=crossing.size,
    )


def _by_slot(slot: Index, flow: Index, n_slots: int) -> tuple[Int32, Int32]:
    """Pointers and flows by the slot that each enters or leaves."""
    order = np.argsort(slot, kind="stable")
    pointer = np.searchsorted(slot[order], np.arange(n_slots + 1))
    return pointer.astype(np.int32), flow[order].astype(np.int32)


def _place(down: Index, block_reaches: int) -> tuple[Index, Index, Index, Index, Index]:
    """Reach of each slot, first slots of the blocks, and for each reach: its downstream reach in the same
    block, its rank among its siblings there, and the first slot of what is upstream of it."""
    order = graph.topological_order(down)
    piece = carve(down, order, np.ones(down.size), float(block_reaches))
    inside = np.where((down >= 0) & (piece[down] == piece), down, -1)
    count = graph.upstream_count(inside, order)
    outlet, to_go = _pieces(down, order, piece, inside, int(piece.max(initial=-1)) + 1)
    size = count[outlet]
    # large ones first among equals, to fill up with small ones
    sequence = np.lexsort((-size, -to_go))
    block_of, n_blocks = _pack(sequence, to_go, size, block_reaches)
    # pieces block by block
    by_block = np.argsort(block_of, kind="stable")
    base = np.empty(outlet.size, np.int64)
    base[by_block] = np.cumsum(size[by_block]) - size[by_block]
    start = np.zeros(n_blocks + 1, np.int64)
    np.cumsum(np.bincount(block_of, weights=size, minlength=n_blocks).astype(np.int64), out=start[1:])
    # children next to each other, the larger branch first
    has = np.flatnonzero(inside >= 0)
    has = has[np.lexsort((has, -count[has], inside[has]))]
    pointer = np.searchsorted(inside[has], np.arange(down.size + 1))
    rank = np.zeros(down.size, np.int64)
    rank[has] = np.arange(has.size) - pointer[inside[has]]
    first = _postorder(order, inside, piece, base, count, pointer, has)
    column = np.empty(down.size, np.int64)
    column[first + count - 1] = np.arange(down.size)
    return column, start, inside, rank, first


def _back(above: Index, below: Index, n_blocks: int) -> Index:
    """Blocks in an order for the adjoint, given the blocks of each crossing: those with most blocks above them one
    after the other first, but each, where there are others, well after the one that it waits for."""
    order = np.argsort(below, kind="stable")  # blocks are numbered downstream
    height = np.zeros(n_blocks, np.int64)
    _heights(above[order], below[order], height)
    apart = min(APART, 4 * n_blocks // (5 * (int(height.max(initial=0)) + 1)))
    upstream = above[order].tolist()
    pointer = np.searchsorted(below[order], np.arange(n_blocks + 1)).tolist()
    waits_for = np.bincount(above, minlength=n_blocks)
    key = (-height).tolist()
    ready = [(key[b], b) for b in np.flatnonzero(waits_for == 0).tolist()]
    heapify(ready)
    left = waits_for.tolist()
    later: deque[tuple[int, int, int]] = deque()
    found: list[int] = []
    while ready or later:
        while later and (later[0][0] <= len(found) or not ready):
            heappush(ready, later.popleft()[1:])
        block = heappop(ready)[1]
        for above_it in upstream[pointer[block] : pointer[block + 1]]:
            left[above_it] -= 1
            if left[above_it] == 0:
                later.append((len(found) + apart, key[above_it], above_it))
        found.append(block)
    return np.array(found, np.int64)


@njit(cache=True)
def _heights(above: Index, below: Index, height: Index) -> None:  # pragma: no cover - compiled
    for k in range(above.size):
        height[below[k]] = max(height[below[k]], height[above[k]] + 1)


@njit(cache=True)
def _keep(start: Int32, op: Int32, place: Int32, panel: int, rows: int) -> int:  # pragma: no cover - compiled
    """Set KEPT, SETTLE and the places of errors; the rows of the largest block.

    Errors are made again at a reach whose inflow is that of headwaters right before it in the panel, and of at most
    one reach before those, whose errors are kept and whose series goes on as it is."""
    most = 1
    for block in range(start.size - 1):
        begin, end = start[block], start[block + 1]
        row = end - begin
        first = begin  # slot from which on the inflow can be made again; -1 where it can't
        number = 0
        for slot in range(begin, end):
            what = op[slot]
            if what & FRESH:
                first = slot
            if what & LEAF:
                continue
            number += 1
            centred = number % CENTRED == 0
            whole = first >= 0 and first < slot and (first - begin) // panel == (slot - begin) // panel
            if whole and not what & ENTER:
                first = -1
            else:
                op[slot] |= KEPT
                place[slot] = row
                row += rows
                first = slot
            if centred:
                op[slot] |= SETTLE
            if centred or what & POP:
                first = -1
        most = max(most, row)
    return most


@njit(cache=True)
def _pieces(
    down: Index, order: Index, piece: Index, inside: Index, n_pieces: int
) -> tuple[Index, Index]:  # pragma: no cover - compiled
    """Outlet of each carved piece, and how many pieces its water still has to go through."""
    outlet = np.empty(n_pieces, np.int64)
    to_go = np.zeros(n_pieces, np.int64)
    for i in order:
        if inside[i] < 0:
            outlet[piece[i]] = i
    for p in range(n_pieces - 1, -1, -1):  # a piece has a lower number than the one it flows into
        d = down[outlet[p]]
        if d >= 0:
            to_go[p] = to_go[piece[d]] + 1
    return outlet, to_go


@njit(cache=True)
def _pack(
    sequence: Index, to_go: Index, size: Index, limit: int
) -> tuple[Index, int]:  # pragma: no cover - compiled
    """Block of each piece: pieces with as far to go, a large one and as many of the smallest as fit. At the end, where
    nothing flows on, small ones make small blocks, which fill the time while the last large ones are worked on."""
    block_of = np.empty(sequence.size, np.int64)
    block = 0
    begin = 0
    while begin < sequence.size:
        end = begin
        while end < sequence.size and to_go[sequence[end]] == to_go[sequence[begin]]:
            end += 1
        low, high = begin, end - 1
        most = limit // LAST_BLOCK if end == sequence.size else limit
        while low <= high:
            left = max(0, most - size[sequence[low]])
            block_of[sequence[low]] = block
            low += 1
            while low <= high and size[sequence[high]] <= left:
                left -= size[sequence[high]]
                block_of[sequence[high]] = block
                high -= 1
            block += 1
        begin = end
    return block_of, block


@njit(cache=True)
def _postorder(
    order: Index, inside: Index, piece: Index, base: Index, count: Index, pointer: Index, children: Index
) -> Index:  # pragma: no cover - compiled
    """First slot of what is upstream of each reach in its block; the reach itself has the last."""
    first = np.empty(inside.size, np.int64)
    for at in range(order.size - 1, -1, -1):
        i = order[at]
        if inside[i] < 0:
            first[i] = base[piece[i]]
        place = first[i]
        for k in range(pointer[i], pointer[i + 1]):
            first[children[k]] = place
            place += count[children[k]]
    return first
