"""The land in cells of the runoff's size, and how they drain into each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivercut.compiling import njit
from rivergrad.world.drainage import Drainage, drain, first_marked
from rivergrad.world.large.spec import REACH_AREA, LargeSpec
from rivergrad.world.terrain import grid_of, make_terrain

Float = NDArray[np.float64]
Int = NDArray[np.int64]

GENTLEST = 1e-5  # slope between cells, at least
SMALLEST_BASIN = 3  # cells; smaller ones are brooks on capes and islets, and left out


@dataclass(frozen=True, eq=False)
class Cells:
    """C cells of land, basin by basin, upstream before downstream.

    Attributes:
        downstream: (C,) the cell that each drains into, -1 at the sea.
        main: (C,) the largest of those that drain into it, -1 where there is none.
        lat, lon: (C,) degrees of the centres.
        area: (C,) m².
        elevation: (C,) m at the centre.
        slope: (C,) from the centre to the next one's.
        spacing: degrees from a cell to the next.
        radius: of the planet, m.
    """

    downstream: Int
    main: Int
    lat: Float
    lon: Float
    area: Float
    elevation: Float
    slope: Float
    spacing: float
    radius: float


def drain_cells(spec: LargeSpec) -> Cells:
    """Raise the land of a world and let it drain, cell by cell."""
    grid = grid_of(spec.units)
    terrain = make_terrain(spec.world, grid)
    drainage = drain(spec.world, terrain)
    land = _with_rivers(terrain.land.ravel(), drainage)
    place = np.full(terrain.land.size + 1, -1, np.int64)  # the last entry serves downstream == -1
    place[land] = np.arange(land.size)
    downstream = place[drainage.downstream[land]]
    order = place[drainage.order]
    order = order[order >= 0]
    at = _basin_by_basin(downstream, order)
    chosen = np.empty_like(at)  # cells in their new order
    chosen[at] = np.arange(at.size)
    downstream = np.where(downstream < 0, -1, at[downstream])[chosen]

    flat = land[chosen]
    row, column = np.divmod(flat, grid.shape[1])
    solid = grid.cell_area.ravel()[flat]
    radius = float(np.sqrt(spec.reaches * REACH_AREA / solid.sum()))
    elevation = drainage.elevation.ravel()[flat]
    below = np.where(downstream < 0, 0.0, elevation[downstream])
    drained = drainage.area[flat]
    return Cells(
        downstream=downstream,
        main=_largest_above(downstream, drained),
        lat=grid.lat[row],
        lon=grid.lon[column],
        area=radius**2 * solid,
        elevation=elevation,
        slope=np.maximum((elevation - below) / (radius * drainage.distance[flat]), GENTLEST),
        spacing=spec.spacing,
        radius=radius,
    )


def _with_rivers(land: NDArray[np.bool_], drainage: Drainage) -> Int:
    """Positions of the cells of land whose basins are large enough."""
    mouth = first_marked(drainage.downstream, drainage.downstream < 0)
    size = np.bincount(mouth[land], minlength=land.size)
    found = np.flatnonzero(land & (size[mouth] >= SMALLEST_BASIN))
    return found if found.size else np.flatnonzero(land)


@njit(cache=True)
def _basin_by_basin(downstream: Int, order: Int) -> Int:  # pragma: no cover - compiled
    """New position of each cell: basins one after the other, within them upstream before downstream."""
    n = downstream.size
    size = np.ones(n, np.int64)  # cells that drain through a cell
    for i in order:
        if downstream[i] >= 0:
            size[downstream[i]] += size[i]
    free = np.zeros(n, np.int64)  # where the next cell just upstream of a cell begins its stretch
    at = np.empty(n, np.int64)
    begin = 0
    for i in order[::-1]:
        d = downstream[i]
        if d < 0:
            first, begin = begin, begin + size[i]
        else:
            first = free[d]
            free[d] += size[i]
        at[i] = first + size[i] - 1
        free[i] = first
    return at


@njit(cache=True)
def _largest_above(downstream: Int, drained: Float) -> Int:  # pragma: no cover - compiled
    main = np.full(downstream.size, -1, np.int64)
    for i in range(downstream.size):
        d = downstream[i]
        if d >= 0 and (main[d] < 0 or drained[i] > drained[main[d]]):
            main[d] = i
    return main
