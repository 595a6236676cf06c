"""A planet's surface before rivers: sea, continents, islands, and how fast the rock rises where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from rivergrad.world.noise import fractal_noise, sphere_points
from rivergrad.world.spec import WorldSpec
from rivergrad.world.streams import stream

SOUTH, NORTH = -60.0, 80.0  # ice caps beyond carry no rivers and are off the map
CELLS_PER_REACH = 24  # land cells: about four cells of channel in a drainage area six times as large
INLAND_SEA_SHARE = 0.01  # sea smaller than this share of the largest sea is filled in


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular grid of cell centres, north to south and west to east, on the unit sphere.

    Attributes:
        lat: (rows,) degrees, descending.
        lon: (columns,) degrees, ascending from -180.
        step: cell size in degrees.
    """

    lat: NDArray[np.float64]
    lon: NDArray[np.float64]
    step: float

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.lat), len(self.lon)

    @property
    def cell_area(self) -> NDArray[np.float64]:
        """(rows, columns) areas on the unit sphere."""
        half = np.deg2rad(self.step) / 2
        phi = np.deg2rad(self.lat)
        row = 2 * half * (np.sin(phi + half) - np.sin(phi - half))
        return np.broadcast_to(row[:, None], self.shape)


@dataclass(frozen=True, eq=False)
class Terrain:
    """Where the land is and what shapes it.

    Attributes:
        grid: the cells.
        land: (rows, columns) bool; no land on the rim of the map.
        height: (rows, columns) rough first surface in arbitrary units, positive on land, negative at sea.
        uplift: (rows, columns) relative steepness of rivers, median near 1, large in mountain belts.
    """

    grid: Grid
    land: NDArray[np.bool_]
    height: NDArray[np.float64]
    uplift: NDArray[np.float64]


def make_grid(spec: WorldSpec) -> Grid:
    """Choose the cell size so that the land holds about `CELLS_PER_REACH` cells a reach."""
    cells = spec.reaches * CELLS_PER_REACH / spec.land_fraction
    return grid_of(max(6, round(float(np.sqrt(cells / (18 * 7))))))


def grid_of(units: int) -> Grid:
    """The map in cells of 20° / units: 18 units of columns span 360 degrees as 7 of rows span 140."""
    step = 20.0 / units
    lat = NORTH - step * (np.arange(7 * units, dtype=np.float64) + 0.5)
    lon = -180.0 + step * (np.arange(18 * units, dtype=np.float64) + 0.5)
    return Grid(lat=lat, lon=lon, step=step)


def make_terrain(spec: WorldSpec, grid: Grid | None = None) -> Terrain:
    """Raise continents from fractal noise and draw mountain belts across them, on a grid (by default `make_grid`'s)."""
    rng = stream(spec.seed, "terrain")
    grid = make_grid(spec) if grid is None else grid
    points = sphere_points(grid.lat[:, None], grid.lon[None, :]).reshape(-1, 3)
    octaves = max(4, round(np.log2(20.0 / grid.step)) + 2)  # down to the size of a cell

    # Bending the coordinates by slow noise makes coasts and belts curl as plates and arcs do.
    bend = np.stack([fractal_noise(points, rng, frequency=2.0, octaves=1) for _ in range(3)], axis=-1)
    bent = points + 0.10 * bend
    continents = fractal_noise(bent, rng, frequency=1.3, octaves=octaves, gain=0.55)
    belt = np.exp(-((fractal_noise(bent, rng, frequency=1.5, octaves=3, gain=0.4) / 0.22) ** 2))
    provinces = fractal_noise(bent, rng, frequency=4.0, octaves=4, gain=0.6)
    # Hard and soft rock from cell to cell makes rivers wander.
    rock = rng.standard_normal(len(points))
    uplift = np.exp(0.7 * provinces + 2.0 * belt + 0.5 * rock - 0.6).reshape(grid.shape)
    # The first surface is mostly hills that know nothing of the coast: inland lows then gather large basins.
    hills = fractal_noise(bent, rng, frequency=2.5, octaves=5, gain=0.7)
    ground = (hills + 1.5 * belt + 0.3 * continents).reshape(grid.shape)
    # Belts near the sea's edge rise out of it: coasts with cordilleras, arcs of islands.
    shape = (continents + 0.35 * belt).reshape(grid.shape)
    edge = np.minimum(NORTH - grid.lat, grid.lat - SOUTH)
    shape = shape - 3.0 * np.exp(-((edge / 5.0) ** 2))[:, None]  # the polar seas

    level = _sea_level(shape, grid.cell_area, spec.land_fraction)
    # The map's seam goes where it cuts the least land, and what it still cuts becomes a strait: a river
    # then never has to cross it, and D8 on the plain array is D8 on the globe.
    seam = int(np.argmin((shape > level).sum(axis=0)))
    shape, uplift, ground = (np.roll(field, -seam, axis=1) for field in (shape, uplift, ground))
    land = shape > level
    land |= _inland_seas(land)
    land[:, [0, -1]] = False
    land[[0, -1], :] = False
    depth = np.abs(shape - level) + 1e-6
    return Terrain(
        grid=grid, land=land, height=np.where(land, 1.0 + ground - ground.min(), -depth), uplift=uplift
    )


def _sea_level(shape: NDArray[np.float64], area: NDArray[np.float64], land_fraction: float) -> float:
    """The level that `land_fraction` of the area lies above."""
    order = np.argsort(shape, axis=None)[::-1]
    share = np.cumsum(area.ravel()[order]) / area.sum()
    return float(shape.ravel()[order[np.searchsorted(share, land_fraction)]])


def _inland_seas(land: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Sea cells of small seas."""
    labels, _ = ndimage.label(~land, structure=np.ones((3, 3)))
    size = np.bincount(labels.ravel())
    size[0] = 0
    small = size < INLAND_SEA_SHARE * size.max()
    small[0] = False
    return small[labels]
