"""Rivers within cells: a stem through each cell, with tributaries of two reaches at every confluence."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rivercut.compiling import njit
from rivergrad.errors import InputError
from rivergrad.world.large.cells import Cells

Int = NDArray[np.int64]

STEM_SHARE = 0.62
"""Of the streams that join within a cell, those that join its stem: the rest join tributaries. Main stems of an
Earth are then some thousand reaches deep."""


class Tree(NamedTuple):
    """N reaches, those of a cell side by side, upstream before downstream.

    Attributes:
        downstream: (N,) position of the next reach, -1 at the sea.
        cell: (N,) that the reach lies in.
        along: (N,) how far along the cell's stem it lies, or joins: 0 where the stem enters, 1 where it leaves.
        aside: (N,) how far to the left (or right, below 0) of the stem, in sizes of a cell.
    """

    downstream: Int
    cell: Int
    along: NDArray[np.float32]
    aside: NDArray[np.float32]


def grow(cells: Cells, reaches: int, seed: int) -> Tree:
    """Fill cells with rivers, in number by their areas.

    A cell with h springs and j streams from other cells has 2h + j - 1 reaches: every confluence is one of two.

    Args:
        cells: of the land.
        reaches: the number wanted; met exactly.
        seed: of the world.

    Raises:
        InputError: too few reaches for the cells.
    """
    downstream = cells.downstream
    count = downstream.size
    if (reaches + np.count_nonzero(downstream < 0)) % 2:
        # A number of that parity needs one mouth more: the first cell without others upstream keeps its water.
        alone = np.flatnonzero((cells.main < 0) & (downstream >= 0))[0]
        downstream = downstream.copy()
        downstream[alone] = -1
    streams = np.bincount(downstream[downstream >= 0], minlength=count)
    springs = _springs(cells.area, streams, reaches)
    size = 2 * springs + streams - 1
    first = np.cumsum(size) - size
    found = _grow(downstream, cells.main, springs, first, reaches, np.uint64(seed))
    cell = np.repeat(np.arange(count), size)
    return Tree(found[0], cell, found[1], found[2])


def _springs(area: NDArray[np.float64], streams: Int, reaches: int) -> Int:
    """Springs of each cell, at least one, so that there are so many reaches."""
    total, odd = divmod(reaches - int((streams - 1).sum()), 2)
    assert odd == 0
    if total < area.size:
        raise InputError(f"--reaches {reaches}: found {area.size} cells of land; expected more reaches")
    wanted = np.maximum((area / area.sum() * reaches + 1 - streams) / 2, 1.0)
    for _ in range(50):  # those at their least leave less to the others
        scale = (total - np.count_nonzero(wanted <= 1)) / max(float(wanted[wanted > 1].sum()), 1e-9)
        scaled = np.where(wanted > 1, np.maximum(wanted * scale, 1.0), 1.0)
        if abs(float(scaled.sum()) - total) < 0.5 or np.array_equal(scaled, wanted):
            wanted = scaled
            break
        wanted = scaled
    springs = np.maximum(np.floor(wanted), 1).astype(np.int64)
    missing = total - int(springs.sum())
    order = np.argsort(springs - wanted, kind="stable")
    step = 1 if missing > 0 else -1
    while missing:
        free = order[(springs[order] > 1) | (step > 0)][: abs(missing)]
        springs[free] += step
        missing -= step * free.size
    return springs


@njit(cache=True)
def _next(state: np.uint64) -> tuple[np.uint64, float]:  # pragma: no cover - compiled
    """The next state of SplitMix64 (Steele et al. 2014, doi:10.1145/2714064.2660195) and a number in 0..1."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    z = state
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return state, np.float64(z >> np.uint64(11)) / 9007199254740992.0


@njit(cache=True)
def _grow(
    downstream: Int, main: Int, springs: Int, first: Int, reaches: int, seed: np.uint64
) -> tuple[Int, NDArray[np.float32], NDArray[np.float32]]:  # pragma: no cover - compiled
    count = downstream.size
    to = np.full(reaches, -1, np.int64)
    along, aside = np.zeros(reaches, np.float32), np.zeros(reaches, np.float32)
    mouth = np.empty(count, np.int64)  # last reach of each cell
    heads = np.full(count, -1, np.int64)  # lists of cells that drain into a cell
    after = np.full(count, -1, np.int64)
    most = 0
    for c in range(count):
        most = max(most, springs[c] + 8)
    tips, groups = np.empty(most, np.int64), np.empty(most, np.int64)
    mine = np.empty(most, np.int64)
    for c in range(count):
        state = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(c)
        for _ in range(2):
            state, draw = _next(state)
        free = first[c]
        # the stem begins with the largest stream, or with a spring
        stem, tributaries = -1, 0
        u = heads[c]
        while u >= 0:
            if u == main[c]:
                stem = mouth[u]
            else:
                tips[tributaries] = mouth[u]
                tributaries += 1
            u = after[u]
        for h in range(springs[c]):
            if h == 0 and stem < 0:
                stem = free
            else:
                tips[tributaries] = free
                tributaries += 1
            free += 1
        # which of the streams join before they reach the stem
        joins = max(1, round(STEM_SHARE * tributaries)) if tributaries else 0
        for i in range(tributaries):
            state, draw = _next(state)
            j = i + int(draw * (tributaries - i))
            tips[i], tips[j] = tips[j], tips[i]
            state, draw = _next(state)
            groups[i] = i if i < joins else int(draw * joins)
        for g in range(joins):
            state, draw = _next(state)
            side = 1.0 if draw < 0.5 else -1.0
            place = (g + 0.5) / joins
            held = 0
            for i in range(tributaries):
                if groups[i] == g:
                    mine[held] = tips[i]
                    held += 1
                    if tips[i] >= first[c]:  # a spring of this cell
                        state, draw = _next(state)
                        aside[tips[i]] = side * (0.12 + 0.36 * draw)
                        state, draw = _next(state)
                        along[tips[i]] = place + 0.3 * (draw - 0.7)
            while held > 1:
                state, draw = _next(state)
                i = int(draw * held)
                one = mine[i]
                held -= 1
                mine[i] = mine[held]
                state, draw = _next(state)
                i = int(draw * held)
                to[one], to[mine[i]] = free, free
                along[free] = place - 0.05
                aside[free] = side * (0.05 + 0.1 * draw)
                mine[i] = free
                free += 1
            to[stem], to[mine[0]] = free, free
            along[free] = min(place + 0.5 / joins, 1.0)
            stem = free
            free += 1
        mouth[c] = stem
        d = downstream[c]
        if d >= 0:
            after[c] = heads[d]
            heads[d] = c
    return to, along, aside
