"""L-BFGS: the directions of its textbook matrix, and minima that scipy finds too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rivergrad.inference.lbfgs import Memory

Float = NDArray[np.float64]


def filled(
    rng: np.random.Generator, n: int, pairs: int, size: int = 10
) -> tuple[Memory, list[tuple[Float, Float]]]:
    """Pairs of a convex quadratic, so that each has curvature."""
    root = rng.standard_normal((n, n))
    matrix = root @ root.T + np.eye(n)
    memory, told = Memory(size), []
    for _ in range(pairs):
        move = rng.standard_normal(n)
        memory.remember(move, matrix @ move)
        told.append((move, matrix @ move))
    return memory, told


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 8), pairs=st.integers(1, 14))
def test_directions_are_those_of_the_updated_matrix(seed: int, n: int, pairs: int) -> None:
    """H ← (I − s yᵀ/yᵀs) H (I − y sᵀ/yᵀs) + s sᵀ/yᵀs from γ I (Nocedal & Wright 2006, 7.16), written out."""
    rng = np.random.default_rng(seed)
    memory, told = filled(rng, n, pairs)
    told = told[-memory.size :]
    move, change = told[-1]
    inverse = np.eye(n) * (move @ change) / (change @ change)
    for s, y in told:
        left = np.eye(n) - np.outer(s, y) / (y @ s)
        inverse = left @ inverse @ left.T + np.outer(s, s) / (y @ s)
    gradient = rng.standard_normal(n)
    expected = -inverse @ gradient
    scale = np.linalg.norm(inverse, 2) * np.linalg.norm(gradient)
    np.testing.assert_allclose(memory.direction(gradient), expected, atol=1e-7 * scale)
    assert memory.direction(gradient) @ gradient < 0
    # the newest pair is met exactly: H y = s
    np.testing.assert_allclose(memory.direction(change), -move, atol=1e-7 * scale * np.linalg.norm(change))


def test_the_first_step_is_along_the_gradient_and_no_longer_than_one() -> None:
    for gradient in (np.array([30.0, -40.0]), np.array([0.1, 0.2])):
        direction = Memory().direction(gradient)
        assert np.abs(direction).sum() <= 1 + 1e-12
        assert direction @ gradient == pytest.approx(-np.linalg.norm(direction) * np.linalg.norm(gradient))
    assert Memory().direction(np.zeros(3)).tolist() == [0.0, 0.0, 0.0]


def test_pairs_without_curvature_are_not_kept() -> None:
    memory = Memory()
    memory.remember(np.array([1.0, 0.0]), np.array([-1.0, 0.0]))
    memory.remember(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    memory.remember(np.zeros(2), np.zeros(2))
    assert memory.moves == memory.changes == []


def test_the_oldest_are_forgotten() -> None:
    memory, told = filled(np.random.default_rng(0), 4, 7, size=3)
    assert len(memory.moves) == len(memory.changes) == 3
    for kept, (move, _) in zip(memory.moves, told[-3:], strict=True):
        np.testing.assert_array_equal(kept, move)


@pytest.mark.parametrize("pairs", [0, 1, 5, 12])
def test_memory_comes_back_from_arrays(pairs: int) -> None:
    memory, _ = filled(np.random.default_rng(4), 6, pairs)
    moves, changes = memory.arrays()
    assert moves.shape == changes.shape
    assert len(moves) == min(pairs, memory.size)
    again = Memory(memory.size, list(moves), list(changes))
    gradient = np.random.default_rng(5).standard_normal(6)
    np.testing.assert_array_equal(again.direction(gradient), memory.direction(gradient))
    step = np.random.default_rng(6).standard_normal(6)
    for one in (memory, again):
        one.remember(step, 2 * step)
    np.testing.assert_array_equal(again.direction(gradient), memory.direction(gradient))
