"""Low-rank approximation by blocks against dense eigenvalues."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rivergrad.inference.lowrank import Groups, LowRank, eigen_columns

Float = np.ndarray
checked = settings(max_examples=50, deadline=None, derandomize=True, database=None)


def as_dense(found: LowRank) -> Float:
    slot, n = found.groups.slot, found.groups.shape[0] * found.groups.shape[1]
    out = np.zeros((n, n))
    out[:, slot] = found.groups.unpack(found.apply(np.eye(slot.size))).reshape(slot.size, n).T
    return out


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
def test_columns_of_any_number_are_a_matrix_of_that_rank(shapes: list[tuple[int, int]], seed: int) -> None:
    """B Bᵀ of a dense B, block by block, as eigenvalues and orthonormal vectors."""
    sizes, ranks = [s for s, _ in shapes], np.array([min(r, 2 * s) for s, r in shapes])
    rng = np.random.default_rng(seed)
    groups = Groups.of(rng.permutation(np.repeat(np.arange(len(sizes)), sizes)), 2)
    columns = np.zeros((groups.slot.size, int(ranks.max(initial=0))))
    dense = np.zeros((groups.slot.size, groups.slot.size))
    for g, rank in enumerate(ranks):
        at = slice(groups.pointer[g], groups.pointer[g + 1])
        columns[at, :rank] = rng.standard_normal((groups.size[g], rank))
        slots = groups.slot[at]
        dense[np.ix_(slots, slots)] = columns[at] @ columns[at].T
    values, vectors = eigen_columns(columns.copy(), groups, ranks)
    nothing = np.zeros(groups.label.size)
    found = LowRank(groups, values, vectors, nothing == 0, nothing, nothing, 0)
    np.testing.assert_allclose(as_dense(found), dense, atol=1e-8 * max(1.0, np.abs(dense).max()))
    assert (np.diff(values, axis=1) <= 0).all()
    for g in range(groups.label.size):
        u = vectors[groups.pointer[g] : groups.pointer[g + 1]][:, values[g] > 1e-6]
        np.testing.assert_allclose(u.T @ u, np.eye(u.shape[1]), atol=1e-6)
