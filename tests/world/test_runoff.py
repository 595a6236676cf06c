"""Runoff is physically sized, seasonal, stormy, and repeats."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rivercut import RiverNetwork
from rivergrad.world import World, WorldSpec, generate_runoff
from rivergrad.world.runoff import SLOW_DAYS, _soil

Runoff = tuple[NDArray[np.datetime64], NDArray[np.float64]]
YEAR = 365.25 * 86_400.0


def test_time_axis(spec: WorldSpec, world: World, runoff: Runoff) -> None:
    time, flow = runoff
    assert time.dtype == np.dtype("datetime64[ns]")
    assert time[0] == np.datetime64("2001-01-01")
    assert (np.diff(time) == np.timedelta64(1, "D")).all()
    assert flow.shape == (len(time), world.network.n_reaches) == (spec.n_steps, world.network.n_reaches)
    assert flow.dtype == np.float64


def test_depth_is_the_asked_one(spec: WorldSpec, world: World, runoff: Runoff) -> None:
    area = world.network.attributes["area_m2"]
    assert (runoff[1] > 0).all()
    mean = runoff[1].mean(axis=0).sum() / area.sum() * YEAR
    assert mean == pytest.approx(spec.runoff_depth, rel=0.12)
    depth = runoff[1].mean(axis=0) / area * YEAR
    assert 0.1 < depth.min() < 0.6 < depth.max() < 2.0


def test_is_flashy_and_local(world: World, runoff: Runoff) -> None:
    depth = runoff[1] / world.network.attributes["area_m2"]
    peak = depth.max(axis=0) / np.median(depth, axis=0)
    assert np.median(peak) > 8
    anomaly = depth - depth.mean(axis=0)
    lag1 = (anomaly[1:] * anomaly[:-1]).sum(axis=0) / (anomaly**2).sum(axis=0)
    assert 0.3 < np.median(lag1) < 0.85
    # Storms cover neighbours together and distant reaches apart.
    scaled = anomaly / anomaly.std(axis=0)
    network = world.network
    at = np.flatnonzero(network.downstream >= 0)
    near = (scaled[:, at] * scaled[:, network.downstream[at]]).mean()
    far = (scaled * np.roll(scaled, network.n_reaches // 2, axis=1)).mean()
    assert 0.6 < near < 0.98
    assert abs(far) < 0.2


def _line(lat: float, n: int = 40) -> RiverNetwork:
    """Reaches of 25 km along a parallel of a planet of 716 km radius."""
    step = np.rad2deg(25e3 / (716e3 * np.cos(np.deg2rad(lat))))
    return RiverNetwork(
        reach_id=np.arange(n),
        downstream=np.append(np.arange(1, n), -1),
        length=np.full(n, 25e3),
        attributes={
            "area_m2": np.full(n, 5e8),
            "upstream_area_m2": 5e8 * np.arange(1, n + 1),
            "lat": np.full(n, lat),
            "lon": step * (np.arange(n) - n / 2),
        },
    )


def test_seasons_oppose_across_the_equator() -> None:
    spec = WorldSpec(years=4.0)
    share = {}
    for lat in (25.0, -25.0):
        time, flow = generate_runoff(spec, _line(lat))
        month = time.astype("datetime64[M]").astype(int) % 12
        share[lat] = flow[(month >= 4) & (month < 10)].sum() / flow.sum()
    assert share[25.0] > 0.6
    assert share[-25.0] < 0.4


@pytest.mark.parametrize(("lat", "eastward"), [(15.0, False), (48.0, True)])
def test_storms_travel_with_the_wind(lat: float, eastward: bool) -> None:
    network = _line(lat)
    _, flow = generate_runoff(WorldSpec(years=2.0, forcing_step="6h"), network)
    scaled = np.diff(flow, axis=0)
    scaled = (scaled - scaled.mean(axis=0)) / scaled.std(axis=0)
    east_later = (scaled[:-2, :-3] * scaled[2:, 3:]).mean()
    west_later = (scaled[:-2, 3:] * scaled[2:, :-3]).mean()
    assert (east_later > west_later) == eastward
    assert abs(east_later - west_later) > 0.05


def test_finer_steps_see_the_same_storms() -> None:
    network = _line(10.0)
    years = 365 / 365.25  # whole days, so that both records span the same time and the same storms
    daily = generate_runoff(WorldSpec(years=years), network)[1]
    finer = generate_runoff(WorldSpec(years=years, forcing_step="6h"), network)[1]
    assert finer.shape[0] == 4 * daily.shape[0]
    assert finer.mean() == pytest.approx(daily.mean(), rel=0.03)
    summed = finer.reshape(len(daily), 4, -1).mean(axis=1)
    assert np.corrcoef(summed.ravel(), daily.ravel())[0, 1] > 0.97
    assert finer.std() > daily.std()


def test_soil_conserves_water() -> None:
    spec = WorldSpec(baseflow_fraction=0.4)
    dt, n = 43_200.0, 5
    rain = np.zeros((2000, n))
    rain[3] = 1e-6
    out = _soil(spec, rain.copy(), np.zeros(n), dt)
    np.testing.assert_allclose(out.sum(axis=0), 1e-6, rtol=1e-6)
    steady = _soil(spec, np.full((50, n), 2e-8), np.full(n, 2e-8), dt)
    np.testing.assert_allclose(steady, 2e-8, rtol=1e-12)
    late = out[200:202]
    np.testing.assert_allclose(late[1] / late[0], np.exp(-0.5 / SLOW_DAYS), rtol=1e-6)


def test_same_seed_same_bytes(spec: WorldSpec, world: World, runoff: Runoff) -> None:
    short = spec.model_copy(update={"years": 0.3})
    a, b = (generate_runoff(short, world.network)[1] for _ in range(2))
    assert a.tobytes() == b.tobytes()
    other = generate_runoff(short.model_copy(update={"seed": 99}), world.network)[1]
    assert not np.allclose(a, other)
