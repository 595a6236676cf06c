"""Paths of the transitive closure: which reaches lie upstream of which rows, and how far.

All of it is integer bookkeeping done once for a network; nothing here depends on parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivercut.compiling import njit

Index = NDArray[np.int64]


@njit(cache=True)
def _postorder(downstream: Index, order: Index, count: Index) -> Index:
    """Position of each reach in a depth-first postorder: a subtree is a run that ends in its root."""
    n = downstream.size
    end = np.empty(n, np.int64)  # one past the last position of the reach's subtree
    free = np.empty(n, np.int64)  # first position of its subtree that no upstream reach has taken yet
    roots = 0
    for a in range(n - 1, -1, -1):
        i = order[a]
        d = downstream[i]
        if d < 0:
            start = roots
            roots += count[i]
        else:
            start = free[d]
            free[d] += count[i]
        free[i] = start
        end[i] = start + count[i]
    return end - 1


def postorder(downstream: Index, order: Index, upstream_count: Index) -> Index:
    """(reach,) position of each reach in a depth-first postorder of the forest."""
    return _postorder(downstream, order, upstream_count)


@njit(cache=True)
def _block_depth(downstream: Index, inside: Index, order: Index) -> Index:
    depth = np.zeros(downstream.size, np.int64)
    for i in order:
        d = downstream[i]
        if d >= 0:
            depth[d] = max(depth[d], depth[i] + (0 if inside[i] >= 0 else 1))
    for a in range(order.size - 1, -1, -1):  # the block's depth is its outlet's
        i = order[a]
        if inside[i] >= 0:
            depth[i] = depth[inside[i]]
    return depth


def block_depth(downstream: Index, inside: Index, order: Index) -> Index:
    """(reach,) how many blocks lie upstream of the reach's block on the longest way to it.

    `inside` is the downstream reach in the same block, −1 at the block's outlet.
    """
    return _block_depth(downstream, inside, order)


def upstream_pointers(downstream: Index) -> tuple[Index, Index]:
    """CSR of the upstream neighbours: reaches `neighbours[pointer[i]:pointer[i+1]]` flow into reach i."""
    n = downstream.size
    neighbours = np.flatnonzero(downstream >= 0)
    neighbours = neighbours[np.argsort(downstream[neighbours], kind="stable")]
    pointer = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(downstream[downstream >= 0], minlength=n), out=pointer[1:])
    return pointer, neighbours


@dataclass(frozen=True)
class Paths:
    """Every path that ends in one of some rows, ordered by its number of reaches.

    Path p starts in reach `reach[p]` and ends in row `row[p]`; without its first reach it is path `parent[p]`
    (−1 for the path of a single reach). `slices` are runs of paths in which no parent occurs twice, in an
    order in which parents come first, so that a sweep needs no atomics and no sorting.
    """

    reach: Index
    row: Index
    parent: Index
    slices: tuple[tuple[int, int], ...]

    @property
    def n_paths(self) -> int:
        return self.reach.size


def paths_to(rows: Index, pointer: Index, neighbours: Index) -> Paths:
    """All paths that end in `rows` (positions of reaches), going upstream level by level."""
    reach, row, parent = [rows], [np.arange(rows.size)], [np.full(rows.size, -1)]
    slices: list[tuple[int, int]] = [(0, rows.size)]
    start, total = 0, rows.size
    while True:
        here, here_row = reach[-1], row[-1]
        degree = pointer[here + 1] - pointer[here]
        found = 0
        rank = 0
        new: list[tuple[Index, Index, Index]] = []
        candidates = np.flatnonzero(degree > 0)
        while candidates.size:
            upstream = neighbours[pointer[here[candidates]] + rank]
            new.append((upstream, here_row[candidates], start + candidates))
            slices.append((total + found, total + found + candidates.size))
            found += candidates.size
            rank += 1
            candidates = candidates[degree[candidates] > rank]
        if not found:
            break
        reach.append(np.concatenate([a[0] for a in new]))
        row.append(np.concatenate([a[1] for a in new]))
        parent.append(np.concatenate([a[2] for a in new]))
        start, total = total, total + found
    return Paths(np.concatenate(reach), np.concatenate(row), np.concatenate(parent), tuple(slices))
