"""Errors of the given runoff have the asked size, are smooth where they should be, and leave the truth alone."""

from __future__ import annotations

import numpy as np
import pytest

from rivercut import RiverNetwork
from rivergrad.world import World, WorldSpec, draw_runoff_factor, generate_runoff, given_runoff
from rivergrad.world.runoff_error import CORRELATION_REACHES, KNOT_DAYS, REGION_REACHES

DAY = 86_400.0


def comb(n: int = 40) -> RiverNetwork:
    """A stem of n reaches, 0 at the mouth, with a tributary into each, n..2n-1; and a basin of one reach."""
    stem = np.append([-1], np.arange(n - 1))
    return RiverNetwork(reach_id=np.arange(2 * n + 1), downstream=np.concatenate([stem, np.arange(n), [-1]]))


def test_no_errors_is_the_truth_itself(spec: WorldSpec, world: World) -> None:
    runoff = np.ones((5, world.network.n_reaches))
    assert given_runoff(spec, world.network, runoff) is runoff
    factor = draw_runoff_factor(world.network, 5, DAY, seed=3)
    assert (factor(0, 5) == 1.0).all()


def test_slow_error_has_its_size_and_mean_one() -> None:
    network = comb()
    draws = np.stack(
        [draw_runoff_factor(network, 400, DAY, seed=seed, error=0.3)(150, 250)[::20] for seed in range(1000)]
    )
    logs = np.log(draws)
    assert logs.std(axis=(0, 2)) == pytest.approx(0.3, rel=0.03)  # at any time, between knots too
    assert logs.std(axis=(0, 1)) == pytest.approx(0.3, rel=0.12)
    assert draws.mean() == pytest.approx(1.0, abs=0.01)


def test_slow_error_follows_rivers() -> None:
    network, n = comb(), 40
    draws = np.stack(
        [np.log(draw_runoff_factor(network, 1, DAY, seed=seed, error=0.2)(0, 1)[0]) for seed in range(2000)]
    )
    found = np.corrcoef(draws.T)
    for a, b, apart in ((0, 1, 1), (10, 15, 5), (30, 5, 25), (n + 10, n + 13, 5), (n, 2, 3)):
        assert found[a, b] == pytest.approx(np.exp(-apart / CORRELATION_REACHES), abs=0.07)
    assert abs(found[-1, :-1]).max() < 0.12  # another basin


def test_slow_error_varies_over_months() -> None:
    network = comb(500)
    logs = np.log(draw_runoff_factor(network, 1500, DAY, seed=1, error=0.2)(0, 1500))
    logs += 0.02  # its mean

    def correlation(lag: int) -> float:
        return float((logs[lag:] * logs[: len(logs) - lag]).mean() / (logs**2).mean())

    assert np.abs(np.diff(logs, axis=0)).max() < 0.02 * np.abs(logs).max() * np.pi
    assert correlation(1) > 0.99
    assert 0.4 < correlation(int(KNOT_DAYS / 2)) < 0.9
    assert abs(correlation(int(3 * KNOT_DAYS))) < 0.1


def test_bias_is_by_region_and_for_good(world: World) -> None:
    network = world.network
    factor = draw_runoff_factor(network, 10, DAY, seed=4, bias=0.3)(0, 10)
    assert (factor == factor[0]).all()
    assert set(np.round(factor[0], 12)) == {0.7, 1.3}
    assert 0.3 < (factor[0] > 1).mean() < 0.7
    flows = network.downstream >= 0
    changes = factor[0, flows] != factor[0, network.downstream[flows]]
    assert changes.mean() == pytest.approx(
        0.5 / REGION_REACHES, rel=0.5
    )  # half of the regions differ from the next


def test_noise_is_independent_by_day_and_reach() -> None:
    network = comb(200)
    logs = np.log(draw_runoff_factor(network, 600, DAY, seed=2, noise=0.4)(0, 600)) + 0.5 * 0.4**2
    assert logs.std() == pytest.approx(0.4, rel=0.01)
    assert np.exp(logs - 0.08).mean() == pytest.approx(1.0, abs=0.01)
    assert abs((logs[1:] * logs[:-1]).mean()) < 0.002
    assert abs((logs[:, 1:200] * logs[:, :199]).mean()) < 0.002
    finer = np.log(draw_runoff_factor(network, 2400, DAY / 4, seed=2, noise=0.4)(0, 2400)) + 0.08
    np.testing.assert_allclose(finer, np.repeat(logs, 4, axis=0), atol=1e-14)


def test_any_stretch_of_time_and_any_reaches_can_be_had_by_themselves() -> None:
    network = comb()
    factor = draw_runoff_factor(network, 500, DAY / 4, seed=2, error=0.2, bias=0.3, noise=0.1)
    whole = factor(0, 500)
    for start, stop in ((0, 1), (37, 113), (499, 500), (20, 20)):
        np.testing.assert_allclose(factor(start, stop), whole[start:stop], rtol=1e-14)
    reaches = np.array([70, 3, 3])
    np.testing.assert_allclose(factor.select(reaches)(30, 60), whole[30:60, reaches], rtol=1e-14)
    twice = factor.select(np.array([5, 70, 3])).select(np.array([1, 2, 2]))
    np.testing.assert_allclose(twice(30, 60), whole[30:60, reaches], rtol=1e-14)


def test_seed_decides_and_parts_do_not_disturb_each_other() -> None:
    network = comb()
    made = [
        draw_runoff_factor(network, 60, DAY, seed=seed, error=0.2, bias=bias)(0, 60)
        for seed, bias in ((1, 0.0), (1, 0.0), (2, 0.0), (1, 0.3))
    ]
    np.testing.assert_array_equal(made[0], made[1])
    assert not np.isclose(made[0], made[2]).any(axis=0).all()
    np.testing.assert_allclose(np.round(made[3] / made[0], 12) % 0.6, 0.1)


def test_given_runoff_is_the_true_one_with_errors(spec: WorldSpec, world: World) -> None:
    wrong = spec.model_copy(
        update={"runoff_error": 0.2, "runoff_bias": 0.3, "runoff_noise": 0.1, "years": 0.5}
    )
    _, true = generate_runoff(wrong, world.network)
    kept = true.copy()
    given = given_runoff(wrong, world.network, true)
    np.testing.assert_array_equal(true, kept)
    factor = draw_runoff_factor(
        world.network, len(true), spec.step, seed=spec.seed, error=0.2, bias=0.3, noise=0.1
    )
    np.testing.assert_allclose(given, true * factor(0, len(true)), rtol=1e-14)
    assert given.sum() == pytest.approx(true.sum(), rel=0.1)
    # the errors change neither weather nor soil
    np.testing.assert_array_equal(
        generate_runoff(spec.model_copy(update={"years": 0.5}), world.network)[1], true
    )
