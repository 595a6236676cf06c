"""Rows of products kept as they are, against orthonormal directions and dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
from exact_posterior import exact_posterior
from linear_rivers import LinearRiver, posterior_of, random_forest

from rivergrad.inference.nuisance import beside
from rivergrad.inference.posterior import Posterior, at_scale, with_nuisance
from rivergrad.inference.stemrank import StemRank, turns_that_fit

FIELDS = ("variance", "conditional_variance", "identifiability", "effective", "shared_covariance")
SINGLE = {"rtol": 2e-5, "atol": 1e-6}
"""Rows are kept in single precision."""


def some_river(seed: int, n: int = 120, gauges: int = 25) -> LinearRiver:
    rng = np.random.default_rng(seed)
    downstream = random_forest(rng, n, 4, 0.05)
    return LinearRiver.draw(downstream, rng.integers(0, n, gauges), seed, 0.0, values=20, strength=2.0)


def posterior(river: LinearRiver, products: int, rows: int, **options: object) -> Posterior:
    return posterior_of(river, products, rows=rows, **options)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("products", [1, 3, 12])
def test_says_what_directions_say(seed: int, products: int) -> None:
    river = some_river(seed)
    directions, rows = posterior(river, products, 0), posterior(river, products, 2)
    assert isinstance(rows.basis, StemRank)
    for name in (*FIELDS, "smallest"):
        np.testing.assert_allclose(getattr(rows, name), getattr(directions, name), **SINGLE, err_msg=name)
    assert rows.left_out == pytest.approx(directions.left_out, rel=1e-9)
    assert rows.calls == directions.calls


def test_exact_once_all_is_found() -> None:
    river = some_river(7, n=30, gauges=6)
    limit = exact_posterior(
        river.jacobian, river.weights, river.prior, river.regressors, river.b_sd, river.basin
    )
    found = posterior(river, 300, 1)
    for name in FIELDS:
        np.testing.assert_allclose(getattr(found, name), getattr(limit, name), **SINGLE, err_msg=name)


def test_another_scale_of_one_field_or_of_all() -> None:
    river = some_river(3)
    tau = np.array(river.prior.tau)
    assert tau.size > 1
    for by in (np.full(tau.size, 1.4), np.linspace(0.7, 1.3, tau.size)):
        prior = river.prior.with_tau(tau * by)
        two = [
            at_scale(posterior(river, 8, rows), prior, river.regressors, river.b_sd, river.basin)
            for rows in (0, 2)
        ]
        for name in FIELDS:
            np.testing.assert_allclose(
                getattr(two[1], name), getattr(two[0], name), rtol=1e-4, atol=1e-5, err_msg=name
            )


def test_draws_have_the_covariance() -> None:
    river = some_river(2, n=25, gauges=5)
    found = posterior(river, 60, 1)
    draws = found.sample(np.random.default_rng(0), 40_000, shared=True)
    np.testing.assert_allclose(draws.var(axis=0), found.variance, rtol=0.06)


def test_numbers_that_all_gauges_share() -> None:
    river = some_river(5)
    directions, rows = posterior(river, 10, 0), posterior(river, 10, 2)
    pulled = np.random.default_rng(0).standard_normal(river.prior.shape)
    square = 50.0 * float((pulled**2).sum())
    one, other = (with_nuisance(found, pulled, square, 0.5) for found in (directions, rows))
    np.testing.assert_allclose(other[0].variance, one[0].variance, **SINGLE)
    assert other[1] == pytest.approx(one[1], rel=1e-5)
    stacked = np.stack([pulled, pulled[:, ::-1]])
    both = [beside(found, stacked, square * np.eye(2), np.full(2, 0.5)) for found in (directions, rows)]
    np.testing.assert_allclose(both[1][0].variance, both[0][0].variance, **SINGLE)
    np.testing.assert_allclose(both[1][1].correlation, both[0][1].correlation, **SINGLE)


def test_the_number_of_threads_changes_nothing() -> None:
    river = some_river(1)
    one, three = posterior(river, 9, 1), posterior(river, 9, 3)
    assert all(np.array_equal(getattr(one, name), getattr(three, name)) for name in FIELDS)


def test_rows_that_fit() -> None:
    assert turns_that_fit(12e6, 2, 100_000) == 10


@pytest.mark.parametrize("kappa", [0.7, 10.0])
def test_tied_neighbours_above_outlets(kappa: float) -> None:
    """No reach lies below a gauge, so nothing is cut off."""
    rng = np.random.default_rng(1)
    downstream = random_forest(rng, 120, 4, 0.1)
    river = LinearRiver.draw(downstream, np.flatnonzero(downstream < 0), 1, kappa, values=20)
    for products in (2, 12):
        directions, rows = posterior(river, products, 0), posterior(river, products, 2)
        for name in (*FIELDS, "smallest"):
            np.testing.assert_allclose(getattr(rows, name), getattr(directions, name), **SINGLE, err_msg=name)


@pytest.mark.parametrize("kappa", [0.7, 10.0])
@pytest.mark.parametrize("seed", range(3))
def test_tied_neighbours_below_gauges_are_less_sure_and_others_the_same(seed: int, kappa: float) -> None:
    rng = np.random.default_rng(seed)
    downstream = random_forest(rng, 300, 3, 0.02)
    river = LinearRiver.draw(downstream, rng.integers(0, 300, 10), seed, kappa, values=20)
    directions, rows = posterior(river, 12, 0), posterior(river, 12, 2)
    ratio = rows.conditional_variance / directions.conditional_variance
    assert ratio.min() > 0.98  # never much surer than with all that gauges tell
    assert np.median(ratio) < 1.001


def test_tied_neighbours_of_another_scale() -> None:
    rng = np.random.default_rng(1)
    downstream = random_forest(rng, 120, 4, 0.1)
    river = LinearRiver.draw(downstream, np.flatnonzero(downstream < 0), 1, 5.0, values=20)
    prior = river.prior.with_tau(np.array(river.prior.tau) * [0.7, 1.3])
    two = [
        at_scale(posterior(river, 8, rows), prior, river.regressors, river.b_sd, river.basin)
        for rows in (0, 2)
    ]
    for name in FIELDS:
        np.testing.assert_allclose(
            getattr(two[1], name), getattr(two[0], name), rtol=1e-4, atol=1e-5, err_msg=name
        )
