"""NSE and KGE against their formulas and at known values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rivergrad.estimate.scores import kge, nse


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
    for score in (nse, kge):
        found = score(simulated, observed)
        assert found.shape == (5,)
        assert np.isnan(found).all(), (score.__name__, found)


def test_gauges_do_not_mix() -> None:
    rng = np.random.default_rng(2)
    observed, simulated = rng.random((30, 3)), rng.random((30, 3))
    together = np.stack([nse(simulated, observed), kge(simulated, observed)])
    simulated[:, 0] = np.nan
    apart = np.stack([nse(simulated, observed), kge(simulated, observed)])
    assert np.isnan(apart[:, 0]).all()
    np.testing.assert_array_equal(apart[:, 1:], together[:, 1:])
