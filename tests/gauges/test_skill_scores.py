"""Scores against their formulas, at known values, and where they are undefined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rivergrad.gauges.scores import LOG_OFFSET, bias, kge, kge_parts, log_nse, nse

SCORES = (nse, kge, log_nse, bias, *(lambda s, o, part=part: kge_parts(s, o)[part] for part in range(3)))


def nse_formula(s: np.ndarray, o: np.ndarray) -> float:
    return 1 - np.sum((o - s) ** 2) / np.sum((o - np.mean(o)) ** 2)


def kge_formula(s: np.ndarray, o: np.ndarray) -> float:
    r = np.corrcoef(s, o)[0, 1]
    alpha, beta = np.std(s) / np.std(o), np.mean(s) / np.mean(o)
    return 1 - np.sqrt((r - 1) ** 2 + (alpha - 1) ** 2 + (beta - 1) ** 2)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), missing=st.sampled_from([0.0, 0.3, 0.8]))
def test_against_the_formulas(seed: int, missing: float) -> None:
    rng = np.random.default_rng(seed)
    observed = rng.exponential(10.0, (60, 4))
    simulated = observed * np.exp(0.5 * rng.standard_normal(observed.shape)) + 1
    observed[rng.random(observed.shape) < missing] = np.nan
    found_nse, found_kge = nse(simulated, observed), kge(simulated, observed)
    for g in range(4):
        at = ~np.isnan(observed[:, g])
        if at.sum() < 3:
            continue
        s, o = simulated[at, g], observed[at, g]
        assert found_nse[g] == pytest.approx(nse_formula(s, o), rel=1e-9, abs=1e-9)
        assert found_kge[g] == pytest.approx(kge_formula(s, o), rel=1e-9, abs=1e-9)


def test_known_values() -> None:
    observed = np.array([[1.0], [2.0], [4.0], [9.0]])
    assert nse(observed, observed)[0] == 1.0
    assert kge(observed, observed)[0] == pytest.approx(1.0, abs=1e-12)
    mean = np.full_like(observed, observed.mean())
    assert nse(mean, observed)[0] == pytest.approx(0.0, abs=1e-15)
    assert np.isnan(kge(mean, observed)[0])  # no correlation with a constant
    assert nse(mean + 2, observed)[0] < 0
    # twice the flow: r = 1, both ratios 2
    assert kge(2 * observed, observed)[0] == pytest.approx(1 - np.sqrt(2))


def test_undefined_is_nan_and_warns_of_nothing() -> None:
    """Warnings are errors in these tests."""
    nan = np.nan
    observed = np.array([[nan, 3.0, 5.0, 0.0, 1.0], [nan, nan, 5.0, 0.0, 2.0], [nan, nan, 5.0, 0.0, 4.0]])
    simulated = np.array([[1.0, 3.0, 4.0, 1.0, nan], [1.0, 3.0, 5.0, 2.0, nan], [1.0, 3.0, 6.0, 3.0, nan]])
    for score in (nse, kge, log_nse):
        found = score(simulated, observed)
        assert found.shape == (5,)
        assert np.isnan(found).all(), (score.__name__, found)
    r, alpha, beta = kge_parts(simulated, observed)
    assert np.isnan(r).all()
    assert np.isnan(alpha).all()
    for volume in (
        beta - 1,
        bias(simulated, observed),
    ):  # one value, or a flat line, has a volume all the same
        np.testing.assert_allclose(volume, [nan, 0.0, 0.0, nan, nan])


def test_a_flat_line_has_no_spread_whatever_rounding_makes_of_its_mean() -> None:
    observed = np.full((7, 1), 0.1)
    assert observed.mean() != 0.1
    simulated = np.linspace(0.0, 1.0, 7)[:, None]
    for score in (nse, kge, log_nse):
        assert np.isnan(score(simulated, observed)).all(), score.__name__
    flat = kge_parts(observed, simulated)
    assert np.isnan(flat.r[0])
    assert flat.alpha[0] == 0.0


def test_no_times_at_all() -> None:
    for score in SCORES:
        assert np.isnan(score(np.zeros((0, 2)), np.zeros((0, 2)))).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), factor=st.floats(0.01, 100.0), missing=st.sampled_from([0.0, 0.4]))
def test_invariances(seed: int, factor: float, missing: float) -> None:
    """No score depends on the unit, and each part of the KGE on nothing but its own kind of error."""
    rng = np.random.default_rng(seed)
    observed = rng.exponential(10.0, (50, 3))
    simulated = observed * np.exp(0.5 * rng.standard_normal(observed.shape))
    observed[rng.random(observed.shape) < missing] = np.nan
    for score in SCORES:
        np.testing.assert_allclose(
            score(factor * simulated, factor * observed), score(simulated, observed), rtol=1e-8, atol=1e-8
        )
    r, alpha, beta = kge_parts(simulated, observed)
    np.testing.assert_allclose(
        kge(simulated, observed), 1 - np.sqrt((r - 1) ** 2 + (alpha - 1) ** 2 + (beta - 1) ** 2), rtol=1e-12
    )
    np.testing.assert_allclose(bias(simulated, observed), beta - 1, rtol=1e-9, atol=1e-12)
    scaled = kge_parts(factor * simulated, observed)
    np.testing.assert_allclose(scaled.r, r, rtol=1e-8)
    np.testing.assert_allclose(scaled.alpha, factor * alpha, rtol=1e-8)
    np.testing.assert_allclose(scaled.beta, factor * beta, rtol=1e-8)
    mixed = rng.permutation(50)
    np.testing.assert_allclose(nse(simulated[mixed], observed[mixed]), nse(simulated, observed), rtol=1e-9)


def test_logarithms_have_an_offset_and_no_negative_flow() -> None:
    observed = np.array([0.0, 1.0, 10.0, 89.0])
    simulated = np.array([-3.0, 2.0, 8.0, 95.0])
    offset = LOG_OFFSET * 25.0
    expected = nse_formula(np.log(np.maximum(simulated, 0) + offset), np.log(observed + offset))
    assert log_nse(simulated[:, None], observed[:, None])[0] == pytest.approx(expected, rel=1e-12)
    assert log_nse(observed[:, None], observed[:, None])[0] == 1.0
    # twice the low flows is as bad as twice the high ones, unlike in NSE
    low, high = observed * [1, 2, 1, 1], observed * [1, 1, 1, 2]
    ratio = (1 - log_nse(low[:, None], observed[:, None])) / (1 - log_nse(high[:, None], observed[:, None]))
    assert 0.5 < ratio[0] < 1.0
    assert (1 - nse(low[:, None], observed[:, None])) < 1e-3 * (1 - nse(high[:, None], observed[:, None]))


def test_gauges_do_not_mix() -> None:
    rng = np.random.default_rng(2)
    observed, simulated = rng.random((30, 3)), rng.random((30, 3))
    together = np.stack([score(simulated, observed) for score in SCORES])
    simulated[:, 0] = np.nan
    apart = np.stack([score(simulated, observed) for score in SCORES])
    assert np.isnan(apart[:, 0]).all()
    np.testing.assert_array_equal(apart[:, 1:], together[:, 1:])
