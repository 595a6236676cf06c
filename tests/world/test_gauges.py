"""Gauges stand on larger rivers and are held out fairly; what they report is noisy and has gaps."""

from __future__ import annotations

import numpy as np
import pytest

from rivercut import graph
from rivergrad.world import World, WorldSpec, generate_network, observe, place_gauges


def test_share_and_holdout(spec: WorldSpec, world: World) -> None:
    gauges = place_gauges(spec, world.network)
    n = world.network.n_reaches
    assert len(gauges.reach) == round(spec.gauge_fraction * n)
    assert len(np.unique(gauges.reach)) == len(gauges.reach) == len(set(gauges.name))
    assert gauges.held_out.sum() == round(spec.holdout_fraction * len(gauges.reach))


def test_gauges_stand_on_larger_rivers(spec: WorldSpec, world: World) -> None:
    network = world.network
    upstream = graph.upstream_count(network.downstream, network.order)
    reach = place_gauges(spec, network).reach
    assert upstream[reach].min() >= spec.gauge_min_upstream
    area = network.attributes["upstream_area_m2"][reach]
    assert (np.diff(area) <= 0).all()


def test_large_rivers_are_preferred(spec: WorldSpec, world: World) -> None:
    network = world.network
    upstream = graph.upstream_count(network.downstream, network.order)
    # Few gauges and many draws: the mean size of a gauged river against that of all that qualify.
    drawn = [
        upstream[place_gauges(spec.model_copy(update={"seed": seed, "gauge_fraction": 0.01}), network).reach]
        for seed in range(30)
    ]
    assert np.mean(np.concatenate(drawn)) > 1.2 * upstream[upstream >= spec.gauge_min_upstream].mean()


def test_gauges_are_nested_and_spread(spec: WorldSpec, world: World) -> None:
    network = world.network
    reach = place_gauges(spec, network).reach
    gauged = np.zeros(network.n_reaches)
    gauged[reach] = 1
    nested = graph.accumulate(network.downstream, network.order, gauged)[reach]
    assert nested.max() >= 3
    assert len(np.unique(network.basin[reach])) >= 8
    assert not np.isin(network.downstream[reach], reach).any()  # there is room not to stand side by side


def test_held_out_gauges_with_and_without_others_in_their_basin() -> None:
    both = 0
    for seed in range(3):
        spec = WorldSpec(seed=seed, reaches=600)
        network = generate_network(spec).network
        gauges = place_gauges(spec, network)
        basin = network.basin[gauges.reach]
        known = np.isin(basin[gauges.held_out], basin[~gauges.held_out])
        assert known.any()
        both += not known.all()
    assert both >= 2


def test_small_worlds_and_many_gauges_make_do_with_small_rivers() -> None:
    spec = WorldSpec(seed=2, reaches=50, gauge_fraction=0.4)
    network = generate_network(spec).network
    gauges = place_gauges(spec, network)
    assert len(gauges.reach) == round(0.4 * network.n_reaches)
    assert len(np.unique(gauges.reach)) == len(gauges.reach)
    assert 0 < gauges.held_out.sum() < len(gauges.reach)


def test_every_reach_can_be_gauged() -> None:
    spec = WorldSpec(seed=2, reaches=120, gauge_fraction=1.0, gauge_min_upstream=1, holdout_fraction=0.25)
    network = generate_network(spec).network
    gauges = place_gauges(spec, network)
    np.testing.assert_array_equal(np.sort(gauges.reach), np.arange(network.n_reaches))
    assert len(set(gauges.name)) == network.n_reaches
    assert gauges.held_out.sum() == round(0.25 * network.n_reaches)


def test_same_seed_same_gauges(spec: WorldSpec, world: World) -> None:
    a, b = place_gauges(spec, world.network), place_gauges(spec, world.network)
    for one, other in zip(a, b, strict=True):
        np.testing.assert_array_equal(one, other)
    c = place_gauges(spec.model_copy(update={"seed": 77}), world.network)
    assert set(c.reach) != set(a.reach)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return np.random.default_rng(0).gamma(2.0, 50.0, (1461, 40))


def test_noise(truth: np.ndarray) -> None:
    spec = WorldSpec(noise=0.05)
    observed = observe(spec, truth)
    ratio = (observed / truth)[np.isfinite(observed)]
    assert np.log(ratio).std() == pytest.approx(0.05, rel=0.03)
    assert ratio.mean() == pytest.approx(1.0, abs=1e-3)
    assert np.isfinite(truth).all()  # the truth itself is not written to


def test_gaps_come_in_stretches(truth: np.ndarray) -> None:
    spec = WorldSpec(gap_fraction=0.15, gap_days=20.0)
    missing = np.isnan(observe(spec, truth))
    assert missing.mean() == pytest.approx(0.15, abs=0.03)
    ends = missing[:-1] & ~missing[1:]
    assert missing[:-1].sum() / ends.sum() == pytest.approx(20.0, rel=0.25)
    assert not (missing == missing[:, :1]).all()  # each gauge has its own


def test_gap_days_hold_at_any_step() -> None:
    spec = WorldSpec(gap_fraction=0.3, gap_days=10.0, forcing_step="6h")
    missing = np.isnan(observe(spec, np.ones((4000, 40))))
    ends = missing[:-1] & ~missing[1:]
    assert missing.mean() == pytest.approx(0.3, abs=0.03)
    assert missing[:-1].sum() / ends.sum() == pytest.approx(40.0, rel=0.15)


def test_no_noise_and_no_gaps_is_the_truth(truth: np.ndarray) -> None:
    spec = WorldSpec(noise=0.0, gap_fraction=0.0)
    np.testing.assert_array_equal(observe(spec, truth), truth)


def test_observations_repeat(truth: np.ndarray) -> None:
    spec = WorldSpec(seed=8)
    np.testing.assert_array_equal(observe(spec, truth), observe(spec, truth))
    other = observe(WorldSpec(seed=9), truth)
    assert not np.array_equal(np.isnan(other), np.isnan(observe(spec, truth)))
