"""From cells to reaches: stems from source to mouth, cut into reaches of about one length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivercut import graph
from rivergrad.world.drainage import Drainage, first_marked
from rivergrad.world.spec import WorldSpec
from rivergrad.world.terrain import Grid

REACH_CELLS = 4.0  # length of a reach in cells at the equator
SHORTEST = 0.5  # a stem shorter than this share of a reach is no river
SHORTEST_BASIN = 2.5  # a basin with fewer reaches' worth of channel has no rivers: brooks on capes and islets


@dataclass(frozen=True, eq=False)
class Reaches:
    """Reaches as groups of cells, n of them, west to east within rows from north to south.

    Attributes:
        downstream: (n,) position of the reach that it flows into, -1 at the sea.
        last: (n,) its cell furthest downstream.
        middle: (n,) the cell half-way.
        length: (n,) along its cells and to the next one, on the unit sphere.
        drop: (n,) metres from the elevation of its first cell to that of the next reach's, or to the sea.
        cell_reach: (cells,) the reach that a cell drains into first, -1 where that is the sea.
        target: the length that a reach has on average, on the unit sphere.
    """

    downstream: NDArray[np.int64]
    last: NDArray[np.int64]
    middle: NDArray[np.int64]
    length: NDArray[np.float64]
    drop: NDArray[np.float64]
    cell_reach: NDArray[np.int64]
    target: float


def cut_reaches(spec: WorldSpec, grid: Grid, drainage: Drainage) -> Reaches:
    """Choose the drained area at which rivers begin so that there are about `spec.reaches` reaches."""
    target = REACH_CELLS * float(np.deg2rad(grid.step))
    low, high = 0.0, float(drainage.area.max())
    best, best_error = high, np.inf
    for _ in range(30):  # the number of reaches falls, nearly steadily, as the threshold rises
        threshold = (low + high) / 2
        label, _ = _label(drainage, threshold, target)
        count = len(np.unique(label[label >= 0]))
        if abs(count - spec.reaches) < best_error:
            best, best_error = threshold, abs(count - spec.reaches)
        if best_error <= 0.01 * spec.reaches:
            break
        low, high = (threshold, high) if count > spec.reaches else (low, threshold)
    return _group(grid, drainage, *_label(drainage, best, target), target)


def _label(
    drainage: Drainage, threshold: float, target: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Label channel cells by reach, -1 elsewhere, and measure their distance from their stem's source.

    A stem follows the larger of the rivers at each confluence, from a source to the sea or to a larger stem.
    It is cut into pieces of equal length, as close to `target` as that allows.
    """
    downstream, order, distance = drainage.downstream, drainage.order, drainage.distance
    channel = drainage.area >= threshold
    channel &= drainage.area > 0
    n = len(channel)
    # The largest tributary carries the stem on: written in ascending order of area, it is the last to write.
    flowing = order[channel[order] & (downstream[order] >= 0)]
    flowing = flowing[np.lexsort((flowing, drainage.area[flowing]))]
    main = np.full(n, -1, np.int64)
    main[downstream[flowing]] = flowing
    stem_down = np.full(n, -1, np.int64)
    on_stem = flowing[main[downstream[flowing]] == flowing]
    stem_down[on_stem] = downstream[on_stem]

    to_end = graph.accumulate(stem_down, order, np.where(channel, distance, 0.0))  # source .. end of the cell
    from_source = to_end - distance
    end = first_marked(stem_down, channel & (stem_down < 0))
    cells = np.flatnonzero(channel)
    cells = cells[_mouth_length(drainage, channel)[cells] >= SHORTEST_BASIN * target]
    cells = cells[to_end[end[cells]] >= SHORTEST * target]
    total = to_end[end[cells]]
    pieces = np.maximum(1, np.rint(total / target).astype(np.int64))
    piece = np.floor((from_source[cells] + 0.5 * distance[cells]) / total * pieces).astype(np.int64)
    label = np.full(n, -1, np.int64)
    label[cells] = end[cells] * n + piece  # a stem has fewer pieces than there are cells
    return label, from_source


def _mouth_length(drainage: Drainage, channel: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Length of all channels of the basin that a cell is in, (cells,)."""
    length = np.where(channel, drainage.distance, 0.0)
    mouth = first_marked(drainage.downstream, drainage.downstream < 0)
    return graph.accumulate(drainage.downstream, drainage.order, length)[mouth]


def _group(
    grid: Grid,
    drainage: Drainage,
    label: NDArray[np.int64],
    from_source: NDArray[np.float64],
    target: float,
) -> Reaches:
    """Gather labelled cells into reaches and connect them."""
    cells = np.flatnonzero(label >= 0)
    cells = cells[np.lexsort((from_source[cells], label[cells]))]  # by reach, downstream within it
    first_at = np.flatnonzero(np.diff(label[cells], prepend=-1))
    last_at = np.append(first_at[1:], len(cells)) - 1
    sizes = last_at - first_at + 1
    by_cell = np.argsort(cells[last_at])
    first_at, last_at = first_at[by_cell], last_at[by_cell]
    first, last = cells[first_at], cells[last_at]
    middle = cells[(first_at + last_at) // 2]

    own = np.full(len(label), -1, np.int64)
    own[cells] = np.repeat(np.argsort(by_cell), sizes)
    reached = first_marked(drainage.downstream, label >= 0)
    cell_reach = np.where(reached >= 0, own[reached], -1)

    after = drainage.downstream[last]
    elevation = drainage.elevation.ravel()
    below = np.where(after >= 0, elevation[after], 0.0)
    return Reaches(
        downstream=np.where(after >= 0, cell_reach[after], -1),
        last=last,
        middle=middle,
        length=from_source[last] + drainage.distance[last] - from_source[first],
        drop=elevation[first] - below,
        cell_reach=cell_reach,
        target=target,
    )
