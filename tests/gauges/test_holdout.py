"""Who is held out: folds deal every gauge out once, and basins stay whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rivergrad.errors import InputError
from rivergrad.gauges.holdout import deal_folds, draw_basins

basins = st.lists(st.integers(0, 12), min_size=2, max_size=60).map(np.array)


@settings(max_examples=80, deadline=None)
@given(basin=basins, folds=st.integers(2, 6), seed=st.integers(0, 1000), named=st.floats(0, 0.4))
def test_basin_folds_partition_the_gauges_and_split_no_basin(
    basin: np.ndarray, folds: int, seed: int, named: float
) -> None:
    held_out = np.random.default_rng(seed).random(basin.size) < named
    left = np.unique(basin[~held_out])
    assume(left.size >= folds)
    fold = deal_folds(basin, held_out, folds, seed)
    assert set(fold[~held_out]) == set(range(1, folds + 1))  # no fold is empty, no gauge in none
    assert (fold[held_out] == 0).all()
    for one in left:
        assert np.unique(fold[(basin == one) & ~held_out]).size == 1
    # Dealt to the emptiest, largest first: no two folds differ by more than the largest group.
    sizes = np.bincount(fold[~held_out])[1:]
    assert np.ptp(sizes) <= np.bincount(basin[~held_out]).max()
    np.testing.assert_array_equal(fold, deal_folds(basin, held_out, folds, seed))


@settings(max_examples=40, deadline=None)
@given(count=st.integers(6, 80), folds=st.integers(2, 6), seed=st.integers(0, 1000))
def test_folds_of_single_gauges_differ_by_one_at_most(count: int, folds: int, seed: int) -> None:
    fold = deal_folds(np.arange(count), np.zeros(count, bool), folds, seed)
    sizes = np.bincount(fold, minlength=folds + 1)
    assert sizes[0] == 0
    assert np.ptp(sizes[1:]) <= 1


def test_the_seed_draws_the_folds() -> None:
    drawn = {tuple(deal_folds(np.arange(12), np.zeros(12, bool), 3, seed)) for seed in range(20)}
    assert len(drawn) == 20


def test_more_folds_than_basins() -> None:
    with pytest.raises(InputError, match=r"gauges\.folds: found 3 folds and 2 basins with gauges"):
        deal_folds(np.array([0, 0, 4, 4]), np.zeros(4, bool), 3, 0, "basins with gauges")


@settings(max_examples=80, deadline=None)
@given(basin=basins, share=st.floats(0.05, 0.95), seed=st.integers(0, 1000))
def test_whole_basins_are_held_out_near_the_share(basin: np.ndarray, share: float, seed: int) -> None:
    sizes = np.bincount(basin)
    assume(np.count_nonzero(sizes) > 1)
    wanted = round(share * basin.size)
    held = draw_basins(basin, np.zeros(basin.size, bool), wanted, seed)
    for one in np.unique(basin):
        assert np.unique(held[basin == one]).size == 1
    assert not held.all()
    # A basin is passed over only if it overshoots by more than is missing: the largest one is the most to be off.
    assert abs(int(held.sum()) - wanted) <= sizes.max()
    np.testing.assert_array_equal(held, draw_basins(basin, np.zeros(basin.size, bool), wanted, seed))


def test_the_share_is_met_exactly_where_basins_have_one_gauge() -> None:
    for wanted in range(9):
        assert draw_basins(np.arange(10), np.zeros(10, bool), wanted, 4).sum() == wanted


def test_gauges_held_out_by_name_count() -> None:
    named = np.arange(10) < 3
    held = draw_basins(np.arange(10), named, 5, 1)
    assert held[:3].all()
    assert held.sum() == 5
    np.testing.assert_array_equal(draw_basins(np.zeros(10, int), named, 3, 1), named)


def test_one_basin_cannot_be_left_out() -> None:
    with pytest.raises(InputError, match=r"holdout_by: found basin, and all 4 gauges in one basin"):
        draw_basins(np.zeros(4, int), np.zeros(4, bool), 1, 0)
