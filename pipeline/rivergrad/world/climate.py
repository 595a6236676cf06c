"""What the weather of a world is made of: where it is wet, when, and storms that travel with the winds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from rivercut.network import RiverNetwork
from rivergrad.world.noise import sphere_points
from rivergrad.world.spec import DAY, WorldSpec
from rivergrad.world.streams import stream

YEAR_DAYS = 365.25
STORM_RADIUS = (0.75, 2.0)  # standard deviation of a storm's rain, in reach lengths
STORM_DAYS = (1.0, 4.0)
STORM_SPEED = 4.0  # reach lengths a day along the prevailing wind
RAIN_EVERY = 4.0  # days between storms over a place, counting one while it is within two radii
REACH_OF_STORM = 3.0  # radii beyond which a storm's rain (1 % of its peak) is left out
CHUNK = 20_000  # storm snapshots handled at a time; bounds memory


def yearly_depth(lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Relative wetness by latitude, (n,): tropics and storm tracks wet, subtropics and high latitudes dry."""
    tropics = np.exp(-((lat / 14.0) ** 2))
    tracks = np.exp(-(((np.abs(lat) - 48.0) / 14.0) ** 2))
    return 0.45 + 0.75 * tropics + 0.5 * tracks


def season(lat: NDArray[np.float64], day: float) -> NDArray[np.float64]:
    """Wetness of a day of the year relative to the year's, (n,): wet summers, wet winters at 40° to 60°."""
    summer = np.tanh(lat / 8.0) * np.cos(2 * np.pi * (day - 200.0) / YEAR_DAYS)
    share = 0.65 - 1.1 * np.exp(-(((np.abs(lat) - 48.0) / 12.0) ** 2))
    return np.asarray(1.0 + share * summer, dtype=np.float64)


def day_of_year(spec: WorldSpec, n_steps: int, dt: float) -> NDArray[np.float64]:
    """Days since the year's first, at the middle of each step, (n_steps,), in years of 365.25 days."""
    first = (spec.start_time - spec.start_time.astype("datetime64[Y]")) / np.timedelta64(1, "D")
    middle = (np.arange(n_steps, dtype=np.float64) + 0.5) * (dt / DAY)
    return (float(first) + middle) % YEAR_DAYS


def storms(spec: WorldSpec, network: RiverNetwork, n_steps: int, dt: float) -> NDArray[np.float64]:
    """Rain of storms over every reach, (n_steps, n), in multiples of its expected mean.

    Storms are born everywhere at one rate (a Poisson process over the sphere and time), so that the
    expected rain is the same everywhere; climate scales it afterwards.
    """
    rng = stream(spec.seed, "storms")
    assert network.length is not None  # a world's network has lengths
    lat, lon = network.attributes["lat"], network.attributes["lon"]
    angle = reach_angle(spec, network)

    # Births, also before the record so that its first day is no drier than the rest.
    mean_days = sum(STORM_DAYS) / 2
    small, large = STORM_RADIUS
    mean_square = (small**2 + small * large + large**2) / 3 * angle**2  # of a uniform radius
    footprint = np.pi * 4.0 * mean_square
    births_per_day = 4 * np.pi / (footprint * mean_days * RAIN_EVERY)
    span = n_steps * dt / DAY + STORM_DAYS[1]
    n_storms = rng.poisson(births_per_day * span)
    born = rng.uniform(-STORM_DAYS[1], span - STORM_DAYS[1], n_storms)
    days = rng.uniform(*STORM_DAYS, n_storms)
    radius = rng.uniform(*STORM_RADIUS, n_storms) * angle
    strength = rng.exponential(1.0, n_storms)
    born_lat = np.rad2deg(np.arcsin(rng.uniform(-1.0, 1.0, n_storms)))
    born_lon = rng.uniform(-180.0, 180.0, n_storms)
    # Trades blow from the east up to 30°, westerlies beyond; each storm strays a little north or south.
    wind = -np.cos(np.deg2rad(3.0 * born_lat))
    east = STORM_SPEED * wind * rng.uniform(0.5, 1.5, n_storms)
    north = 0.35 * STORM_SPEED * rng.standard_normal(n_storms)

    # Snapshots of storms in the middle of the steps during which they live.
    first = np.maximum(np.ceil(born * DAY / dt - 0.5).astype(np.int64), 0)
    stop = np.minimum(np.ceil((born + days) * DAY / dt - 0.5).astype(np.int64), n_steps)
    lives = np.maximum(stop - first, 0)
    storm = np.repeat(np.arange(n_storms), lives)
    step = np.arange(len(storm)) - np.repeat(np.cumsum(lives) - lives, lives) + first[storm]
    age = (step + 0.5) * dt / DAY - born[storm]
    degrees = np.rad2deg(angle)
    at_lat = np.clip(born_lat[storm] + north[storm] * age * degrees, -90.0, 90.0)
    parallel = np.maximum(np.cos(np.deg2rad(born_lat[storm])), 0.1)
    at_lon = born_lon[storm] + east[storm] * age * degrees / parallel
    centre = sphere_points(at_lat, at_lon)

    tree = cKDTree(sphere_points(lat, lon))
    n = network.n_reaches
    rain = np.zeros(n_steps * n)
    for at in range(0, len(storm), CHUNK):
        piece = slice(at, at + CHUNK)
        sigma = radius[storm[piece]]
        near = tree.query_ball_point(centre[piece], REACH_OF_STORM * sigma, return_sorted=True)
        count = np.fromiter(map(len, near), np.int64, len(near))
        reach = np.concatenate([np.asarray(found, np.int64) for found in near])
        which = np.repeat(np.arange(len(near)), count)
        gap2 = np.sum((tree.data[reach] - centre[piece][which]) ** 2, axis=1)
        amount = strength[storm[piece]][which] * np.exp(-0.5 * gap2 / sigma[which] ** 2)
        np.add.at(rain, step[piece][which] * n + reach, amount)
    expected = births_per_day / (4 * np.pi) * mean_days * 2 * np.pi * mean_square
    kept = 1.0 - np.exp(-0.5 * REACH_OF_STORM**2)
    return rain.reshape(n_steps, n) / (expected * kept)


def reach_angle(spec: WorldSpec, network: RiverNetwork) -> float:
    """Angle at the planet's centre that a reach of mean length spans, in radians.

    Taken from the network, whose lengths are in metres and whose positions are angles, as the median ratio
    over reaches of the distance to the next one in both.
    """
    flowing = np.flatnonzero(network.downstream >= 0)
    point = sphere_points(network.attributes["lat"], network.attributes["lon"])
    after = network.downstream[flowing]
    angle = 2 * np.arcsin(np.linalg.norm(point[flowing] - point[after], axis=1) / 2)
    assert network.length is not None
    metres = (network.length[flowing] + network.length[after]) / 2
    return float(np.median(angle / metres)) * spec.reach_length
