"""Runoff of a large world on a grid, day by day: storms that move over land, and soils that hold their water."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rivercut.compiling import njit
from rivergrad.world.climate import RAIN_EVERY, REACH_OF_STORM, STORM_DAYS, YEAR_DAYS, season, yearly_depth
from rivergrad.world.large.network import LargeWorld
from rivergrad.world.large.spec import LargeSpec
from rivergrad.world.noise import fractal_noise, sphere_points
from rivergrad.world.runoff import QUICK_DAYS, SLOW_DAYS
from rivergrad.world.spec import DAY
from rivergrad.world.streams import stream

Float = NDArray[np.float64]

SUBSTEPS = 2  # storms move on, and soils drain, so often a day
STORM_RADIUS = (1.5, 5.0)  # standard deviation of a storm's rain, in cells
WIDEST = 0.25  # radians that a storm's radius has at most, on small planets
STORM_SPEED = 8.0  # cells a day along the prevailing wind
WET_SPREAD = 0.6  # standard deviation of ln(yearly runoff) from region to region, besides that by latitude
WET_WAVES = 3.0  # of that, per planet radius
WATER_DENSITY = 1000.0
BANDS_PER_THREAD = 8  # of rows: some have more land than others


@dataclass(frozen=True, eq=False)
class Grid:
    """The grid that runoff is given on: points, each for the box around it.

    Attributes:
        lat: (rows,) degrees, from 90 down; lon: (columns,) degrees, from 0 up.
        land: (rows, columns) whether a reach lies in a point's box: elsewhere there is no runoff.
    """

    lat: Float
    lon: Float
    land: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Storms:
    """S storms in the order of their births: where they are born, where they go, and how strong they are.

    Attributes:
        born, days: (S,) days of the record.
        radius: (S,) radians; strength: (S,) at the centre.
        lat, lon: (S,) degrees where they are born; north, east: (S,) degrees a day.
    """

    born: Float
    days: Float
    radius: Float
    strength: Float
    lat: Float
    lon: Float
    north: Float
    east: Float


def grid_for(spec: LargeSpec, world: LargeWorld) -> Grid:
    """The grid of a world's runoff; 721 by 1,440 points for one of the Earth's size."""
    rows, columns = 9 * spec.units + 1, 18 * spec.units
    land = np.zeros((rows, columns), bool)
    attributes = world.network.attributes
    row = np.floor((90.0 - attributes["lat"]) / spec.spacing + 0.5).astype(np.int64)
    column = np.floor(np.mod(attributes["lon"], 360.0) / spec.spacing + 0.5).astype(np.int64) % columns
    # a point on the edge of two boxes may be taken for either
    for step in (-1, 0, 1):
        land[np.clip(row + step, 0, rows - 1), column] = True
        land[row, (column + step) % columns] = True
    lat, lon = (spec.spacing * np.arange(count, dtype=np.float64) for count in (rows, columns))
    return Grid(90.0 - lat, lon, land)


def draw_storms(spec: LargeSpec) -> tuple[Storms, float]:
    """Storms born everywhere at one rate, also before the record; and their expected rain at any place.

    Source: the Poisson process of `rivergrad.world.climate.storms`, with storms of the size of some cells.
    """
    rng = stream(spec.seed, "storms", 1)
    cell = float(np.deg2rad(spec.spacing))
    small, large = (min(one * cell, WIDEST * one / STORM_RADIUS[1]) for one in STORM_RADIUS)
    mean_square = (small**2 + small * large + large**2) / 3  # of a uniform radius
    mean_days = sum(STORM_DAYS) / 2
    births = 4 * np.pi / (np.pi * 4.0 * mean_square * mean_days * RAIN_EVERY)  # a day
    span = spec.days + STORM_DAYS[1]
    count = int(rng.poisson(births * span))
    born_lat = np.rad2deg(np.arcsin(rng.uniform(-1.0, 1.0, count)))
    wind = -np.cos(np.deg2rad(3.0 * born_lat))
    east = STORM_SPEED * spec.spacing * wind * rng.uniform(0.5, 1.5, count)
    found = Storms(
        born=np.sort(rng.uniform(-STORM_DAYS[1], spec.days, count)),
        days=rng.uniform(*STORM_DAYS, count),
        radius=rng.uniform(small, large, count),
        strength=rng.exponential(1.0, count),
        lat=born_lat,
        lon=rng.uniform(-180.0, 180.0, count),
        north=0.35 * STORM_SPEED * spec.spacing * rng.standard_normal(count),
        east=east / np.maximum(np.cos(np.deg2rad(born_lat)), 0.1),
    )
    kept = 1.0 - np.exp(-0.5 * REACH_OF_STORM**2)
    return found, births / (4 * np.pi) * mean_days * 2 * np.pi * mean_square * kept


def generate_large_runoff(
    spec: LargeSpec, grid: Grid, days: int, threads: int = 1
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Runoff of a record, so many days at a time: the first day's number, and (days, rows, columns) kg m-2 s-1.

    The same numbers for any number of days at a time and any number of threads.

    Args:
        spec: the world's recipe.
        grid: as `grid_for` has it.
        days: at a time.
        threads: that compute.
    """
    storms, expected = draw_storms(spec)
    yearly = _yearly(spec, grid)
    rng = stream(spec.seed, "soil", 1)
    keep_quick = np.exp(-1.0 / (SUBSTEPS * rng.uniform(*QUICK_DAYS, grid.land.shape)))
    share = spec.world.baseflow_fraction
    middles = (np.arange(spec.days * SUBSTEPS) + 0.5) / SUBSTEPS
    first = float(
        (spec.world.start_time - spec.world.start_time.astype("datetime64[Y]")) / np.timedelta64(1, "D")
    )
    seasons = np.stack([season(grid.lat, day) for day in (first + np.arange(0, 366.0)) % YEAR_DAYS])
    begins = yearly * seasons[0][:, None]
    quick, slow = (1 - share) * begins, share * begins
    angles = [np.deg2rad(values) for values in (grid.lat, grid.lon)]
    sides = [turn(values) for values in angles for turn in (np.sin, np.cos)]
    keep_slow = float(np.exp(-1.0 / (SUBSTEPS * SLOW_DAYS)))
    rows = np.flatnonzero(grid.land.any(axis=1))
    bands = np.array_split(rows, min(rows.size, BANDS_PER_THREAD * threads))
    with ThreadPoolExecutor(threads, "storms") as pool:
        for start in range(0, spec.days, days):
            stop = min(start + days, spec.days)
            found = np.zeros((stop - start, *grid.land.shape), np.float32)
            steps = middles[start * SUBSTEPS : stop * SUBSTEPS]
            season_of = seasons[np.floor(steps % YEAR_DAYS).astype(np.int64)]
            seen = _snapshots(storms, steps)
            soil = (quick, slow, keep_quick, keep_slow, share)
            rain = partial(
                _rain_and_soil, found, grid.land, *sides, yearly / expected, season_of, *seen, *soil
            )
            list(pool.map(rain, bands))
            yield start, found


def _yearly(spec: LargeSpec, grid: Grid) -> Float:
    """(rows, columns) expected runoff, kg m-2 s-1: wet and dry by latitude, and from region to region."""
    rng = stream(spec.seed, "storms", 2)
    points = sphere_points(grid.lat[:, None], grid.lon[None, :]).reshape(-1, 3)
    regional = fractal_noise(points, rng, frequency=WET_WAVES, octaves=3).reshape(grid.land.shape)
    found = yearly_depth(grid.lat)[:, None] * np.exp(WET_SPREAD * regional)
    share = grid.land * np.cos(np.deg2rad(grid.lat))[:, None]
    found *= spec.world.runoff_depth * share.sum() / float((found * share).sum())
    return np.asarray(found * (WATER_DENSITY / (YEAR_DAYS * DAY)))


def _snapshots(storms: Storms, middles: Float) -> tuple[NDArray[np.int64], Float, Float, Float]:
    """Storms at some times: where those of each begin among (M,), their centres (M, 3), radii and strengths."""
    from_ = int(np.searchsorted(storms.born, middles[0] - STORM_DAYS[1]))
    until = int(np.searchsorted(storms.born, middles[-1]))
    some = slice(from_, until)
    age = middles[:, None] - storms.born[some]
    step, storm = np.nonzero((age >= 0) & (age < storms.days[some]))
    age = age[step, storm]
    lat = np.clip(storms.lat[some][storm] + storms.north[some][storm] * age, -90.0, 90.0)
    lon = storms.lon[some][storm] + storms.east[some][storm] * age
    begin = np.searchsorted(step, np.arange(middles.size + 1))
    return begin, sphere_points(lat, lon), storms.radius[some][storm], storms.strength[some][storm]


@njit(cache=True, nogil=True)
def _rain_and_soil(
    found: NDArray[np.float32],
    land: NDArray[np.bool_],
    sin_lat: Float,
    cos_lat: Float,
    sin_lon: Float,
    cos_lon: Float,
    yearly: Float,
    seasons: Float,
    begin: NDArray[np.int64],
    centre: Float,
    radius: Float,
    strength: Float,
    quick: Float,
    slow: Float,
    keep_quick: Float,
    keep_slow: float,
    share: float,
    rows: NDArray[np.int64],
) -> None:  # pragma: no cover - compiled
    """Runoff of some days in some rows, and what soils hold afterwards; each row by itself: threads change nothing."""
    columns = land.shape[1]
    substeps = (begin.size - 1) // found.shape[0]
    step = 2.0 * np.pi / columns
    for r in rows:
        rain, total = np.empty(columns), np.empty(columns)
        for t in range(begin.size - 1):
            rain[:] = 0.0
            for s in range(begin[t], begin[t + 1]):
                # the square of the chord to a point, and to the nearest of the row
                high, flat = centre[s, 2], np.sqrt(centre[s, 0] ** 2 + centre[s, 1] ** 2)
                most = (REACH_OF_STORM * radius[s]) ** 2
                near = 2.0 - 2.0 * (high * sin_lat[r] + flat * cos_lat[r])
                if near >= most:
                    continue
                across = (most - near) / (2.0 * max(flat * cos_lat[r], 1e-12))
                half = columns // 2
                if across < 2.0:
                    half = min(half, int(np.arccos(1.0 - across) / step) + 1)
                middle = int(np.floor(np.arctan2(centre[s, 1], centre[s, 0]) / step))
                scale = 1.0 / (2.0 * radius[s] ** 2)
                for i in range(-half, min(half + 2, columns - half)):
                    c = (middle + i) % columns
                    if not land[r, c]:
                        continue
                    dot = high * sin_lat[r]
                    dot += cos_lat[r] * (centre[s, 0] * cos_lon[c] + centre[s, 1] * sin_lon[c])
                    square = 2.0 - 2.0 * dot
                    if square < most:
                        rain[c] += strength[s] * np.exp(-square * scale)
            if t % substeps == 0:
                total[:] = 0.0
            for c in range(columns):
                if not land[r, c]:
                    continue
                falls = rain[c] * yearly[r, c] * seasons[t, r]
                into = (1.0 - share) * falls
                # the mean outflow of a linear reservoir over a step of steady rain
                spent = (1.0 - keep_quick[r, c]) / -np.log(keep_quick[r, c])
                total[c] += into + (quick[r, c] - into) * spent
                quick[r, c] = into + (quick[r, c] - into) * keep_quick[r, c]
                into = share * falls
                spent = (1.0 - keep_slow) / -np.log(keep_slow)
                total[c] += into + (slow[r, c] - into) * spent
                slow[r, c] = into + (slow[r, c] - into) * keep_slow
            if t % substeps == substeps - 1:
                for c in range(columns):
                    if land[r, c]:
                        found[t // substeps, r, c] = total[c] / substeps
