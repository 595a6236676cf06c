"""The plan of a sweep: blocks of reaches, the order inside them, and what passes between them.

Reaches are numbered anew, group after group ("rows" below), each group a few hundred reaches that one thread works
through for one tile of time while their series stay in cache. Inside a block reaches stand in postorder, the
child with the largest tree first, so that the series that are open at any moment (the inflow of reaches whose
turn has not come) fill a stack about log2(reaches) deep.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rivercut.carve import carve
from rivercut.compiling import njit
from rivercut.graph import topological_order
from rivergrad.routing.recurrence.problem import Problem

Index = NDArray[np.int64]

IN_PLACE, ADD, EDGE, END = range(4)
"""Where a reach's q goes: its slot becomes the downstream reach's; it is added to the downstream reach's slot; it
goes to another group; nowhere."""

MOST, FEWEST = 256, 48
"""Reaches of a block: as many as fit in cache, but fewer in a small network, so that there is work for threads."""


class Plan(NamedTuple):
    """Arrays over rows (r), groups (g), edges between groups (e) and the lists that belong to them.

    Attributes:
        reach: (r,) the reach that each row stands for.
        slot: (r,) place of its series on the stack.
        kind: (r,) where its q goes: IN_PLACE, ADD, EDGE or END.
        into: (r,) the slot that q is added to (ADD) or the edge that it goes to (EDGE).
        head: (r,) nothing flows in but runoff.
        fresh: (r,) something flows in, but from no reach of the same block.
        source_start, source: per row the edges that flow in, and external inflows as −1 − number.
        outlet_start, outlet: per row the numbers of the outlets it is.
        group_start: (g + 1,) rows of each group.
        by_column, column: (r,) rows of each group in the order of the columns of runoff, and those columns (which
            are the reaches).
        target_start, target_row, target: per group the rows that are targets, and their columns in discharge.
        above_start, above: per group the groups that it receives from.
        below_start, below: per group the groups that it gives to.
        stage: (g,) 0, or one more than that of any group above.
    """

    reach: Index
    slot: Index
    kind: Index
    into: Index
    head: Index
    fresh: Index
    source_start: Index
    source: Index
    outlet_start: Index
    outlet: Index
    group_start: Index
    by_column: Index
    column: Index
    target_start: Index
    target_row: Index
    target: Index
    above_start: Index
    above: Index
    below_start: Index
    below: Index
    stage: Index

    @property
    def n_groups(self) -> int:
        return int(self.stage.size)

    @property
    def n_edges(self) -> int:
        return int(np.count_nonzero(self.kind == EDGE))

    @property
    def n_slots(self) -> int:
        return int(self.slot.max(initial=0)) + 1

    @property
    def most_rows(self) -> int:
        return int(np.diff(self.group_start).max(initial=0))


def make_plan(problem: Problem, most: int | None = None) -> Plan:
    """The plan of a problem; `most` reaches a group, chosen by default (from the number of reaches alone)."""
    down = np.ascontiguousarray(problem.downstream, np.int64)
    n = down.size
    most = max(FEWEST, min(MOST, n // 16)) if most is None else most
    order = topological_order(down)
    block = carve(down, order, np.ones(n), float(most))
    group, stage = _groups(down, block, most)
    reach, slot, kind, into = _postorder(down, np.asarray(order), block, group, stage.size)

    row = np.empty(n, np.int64)
    row[reach] = np.arange(n)
    group_start = np.searchsorted(group[reach], np.arange(stage.size + 1))
    edge_rows = np.flatnonzero(kind == EDGE)
    into[edge_rows] = np.arange(edge_rows.size)
    # what flows into each row from outside its block: edges first, then external inflows, each by number
    ends = np.concatenate([row[down[reach[edge_rows]]], row[problem.inlets]])
    names = np.concatenate([np.arange(edge_rows.size), -1 - np.arange(problem.inlets.size)])
    source_start, source = _lists(ends, names, n)
    outlet_start, outlet = _lists(row[problem.outlets], np.arange(problem.outlets.size), n)
    inside = np.zeros(n, np.bool_)
    inside[row[down[reach[(kind == IN_PLACE) | (kind == ADD)]]]] = True
    received = np.diff(source_start) > 0

    group_of_row = group[reach]
    by_column = np.lexsort((reach, group_of_row))
    targets = np.asarray(problem.targets, np.int64)
    target_rows = row[targets]
    target_start, target = _lists(group_of_row[target_rows], np.arange(targets.size), stage.size)
    links = np.unique(
        np.stack([group_of_row[edge_rows], group[down[reach[edge_rows]]]], axis=1), axis=0
    ).reshape(-1, 2)
    above_start, above = _lists(links[:, 1], links[:, 0], stage.size)
    below_start, below = _lists(links[:, 0], links[:, 1], stage.size)
    return Plan(
        reach=reach,
        slot=slot,
        kind=kind,
        into=into,
        head=(~inside & ~received).astype(np.int64),
        fresh=(~inside & received).astype(np.int64),
        source_start=source_start,
        source=source,
        outlet_start=outlet_start,
        outlet=outlet,
        group_start=group_start,
        by_column=by_column,
        column=reach[by_column],
        target_start=target_start,
        target_row=target_rows[target],
        target=target,
        above_start=above_start,
        above=above,
        below_start=below_start,
        below=below,
        stage=stage,
    )


def _lists(owner: Index, value: Index, n: int) -> tuple[Index, Index]:
    """Pointers (n + 1,) and values: those of each owner, in the order given."""
    start = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(owner, minlength=n), out=start[1:])
    return start, value[np.argsort(owner, kind="stable")].astype(np.int64)


def _groups(down: Index, block: Index, most: int) -> tuple[Index, Index]:
    """Group of each reach and stage of each group: blocks of one stage that are small share a group."""
    n_blocks = int(block.max(initial=-1)) + 1
    size = np.bincount(block, minlength=n_blocks)
    first = np.full(n_blocks, down.size)
    np.minimum.at(first, block, np.arange(down.size))
    crossing = np.flatnonzero((down >= 0) & (block[np.maximum(down, 0)] != block))
    crossing = crossing[np.argsort(block[crossing], kind="stable")]
    stage = _stages(block[crossing], block[down[crossing]], n_blocks)
    sequence = np.lexsort((first, stage))  # neighbours in the columns of runoff stay together
    group_of_block, group_stage = _pack(sequence, stage, size, most)
    return group_of_block[block], group_stage


@njit(cache=True)
def _stages(upper: Index, lower: Index, n_blocks: int) -> Index:  # pragma: no cover - compiled
    """Blocks are numbered below the ones they flow into and `upper` rises."""
    stage = np.zeros(n_blocks, np.int64)
    for c in range(upper.size):
        stage[lower[c]] = max(stage[lower[c]], stage[upper[c]] + 1)
    return stage


@njit(cache=True)
def _pack(sequence: Index, stage: Index, size: Index, most: int) -> tuple[Index, Index]:  # pragma: no cover
    group = np.empty(sequence.size, np.int64)
    group_stage = np.empty(sequence.size, np.int64)
    count = 0
    room = 0
    for block in sequence:
        if count == 0 or group_stage[count - 1] != stage[block] or size[block] > room:
            group_stage[count] = stage[block]
            count += 1
            room = most
        group[block] = count - 1
        room -= size[block]
    return group, group_stage[:count].copy()


@njit(cache=True)
def _postorder(
    down: Index, order: Index, block: Index, group: Index, n_groups: int
) -> tuple[Index, Index, Index, Index]:  # pragma: no cover - compiled
    """Rows group by group, block by block, in postorder; their slots, and where each q goes."""
    n = down.size
    size = np.ones(n, np.int64)  # of the tree above, within the block
    first = np.full(n, -1, np.int64)  # children within the block, as linked lists
    following = np.full(n, -1, np.int64)
    heavy = np.full(n, -1, np.int64)
    for i in order:
        d = down[i]
        if d >= 0 and block[d] == block[i]:
            size[d] += size[i]
            following[i] = first[d]
            first[d] = i
            if heavy[d] < 0 or size[i] > size[heavy[d]]:
                heavy[d] = i
    # Outlets of blocks, group by group in the order of their position (a counting sort).
    count = np.zeros(n_groups + 1, np.int64)
    for i in range(n):
        count[group[i] + 1] += 1
    for g in range(n_groups):
        count[g + 1] += count[g]
    reach = np.empty(n, np.int64)
    slot = np.zeros(n, np.int64)
    kind = np.empty(n, np.int64)
    into = np.full(n, -1, np.int64)
    place = np.zeros(n, np.int64)  # slot by reach
    stack = np.empty(n, np.int64)
    filled = count[:n_groups].copy()
    for root in range(n):
        if down[root] >= 0 and block[down[root]] == block[root]:
            continue
        # The reverse of an order in which every reach comes before its children, the largest of them last.
        begin = filled[group[root]]
        at = begin + size[root]
        filled[group[root]] = at
        stack[0] = root
        top = 1
        while top > 0:
            top -= 1
            i = stack[top]
            at -= 1
            reach[at] = i
            slot[at] = place[i]
            d = down[i]
            if i == root:
                kind[at] = END if d < 0 else EDGE
            elif heavy[d] == i:
                kind[at] = IN_PLACE
            else:
                kind[at] = ADD
                into[at] = place[d]
            if heavy[i] >= 0:
                stack[top] = heavy[i]
                place[heavy[i]] = place[i]
                top += 1
            child = first[i]
            while child >= 0:
                if child != heavy[i]:
                    stack[top] = child
                    place[child] = place[i] + 1
                    top += 1
                child = following[child]
    return reach, slot, kind, into
