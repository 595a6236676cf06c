"""Gauges of a large world: dense in some regions and rare in others, with records that begin, end and have gaps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.world.gauges import missing_stretches
from rivergrad.world.large.spec import LargeSpec
from rivergrad.world.noise import fractal_noise, sphere_points
from rivergrad.world.streams import stream

LEAST_AREA = 2.0e8  # m² that a gauged reach drains, at least, where there are enough of them
SIZE_POWER = 0.35  # chance of a gauge grows with this power of the drained area
DENSITY_SPREAD, DENSITY_WAVES = 1.6, 5.0
"""Standard deviation of ln(density of gauges) from region to region, and its waves per planet radius."""
WHOLE_SHARE = 0.6  # of gauges, those that report over the whole record
SHORTEST = 0.3  # of the record, what others report over, at least
NOISE, NOISE_SPREAD, MOST_NOISE = 0.06, 0.5, 0.25
"""Median over gauges of the standard deviation of ln(observed/true discharge), the spread of its ln, and its most."""


class LargeGauges(NamedTuple):
    """G gauges in the order of their reaches.

    Attributes:
        reach: (G,) positions; name: (G,) names.
    """

    reach: NDArray[np.int64]
    name: NDArray[np.str_]


def place_large_gauges(spec: LargeSpec, network: RiverNetwork) -> LargeGauges:
    """Put gauges on rivers, never one just below another."""
    rng = stream(spec.seed, "gauges", 1)
    area = network.attributes["upstream_area_m2"]
    few = 4 * spec.gauges
    least = min(LEAST_AREA, float(np.partition(area, -min(few, area.size))[-min(few, area.size)]))
    eligible = np.flatnonzero(area >= least)
    points = sphere_points(network.attributes["lat"][eligible], network.attributes["lon"][eligible])
    density = np.exp(DENSITY_SPREAD * fractal_noise(points, rng, frequency=DENSITY_WAVES, octaves=3))
    waiting = rng.exponential(1.0, eligible.size) / (density * area[eligible] ** SIZE_POWER)
    drawn = eligible[np.argsort(waiting, kind="stable")]
    chosen = drawn[: 2 * spec.gauges]
    below = network.downstream[chosen]
    apart = ~np.isin(below, chosen) | (below < 0)
    reach = np.sort(chosen[apart][: spec.gauges])
    return LargeGauges(reach, np.array([f"gauge-{i + 1:05d}" for i in range(reach.size)]))


def observe_large(spec: LargeSpec, discharge: NDArray[np.floating]) -> NDArray[np.float32]:
    """What the gauges report of the true discharge.

    Args:
        spec: the world's recipe.
        discharge: (day, gauge) m³/s, true.

    Returns:
        (day, gauge) m³/s with multiplicative log-normal noise of mean 1, NaN in gaps and outside of a gauge's record.
    """
    days, gauges = discharge.shape
    rng = stream(spec.seed, "noise", 1)
    sd = np.minimum(NOISE * np.exp(NOISE_SPREAD * rng.standard_normal(gauges)), MOST_NOISE)
    observed = np.empty((days, gauges), np.float32)
    for t in range(days):
        observed[t] = discharge[t] * np.exp(sd * rng.standard_normal(gauges) - 0.5 * sd**2)
    observed[missing_stretches(spec.world, (days, gauges), 1)] = np.nan
    rng = stream(spec.seed, "gaps", 2)
    length = np.where(rng.random(gauges) < WHOLE_SHARE, 1.0, rng.uniform(SHORTEST, 1.0, gauges))
    begin = rng.random(gauges) * (1.0 - length)
    day = (np.arange(days) + 0.5) / days
    observed[(day[:, None] < begin) | (day[:, None] > begin + length)] = np.nan
    return observed
