"""The embedded world: a network of reaches on a planet, and the truth an estimate is to find."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rivercut import graph
from rivercut.network import RiverNetwork
from rivergrad.world.drainage import drain
from rivergrad.world.hidden import draw_soils
from rivergrad.world.reaches import cut_reaches
from rivergrad.world.spec import WorldSpec
from rivergrad.world.streams import stream
from rivergrad.world.terrain import make_terrain

FIRST_ID = 1001
REFERENCE_SLOPE = 2.0e-3
REFERENCE_AREA = 5.0e9  # m²
CELERITY_BOUNDS = (0.15, 4.0)  # m/s
X_BOUNDS = (0.0, 0.5)


@dataclass(frozen=True, eq=False)
class World:
    """A generated planet.

    Attributes:
        network: n reaches with the attributes slope (1), area_m2, upstream_area_m2, lat, lon (degrees,
            half-way along the reach) and elevation_m (at its lower end); of a world with weather also
            soil_depth_mm and clay_fraction (1).
        celerity: (n,) true celerity, m/s.
        muskingum_x: (n,) true Muskingum x.
        radius: the planet's radius, m.
        map_lat, map_lon: (rows,), (columns,) degrees of the map's cell centres.
        elevation: (rows, columns) metres, negative at sea.
        land: (rows, columns) whether a cell is land.
        cell_reach: (rows, columns) position of the reach that a cell drains into, -1 for none.
    """

    network: RiverNetwork
    celerity: NDArray[np.float64]
    muskingum_x: NDArray[np.float64]
    radius: float
    map_lat: NDArray[np.float64]
    map_lon: NDArray[np.float64]
    elevation: NDArray[np.float64]
    land: NDArray[np.bool_]
    cell_reach: NDArray[np.int64]

    @property
    def k(self) -> NDArray[np.float64]:
        """True Muskingum k, (n,) seconds: length over celerity."""
        assert self.network.length is not None  # generate_network always gives one
        return self.network.length / self.celerity


def generate_network(spec: WorldSpec) -> World:
    """Make the planet of a spec: terrain, drainage, reaches and their true parameters."""
    terrain = make_terrain(spec)
    grid = terrain.grid
    drainage = drain(spec, terrain)
    reaches = cut_reaches(spec, grid, drainage)
    radius = spec.reach_length / reaches.target

    n = len(reaches.downstream)
    drained = reaches.cell_reach >= 0
    area = radius**2 * np.bincount(
        reaches.cell_reach[drained], weights=grid.cell_area.ravel()[drained], minlength=n
    )
    order = graph.topological_order(reaches.downstream)
    upstream_area = graph.accumulate(reaches.downstream, order, area)
    length = radius * reaches.length
    slope = reaches.drop / length
    row, column = np.divmod(reaches.middle, grid.shape[1])
    network = RiverNetwork(
        reach_id=FIRST_ID + np.arange(n),
        downstream=reaches.downstream,
        length=length,
        attributes={
            "slope": slope,
            "area_m2": area,
            "upstream_area_m2": upstream_area,
            "lat": grid.lat[row],
            "lon": grid.lon[column],
            "elevation_m": drainage.elevation.ravel()[reaches.last],
        },
    )
    if spec.weather:
        network = replace(network, attributes={**network.attributes, **draw_soils(spec, network)})
    celerity, muskingum_x = true_parameters(spec, slope, upstream_area)
    return World(
        network=network,
        celerity=celerity,
        muskingum_x=muskingum_x,
        radius=radius,
        map_lat=grid.lat,
        map_lon=grid.lon,
        elevation=drainage.elevation,
        land=terrain.land,
        cell_reach=reaches.cell_reach.reshape(grid.shape),
    )


def true_parameters(
    spec: WorldSpec, slope: NDArray[np.float64], upstream_area: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Celerity (m/s), a power law of slope (1) and upstream area (m²) with noise, and Muskingum x, (n,) each.

    Steep and large rivers are fast, as by Manning's law with a hydraulic radius that grows with the area.
    """
    rng = stream(spec.seed, "celerity")
    trend = spec.celerity_slope_exponent * np.log(
        slope / REFERENCE_SLOPE
    ) + spec.celerity_area_exponent * np.log(upstream_area / REFERENCE_AREA)
    noise = spec.celerity_noise * rng.standard_normal(len(slope))
    if spec.celerity_reference is None:
        # Centred on its median, so that `spec.celerity` keeps its meaning whatever the relief is.
        celerity = spec.celerity * np.exp(trend - np.median(trend) + noise)
    else:
        celerity = spec.celerity_reference * np.exp(trend + noise)
    x = spec.muskingum_x + spec.muskingum_x_noise * rng.standard_normal(len(slope))
    return np.clip(celerity, *CELERITY_BOUNDS), np.clip(x, *X_BOUNDS)
