"""Conjugate gradients: the solution of the normal equations, and when they stop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rivergrad.inference.conjugate import solve

Float = NDArray[np.float64]


def positive(rng: np.random.Generator, n: int, distinct: int | None = None) -> Float:
    """A symmetric positive definite matrix, with so many different eigenvalues."""
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    values = np.exp(rng.uniform(-2, 2, n if distinct is None else distinct))
    return (basis * np.resize(values, n)) @ basis.T


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 25))
def test_solves(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    matrix, right = positive(rng, n), rng.standard_normal(n)
    found, products, rest = solve(lambda v: matrix @ v, right, 1e-10, 4 * n)
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right), rtol=1e-6, atol=1e-8)
    assert products <= 4 * n
    assert rest <= 1e-10
    assert np.linalg.norm(matrix @ found - right) <= 1e-9 * np.linalg.norm(right)


def test_goes_on_from_a_solution_that_is_nearly_right() -> None:
    rng = np.random.default_rng(3)
    matrix, right = positive(rng, 40), rng.standard_normal(40)
    exact = np.linalg.solve(matrix, right)
    near = exact + 1e-3 * rng.standard_normal(40)
    _, many, _ = solve(lambda v: matrix @ v, right, 1e-4, 200)
    warm, few, rest = solve(lambda v: matrix @ v, right, 1e-4, 200, near)
    assert few < many
    assert rest <= 1e-4
    assert np.linalg.norm(matrix @ warm - right) <= 1.01e-4 * np.linalg.norm(right)
    same, products, _ = solve(lambda v: matrix @ v, right, 1e-4, 200, exact)
    assert products == 1
    np.testing.assert_array_equal(same, exact)


@pytest.mark.parametrize("distinct", [1, 2, 5])
def test_takes_as_many_products_as_there_are_different_eigenvalues(distinct: int) -> None:
    rng = np.random.default_rng(1)
    matrix, right = positive(rng, 60, distinct), rng.standard_normal(60)
    asked = 0

    def product(v: Float) -> Float:
        nonlocal asked
        asked += 1
        return matrix @ v

    found, products, _ = solve(product, right, 1e-9, 60)
    assert products == asked == distinct
    np.testing.assert_allclose(found, np.linalg.solve(matrix, right), rtol=1e-6)


def test_every_product_brings_the_solution_nearer_and_less_is_less() -> None:
    """In the norm of the matrix; a search that is cut off holds a descent direction."""
    rng = np.random.default_rng(2)
    matrix, right = positive(rng, 30), rng.standard_normal(30)
    exact = np.linalg.solve(matrix, right)
    errors = []
    for most in range(1, 12):
        found, products, rest = solve(lambda v: matrix @ v, right, 0.0, most)
        assert products == most
        assert rest == pytest.approx(np.linalg.norm(right - matrix @ found) / np.linalg.norm(right), rel=1e-6)
        assert found @ right > 0
        errors.append(float((found - exact) @ matrix @ (found - exact)))
    assert np.all(np.diff(errors) < 0)


def test_stops_at_the_tolerance() -> None:
    rng = np.random.default_rng(3)
    matrix, right = positive(rng, 40), rng.standard_normal(40)
    _, loose, rest = solve(lambda v: matrix @ v, right, 0.3, 40)
    _, tight, _ = solve(lambda v: matrix @ v, right, 1e-8, 80)
    assert rest <= 0.3
    assert loose < tight


def test_nothing_to_solve_takes_no_product() -> None:
    found, products, rest = solve(lambda v: v / 0, np.zeros(4), 1e-3, 10)
    assert (found.tolist(), products, rest) == ([0.0] * 4, 0, 0.0)


@pytest.mark.parametrize("bad", [-1.0, 0.0, np.nan])
def test_a_direction_without_curvature_ends_it(bad: float) -> None:
    """At once with the gradient itself, later with what there is: both lead downhill."""
    right = np.array([3.0, 1.0])
    found, products, rest = solve(lambda v: bad * v, right, 1e-3, 10)
    assert (found.tolist(), products, rest) == ([3.0, 1.0], 1, 1.0)

    matrix = np.diag([4.0, 1.0, -0.5])
    right = np.array([1.0, 1.0, 0.1])
    found, products, _ = solve(lambda v: matrix @ v, right, 1e-12, 10)
    assert products < 10
    assert np.isfinite(found).all()
    assert found @ right > 0


def test_the_last_digits_of_the_products_stay_in_the_last_digits() -> None:
    """Products under another partition differ by rounding; an unfinished solution has to differ by no more.

    With eigenvalues as of gauges, a few of them far above the others, plain conjugate gradients lose their
    orthogonality within a few steps, and with it all digits of where they are.
    """
    rng = np.random.default_rng(4)
    basis, _ = np.linalg.qr(rng.standard_normal((200, 200)))
    values = 1 + 1e6 * 0.7 ** np.arange(200)
    matrix, right = (basis * values) @ basis.T, rng.standard_normal(200)
    found = [
        solve(lambda v, e=e: matrix @ v * (1 + e * np.sin(np.arange(200))), right, 0.0, 30)[0]
        for e in (0.0, 1e-15)
    ]
    exact = np.linalg.solve(matrix, right)
    assert np.linalg.norm(found[0] - exact) > 1e-3 * np.linalg.norm(exact)  # on its way
    assert np.linalg.norm(found[1] - found[0]) < 1e-9 * np.linalg.norm(found[0])
