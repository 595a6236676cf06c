"""Noise without a seam, land of the asked share, and drainage that runs downhill into the sea."""

from __future__ import annotations

import numpy as np
import pytest

from rivergrad.world import WorldSpec
from rivergrad.world.drainage import drain, first_marked, path_sum
from rivergrad.world.noise import fractal_noise, sphere_points
from rivergrad.world.streams import stream
from rivergrad.world.terrain import make_grid, make_terrain


def test_noise_has_no_seam_and_is_continuous() -> None:
    lat = np.zeros(4)
    lon = np.array([-180.0, 180.0, 30.0, 30.0001])
    scatter = np.random.default_rng(0).uniform([-60, -180], [80, 180], (400, 2)).T
    points = np.concatenate([sphere_points(lat, lon), sphere_points(*scatter)])
    noise = fractal_noise(points, stream(1, "terrain"), frequency=2.0, octaves=4)
    assert noise[0] == pytest.approx(noise[1], abs=1e-9)
    assert noise[2] == pytest.approx(noise[3], abs=1e-3)
    assert noise.std() == pytest.approx(1.0)
    assert noise[2] != noise[0]


def test_cells_tile_the_map() -> None:
    grid = make_grid(WorldSpec(reaches=500))
    band = 2 * np.pi * (np.sin(np.deg2rad(80.0)) + np.sin(np.deg2rad(60.0)))
    assert grid.cell_area.sum() == pytest.approx(band, rel=1e-12)
    assert grid.lat[0] + grid.step / 2 == pytest.approx(80.0)
    assert grid.lat[-1] - grid.step / 2 == pytest.approx(-60.0)
    assert grid.lon[-1] + grid.step / 2 == pytest.approx(180.0)


@pytest.mark.parametrize("land_fraction", [0.2, 0.36, 0.6])
def test_land_share(land_fraction: float) -> None:
    terrain = make_terrain(WorldSpec(reaches=300, land_fraction=land_fraction))
    share = (terrain.land * terrain.grid.cell_area).sum() / terrain.grid.cell_area.sum()
    assert share == pytest.approx(land_fraction, abs=0.06)
    assert not terrain.land[[0, -1]].any()
    assert not terrain.land[:, [0, -1]].any()


def test_water_runs_downhill_to_the_sea() -> None:
    spec = WorldSpec(reaches=300)
    terrain = make_terrain(spec)
    drainage = drain(spec, terrain)
    land = terrain.land.ravel()
    elevation = drainage.elevation.ravel()
    assert (elevation[land] > 0).all()
    assert (elevation[~land] < 0).all()
    flowing = np.flatnonzero(drainage.downstream >= 0)
    assert land[flowing].all()
    assert land[drainage.downstream[flowing]].all()
    assert (elevation[flowing] > elevation[drainage.downstream[flowing]]).all()
    # What has no land to flow to lies at the sea, and everything that falls on land arrives there.
    columns = terrain.grid.shape[1]
    for cell in np.flatnonzero(land & (drainage.downstream < 0)):
        row, column = divmod(int(cell), columns)
        assert not terrain.land[row - 1 : row + 2, column - 1 : column + 2].all()
    mouths = land & (drainage.downstream < 0)
    assert drainage.area[mouths].sum() == pytest.approx(
        (terrain.grid.cell_area * terrain.land).sum(), rel=1e-9
    )
    # Each step goes to one of the eight neighbours.
    step = np.abs(
        np.stack(np.divmod(flowing, columns)) - np.stack(np.divmod(drainage.downstream[flowing], columns))
    )
    assert step.max() == 1


def test_path_sum_and_first_marked_against_walking() -> None:
    rng = np.random.default_rng(2)
    n = 60
    downstream = np.array([rng.integers(-1, i) if i else -1 for i in range(n)])
    value = rng.random(n)
    marked = rng.random(n) < 0.2
    total, first = path_sum(downstream, value), first_marked(downstream, marked)
    for i in range(n):
        walked, found, at = 0.0, -1, i
        while at >= 0:
            walked += value[at]
            if found < 0 and marked[at]:
                found = at
            at = int(downstream[at])
        assert total[i] == pytest.approx(walked)
        assert first[i] == found
