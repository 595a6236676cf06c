"""Low-rank approximation by blocks against dense eigenvalues."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rivergrad.inference.lowrank import Groups, LowRank, low_rank

Float = np.ndarray
checked = settings(max_examples=50, deadline=None, derandomize=True, database=None)


def blocks(seed: int, sizes: list[int], ranks: list[int], decades: float = 2.0) -> tuple[Groups, Float]:
    """Groups of that many reaches, shuffled, with two fields; a dense A (2n, 2n) of these ranks in its blocks."""
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    groups = Groups.of(group, 2)
    dense = np.zeros((groups.slot.size, groups.slot.size))
    for g, rank in enumerate(ranks):
        at = groups.slot[groups.pointer[g] : groups.pointer[g + 1]]
        q = np.linalg.qr(rng.standard_normal((at.size, at.size)))[0][:, : min(rank, at.size)]
        dense[np.ix_(at, at)] = q * 10 ** rng.uniform(-decades / 2, decades / 2, q.shape[1]) @ q.T
    return groups, dense


def product(dense: Float, noise: float = 0.0, seed: int = 0) -> Callable[[Float], Float]:
    rng = np.random.default_rng(seed)

    def apply(v: Float) -> Float:
        image = (dense @ v.ravel()).reshape(v.shape)
        return image * (1 + noise * rng.standard_normal(v.shape))

    return apply


def as_dense(found: LowRank) -> Float:
    slot, n = found.groups.slot, found.groups.shape[0] * found.groups.shape[1]
    out = np.zeros((n, n))
    out[:, slot] = found.groups.unpack(found.apply(np.eye(slot.size))).reshape(slot.size, n).T
    return out


def variances(dense: Float) -> Float:
    return np.diag(np.linalg.inv(np.eye(len(dense)) + dense))


def test_groups_pack_and_unpack() -> None:
    group = np.array([5, -2, 5, 7, -2])
    groups = Groups.of(group, 2)
    v = np.arange(30.0).reshape(3, 2, 5)
    packed = groups.pack(v)
    assert groups.label.tolist() == [-2, 5, 7]
    np.testing.assert_array_equal(groups.unpack(packed), v)
    np.testing.assert_array_equal(groups.sum(packed)[:, 1], v[:, :, [0, 2]].sum(axis=(1, 2)))
    some = groups.select(np.array([True, False, True]))
    np.testing.assert_array_equal(some.unpack(some.pack(v)), np.where(group == 5, 0.0, v))
    np.testing.assert_array_equal(some.spread(some.label), np.repeat([-2, 7], [4, 2]))


@checked
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 6)), min_size=1, max_size=6),
    st.integers(0, 2**32 - 1),
)
def test_exact_with_one_call_more_than_ranks(shapes: list[tuple[int, int]], seed: int) -> None:
    sizes, ranks = [s for s, _ in shapes], [r for _, r in shapes]
    groups, dense = blocks(seed, sizes, ranks)
    found = low_rank(product(dense), groups, max(ranks) + 1, np.random.default_rng(seed))
    np.testing.assert_allclose(as_dense(found), dense, atol=1e-8 * max(1.0, np.abs(dense).max()))
    assert found.groups.label.tolist() == [g for g, r in enumerate(ranks) if r]
    for g, label in enumerate(found.groups.label):
        at = groups.slot[groups.pointer[label] : groups.pointer[label + 1]]
        expected = np.zeros(found.values.shape[1])
        eigenvalues = np.linalg.eigvalsh(dense[np.ix_(at, at)])[::-1][: expected.size]
        expected[: eigenvalues.size] = eigenvalues
        np.testing.assert_allclose(found.values[g], expected, atol=1e-8 * expected[0])


def test_vectors_are_orthonormal_and_values_fall() -> None:
    groups, dense = blocks(1, [30, 4, 50], [60, 8, 70], decades=6.0)
    found = low_rank(product(dense), groups, 25, np.random.default_rng(0))
    assert (np.diff(found.values, axis=1) <= 0).all()
    for g in range(3):
        at = slice(found.groups.pointer[g], found.groups.pointer[g + 1])
        u = found.vectors[at][:, found.values[g] > 0]
        np.testing.assert_allclose(u.T @ u, np.eye(u.shape[1]), atol=1e-9)
    assert found.complete.tolist() == [False, True, False]


def test_never_more_than_the_matrix_and_closer_with_every_call() -> None:
    groups, dense = blocks(2, [40, 25], [60, 30], decades=5.0)
    size = np.linalg.norm(dense, 2)
    left = []
    for calls in (1, 4, 9, 20, 40):
        rest = dense - as_dense(low_rank(product(dense), groups, calls, np.random.default_rng(3)))
        assert np.linalg.eigvalsh(rest)[0] > -1e-10 * size
        left.append(np.trace(rest))
    assert (np.diff(left) < 0).all()
    assert left[-1] < 0.01 * left[0]


def test_exact_on_what_is_given() -> None:
    groups, dense = blocks(4, [20, 1, 12], [40, 2, 0])
    given_ = [*np.random.default_rng(5).standard_normal((3, 2, 33)), np.zeros((2, 33))]
    found = low_rank(product(dense), groups, 3, np.random.default_rng(6), given_)
    assert found.calls == 7
    for v in given_:
        np.testing.assert_allclose(as_dense(found) @ v.ravel(), dense @ v.ravel(), atol=1e-9)


def test_equal_eigenvalues_are_all_found() -> None:
    """A Krylov space from one vector holds one vector of each eigenspace; here there are two eigenvalues."""
    groups, dense = blocks(7, [10, 6], [0, 0])
    at = groups.slot[groups.pointer[0] : groups.pointer[1]]
    dense[at[:4], at[:4]] = 3.0
    dense[at[4:7], at[4:7]] = 0.5
    found = low_rank(product(dense), groups, 16, np.random.default_rng(8))
    np.testing.assert_allclose(as_dense(found), dense, atol=1e-9)
    assert found.complete.tolist() == [True]
    assert found.calls < 16  # nothing was left to ask


def test_no_information_at_all_takes_one_call() -> None:
    groups, dense = blocks(9, [3, 2], [0, 0])
    told: list[tuple[int, int]] = []
    found = low_rank(
        product(dense), groups, 9, np.random.default_rng(0), checks=2, progress=lambda *a: told.append(a)
    )
    assert found.groups.label.size == 0
    assert (as_dense(found) == 0).all()
    assert told == [(1, 11)]


@pytest.mark.parametrize("checks", [1, 3])
def test_what_is_left_out_is_estimated_without_bias(checks: int) -> None:
    groups, dense = blocks(10, [40, 25, 3], [60, 30, 2], decades=3.0)
    errors, variances = [], []
    for seed in range(150):
        found = low_rank(product(dense), groups, 8, np.random.default_rng(seed), checks=checks)
        assert found.calls == 8 + checks
        rest = dense - as_dense(found)
        at = [groups.slot[groups.pointer[g] : groups.pointer[g + 1]] for g in range(3)]
        errors.append(found.left_out - [np.trace(rest[np.ix_(a, a)]) for a in at])
        variances.append(found.left_out_variance)
    mean, sd = np.mean(errors, axis=0), np.std(errors, axis=0)
    assert (np.abs(mean[:2]) < 4 * sd[:2] / np.sqrt(150)).all()
    assert abs(mean[2]) < 1e-9
    claimed = np.sqrt(np.mean(variances, axis=0))[:2]
    assert (claimed > 0.85 * sd[:2]).all()  # not too sure of itself
    assert (claimed < 1.5 * sd[:2]).all()  # nor useless


@pytest.mark.parametrize(("where", "sure"), [("data", 1e-4), ("image", 0.03)])
def test_inexact_products_do_no_harm(where: str, sure: float) -> None:
    """Errors of 1e-4 in J v, as of differences, or in the image: variances change little and hardly get too small."""
    groups, dense = blocks(11, [60, 30], [40, 20], decades=8.0)
    eigenvalues, vectors = np.linalg.eigh(dense)
    jacobian = (vectors * np.sqrt(np.maximum(eigenvalues, 0))).T
    rng = np.random.default_rng(2)

    def inexact(v: Float) -> Float:
        change = jacobian @ v.ravel()
        return (jacobian.T @ (change * (1 + 1e-4 * rng.standard_normal(change.size)))).reshape(v.shape)

    apply = inexact if where == "data" else product(dense, 1e-4)
    exact = variances(dense)
    for calls in (10, 30, 60):
        clean = variances(as_dense(low_rank(product(dense), groups, calls, np.random.default_rng(1))))
        noisy = variances(as_dense(low_rank(apply, groups, calls, np.random.default_rng(1))))
        assert (noisy > exact - sure).all()
        assert abs((noisy - clean).sum()) < 0.02 * (1 - exact).sum()


def test_refuses_products_that_are_not_finite() -> None:
    groups, dense = blocks(12, [3], [3])
    dense[0, 0] = np.nan
    with pytest.raises(ValueError, match="finite products"):
        low_rank(product(dense), groups, 2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="calls >= 1"):
        low_rank(product(dense), groups, 0, np.random.default_rng(0))
