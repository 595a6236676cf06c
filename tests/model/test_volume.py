"""The volume error of the runoff: increment areas of gauges, broken lines, factors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_rivers import forests
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.model.layout import VOLUME, Layout
from rivergrad.model.volume import VolumeModel, increment_areas, make_volume

Int = NDArray[np.int64]


def network(downstream: Int) -> RiverNetwork:
    ids = 10 + np.arange(downstream.size)
    return RiverNetwork.from_ids(
        ids, np.where(downstream >= 0, 10 + downstream, -1), np.ones(downstream.size)
    )


class TestIncrementAreas:
    def test_a_tree_drawn_by_hand(self) -> None:
        """
        0   1           7
         \\ /            |
          2   3         8
           \\ /
            4 ← gauge B (1)
            |
            5   with gauge A (0) on reach 2
            |
            6
        """
        down = np.array([2, 2, 4, 4, 5, 6, -1, 8, -1])
        assert increment_areas(network(down), np.array([2, 4])).tolist() == [0, 0, 0, 1, 1, -1, -1, -1, -1]
        assert increment_areas(network(down), np.array([4, 2])).tolist() == [1, 1, 1, 0, 0, -1, -1, -1, -1]
        assert increment_areas(network(down), np.array([6])).tolist() == [0] * 7 + [-1, -1]
        assert increment_areas(network(down), np.array([], np.int64)).tolist() == [-1] * 9

    def test_of_two_gauges_on_one_reach_the_first_counts(self) -> None:
        down = np.array([1, 2, -1])
        assert increment_areas(network(down), np.array([1, 1, 2])).tolist() == [0, 0, 2]
        assert increment_areas(network(down), np.array([2, 1, 1])).tolist() == [1, 1, 0]

    @settings(max_examples=100, deadline=None)
    @given(downstream=forests(), seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    def test_nearest_gauge_downstream(self, downstream: Int, seed: int, share: float) -> None:
        rng = np.random.default_rng(seed)
        reaches = rng.permutation(np.flatnonzero(rng.random(downstream.size) < share))
        found = increment_areas(network(downstream), reaches)
        at = {int(reach): gauge for gauge, reach in enumerate(reaches)}
        for i in range(downstream.size):
            walk = i
            while walk >= 0 and walk not in at:
                walk = int(downstream[walk])
            assert found[i] == at.get(walk, -1)


def lines(knots: int, areas: int = 2) -> VolumeModel:
    return VolumeModel(areas, first=10, last=50, knots=knots, sd=0.3)


@settings(max_examples=50, deadline=None)
@given(knots=st.integers(1, 9), steps=st.lists(st.integers(-100, 200), min_size=1, max_size=20))
def test_weights_of_knots_sum_to_one(knots: int, steps: list[int]) -> None:
    weights = lines(knots).weights(torch.tensor(steps))
    assert weights.shape == (len(steps), knots)
    assert bool((weights >= 0).all())
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(len(steps), dtype=torch.float64))
    assert int((weights > 0).sum(dim=1).max()) <= 2


def test_at_a_knot_a_line_has_its_value_and_between_it_is_straight() -> None:
    one = lines(5)
    values = torch.tensor([0.3, -0.2, 0.0, 0.7, 0.1], dtype=torch.float64)
    at = one.weights(torch.tensor([10, 20, 30, 40, 50])) @ values
    torch.testing.assert_close(at, values)
    inside = one.weights(torch.arange(10, 51)) @ values
    np.testing.assert_allclose(
        inside, np.interp(np.arange(10, 51), [10, 20, 30, 40, 50], values.numpy()), atol=1e-12
    )


def test_constant_beyond_the_ends() -> None:
    values = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)
    outside = lines(3).weights(torch.tensor([-50, 0, 9, 51, 400])) @ values
    assert outside.tolist() == [0.3, 0.3, 0.3, 0.5, 0.5]


def test_factors() -> None:
    one = lines(3)
    values = torch.tensor([[0.3, -0.2, 0.5], [0.0, 0.0, 0.1]], dtype=torch.float64)
    area = torch.tensor([1, -1, 0, 0, -1])
    factor = one.factor(values, area, 10, 51)
    assert factor.shape == (41, 5)
    assert bool((factor[:, [1, 4]] == 1).all())  # outside every area, exactly
    torch.testing.assert_close(factor[[0, 20, 40], 2], torch.exp(values[0]))
    torch.testing.assert_close(factor[[0, 20, 40], 0], torch.exp(values[1]))
    torch.testing.assert_close(factor[:, 2], factor[:, 3])
    assert bool((one.factor(torch.zeros(2, 3, dtype=torch.float64), area, -5, 60) == 1).all())
    # a window is a part of the record
    torch.testing.assert_close(one.factor(values, area, 17, 29), factor[7:19])


def test_gradient_of_the_factors() -> None:
    values = torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.3
    area = torch.tensor([0, 1, -1])
    assert torch.autograd.gradcheck(
        lambda v: lines(4).factor(v, area, 0, 60), (values.requires_grad_(),), fast_mode=False
    )


@pytest.mark.parametrize(
    ("spacing", "knots"), [(40.0, 2), (20.0, 3), (15.0, 4), (39.0, 2), (41.0, 1), (1e9, 1), (1.0, 41)]
)
def test_knots_lie_about_as_far_apart_as_asked(spacing: float, knots: int) -> None:
    one = make_volume(3, 10, 50, spacing, 0.2)
    if spacing != 40.0:  # as long as the whole: one line or one constant
        assert one.knots == knots
    assert one.layout == Layout.of({VOLUME: (3, one.knots)})
    assert (one.first, one.last, one.sd) == (10, 50, 0.2)
