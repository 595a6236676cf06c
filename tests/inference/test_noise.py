"""The noise of residuals: variance that grows with discharge, correlation, and gauges with little to say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from rivergrad.inference.evidence import MIN_PAIRS
from rivergrad.inference.loss import values_needed
from rivergrad.inference.noise import FLOOR, LEAST_SHARE, measure

Float = NDArray[np.float64]


def flows(rng: np.random.Generator, shape: tuple[int, int, int]) -> Float:
    return np.exp(rng.standard_normal(shape)) * 20


def autoregressive(rng: np.random.Generator, shape: tuple[int, int, int], rho: float) -> Float:
    """Standard normal numbers with correlation ρ of successive ones, windows apart."""
    values = rng.standard_normal(shape)
    for t in range(1, shape[1]):
        values[:, t] = rho * values[:, t - 1] + (1 - rho**2) ** 0.5 * values[:, t]
    return values


@pytest.mark.parametrize(("alpha", "beta"), [(4.0, 0.01), (0.0, 0.04), (25.0, 0.0), (100.0, 0.0025)])
def test_recovers_constant_and_factor(alpha: float, beta: float) -> None:
    rng = np.random.default_rng(1)
    q = flows(rng, (2, 6000, 3))
    variance = alpha + beta * q**2
    present = rng.random(q.shape) > 0.3
    residual = np.where(present, rng.standard_normal(q.shape) * np.sqrt(variance), 0.0)
    found = measure(residual, q, present, np.full(3, 26.0))
    middling = present & (q > 10) & (q < 100)  # below lies the floor of `LEAST_SHARE`
    ratio = found.variance[middling] / variance[middling]
    assert ratio.min() > 0.75
    assert ratio.max() < 1.3
    assert np.median(ratio) == pytest.approx(1.0, abs=0.1)
    # q grows tenfold from the lowest to the highest of these, and so does what is found, or not
    for gauge in range(3):
        low, high = (
            found.variance[..., gauge][np.abs(q[..., gauge] / at - 1) < 0.05] for at in (10.0, 100.0)
        )
        grows = (alpha + beta * 100**2) / (alpha + beta * 10**2)
        assert np.median(high) / np.median(low) == pytest.approx(grows, rel=0.3)
    np.testing.assert_allclose(found.worth, 1.0, atol=0.07)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_correlated_values_are_worth_less(rho: float) -> None:
    rng = np.random.default_rng(2)
    q = flows(rng, (3, 4000, 2))
    residual = (1 + 0.1 * q) * autoregressive(rng, q.shape, rho)
    found = measure(residual, q, np.ones(q.shape, bool), np.full(2, 26.0))
    np.testing.assert_allclose(found.worth, (1 - rho) / (1 + rho), atol=0.06)


def test_values_far_apart_in_time_do_not_follow_each_other() -> None:
    """Neither over gaps nor from window to window: windows of two values each, alike within, alternate in sign."""
    rng = np.random.default_rng(3)
    size = rng.standard_normal((400, 1, 1)) * np.where(np.arange(400) % 2, 1.0, -1.0)[:, None, None]
    residual = np.repeat(size, 2, axis=1)
    assert (
        measure(residual, np.ones(residual.shape), np.ones(residual.shape, bool), np.ones(1)).worth[0] < 0.01
    )
    gappy = np.repeat(rng.standard_normal((1, 300, 1)), 2, axis=1)  # pairs alike, but a value missing between
    present = np.zeros(gappy.shape, bool)
    present[:, ::5] = present[:, 2::5] = (
        True  # two steps, then three: a series with even steps would follow itself
    )
    np.testing.assert_array_equal(
        measure(np.where(present, gappy, 0.0), np.ones(gappy.shape), present, np.ones(1)).worth, 1.0
    )


def test_a_lonely_good_gauge_counts_as_the_median_one() -> None:
    """A gauge fitted much better than most would else be fitted better still, and no other heard."""
    rng = np.random.default_rng(4)
    share = np.array([0.001, 0.2, 0.2, 0.2, 0.9])
    spread = np.array([10.0, 10.0, 3.0, 500.0, 10.0])
    residual = rng.standard_normal((1, 4000, 5)) * share * spread
    q = np.ones(residual.shape)
    found = measure(residual, q, np.ones(q.shape, bool), spread)
    sd = np.sqrt(found.variance[0].mean(axis=0)) / spread
    np.testing.assert_allclose(sd, [0.2, 0.2, 0.2, 0.2, 0.9], rtol=0.05)


def test_no_value_counts_without_limit() -> None:
    rng = np.random.default_rng(5)
    q = flows(rng, (1, 5000, 1))
    residual = rng.standard_normal(q.shape) * 0.3 * q  # nothing constant: low flow would count infinitely
    found = measure(residual, q, np.ones(q.shape, bool), np.full(1, 26.0))
    mean = np.mean(residual**2)
    assert found.variance.min() >= 0.5 * LEAST_SHARE * mean
    perfect = measure(np.zeros(q.shape), q, np.ones(q.shape, bool), np.full(1, 26.0))
    np.testing.assert_allclose(perfect.variance, (FLOOR * 26.0) ** 2)


def test_gross_errors_do_not_set_the_scale() -> None:
    rng = np.random.default_rng(6)
    residual = rng.standard_normal((1, 5000, 1))
    spoilt = residual.copy()
    spoilt[0, ::500] = 1e4
    q, present = np.ones(residual.shape), np.ones(residual.shape, bool)
    clean, dirty = (measure(r, q, present, np.ones(1)).variance.mean() for r in (residual, spoilt))
    assert dirty < 1.3 * clean


def test_too_few_values_have_no_weight() -> None:
    rng = np.random.default_rng(7)
    residual = rng.standard_normal((1, 200, 3))
    present = np.zeros(residual.shape, bool)
    for gauge, count in enumerate((MIN_PAIRS - 1, MIN_PAIRS, 0)):
        present[0, :count, gauge] = True
    found = measure(np.where(present, residual, 0.0), np.ones(residual.shape), present, np.ones(3))
    weight = found.weights(present, np.ones(3))
    assert weight[..., [0, 2]].sum() == 0
    assert (weight[..., 1] > 0).sum() == MIN_PAIRS


def test_weights_are_trains_times_worth_over_variance() -> None:
    rng = np.random.default_rng(8)
    q = flows(rng, (2, 500, 3))
    present = rng.random(q.shape) > 0.5
    residual = np.where(present, autoregressive(rng, q.shape, 0.6) * (1 + 0.1 * q), 0.0)
    found = measure(residual, q, present, np.full(3, 20.0))
    trains = np.array([2.0, 0.0, 0.5])
    weight = found.weights(present, trains)
    expected = np.where(present, trains * found.worth / found.variance, 0.0)
    np.testing.assert_allclose(weight, expected, rtol=1e-12)
    assert weight[..., 1].sum() == 0

    error = np.full(q.shape, np.nan)
    error[0] = 1e-9  # known better than what the fit shows anyway
    np.testing.assert_array_equal(found.weights(present, trains, error), weight)
    error[0] = 1e3
    worse = found.weights(present, trains, error)
    np.testing.assert_allclose(
        worse[0][present[0]], (np.broadcast_to(trains * found.worth, q[0].shape) / 1e6)[present[0]]
    )
    np.testing.assert_array_equal(worse[1], weight[1])


masks = hnp.arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 30), st.just(3)))


@settings(max_examples=150, deadline=None)
@given(
    present=masks,
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([0.0, 1e-12, 1.0, 1e6]),
    flow=st.sampled_from(["zero", "constant", "varied", "huge"]),
    spread=hnp.arrays(np.float64, 3, elements=st.sampled_from([0.0, 1e-3, 1.0, 1e5])),
)
def test_any_pattern_of_missing_values(
    present: NDArray[np.bool_], seed: int, size: float, flow: str, spread: Float
) -> None:
    """No warning (an error here), and weights that are finite, 0 where nothing is."""
    rng = np.random.default_rng(seed)
    residual = np.where(present, size * rng.standard_normal(present.shape), 0.0)
    q = {
        "zero": np.zeros(present.shape),
        "constant": np.full(present.shape, 3.0),
        "varied": flows(rng, present.shape),
        "huge": 1e6 * flows(rng, present.shape),
    }[flow]
    found = measure(residual, q, present, spread)
    assert found.variance.shape == present.shape
    assert not np.isnan(found.variance).any()
    assert (found.variance >= 0).all()
    assert ((found.worth >= 0) & (found.worth <= 1)).all()
    weight = found.weights(present, np.array([1.0, 2.0, 0.0]))
    assert np.isfinite(weight).all()
    assert (weight >= 0).all()
    assert not weight[~present].any()
    assert not weight[..., 2].any()
    few = present.sum(axis=(0, 1)) < values_needed(present.shape[0] * present.shape[1])
    assert not weight[..., few].any()
