"""Uncertainty per reach against dense inverses, and against how often it is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from exact_posterior import exact_posterior
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_rivers import LinearRiver, forests, posterior_of, random_forest

from rivergrad.errors import InputError
from rivergrad.inference.posterior import Posterior, at_scale, gauge_posterior

checked = settings(max_examples=40, deadline=None, derandomize=True, database=None)


def laplace(river: LinearRiver, calls: int, **options: object) -> Posterior:
    return posterior_of(river, calls, **options)


def exact(river: LinearRiver) -> Posterior:
    return exact_posterior(
        river.jacobian, river.weights, river.prior, river.regressors, river.b_sd, river.basin
    )


def some_river(seed: int, n: int = 40, gauges: int = 3, **options: float) -> LinearRiver:
    rng = np.random.default_rng(seed)
    downstream = random_forest(rng, n, 4, 0.15)
    return LinearRiver.draw(downstream, rng.choice(n, gauges, replace=False), seed, **options)


def check_dense(found: Posterior, river: LinearRiver, tolerance: float) -> None:
    """All of it from the inverse of the joint precision of b and u."""
    p, shape = river.design.shape[1], river.prior.shape
    joint = river.joint()
    both = np.concatenate([river.design, np.eye(river.design.shape[0])], axis=1)
    conditional = np.linalg.inv(river.matrix + river.precision)
    prior = np.linalg.inv(river.precision)
    close = {"rtol": tolerance, "atol": tolerance}
    np.testing.assert_allclose(found.prior_variance.ravel(), np.diag(prior), rtol=1e-9)
    np.testing.assert_allclose(
        found.prior_shared_variance.ravel(), river.design**2 @ river.b_sd**2, rtol=1e-9
    )
    np.testing.assert_allclose(found.conditional_variance.ravel(), np.diag(conditional), **close)
    np.testing.assert_allclose(found.shared_covariance, joint[:p, :p], **close)
    np.testing.assert_allclose(found.variance.ravel(), np.diag(both @ joint @ both.T), **close)
    identifiability = 1 - np.diag(conditional) / np.diag(prior)
    np.testing.assert_allclose(found.identifiability.ravel(), identifiability, atol=tolerance)
    n = shape[1]
    determined = np.eye(2 * n) - river.precision @ joint[p:, p:]
    effective = [np.trace(determined[:n, :n]), np.trace(determined[n:, n:])]
    np.testing.assert_allclose(found.effective, effective, atol=10 * tolerance)


@checked
@given(forests(20), st.integers(0, 3), st.sampled_from([0.0, 0.7, 50.0]), st.integers(0, 2**32 - 1))
def test_exact_and_low_rank_against_the_joint_inverse(
    downstream: np.ndarray, gauges: int, kappa: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    at = rng.choice(downstream.size, min(gauges, downstream.size), replace=False)
    river = LinearRiver.draw(downstream, at, seed, kappa, values=5, strength=0.5)
    check_dense(exact(river), river, 1e-8)
    found = laplace(river, 60, checks=0)
    check_dense(found, river, 1e-8)
    assert np.isnan(found.left_out) == bool(gauges)


@pytest.mark.parametrize("factors", [(1.7, 1.7), (0.6, 1.9)])
@pytest.mark.parametrize("kappa", [0.0, 0.7])
def test_another_scale_of_the_prior_needs_no_products(factors: tuple[float, float], kappa: float) -> None:
    before = some_river(5, kappa=kappa, strength=0.5)
    after = replace(before, prior=before.prior.with_tau(before.prior.tau * factors))
    found = laplace(before, 60, checks=2)
    moved = at_scale(found, after.prior, after.regressors, after.b_sd, after.basin)
    check_dense(moved, after, 1e-7)
    few = laplace(before, 3, checks=2)
    rough = at_scale(few, after.prior, after.regressors, after.b_sd, after.basin)
    assert (rough.conditional_variance >= moved.conditional_variance * (1 - 1e-7)).all()  # never too small
    assert rough.left_out == pytest.approx(few.left_out * max(factors) ** 2)
    assert rough.calls == few.calls


def test_weights_may_be_a_matrix() -> None:
    river = some_river(0)
    a, b = exact(river), exact(replace(river, weights=np.diag(river.weights)))
    np.testing.assert_allclose(a.variance, b.variance, rtol=1e-9)


def test_where_no_gauge_looks_nothing_is_known() -> None:
    river = some_river(2, n=80, gauges=2)
    found = laplace(river, 60)
    seen = (river.jacobian != 0).any(axis=0).reshape(2, 80).any(axis=0)
    apart = ~np.isin(river.basin, river.basin[seen])
    assert 0 < apart.sum() < 80
    assert (found.identifiability[:, apart] == 0).all()
    np.testing.assert_array_equal(found.conditional_variance[:, apart], found.prior_variance[:, apart])
    # but what is shared has been learned from elsewhere
    total = found.prior_variance + found.prior_shared_variance
    assert (found.variance[:, apart] < total[:, apart]).all()
    np.testing.assert_allclose(found.variance[:, apart], exact(river).variance[:, apart], rtol=1e-7)
    # a tie along the river tells of reaches that no gauge looks at, next to those that one does
    assert (found.identifiability[:, ~apart] > 0).all()
    few = laplace(river, 3)
    uninformed = ~np.isin(np.unique(river.basin), river.basin[seen])
    assert (few.smallest[uninformed] == 0).all()
    assert (few.smallest[~uninformed] > 0).any()


def test_without_ties_the_effective_number_is_the_sum_of_identifiabilities() -> None:
    river = some_river(3, kappa=0.0)
    found = laplace(replace(river, regressors=None, b_sd=1.0), 90)
    np.testing.assert_allclose(found.effective, found.identifiability.sum(axis=1), rtol=1e-9)
    assert found.shared_covariance.shape == (0, 0)
    np.testing.assert_array_equal(found.variance, found.conditional_variance)


def test_no_gauges() -> None:
    river = some_river(4, gauges=1)
    river.jacobian[:] = 0
    found = laplace(river, 9)
    assert found.calls == 2  # the checks
    assert (found.identifiability == 0).all()
    assert (found.effective == 0).all()
    assert found.left_out == 0
    np.testing.assert_allclose(found.variance, found.prior_variance + found.prior_shared_variance, rtol=1e-12)
    assert (found.smallest == 0).all()


def test_draws_have_the_posterior_covariance() -> None:
    river = some_river(6, n=8, gauges=2, values=4, strength=0.7)
    found = laplace(river, 20)
    joint = river.joint()
    both = np.concatenate([river.design, np.eye(16)], axis=1)
    count = 40_000
    for shared, expected in (
        (False, np.linalg.inv(river.matrix + river.precision)),
        (True, both @ joint @ both.T),
    ):
        draws = found.sample(np.random.default_rng(0), count, shared=shared).reshape(count, -1)
        error = draws.T @ draws / count - expected
        deviation = np.sqrt((expected**2 + np.outer(np.diag(expected), np.diag(expected))) / count)
        assert np.abs(error / deviation).max() < 5


def test_intervals_cover_as_often_as_they_say() -> None:
    """z, b from the prior; data from z; intervals of 90 % about the most probable values, low rank as exact."""
    river = some_river(7, n=50, gauges=4, values=8, strength=0.6)
    rng = np.random.default_rng(8)
    w = river.weights
    both = np.concatenate([river.design, np.eye(100)], axis=1)
    gain = both @ river.joint() @ both.T @ river.jacobian.T * w
    found = {"exact": exact(river), "enough": laplace(river, 60), "few": laplace(river, 6)}
    hits = {name: [] for name in found}
    for _ in range(400):
        b = river.b_sd * rng.standard_normal(river.b_sd.size)
        z = river.design @ b + river.prior.sample(rng, 1).ravel()
        data = river.jacobian @ z + rng.standard_normal(w.size) / np.sqrt(w)
        error = np.abs(gain @ data - z)
        for name, posterior in found.items():
            hits[name].append(np.mean(error < 1.6449 * np.sqrt(posterior.variance.ravel())))
    for name in ("exact", "enough"):
        assert abs(np.mean(hits[name]) - 0.9) < 4 * np.std(hits[name]) / np.sqrt(400)
    assert np.mean(hits["few"]) > 0.9 - 4 * np.std(hits["few"]) / np.sqrt(400)


def test_differences_instead_of_derivatives_are_good_enough() -> None:
    """Products with an error of 1e-4 in J v: the standard deviations are off by less than 1 %."""
    river = some_river(9, n=60, gauges=5, values=40, strength=8.0)
    rng = np.random.default_rng(10)

    def inexact(v: np.ndarray) -> np.ndarray:
        change = river.tangent(v)
        return change * (1 + 1e-4 * rng.standard_normal(change.shape))

    found = gauge_posterior(
        inexact, river.pull, river.prior, river.basin, river.gauges, river.regressors, river.b_sd, 130, 1
    )
    limit = exact(river)
    np.testing.assert_allclose(np.sqrt(found.variance), np.sqrt(limit.variance), rtol=0.01)
    assert limit.identifiability.max() > 0.99


def test_the_same_seed_gives_the_same() -> None:
    river = some_river(11)
    a, b, c = (laplace(river, 5, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(a.variance, b.variance)
    assert (a.variance != c.variance).any()


def test_refuses_what_does_not_fit() -> None:
    river = some_river(12)
    n = river.downstream.size
    with pytest.raises(InputError, match="flow into another group; expected whole trees"):
        laplace(replace(river, basin=np.arange(n)), 3)
    with pytest.raises(InputError, match=r"basin has shape \(3,\)"):
        laplace(replace(river, basin=np.zeros(3, int)), 3)
    with pytest.raises(InputError, match="regressors have shape"):
        laplace(replace(river, regressors=np.ones((1, n, 1))), 3)
    with pytest.raises(InputError, match="b_sd is"):
        laplace(replace(river, b_sd=np.array([1.0, 0.0, 1.0])), 3)
    with pytest.raises(InputError, match="b_sd is"):  # one a field is not one a coefficient
        laplace(replace(river, b_sd=np.array([2.0, 0.7])), 3)
