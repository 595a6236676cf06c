"""The world's network is a forest of reaches of the asked number and size, and its truth has a pattern."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from rivercut import graph
from rivergrad.world import World, WorldSpec, generate_network


@pytest.mark.parametrize("seed", [0, 4, 7])
@pytest.mark.parametrize("reaches", [60, 300])
def test_number_of_reaches(seed: int, reaches: int) -> None:
    world = generate_network(WorldSpec(seed=seed, reaches=reaches))
    assert world.network.n_reaches == pytest.approx(reaches, rel=0.15)


def test_reaches_have_the_asked_length(world: World, spec: WorldSpec) -> None:
    length = world.network.length
    assert length is not None
    assert length.mean() == pytest.approx(spec.reach_length, rel=0.12)
    assert length.min() >= 0.45 * spec.reach_length
    assert length.max() <= 1.7 * spec.reach_length


def test_lengths_are_great_circle_distances(world: World) -> None:
    # No reach can be shorter than the straight way between the middles that it and the next one span.
    network = world.network
    assert network.length is not None
    lat, lon = (np.deg2rad(network.attributes[name]) for name in ("lat", "lon"))
    at = np.flatnonzero(network.downstream >= 0)
    to = network.downstream[at]
    cosine = np.sin(lat[at]) * np.sin(lat[to]) + np.cos(lat[at]) * np.cos(lat[to]) * np.cos(lon[at] - lon[to])
    straight = world.radius * np.arccos(np.clip(cosine, -1, 1))
    along = (network.length[at] + network.length[to]) / 2
    assert np.median(straight / along) == pytest.approx(0.9, abs=0.15)
    # A tributary may enter a reach anywhere, so that its way to the middle is at most one reach longer.
    assert (straight <= network.length[at] + network.length[to]).all()


def test_many_basins_and_a_few_large(world: World) -> None:
    sizes = np.sort(np.bincount(world.network.basin))[::-1]
    assert 30 <= world.network.n_basins <= 300
    assert sizes[0] >= 0.04 * world.network.n_reaches
    assert sizes[0] >= 10 * np.median(sizes)


def test_rivers_branch_like_trees(world: World) -> None:
    network = world.network
    into = np.bincount(network.downstream[network.downstream >= 0], minlength=network.n_reaches)
    assert into.max() <= 16
    assert 0.2 <= np.mean(into >= 2) <= 0.5
    assert 0.3 <= np.mean(into == 0) <= 0.6
    assert network.level.max() >= 8


def test_positions_say_nothing_about_the_order_of_flow(world: World) -> None:
    at = np.flatnonzero(world.network.downstream >= 0)
    forward = np.mean(world.network.downstream[at] > at)
    assert 0.2 < forward < 0.8


def test_upstream_area_is_the_accumulated_area(world: World) -> None:
    network = world.network
    area = network.attributes["area_m2"]
    assert (area > 0).all()
    np.testing.assert_allclose(
        network.attributes["upstream_area_m2"],
        graph.accumulate(network.downstream, network.order, area),
        rtol=1e-12,
    )


def test_area_is_the_area_of_the_cells(world: World) -> None:
    half = np.deg2rad(world.map_lat[0] - world.map_lat[1]) / 2
    phi = np.deg2rad(world.map_lat)
    row = 2 * half * (np.sin(phi + half) - np.sin(phi - half)) * world.radius**2
    drained = world.cell_reach >= 0
    assert (drained <= world.land).all()
    total = (drained * row[:, None]).sum()
    assert world.network.attributes["area_m2"].sum() == pytest.approx(total, rel=1e-9)
    assert total > 0.4 * (world.land * row[:, None]).sum()


def test_elevation_falls_along_rivers(world: World) -> None:
    network = world.network
    elevation = network.attributes["elevation_m"]
    at = np.flatnonzero(network.downstream >= 0)
    assert (elevation[at] > elevation[network.downstream[at]]).all()
    assert (network.attributes["slope"] > 0).all()
    assert 3e-4 < np.median(network.attributes["slope"]) < 2e-2


def test_positions_are_on_land_and_on_the_map(world: World) -> None:
    lat, lon = world.network.attributes["lat"], world.network.attributes["lon"]
    row = np.abs(world.map_lat[:, None] - lat).argmin(axis=0)
    column = np.abs(world.map_lon[:, None] - lon).argmin(axis=0)
    assert world.land[row, column].all()
    np.testing.assert_array_equal(world.cell_reach[row, column], np.arange(world.network.n_reaches))


def test_celerity_grows_with_slope_and_area(world: World, spec: WorldSpec) -> None:
    log_c = np.log(world.celerity)
    slope = np.log(world.network.attributes["slope"])
    area = np.log(world.network.attributes["upstream_area_m2"])
    assert spearmanr(slope, log_c).statistic > 0.3
    assert spearmanr(area, log_c).statistic > 0.15
    inside = (world.celerity > 0.15) & (world.celerity < 4.0)
    assert inside.mean() > 0.97
    design = np.stack([np.ones_like(slope), slope, area], axis=1)[inside]
    fit, *_ = np.linalg.lstsq(design, log_c[inside], rcond=None)
    assert fit[1] == pytest.approx(spec.celerity_slope_exponent, abs=0.06)
    assert fit[2] == pytest.approx(spec.celerity_area_exponent, abs=0.06)
    trend = design @ fit
    noise = log_c[inside] - trend
    assert 0.35 <= trend.std() <= 0.65
    assert noise.std() == pytest.approx(spec.celerity_noise, abs=0.02)


def test_without_noise_the_truth_is_a_law_of_slope_and_area() -> None:
    """And with a reference celerity, worlds of any seed have the same law."""
    for seed in (3, 4):
        spec = WorldSpec(
            seed=seed, reaches=200, celerity_noise=0.0, muskingum_x_noise=0.0, celerity_reference=1.4
        )
        world = generate_network(spec)
        attributes = world.network.attributes
        law = 1.4 * (attributes["slope"] / 2e-3) ** 0.55 * (attributes["upstream_area_m2"] / 5e9) ** 0.35
        np.testing.assert_allclose(world.celerity, np.clip(law, 0.15, 4.0), rtol=1e-12)
        assert np.mean((law > 0.15) & (law < 4.0)) > 0.95
        assert (world.muskingum_x == spec.muskingum_x).all()
        own = generate_network(spec.model_copy(update={"celerity_reference": None}))
        inside = (
            (world.celerity > 0.15) & (world.celerity < 4.0) & (own.celerity > 0.15) & (own.celerity < 4.0)
        )
        ratio = own.celerity[inside] / world.celerity[inside]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)


def test_celerity_keeps_its_bounds_and_median(world: World, spec: WorldSpec) -> None:
    assert world.celerity.min() >= 0.15
    assert world.celerity.max() <= 4.0
    assert np.median(world.celerity) == pytest.approx(spec.celerity, rel=0.06)
    assert world.muskingum_x.mean() == pytest.approx(spec.muskingum_x, abs=0.005)
    assert 0.0 <= world.muskingum_x.min() <= world.muskingum_x.max() <= 0.5


def test_travel_times_suit_a_daily_step(world: World) -> None:
    days = world.k / 86_400.0
    assert np.quantile(days, 0.05) > 0.08
    assert np.quantile(days, 0.95) < 1.0


def _bytes(world: World) -> bytes:
    network = world.network
    assert network.length is not None
    arrays = [network.reach_id, network.downstream, network.length, *network.attributes.values()]
    arrays += [world.celerity, world.muskingum_x, world.elevation, world.cell_reach]
    return b"".join(array.tobytes() for array in arrays)


def test_same_seed_same_bytes_and_another_seed_another_world() -> None:
    spec = WorldSpec(seed=3, reaches=120)
    first = _bytes(generate_network(spec))
    assert _bytes(generate_network(WorldSpec(seed=3, reaches=120))) == first
    assert _bytes(generate_network(spec.model_copy(update={"seed": 4}))) != first


def test_noise_of_the_truth_leaves_the_terrain_alone() -> None:
    spec = WorldSpec(seed=3, reaches=120)
    a, b = generate_network(spec), generate_network(spec.model_copy(update={"celerity_noise": 0.0}))
    np.testing.assert_array_equal(a.network.downstream, b.network.downstream)
    np.testing.assert_array_equal(a.elevation, b.elevation)
    assert (a.celerity != b.celerity).any()
