"""A world of the Earth's kind: its statistics, its moving storms, its clustered gauges, and its files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import rivergrad as rg
from rivergrad.errors import InputError
from rivergrad.run.largeworld import generate_world
from rivergrad.world.large import (
    LargeSpec,
    LargeWorld,
    generate_large,
    generate_large_runoff,
    grid_for,
    observe_large,
    place_large_gauges,
)
from rivergrad.world.planet import REFERENCE_AREA, REFERENCE_SLOPE

SMALL = LargeSpec(2_000, 0.25, seed=3)


@pytest.fixture(scope="module")
def middling() -> LargeWorld:
    return generate_large(LargeSpec(100_000, seed=2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("large") / "world"
    generate_world(SMALL, output)
    return output


def test_drainage_has_the_statistics_of_real_networks(middling: LargeWorld) -> None:
    network = middling.network
    assert network.length is not None
    assert network.n_reaches == 100_000
    assert np.median(network.length) == pytest.approx(4_000.0, rel=0.02)
    above = np.bincount(network.downstream[network.downstream >= 0], minlength=network.n_reaches)
    assert set(np.unique(above)) == {0, 2}  # springs, and confluences of two
    # Hack's law: main stems grow with the basin to a power of about 0.57
    size = np.bincount(network.basin)
    stem = np.zeros(size.size)
    np.maximum.at(stem, network.basin, network.level + 1.0)
    large = size > 500
    power = np.polyfit(np.log(size[large]), np.log(stem[large]), 1)[0]
    assert 0.45 < power < 0.8
    assert network.level.max() + 1 > 150


def test_areas_are_those_of_the_land(middling: LargeWorld) -> None:
    network = middling.network
    area, drained = network.attributes["area_m2"], network.attributes["upstream_area_m2"]
    assert area.sum() == pytest.approx(middling.cells.area.sum(), rel=1e-9)
    assert drained[network.outlets].sum() == pytest.approx(area.sum(), rel=1e-9)
    assert area.mean() == pytest.approx(2e7, rel=1e-6)


def test_next_reaches_are_neighbours_on_the_map(middling: LargeWorld) -> None:
    network, cell = middling.network, middling.cells.spacing
    flowing = np.flatnonzero(network.downstream >= 0)
    after = network.downstream[flowing]
    for name in ("lat", "lon"):
        values = network.attributes[name]
        assert np.abs(values[flowing] - values[after]).max() < 2 * cell


def test_celerity_follows_a_law_with_residuals_that_neighbours_share(middling: LargeWorld) -> None:
    a = middling.network.attributes
    law = np.stack([np.log(a["slope"] / REFERENCE_SLOPE), np.log(a["upstream_area_m2"] / REFERENCE_AREA)])
    inside = (middling.celerity > 0.16) & (middling.celerity < 3.9)  # what no bound has cut
    by = np.vstack([law, np.ones(law.shape[1])])[:, inside]
    latent = np.log(middling.celerity[inside])
    found, *_ = np.linalg.lstsq(by.T, latent, rcond=None)
    assert found[0] == pytest.approx(0.3, abs=0.05)
    assert found[1] == pytest.approx(0.12, abs=0.03)
    residual = latent - found @ by
    assert 0.15 < residual.std() < 0.35
    place = np.full(inside.size, -1)
    place[inside] = np.arange(inside.sum())
    after = middling.network.downstream
    pairs = np.flatnonzero(inside & (after >= 0) & inside[after])
    shared = np.corrcoef(residual[place[pairs]], residual[place[after[pairs]]])[0, 1]
    assert 0.3 < shared < 0.9


@pytest.mark.parametrize("reaches", [1_000, 1_001, 7_777, 12_345])
def test_the_number_of_reaches_is_met(reaches: int) -> None:
    network = generate_large(LargeSpec(reaches, seed=5)).network
    assert network.n_reaches == reaches
    above = np.bincount(network.downstream[network.downstream >= 0], minlength=reaches)
    assert set(np.unique(above)) == {0, 2}


def _runoff(spec: LargeSpec, days: int, threads: int) -> NDArray[np.float32]:
    grid = grid_for(spec, generate_large(spec))
    return np.concatenate([values for _, values in generate_large_runoff(spec, grid, days, threads)])


def test_runoff_is_the_same_in_any_chunks_and_threads() -> None:
    whole = _runoff(SMALL, SMALL.days, 1)
    assert np.array_equal(whole, _runoff(SMALL, 7, 3))
    assert whole.shape == (SMALL.days, 9 * SMALL.units + 1, 18 * SMALL.units)
    assert (whole >= 0).all()


def test_runoff_has_its_yearly_depth_and_storms_come_and_go() -> None:
    spec = LargeSpec(30_000, 1.0, seed=4)
    grid = grid_for(spec, generate_large(spec))
    found = np.concatenate([values for _, values in generate_large_runoff(spec, grid, 64, 2)])
    assert not found[:, ~grid.land].any()
    weight = np.where(grid.land, np.cos(np.deg2rad(grid.lat))[:, None], 0.0)
    depth = float((found.mean(axis=0) * weight).sum() / weight.sum()) * 86400 * 365.25 / 1000
    assert depth == pytest.approx(0.35, rel=0.25)
    land = found[:, grid.land]
    assert np.median(land.std(axis=0) / land.mean(axis=0)) > 0.4


def test_storms_move_with_the_wind() -> None:
    """Where the wind blows from the west, today's runoff is more like yesterday's further west than further east."""
    spec = LargeSpec(200_000, 0.3, seed=1)
    grid = grid_for(spec, generate_large(spec))
    grid = type(grid)(grid.lat, grid.lon, np.ones_like(grid.land))  # rain everywhere
    found = np.concatenate([values for _, values in generate_large_runoff(spec, grid, 64, 2)])
    news = np.diff(found, axis=0)
    like = {}
    for name, rows in (("trades", np.abs(grid.lat) < 25), ("westerlies", np.abs(np.abs(grid.lat) - 45) < 12)):
        now, before = news[1:, rows], news[:-1, rows]
        like[name] = [np.mean(now * np.roll(before, shift, axis=2)) for shift in (6, -6)]
    assert like["westerlies"][0] > like["westerlies"][1]
    assert like["trades"][0] < like["trades"][1]


def test_as_many_gauges_as_asked_for(middling: LargeWorld) -> None:
    gauges = place_large_gauges(LargeSpec(100_000, seed=2, gauge_count=1_500), middling.network)
    assert gauges.reach.size == 1_500
    assert not np.isin(middling.network.downstream[gauges.reach], gauges.reach).any()


def test_gauges_are_clustered_and_never_follow_each_other(middling: LargeWorld) -> None:
    spec, network = LargeSpec(100_000, seed=2), middling.network
    gauges = place_large_gauges(spec, network)
    assert gauges.reach.size == spec.gauges
    assert not np.isin(network.downstream[gauges.reach], gauges.reach).any()
    assert (network.attributes["upstream_area_m2"][gauges.reach] >= 2e8).all()

    def nearest(at: NDArray[np.int64]) -> float:
        points = np.stack([network.attributes[name][at] for name in ("lat", "lon")], axis=-1)
        gap = np.linalg.norm(points[:, None] - points[None], axis=-1)
        np.fill_diagonal(gap, np.inf)
        return float(gap.min(axis=1).mean())

    large = np.flatnonzero(network.attributes["upstream_area_m2"] >= 2e8)
    even = np.random.default_rng(0).choice(large, gauges.reach.size, replace=False)
    assert nearest(gauges.reach) < 0.8 * nearest(even)


def test_gauges_have_noise_gaps_and_records_of_their_own() -> None:
    spec = LargeSpec(2_000, 4.0)
    true = np.full((spec.days, 60), 10.0)
    seen = observe_large(spec, true)
    there = ~np.isnan(seen)
    assert 0.55 < there.mean() < 0.9
    first, last = there.argmax(axis=0), spec.days - 1 - there[::-1].argmax(axis=0)
    assert (first > 200).any()
    assert (last < spec.days - 200).any()
    sd = np.nanstd(np.log(seen / true), axis=0)
    assert 0.03 < np.median(sd) < 0.1
    assert sd.max() < 0.3
    assert np.nanmean(seen) == pytest.approx(10.0, rel=0.01)


def test_files_are_read_as_any_user_s_and_hold_together(folder: Path) -> None:
    network = rg.read_network(folder / "network.parquet")
    runoff = rg.open_runoff(folder / "runoff.zarr", network, grid=True)
    observations = rg.read_observations(folder / "observations.nc", network)
    truth = rg.read_parameters(folder / "truth.parquet", ["celerity", "spreading"], network)
    facts = json.loads((folder / "world.json").read_text())
    assert facts["reaches"] == network.n_reaches == 2_000
    assert facts["gauges"] == observations.gauge.size
    assert runoff.time.size == SMALL.days
    assert runoff.step == 86400.0
    # what gauges saw is this runoff under the hidden celerities
    assert network.length is not None
    parameters = {"k": network.length / truth["celerity"], "x": truth["spreading"]}
    values = runoff.read(None, 0, SMALL.days)
    flow = rg.route(network, values, parameters, forcing_step=86400, routing_step=3600)
    seen, there = observations.discharge, ~np.isnan(observations.discharge)
    error = np.log(seen / np.asarray(flow)[:, observations.reach])[there]
    assert error.std() < 0.2
    assert abs(float(np.median(error))) < 0.02


def test_the_same_seed_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    generate_world(SMALL, again)
    names = sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file())
    assert names == sorted(str(one.relative_to(again)) for one in again.rglob("*") if one.is_file())
    assert all((folder / name).read_bytes() == (again / name).read_bytes() for name in names)
    other = generate_large(LargeSpec(2_000, 0.25, seed=4)).network
    assert not np.array_equal(other.downstream, rg.read_network(folder / "network.parquet").downstream)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"reaches": 10}, "--reaches 10: expected 1,000"),
        ({"reaches": 10**9}, "--reaches 1000000000: expected"),
        ({"reaches": 2000, "years": 0.0}, "--years 0"),
        ({"reaches": 2000, "years": float("nan")}, "--years nan"),
        ({"reaches": 2000, "seed": -1}, "--seed -1"),
        ({"reaches": 2000, "gauge_count": 0}, "--gauges 0: expected 1 to 200"),
        ({"reaches": 2000, "gauge_count": 201}, "--gauges 201"),
        ({"reaches": 2000, "start": "spring"}, "--start spring"),
        ({"reaches": 2000, "start": "2001-13-01"}, "--start 2001-13-01"),
    ],
)
def test_wrong_recipes_are_one_line(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        LargeSpec(**wrong)  # type: ignore[arg-type]
