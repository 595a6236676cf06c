"""Weather of a world, and the runoff that it really makes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.world.climate import YEAR_DAYS, day_of_year, reach_angle, season, storms, yearly_depth
from rivergrad.world.hidden import HiddenState, hidden_buckets
from rivergrad.world.noise import sphere_points
from rivergrad.world.spec import DAY, WorldSpec
from rivergrad.world.streams import stream

Float = NDArray[np.float64]

MODES = 48  # waves that the weather's warm and cold spells are made of
SPELL_REACHES = 12.0  # reach lengths after which spells no longer agree, about
SPELL_DAYS = 5.0  # after which they have passed, to 1/e
STORM_STEP = DAY / 2  # storms move on at least this often
COOLS = 1.5  # K that a day with three times the mean rain is cooler, at most twice that


@dataclass(frozen=True, eq=False)
class Weather:
    """Weather of every catchment, and the runoff that it makes.

    Attributes:
        time: (time,) start of each forcing step, datetime64[ns].
        precipitation: (time, reach) mm per step, float32.
        temperature: (time, reach) °C, mean of each step, float32.
        potential_evapotranspiration: (time, reach) mm per step, float32.
        runoff: (time, reach) true lateral inflow, m³/s.
    """

    time: NDArray[np.datetime64]
    precipitation: NDArray[np.float32]
    temperature: NDArray[np.float32]
    potential_evapotranspiration: NDArray[np.float32]
    runoff: Float

    @property
    def forcings(self) -> dict[str, NDArray[np.float32]]:
        """The forcings by name, in the order of `rivergrad.runoff.FORCINGS`."""
        return {
            "precipitation": self.precipitation,
            "temperature": self.temperature,
            "potential_evapotranspiration": self.potential_evapotranspiration,
        }


def generate_weather(spec: WorldSpec, network: RiverNetwork) -> Weather:
    """Weather of a record and its true runoff.

    Rain falls from storms, temperature follows latitude, season, elevation and spells, and potential
    evapotranspiration the temperature and the sun. Runoff is made by hidden buckets, whose first year runs twice, so
    that the record does not begin with what they hold by chance.

    Args:
        spec: the world's recipe, with `weather`.
        network: its network.
    """
    n = network.n_reaches
    rain = _precipitation(spec, network)
    temperature, potential = (np.empty((spec.n_steps, n), dtype=np.float32) for _ in range(2))
    phase = day_of_year(spec, spec.n_steps, spec.step)
    lat = network.attributes["lat"]
    warm, swing = _climate(spec, network)
    wet = np.maximum(rain.mean(axis=0, dtype=np.float64), 1e-9)
    for t, (day, spell) in enumerate(zip(phase, _spells(spec, network), strict=True)):
        cooler = COOLS * np.minimum(rain[t] / wet / 3.0, 2.0)
        mean = warm + swing * np.cos(2 * np.pi * (day - 205.0) / YEAR_DAYS)  # the warmest day is late in July
        temperature[t] = mean + spell - cooler
        potential[t] = potential_evapotranspiration(temperature[t], lat, day) * (spec.step / DAY)
    depth = _true_depth(spec, network, rain, temperature, potential, phase)
    depth *= network.attributes["area_m2"] * (1e-3 / spec.step)
    time = spec.start_time + np.arange(spec.n_steps) * np.timedelta64(round(spec.step * 1e9), "ns")
    return Weather(time, rain, temperature, potential, depth)


def potential_evapotranspiration(temperature: NDArray[np.floating], lat: Float, day: float) -> Float:
    """mm a day from temperature (°C) and the sun's height at a latitude (degrees) and day of the year.

    Source: Oudin et al. (2005), doi:10.1016/j.jhydrol.2004.08.026; radiation as Allen et al. (1998), FAO 56.
    """
    angle = 2 * np.pi * day / YEAR_DAYS
    tilt = 0.409 * np.sin(angle - 1.39)
    phi = np.deg2rad(lat)
    sunset = np.arccos(np.clip(-np.tan(phi) * np.tan(tilt), -1.0, 1.0))
    sun = sunset * np.sin(phi) * np.sin(tilt) + np.cos(phi) * np.cos(tilt) * np.sin(sunset)
    radiation = 37.6 * (1 + 0.033 * np.cos(angle)) * np.maximum(sun, 0.0)  # MJ a m² and day
    return np.asarray(radiation / 2.45 * np.maximum(temperature + 5.0, 0.0) / 100.0, dtype=np.float64)


def _precipitation(spec: WorldSpec, network: RiverNetwork) -> NDArray[np.float32]:
    """(time, reach) mm per step."""
    substeps = max(1, round(spec.step / STORM_STEP))
    lat, area = network.attributes["lat"], network.attributes["area_m2"]
    yearly = yearly_depth(lat)
    yearly *= 1e3 * spec.precipitation_depth * area.sum() / (yearly @ area)
    falls = storms(spec, network, spec.n_steps * substeps, spec.step / substeps)
    found = np.empty((spec.n_steps, network.n_reaches), dtype=np.float32)
    for t, day in enumerate(day_of_year(spec, spec.n_steps, spec.step)):
        mean = falls[t * substeps : (t + 1) * substeps].mean(axis=0)
        found[t] = mean * yearly * season(lat, day) * (spec.step / DAY / YEAR_DAYS)
    return found


def _climate(spec: WorldSpec, network: RiverNetwork) -> tuple[Float, Float]:
    """Yearly mean of the temperature (°C), and its swing (K, positive where July is warm), (reach,) each."""
    lat, height = network.attributes["lat"], np.maximum(network.attributes["elevation_m"], 0.0)
    warm = 27.0 - 38.0 * np.sin(np.deg2rad(lat)) ** 2 - spec.lapse_rate * height / 1000.0
    return warm, np.sign(lat) * 14.0 * (1 - np.exp(-((lat / 30.0) ** 2)))


def _spells(spec: WorldSpec, network: RiverNetwork) -> Iterator[Float]:
    """Step by step, how much warmer than usual it is, (reach,) K: waves over the planet that come and go."""
    rng = stream(spec.seed, "temperature")
    points = sphere_points(network.attributes["lat"], network.attributes["lon"])
    width = SPELL_REACHES * reach_angle(spec, network)
    waves = rng.standard_normal((MODES, 3)) / width
    shape = np.cos(points @ waves.T + rng.uniform(0.0, 2 * np.pi, MODES))
    shape *= spec.temperature_noise * np.sqrt(2.0 / MODES)
    keep = np.exp(-spec.step / (SPELL_DAYS * DAY))
    height = rng.standard_normal(MODES)
    for _ in range(spec.n_steps):
        yield np.asarray(shape @ height, dtype=np.float64)
        height = keep * height + np.sqrt(1 - keep**2) * rng.standard_normal(MODES)


def _true_depth(
    spec: WorldSpec,
    network: RiverNetwork,
    rain: NDArray[np.float32],
    temperature: NDArray[np.float32],
    potential: NDArray[np.float32],
    phase: Float,
) -> Float:
    """Runoff, (time, reach) mm per step."""
    state = HiddenState(hidden_buckets(spec, network), spec.step)
    year = min(spec.n_steps, round(YEAR_DAYS * DAY / spec.step))
    depth = np.empty(rain.shape)
    for steps in (range(year), range(spec.n_steps)):
        for t in steps:
            depth[t] = state.step(rain[t].astype(np.float64), temperature[t], potential[t], phase[t])
    return depth
