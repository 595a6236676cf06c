"""Carving: chains, stars and weights; random forests are in test_properties."""

from __future__ import annotations

import numpy as np
import pytest

from rivercut import graph
from rivercut.carve import carve
from rivercut.errors import InputError


def test_a_chain_of_3000_becomes_equal_pieces() -> None:
    downstream = np.append(np.arange(1, 3000), -1)
    block = carve(downstream, graph.topological_order(downstream), np.ones(3000), 100)
    assert np.bincount(block).tolist() == [100] * 30
    assert (np.diff(block) >= 0).all()


def test_a_star_keeps_as_many_as_fit_and_no_block_is_split_without_need() -> None:
    downstream = np.array([-1] + [0] * 150)
    order = graph.topological_order(downstream)
    assert carve(downstream, order, np.ones(151), 151).max() == 0
    block = carve(downstream, order, np.ones(151), 100)
    assert np.bincount(block).max() == 100
    assert block.max() + 1 == 52  # the hub with 99, and 51 that nothing connects but the hub


def test_the_heaviest_piece_is_cut_first() -> None:
    # Two reaches enter the outlet: one has 8 more upstream, the other 3. Without the heavier the rest fits.
    downstream = np.array([-1, 0, 0, *([1] * 8), *([2] * 3)])
    block = carve(downstream, graph.topological_order(downstream), np.ones(14), 9)
    assert np.bincount(block).tolist() == [9, 5]
    assert block[1] == 0


def test_one_overweight_reach_is_a_block_of_its_own() -> None:
    downstream = np.array([1, 2, 3, -1])
    block = carve(downstream, graph.topological_order(downstream), [1.0, 50.0, 1.0, 1.0], 3.0)
    assert block.tolist() == [0, 1, 2, 2]


def test_no_block_crosses_a_label() -> None:
    downstream = np.append(np.arange(1, 10), -1)
    block = carve(
        downstream, graph.topological_order(downstream), np.ones(10), np.inf, within=[0] * 4 + [1] * 6
    )
    assert block.tolist() == [0] * 4 + [1] * 6


@pytest.mark.parametrize(
    ("weight", "most", "message"),
    [
        ([1.0, np.nan], 1.0, "weight at positions 1 is nan"),
        ([-1.0, 1.0], 1.0, "weight at positions 0 is -1"),
        ([1.0], 1.0, r"weight has shape \(1,\)"),
        ([1.0, 1.0], 0.0, "max_weight is 0.0; expected a positive number"),
        ([1.0, 1.0], np.nan, "max_weight is nan"),
    ],
)
def test_bad_weights_are_named(weight: list[float], most: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        carve([1, -1], [0, 1], weight, most)
