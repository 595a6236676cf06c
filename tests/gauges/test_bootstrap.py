"""Bootstrap intervals of a median: repeatable, right about known distributions, honest about too few gauges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rivergrad.gauges import bootstrap
from rivergrad.gauges.bootstrap import bootstrap_difference, bootstrap_median


def test_the_seed_decides() -> None:
    values = np.random.default_rng(0).random(40)
    assert bootstrap_median(values, 7) == bootstrap_median(values, 7)
    assert bootstrap_median(values, 7, n=20)[1:] != bootstrap_median(values, 8, n=20)[1:]
    assert bootstrap_median(values, [7, 1], n=20) != bootstrap_median(values, [7, 2], n=20)
    assert bootstrap_difference(values, values**2, 7) == bootstrap_difference(values, values**2, 7)


def test_as_scipy_has_it() -> None:
    values = np.random.default_rng(1).lognormal(0.0, 1.0, 60)
    middle, low, high = bootstrap_median(values, 3, n=20_000)
    expected = stats.bootstrap(
        (values,), np.median, n_resamples=20_000, confidence_level=0.9, method="percentile",
        rng=np.random.default_rng(4),
    ).confidence_interval  # fmt: skip
    assert middle == np.median(values)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.02)


def test_intervals_cover_as_often_as_they_say() -> None:
    """The median of 40 draws from a known distribution: 400 intervals of 90 %, of which 400 ± 3 sd cover."""
    rng = np.random.default_rng(5)
    covered = 0
    for seed in range(400):
        _, low, high = bootstrap_median(rng.standard_normal(40), seed, n=400)
        covered += low <= 0.0 <= high
    assert 0.85 <= covered / 400 <= 0.96


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=30),
    scale=st.floats(0.1, 10.0),
    shift=st.floats(-10.0, 10.0),
)
def test_scale_shift_and_order(values: list[float], scale: float, shift: float) -> None:
    found = np.array(bootstrap_median(np.array(values), 2, n=50))
    assert found[1] <= found[2]
    assert min(values) <= found[1]
    assert found[2] <= max(values)
    np.testing.assert_allclose(
        bootstrap_median(scale * np.array(values) + shift, 2, n=50),
        scale * found + shift,
        rtol=1e-9,
        atol=1e-9,
    )


def test_missing_values_are_left_out() -> None:
    values = np.array([0.3, np.nan, 0.9, 0.5, np.nan])
    assert bootstrap_median(values, 1) == bootstrap_median(values[~np.isnan(values)], 1)
    other = np.array([0.1, 0.2, np.nan, 0.4, np.nan])
    both = ~np.isnan(values + other)
    assert bootstrap_difference(values, other, 1) == bootstrap_difference(values[both], other[both], 1)


def test_of_one_gauge_there_is_no_interval() -> None:
    middle, low, high = bootstrap_median(np.array([0.7, np.nan]), 1)
    assert middle == 0.7
    assert np.isnan([low, high]).all()
    assert np.isnan(bootstrap_median(np.full(3, np.nan), 1)).all()
    assert np.isnan(bootstrap_difference(np.zeros(0), np.zeros(0), 1)).all()


def test_pairs_stay_together() -> None:
    """Gauges differ widely, the gain is the same at all: paired draws know it exactly."""
    skill = np.random.default_rng(3).uniform(0.0, 0.9, 30)
    difference, low, high = bootstrap_difference(skill + 0.05, skill, 1)
    assert (difference, low, high) == pytest.approx((0.05, 0.05, 0.05), abs=1e-12)
    _, alone_low, alone_high = bootstrap_median(skill, 1)
    assert alone_high - alone_low > 0.1


def test_memory_does_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(2).random(50)
    whole = bootstrap_median(values, 1, n=300)
    monkeypatch.setattr(bootstrap, "AT_ONCE", 50 * 300)
    assert bootstrap_median(values, 1, n=300) == whole
    monkeypatch.setattr(bootstrap, "AT_ONCE", 50 * 7)
    assert bootstrap_median(values, 1, n=300) == pytest.approx(whole, abs=0.03)
