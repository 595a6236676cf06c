"""Where one more gauge would help: against the exact reduction of the variance."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.inference.newgauge import LEAST_BASIN, delay_noise, draws_for, new_gauges

Float = NDArray[np.float64]
N, NOISE = 40, 2000.0


def setting(seed: int) -> tuple[RiverNetwork, Float, Float, Float, Float]:
    """A network of two trees, travel times, flows, delays by ln c (reach, reach), and a posterior covariance."""
    rng = np.random.default_rng(seed)
    down = np.array([-1] + [max(0, i - 1 - int(rng.geometric(0.4))) for i in range(1, N)])
    down[12] = -1
    network = RiverNetwork(np.arange(N), down)
    travel = rng.uniform(2e3, 4e4, N)
    upstream = np.zeros((N, N))
    for j in range(N):
        i = j
        while i >= 0:
            upstream[i, j] = 1
            i = down[i]
    own = rng.uniform(0.5, 2.0, N)
    flow = upstream @ own
    passing = upstream * flow[None] / flow[:, None] * travel[None]
    root = rng.standard_normal((N, N)) * 0.05 + 0.4 * np.eye(N)
    same = network.basin[:, None] == network.basin[None]
    return network, travel, flow, passing, (root @ root.T) * same


def exact(passing: Float, covariance: Float) -> Float:
    """Share of the sum of variances that a gauge takes away, by the formula of conditioned Gaussians."""
    taken = [
        (np.outer(covariance @ a, covariance @ a) / (a @ covariance @ a + NOISE**2)).trace() for a in passing
    ]
    return np.array(taken) / covariance.trace()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_value_of_a_gauge_is_what_it_takes_off_the_variance(seed: int) -> None:
    network, travel, flow, passing, covariance = setting(seed)
    rng = np.random.default_rng(seed)
    draws = rng.multivariate_normal(np.zeros(N), covariance, 4000, method="cholesky")
    found = new_gauges(
        draws, travel, flow, network.downstream, network.order, network.basin, NOISE, rng, count=3
    )
    wanted = exact(passing, covariance)
    wanted[np.bincount(network.basin)[network.basin] < LEAST_BASIN] = 0.0
    np.testing.assert_allclose(found.value, wanted, rtol=0.15, atol=0.004)
    assert wanted[found.best[0]] >= 0.95 * wanted.max()
    a = passing[found.best[0]]
    left = covariance - np.outer(covariance @ a, covariance @ a) / (a @ covariance @ a + NOISE**2)
    after = exact(passing, left) * left.trace() / covariance.trace()
    assert after[found.best[1]] >= 0.9 * after.max()
    assert found.gain[1] == pytest.approx(after[found.best[1]], rel=0.2)


def test_few_draws_do_not_make_gauges_valuable_by_chance() -> None:
    rng = np.random.default_rng(4)
    n = 3000
    down = np.append(-1, np.arange(n - 1))
    network = RiverNetwork(np.arange(n), down)
    draws = rng.standard_normal((30, n))
    found = new_gauges(
        draws,
        np.full(n, 1e4),
        np.arange(n, 0, -1.0),
        network.downstream,
        network.order,
        network.basin,
        1e3,
        rng,
    )
    assert found.value.max() < 3 / n * 5  # a gauge tells one combination of 3,000 independent values


def test_nothing_to_be_told() -> None:
    network = RiverNetwork(np.arange(6), np.array([-1, 0, 1, 2, 3, 4]))
    found = new_gauges(
        np.zeros((20, 6)), np.ones(6), np.ones(6), network.downstream, network.order, network.basin, 1.0,
        np.random.default_rng(1),
    )  # fmt: skip
    assert not found.value.any()
    assert found.best.size == 0


def test_the_noise_of_a_delay() -> None:
    time = np.arange(100.0)
    discharge = np.stack([3 * time, np.full(100, 5.0)], axis=1)[None]
    noise = delay_noise(np.full((1, 100, 2), 0.25), discharge, 10.0)
    assert noise[0] == pytest.approx(1 / np.sqrt(100 * 0.25 * 0.3**2))
    assert noise[1] == np.inf
    assert draws_for(100) == 200
    assert draws_for(10**8) == 16


@pytest.mark.parametrize("seed", [1, 2])
def test_small_basins_are_worked_on_as_large_ones_are(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    down = np.where(rng.random(300) < 0.05, -1, np.arange(300) - 1 - rng.integers(0, 3, 300))
    down = np.where(down < 0, -1, down)
    network = RiverNetwork(rng.permutation(300), down)
    draws, travel = rng.standard_normal((30, 300)), rng.uniform(2e3, 4e4, 300)
    flow = 1.0 + np.asarray(network.level, np.float64)
    found = []
    for least in (LEAST_BASIN, 10**9):
        monkeypatch.setattr("rivergrad.inference.newgauge.LARGE_BASIN", least)
        found.append(
            new_gauges(
                draws, travel, flow, network.downstream, network.order, network.basin, NOISE,
                np.random.default_rng(0),
            )
        )  # fmt: skip
    np.testing.assert_allclose(found[1].value, found[0].value, rtol=1e-9, atol=1e-14)
    assert np.array_equal(found[1].best, found[0].best)
    np.testing.assert_allclose(found[1].gain, found[0].gain, rtol=1e-9)
