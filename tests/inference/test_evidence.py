"""Scales that the data set: whether they come out as they were put in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from exact_posterior import exact_posterior
from linear_rivers import LinearRiver, random_forest

from rivergrad.inference.evidence import noise_scale, update_tau


@pytest.mark.parametrize("kappa", [0.0, 2.0])
def test_tau_is_found_again(kappa: float) -> None:
    """From four times too small and from four times too large, with shared coefficients to be found as well."""
    rng = np.random.default_rng(0)
    n = 150
    downstream = random_forest(rng, n, 4, 0.1)
    river = LinearRiver.draw(
        downstream, rng.choice(n, 50, replace=False), 1, kappa, columns=(2, 1), strength=1.0
    )
    b = river.b_sd * rng.standard_normal(3)
    u = river.prior.sample(rng, 1)[0]
    noise = rng.standard_normal(river.weights.size) / np.sqrt(river.weights)
    data = river.jacobian @ (river.design @ b + u.ravel()) + noise
    truth = river.prior.tau
    both = np.concatenate([river.design, np.eye(2 * n)], axis=1)
    for start in (truth / 4, truth * 4):
        now = replace(river, prior=river.prior.with_tau(start))
        for _ in range(25):
            found = exact_posterior(now.jacobian, now.weights, now.prior, now.regressors, now.b_sd, now.basin)
            mode = now.joint() @ both.T @ (now.jacobian.T @ (now.weights * data))
            tau = update_tau(mode[3:].reshape(2, n), found, now.prior)
            now = replace(now, prior=now.prior.with_tau(tau))
        np.testing.assert_allclose(now.prior.tau, truth, rtol=4 / np.sqrt(2 * found.effective.min()))
        assert found.effective.min() > 30
        np.testing.assert_allclose(update_tau(mode[3:].reshape(2, n), found, now.prior), tau, rtol=0.02)


def test_tau_stays_where_nothing_is_told_and_never_leaps() -> None:
    rng = np.random.default_rng(2)
    river = LinearRiver.draw(random_forest(rng, 20, 3, 0.1), np.array([3, 4]), 3, values=30)
    found = exact_posterior(river.jacobian, river.weights, river.prior, None, 1.0)
    u = river.prior.sample(rng, 1)[0]
    np.testing.assert_allclose(update_tau(1e6 * u, found, river.prior), 4 * river.prior.tau)
    np.testing.assert_allclose(update_tau(0 * u, found, river.prior, most=2.0), river.prior.tau / 2)
    little = replace(found, effective=np.array([0.9, found.effective[1]]))
    assert update_tau(1e6 * u, little, river.prior)[0] == river.prior.tau[0]


def autoregressive(rng: np.random.Generator, time: int, rho: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    out = np.empty((time, rho.size))
    out[0] = rng.standard_normal(rho.size)
    for t in range(1, time):
        out[t] = rho * out[t - 1] + np.sqrt(1 - rho**2) * rng.standard_normal(rho.size)
    return sigma * out


def test_noise_of_an_autoregressive_process_with_gaps() -> None:
    rng = np.random.default_rng(4)
    rho, sigma = np.array([0.0, 0.5, 0.9, 0.95]), np.array([1.0, 1e-3, 2e4, 7.0])
    residual = autoregressive(rng, 40_000, rho, sigma)
    residual[rng.random(residual.shape) < 0.3] = np.nan
    found, factor = noise_scale(residual)
    np.testing.assert_allclose(found, sigma, rtol=0.06)
    np.testing.assert_allclose(factor, (1 - rho) / (1 + rho), rtol=0.1, atol=0.01)
    assert (noise_scale(residual, lag_one=False)[1] == 1).all()


def test_the_effective_number_is_that_of_the_mean() -> None:
    """The variance of a mean of n values is σ²/(n · factor)."""
    rng = np.random.default_rng(5)
    n = 500
    means, claims = [], []
    for _ in range(400):
        residual = autoregressive(rng, n, np.array([0.8]), np.array([2.0]))
        sigma, factor = noise_scale(residual)
        means.append(residual.mean())
        claims.append(sigma[0] ** 2 / (n * factor[0]))
    assert np.mean(claims) == pytest.approx(np.var(means), rel=0.2)


def test_a_gap_is_not_a_step() -> None:
    """Two states 1 and −1 that alternate by runs between gaps: only pairs within runs count."""
    run = np.array([1.0, 1.0, np.nan, -1.0, -1.0, np.nan])
    factor = noise_scale(np.tile(run, 20)[:, None])[1]
    assert factor[0] == pytest.approx(5e-4, rel=0.01)  # ρ at its limit
    alternating = np.tile([1.0, -1.0], 50)[:, None]
    assert noise_scale(alternating)[1].tolist() == [1.0]  # never more values than there are


def test_one_wild_value_does_not_make_the_scale() -> None:
    rng = np.random.default_rng(6)
    residual = rng.standard_normal((1000, 2))
    residual[500, 1] = 35.3e3
    sigma, factor = noise_scale(residual)
    np.testing.assert_allclose(sigma, 1.0, rtol=0.1)
    np.testing.assert_allclose(factor, 1.0, atol=0.2)


def test_a_bias_counts_as_error_and_as_dependence() -> None:
    rng = np.random.default_rng(7)
    sigma, factor = noise_scale(10 + rng.standard_normal((500, 1)))
    assert sigma[0] == pytest.approx(np.sqrt(101), rel=0.02)
    assert factor[0] < 0.02


def test_gauges_without_enough_to_tell() -> None:
    residual = np.full((50, 6), np.nan)
    residual[3, 1] = 2.0  # one value
    residual[::2, 2] = 1.5  # no pairs
    residual[:, 3] = 0.0  # nothing wrong at all
    residual[:, 4] = np.where(np.arange(50) == 7, 4.0, 0.0)  # nearly nothing
    residual[:, 5] = np.inf  # not a number one can use
    sigma, factor = noise_scale(residual, floor=1e-3)
    assert np.isinf(sigma[[0, 1, 5]]).all()
    np.testing.assert_allclose(sigma[2:5], [1.5, 1e-3, np.sqrt(16 / 50)])
    assert factor.tolist() == [1.0] * 6
    assert (1 / sigma[[0, 1, 5]] ** 2 == 0).all()
