"""Rivers carve the terrain: D8 drainage, and a surface that rises along it as rivers make it rise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivercut import graph
from rivergrad.world.spec import WorldSpec
from rivergrad.world.terrain import Grid, Terrain

ROUNDS = 4  # after that divides hardly move any more
CONCAVITY = 0.15  # slope falls with this power of the drained area; 0.4 to 0.5 on Earth, where uplift is even
HILLSLOPE_CELLS = 4.0  # cells that drain less are hillslopes: they do not steepen any further
SEA_FLOOR = -1.0e4  # below all land, so that the sea drains first and takes in every coast


@dataclass(frozen=True, eq=False)
class Drainage:
    """How every land cell drains, cells flattened row by row.

    Attributes:
        downstream: (cells,) the cell that a land cell drains into; -1 where that is the sea, and at sea.
        order: (land cells,) land cells, upstream before downstream.
        distance: (cells,) great-circle distance to the next cell (the sea's, too) on the unit sphere.
        area: (cells,) area drained, itself included, on the unit sphere; 0 at sea.
        elevation: (rows, columns) metres; strictly lower in each next cell; negative at sea.
    """

    downstream: NDArray[np.int64]
    order: NDArray[np.int64]
    distance: NDArray[np.float64]
    area: NDArray[np.float64]
    elevation: NDArray[np.float64]


def drain(spec: WorldSpec, terrain: Terrain) -> Drainage:
    """Let rivers shape the land.

    D8 on the pit-filled surface gives the drained areas A; a surface in balance with its uplift U rises
    along its rivers with the slope U·A^-m; draining that surface anew moves the divides, and after a few
    rounds drainage and surface agree. Source: the steady state of the stream-power law, Whipple and Tucker,
    J. Geophys. Res. 104 (1999), doi:10.1029/1999JB900120.
    """
    grid, land = terrain.grid, terrain.land
    cell_area = np.where(land, grid.cell_area, 0.0).ravel()
    reference = float(cell_area[land.ravel()].mean())
    # Rough ground lets the first rivers wander; later rounds start from the surface that they left.
    surface = np.where(land, terrain.height, SEA_FLOOR)
    for _ in range(ROUNDS):
        receiver = _d8(surface)
        to_land = land.ravel() & land.ravel()[receiver]
        downstream = np.where(to_land, receiver, -1)
        distance = _distance(grid, np.arange(land.size), receiver)
        order = graph.topological_order(downstream)
        order = order[land.ravel()[order]]
        area = graph.accumulate(downstream, order, cell_area)
        steepness = terrain.uplift.ravel() * np.maximum(area / reference, HILLSLOPE_CELLS) ** -CONCAVITY
        rise = path_sum(downstream, np.where(land.ravel(), distance * steepness, 0.0)).reshape(grid.shape)
        surface = np.where(land, rise, SEA_FLOOR)
    scale = spec.relief / float(np.quantile(rise[land], 0.995))
    depth = terrain.height / -float(terrain.height.min())
    return Drainage(
        downstream=downstream,
        order=order,
        distance=distance,
        area=area,
        elevation=np.where(land, rise * scale, depth * spec.relief),
    )


def path_sum(downstream: NDArray[np.int64], value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum `value` (n,) from each cell to the end of its way downstream, both included: (n,)."""
    n = len(downstream)
    # Pointer doubling: after round r each cell has summed 2^r cells. The extra last entry is the end.
    jump = np.append(np.where(downstream < 0, n, downstream), n)
    total = np.append(value, 0.0)
    while np.any(jump != n):
        total = total + total[jump]
        jump = jump[jump]
    return total[:n]


def first_marked(downstream: NDArray[np.int64], marked: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The first marked cell on the way downstream from each cell, itself included, else -1: (n,)."""
    n = len(downstream)
    here = np.arange(n)
    jump = np.append(np.where(marked, here, np.where(downstream < 0, n, downstream)), n)
    while True:
        further = jump[jump]
        if np.array_equal(further, jump):
            break
        jump = further
    return np.where(jump[:n] == n, -1, jump[:n])


def _d8(surface: NDArray[np.float64]) -> NDArray[np.int64]:
    """The cell that each cell of the pit-filled surface drains into, itself at a pit: (cells,)."""
    import pyflwdir  # here and not above: it takes a second to import, and only making a world needs it

    return pyflwdir.from_dem(surface, nodata=-9999.0).idxs_ds.astype(np.int64)


def _distance(grid: Grid, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float64]:
    """Great-circle distance between cells on the unit sphere (haversine)."""
    columns = grid.shape[1]
    phi, lam = np.deg2rad(grid.lat), np.deg2rad(grid.lon)
    phi_a, phi_b = phi[a // columns], phi[b // columns]
    lam_a, lam_b = lam[a % columns], lam[b % columns]
    h = np.sin((phi_b - phi_a) / 2) ** 2 + np.cos(phi_a) * np.cos(phi_b) * np.sin((lam_b - lam_a) / 2) ** 2
    return 2 * np.arcsin(np.sqrt(h))
