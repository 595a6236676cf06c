"""The prior along the river against dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_rivers import Int, dense_precision, forests, random_forest

from rivercut import graph
from rivergrad.errors import InputError
from rivergrad.model.treeprior import TreePrior

TAU = np.array([0.3, 2.0, 1.0])
checked = settings(max_examples=60, deadline=None, derandomize=True, database=None)
kappas = st.sampled_from([np.zeros(3), np.array([0.0, 0.5, 1e-3]), np.array([1e6, 3.0, 40.0])])


def prior_of(downstream: Int, kappa: np.ndarray | float) -> TreePrior:
    return TreePrior(downstream, graph.topological_order(downstream), TAU, kappa)


@checked
@given(forests(), kappas, st.integers(0, 2**32 - 1))
def test_against_dense_matrices(downstream: Int, kappa: np.ndarray, seed: int) -> None:
    prior = prior_of(downstream, kappa)
    n = downstream.size
    q = dense_precision(downstream, TAU, kappa)
    inverse = np.linalg.inv(q)
    unit = np.eye(3 * n).reshape(3 * n, 3, n)
    scale = np.abs(inverse).max()
    colour = prior.colour(unit).reshape(3 * n, 3 * n).T
    np.testing.assert_allclose(prior.precision(unit).reshape(3 * n, -1), q, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(colour @ colour.T, inverse, rtol=1e-9, atol=1e-9 * scale)
    np.testing.assert_allclose(prior.variance().ravel(), np.diag(inverse), rtol=1e-9)
    turned = prior.colour_transposed(unit).reshape(3 * n, 3 * n).T
    np.testing.assert_allclose(turned, colour.T, rtol=1e-12, atol=1e-14 * np.abs(colour).max())
    v = np.random.default_rng(seed).standard_normal((2, 3, n))
    np.testing.assert_allclose(prior.whiten(prior.colour(v)), v, rtol=1e-7, atol=1e-7)
    energy = [[v[k, f] @ (q * TAU[f] ** 2)[f * n : (f + 1) * n, f * n : (f + 1) * n] @ v[k, f] for f in range(3)]
              for k in range(2)]  # fmt: skip
    np.testing.assert_allclose(prior.energy(v), energy, rtol=1e-9)


def test_strong_ties_do_not_cancel() -> None:
    """With κ = 1e12 a basin moves as one: its variance is τ² over its number of reaches."""
    downstream = random_forest(np.random.default_rng(0), 50, 4, 0.1)
    basin = graph.basins(downstream, graph.topological_order(downstream))
    variance = prior_of(downstream, 1e12).variance()
    np.testing.assert_allclose(variance, TAU[:, None] ** 2 / np.bincount(basin)[basin], rtol=1e-9)


def test_draws_have_the_covariance() -> None:
    downstream = random_forest(np.random.default_rng(1), 7, 3, 0.2)
    prior = prior_of(downstream, 2.0)
    draws = prior.sample(np.random.default_rng(2), 40_000).reshape(40_000, -1)
    expected = np.linalg.inv(dense_precision(downstream, TAU, np.full(3, 2.0)))
    error = draws.T @ draws / len(draws) - expected
    deviation = np.sqrt((expected**2 + np.outer(np.diag(expected), np.diag(expected))) / len(draws))
    assert np.abs(error / deviation).max() < 5


def test_another_tau_scales() -> None:
    downstream = random_forest(np.random.default_rng(3), 20, 3, 0.2)
    prior = prior_of(downstream, 2.0)
    before = prior.variance()
    np.testing.assert_allclose(prior.with_tau(3 * TAU).variance(), 9 * before, rtol=1e-12)


def test_memory_order_of_the_argument_does_not_matter() -> None:
    downstream = random_forest(np.random.default_rng(4), 20, 3, 0.2)
    prior = prior_of(downstream, 2.0)
    v = np.random.default_rng(5).standard_normal((4, 3, 20))
    strided = np.asfortranarray(v)
    for function in (prior.colour, prior.colour_transposed, prior.whiten, prior.precision):
        np.testing.assert_array_equal(function(strided), function(v))
        assert strided.flags.f_contiguous
        np.testing.assert_array_equal(strided, v)


@pytest.mark.parametrize(
    ("tau", "kappa", "message"),
    [
        ([1.0, 0.0], 0.0, r"tau is \[1.0, 0.0\]"),
        ([np.nan], 0.0, "tau is"),
        ([1.0], -0.5, "kappa is -0.5"),
        ([1.0], [1.0, 2.0], r"kappa is \[1.0, 2.0\]"),
    ],
)
def test_refuses(tau: list[float], kappa: float | list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TreePrior(np.array([-1]), np.array([0]), np.array(tau), np.asarray(kappa))
