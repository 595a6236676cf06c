"""Weather is sized and shaped as weather is, and its runoff closes the balance of water."""

from __future__ import annotations

import numpy as np
import pytest

from rivergrad.runoff import FORCINGS
from rivergrad.world import Weather, World, WorldSpec, generate_network, generate_runoff, generate_weather
from rivergrad.world.hidden import HiddenState, hidden_buckets
from rivergrad.world.weather import potential_evapotranspiration

YEAR = 365.25


@pytest.fixture(scope="module")
def wet_spec() -> WorldSpec:
    return WorldSpec(seed=5, reaches=500, years=3.0, weather=True)


@pytest.fixture(scope="module")
def wet_world(wet_spec: WorldSpec) -> World:
    return generate_network(wet_spec)


@pytest.fixture(scope="module")
def weather(wet_spec: WorldSpec, wet_world: World) -> Weather:
    return generate_weather(wet_spec, wet_world.network)


def test_the_world_is_the_same_with_and_without(wet_spec: WorldSpec, wet_world: World) -> None:
    dry = generate_network(wet_spec.model_copy(update={"weather": False}))
    assert np.array_equal(dry.celerity, wet_world.celerity)
    own = set(wet_world.network.attributes) - set(dry.network.attributes)
    assert own == {"soil_depth_mm", "clay_fraction"}
    assert all(np.array_equal(v, wet_world.network.attributes[k]) for k, v in dry.network.attributes.items())


def test_it_repeats_and_its_runoff_is_the_worlds(
    wet_spec: WorldSpec, wet_world: World, weather: Weather
) -> None:
    time, runoff = generate_runoff(wet_spec, wet_world.network)
    assert np.array_equal(time, weather.time)
    assert np.array_equal(runoff, weather.runoff)
    assert (np.diff(time) == np.timedelta64(1, "D")).all()
    assert runoff.shape == (wet_spec.n_steps, wet_world.network.n_reaches)
    assert tuple(weather.forcings) == FORCINGS
    assert all(v.shape == runoff.shape and np.isfinite(v).all() for v in weather.forcings.values())


def test_sizes(wet_spec: WorldSpec, wet_world: World, weather: Weather) -> None:
    area = wet_world.network.attributes["area_m2"]
    rain = weather.precipitation.mean(axis=0) * YEAR / 1e3
    assert (rain @ area) / area.sum() == pytest.approx(wet_spec.precipitation_depth, rel=0.12)
    depth = weather.runoff.mean(axis=0) / area * YEAR * 86_400
    share = depth / rain
    assert 0.02 < share.min() < 0.25 < np.median(share) < 0.6 < share.max() < 1.0
    assert 0.15 < (weather.precipitation > 1.0).mean() < 0.5  # it rains now and then
    assert np.median(weather.runoff.max(axis=0) / np.median(weather.runoff, axis=0)) > 15
    assert 800 < np.median(weather.potential_evapotranspiration.mean(axis=0)) * YEAR < 1400


def test_temperature_follows_season_height_and_spells(
    wet_spec: WorldSpec, wet_world: World, weather: Weather
) -> None:
    a = wet_world.network.attributes
    month = weather.time.astype("datetime64[M]").astype(int) % 12
    swing = weather.temperature[month == 6].mean(axis=0) - weather.temperature[month == 0].mean(axis=0)
    north, south = a["lat"] > 35, a["lat"] < -25
    assert (swing[north] > 10).all()
    assert (swing[south] < -5).all()
    low = generate_weather(wet_spec.model_copy(update={"lapse_rate": 0.0}), wet_world.network)
    fall = (low.temperature - weather.temperature).mean(axis=0)
    assert np.allclose(fall, 6.5e-3 * np.maximum(a["elevation_m"], 0.0), atol=1e-3)
    calm = generate_weather(wet_spec.model_copy(update={"temperature_noise": 0.0}), wet_world.network)
    spell = weather.temperature - calm.temperature
    assert spell.std() == pytest.approx(2.5, rel=0.25)
    lag1 = (spell[1:] * spell[:-1]).sum() / (spell**2).sum()
    assert 0.7 < lag1 < 0.9
    flowing = np.flatnonzero(wet_world.network.downstream >= 0)
    near = (spell[:, flowing] * spell[:, wet_world.network.downstream[flowing]]).mean() / (spell**2).mean()
    assert near > 0.95
    assert abs((spell * np.roll(spell, 250, axis=1)).mean() / (spell**2).mean()) < 0.4


def test_evapotranspiration_of_places_and_days() -> None:
    """Against Oudin's formula by hand: 20 °C at the equator on the day of equinox, and the polar night."""
    found = potential_evapotranspiration(np.array([20.0, -20.0, 5.0]), np.array([0.0, 0.0, 80.0]), 80.0)
    assert found[0] == pytest.approx(37.6 * 1.006 / 2.45 * 0.25, rel=0.01)
    assert found[1] == 0
    assert potential_evapotranspiration(np.array([5.0]), np.array([80.0]), 355.0)[0] == 0


def test_hidden_buckets_close(wet_spec: WorldSpec, wet_world: World, weather: Weather) -> None:
    state = HiddenState(hidden_buckets(wet_spec, wet_world.network), 86_400.0)
    kept = state.total
    for t in range(500):
        rain = weather.precipitation[t].astype(np.float64)
        runoff = state.step(rain, weather.temperature[t], weather.potential_evapotranspiration[t], t % YEAR)
        assert np.allclose(state.total - kept, rain - runoff - state.evaporation, atol=1e-9)
        assert (
            min(runoff.min(), state.snow.min(), state.soil.min(), state.quick.min(), state.ground.min()) >= 0
        )
        assert (state.soil <= state.buckets.capacity * (1 + 1e-12)).all()
        kept = state.total


def test_runoff_follows_attributes(wet_spec: WorldSpec, wet_world: World) -> None:
    """Deep soils hold more, clay drains less; noise leaves the order of most catchments."""
    a = wet_world.network.attributes
    b = hidden_buckets(wet_spec, wet_world.network)
    assert np.corrcoef(np.log(a["soil_depth_mm"]), np.log(b.capacity))[0, 1] > 0.95
    assert np.corrcoef(a["clay_fraction"], np.log(b.drainage))[0, 1] < -0.9
    exact = hidden_buckets(wet_spec.model_copy(update={"bucket_noise": 0.0}), wet_world.network)
    assert np.array_equal(exact.capacity, a["soil_depth_mm"])


def test_quarter_days_add_up_to_days(wet_spec: WorldSpec, wet_world: World, weather: Weather) -> None:
    short = wet_spec.model_copy(update={"years": 0.5})
    day = generate_weather(short, wet_world.network)
    quarter = generate_weather(short.model_copy(update={"forcing_step": "6h"}), wet_world.network)
    assert quarter.runoff.shape[0] == round(2 * YEAR)
    together = quarter.precipitation[: 4 * 180].reshape(180, 4, -1).sum(axis=1)
    assert together.mean() == pytest.approx(day.precipitation[:180].mean(), rel=0.15)
    flow = quarter.runoff.mean() / day.runoff.mean()
    assert flow == pytest.approx(1.0, abs=0.25)
