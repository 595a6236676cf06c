"""The network of a large world, with attributes and the truth that an estimate is to find."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivercut import graph
from rivercut.network import RiverNetwork
from rivergrad.world.large.cells import Cells, drain_cells
from rivergrad.world.large.spec import REACH_LENGTH, LargeSpec
from rivergrad.world.large.trees import Tree, grow
from rivergrad.world.noise import fractal_noise, sphere_points
from rivergrad.world.planet import CELERITY_BOUNDS, REFERENCE_AREA, true_parameters
from rivergrad.world.streams import stream

Float = NDArray[np.float64]

FIRST_ID = 10_000_001
LENGTH_SPREAD = 0.65  # standard deviation of ln(length)
LENGTHS = (150.0, 40_000.0)  # m
AREA_SPREAD = 0.5  # standard deviation of ln(area / length)
SLOPE_SPREAD = 0.5
SLOPES = (1e-5, 0.3)
WIDTH, WIDTH_POWER, WIDTH_SPREAD = 160.0, 0.45, 0.25
"""Of a river that drains `REFERENCE_AREA`, m, its growth with the area, and the standard deviation of ln(width).
Source: Andreadis et al. (2013), doi:10.1002/wrcr.20440, about."""
REGIONAL_SPREAD = 0.2
"""Standard deviation of ln(celerity) that neither slope nor area explains and that neighbours share."""
REGION_CELLS = 12.0  # cells after which that has changed sign, about


@dataclass(frozen=True, eq=False)
class LargeWorld:
    """A large world without its runoff.

    Attributes:
        network: with slope, width_m, area_m2, upstream_area_m2, elevation_m, lat and lon.
        celerity: (n,) true celerity, m/s.
        muskingum_x: (n,) true Muskingum x.
        cells: of the land.
    """

    network: RiverNetwork
    celerity: Float
    muskingum_x: Float
    cells: Cells


def generate_large(spec: LargeSpec) -> LargeWorld:
    """Make the network of a large world and its true parameters."""
    cells = drain_cells(spec)
    tree = grow(cells, spec.reaches, spec.seed)
    rng = stream(spec.seed, "terrain", 1)
    n = spec.reaches
    length = REACH_LENGTH * np.exp(LENGTH_SPREAD * rng.standard_normal(n))
    np.clip(length, *LENGTHS, out=length)
    slope = _slopes(cells, tree, rng)
    area = _areas(cells, tree, length, rng)
    order = graph.topological_order(tree.downstream)
    upstream_area = graph.accumulate(tree.downstream, order, area)
    width = WIDTH * (upstream_area / REFERENCE_AREA) ** WIDTH_POWER
    width *= np.exp(WIDTH_SPREAD * rng.standard_normal(n))
    lat, lon = _positions(cells, tree)
    celerity, x = true_parameters(spec.world, slope, upstream_area)
    celerity *= np.exp(REGIONAL_SPREAD * _regional(spec, cells))[tree.cell]
    np.clip(celerity, *CELERITY_BOUNDS, out=celerity)
    network = RiverNetwork(
        reach_id=FIRST_ID + np.arange(n),
        downstream=tree.downstream,
        length=length,
        attributes={
            "slope": slope,
            "width_m": width,
            "area_m2": area,
            "upstream_area_m2": upstream_area,
            "elevation_m": _elevations(cells, tree),
            "lat": lat,
            "lon": lon,
        },
    )
    return LargeWorld(network, celerity, x, cells)


def _slopes(cells: Cells, tree: Tree, rng: np.random.Generator) -> Float:
    """Those of cells, steeper away from their stems, and noise."""
    found = cells.slope[tree.cell] * (1.0 + 4.0 * np.abs(tree.aside))
    found *= np.exp(SLOPE_SPREAD * rng.standard_normal(found.size))
    return np.clip(found, *SLOPES, out=found)


def _areas(cells: Cells, tree: Tree, length: Float, rng: np.random.Generator) -> Float:
    """What drains into each reach alone, m²: a share of its cell by its length, and noise."""
    found = length * np.exp(AREA_SPREAD * rng.standard_normal(length.size))
    total = np.bincount(tree.cell, weights=found, minlength=cells.area.size)
    found *= (cells.area / total)[tree.cell]
    return found


def _ends(cells: Cells, values: Float) -> tuple[Float, Float]:
    """Values (C,) where stems enter and leave their cells: half-way to the cell before and the next."""
    before = np.where(cells.main < 0, np.nan, values[cells.main])
    after = np.where(cells.downstream < 0, np.nan, values[cells.downstream])
    enter, leave = (values + before) / 2, (values + after) / 2
    # a source begins opposite to where it leaves, a mouth ends opposite to where it enters; an islet is as it is
    enter, leave = (
        np.where(np.isnan(enter), 2 * values - leave, enter),
        np.where(np.isnan(leave), 2 * values - enter, leave),
    )
    return np.where(np.isnan(enter), values, enter), np.where(np.isnan(leave), values, leave)


def _positions(cells: Cells, tree: Tree) -> tuple[Float, Float]:
    """Latitude and longitude of each reach: along a bow through its cell, tributaries aside of it."""
    s = tree.along.astype(np.float64)
    weights = ((1 - s) ** 2, 2 * s * (1 - s), s**2)  # of a quadratic Bézier curve
    found = []
    ends = [_ends(cells, values) for values in (cells.lat, cells.lon)]
    for values, (enter, leave) in zip((cells.lat, cells.lon), ends, strict=True):
        curve = weights[0] * enter[tree.cell] + weights[1] * values[tree.cell] + weights[2] * leave[tree.cell]
        found.append(curve)
    lat_way, lon_way = (leave - enter for enter, leave in ends)
    way = np.maximum(np.hypot(lat_way, lon_way), 1e-9)
    found[0] += tree.aside * (cells.spacing * lon_way / way)[tree.cell]
    found[1] -= tree.aside * (cells.spacing * lat_way / way)[tree.cell]
    return found[0], np.clip(found[1], -180.0, 180.0)


def _elevations(cells: Cells, tree: Tree) -> Float:
    """At each reach, m: along the stem, and higher aside of it."""
    enter, leave = _ends(cells, cells.elevation)
    fall = (enter - leave)[tree.cell]
    return np.maximum(leave[tree.cell] + fall * (1 - tree.along + np.abs(tree.aside)), 0.0)


def _regional(spec: LargeSpec, cells: Cells) -> Float:
    """(C,) a field that neighbouring cells share, standard deviation 1."""
    rng = stream(spec.seed, "celerity", 1)
    frequency = 180.0 / np.pi / (REGION_CELLS * cells.spacing)
    return fractal_noise(sphere_points(cells.lat, cells.lon), rng, frequency=frequency, octaves=2)
