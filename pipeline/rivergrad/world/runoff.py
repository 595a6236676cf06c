"""Runoff without weather that is given: storms, seasons, and reservoirs that make runoff of rain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.world.climate import YEAR_DAYS, day_of_year, season, storms, yearly_depth
from rivergrad.world.spec import DAY, WorldSpec
from rivergrad.world.streams import stream
from rivergrad.world.weather import generate_weather

RAIN_STEP = DAY / 2  # storms move on and soils drain at least this often
QUICK_DAYS = (0.4, 0.9)  # residence times of the quick reservoirs, drawn per reach
SLOW_DAYS = 40.0


def generate_runoff(
    spec: WorldSpec, network: RiverNetwork
) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    """Lateral inflow of every reach.

    Args:
        spec: the world's recipe.
        network: its network, with attributes area_m2, lat and lon.

    Returns:
        Start of each forcing step, (time,) datetime64[ns], and its mean runoff, (time, reach) m³/s.
        With `spec.weather`, the runoff of `generate_weather`.
    """
    if spec.weather:
        weather = generate_weather(spec, network)
        return weather.time, weather.runoff
    substeps = max(1, round(spec.step / RAIN_STEP))
    dt = spec.step / substeps
    n_rain = spec.n_steps * substeps
    time = spec.start_time + np.arange(spec.n_steps) * np.timedelta64(round(spec.step * 1e9), "ns")

    lat, area = network.attributes["lat"], network.attributes["area_m2"]
    yearly = yearly_depth(lat)
    yearly *= spec.runoff_depth * area.sum() / (yearly @ area)
    rain = storms(spec, network, n_rain, dt)  # mean 1
    phase = day_of_year(spec, n_rain, dt)
    for row, day in zip(rain, phase, strict=True):
        row *= yearly / (YEAR_DAYS * DAY) * season(lat, day)  # m/s
    depth = _soil(spec, rain, yearly / (YEAR_DAYS * DAY) * season(lat, phase[0]), dt)
    return time, depth.reshape(spec.n_steps, substeps, -1).mean(axis=1) * area


def _soil(
    spec: WorldSpec, rain: NDArray[np.float64], first: NDArray[np.float64], dt: float
) -> NDArray[np.float64]:
    """Rain (time, n) in m/s through a quick and a slow linear reservoir each, both exact for steady rain.

    Both begin with what `first` (n,), the rain expected at the start, would have left in them.
    Overwrites `rain` and returns it.
    """
    rng = stream(spec.seed, "soil")
    quick_days = rng.uniform(*QUICK_DAYS, rain.shape[1])
    keep_quick = np.exp(-dt / (quick_days * DAY))
    keep_slow = np.exp(-dt / (SLOW_DAYS * DAY))
    # Mean outflow over a step is inflow minus the change of storage; with outflow = storage / residence time.
    mean_quick = quick_days * DAY / dt * (1 - keep_quick)
    mean_slow = SLOW_DAYS * DAY / dt * (1 - keep_slow)
    slow = spec.baseflow_fraction * first
    quick = (1 - spec.baseflow_fraction) * first
    for row in rain:
        into_quick, into_slow = (1 - spec.baseflow_fraction) * row, spec.baseflow_fraction * row
        row[:] = into_quick + (quick - into_quick) * mean_quick + into_slow + (slow - into_slow) * mean_slow
        quick = into_quick + (quick - into_quick) * keep_quick
        slow = into_slow + (slow - into_slow) * keep_slow
    return rain
