"""The linear-time algorithms, against counting by hand and by walking."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rivercut import graph
from rivercut.errors import InputError

# 0 and 1 join at 2, which flows through 4 to the sea with 3; 5 is alone.
SMALL = np.array([2, 2, 4, 4, -1, -1])


def random_forest(n: int, seed: int) -> NDArray[np.int64]:
    """A forest whose positions are in no particular order."""
    random = np.random.default_rng(seed)
    downstream = np.array([-1, *(int(random.integers(-1, i)) for i in range(1, n))])
    name = random.permutation(n)
    shuffled = np.empty(n, np.int64)
    shuffled[name] = np.where(downstream < 0, -1, name[downstream])
    return shuffled


def test_small_network_by_hand() -> None:
    order = graph.topological_order(SMALL)
    assert order.tolist() == [0, 1, 3, 5, 2, 4]
    assert graph.levels(SMALL, order).tolist() == [0, 0, 1, 0, 2, 0]
    assert graph.basins(SMALL, order).tolist() == [0, 0, 0, 0, 0, 1]
    assert graph.upstream_count(SMALL, order).tolist() == [1, 1, 3, 1, 5, 1]


@pytest.mark.parametrize("seed", range(3))
def test_every_reach_comes_before_its_downstream_reach(seed: int) -> None:
    downstream = random_forest(500, seed)
    order = graph.topological_order(downstream)
    assert sorted(order) == list(range(500))
    rank = np.argsort(order)
    inner = downstream >= 0
    assert (rank[inner] < rank[downstream[inner]]).all()


@pytest.mark.parametrize("seed", range(3))
def test_accumulate_conserves_and_equals_a_walk(seed: int) -> None:
    downstream = random_forest(200, seed)
    order = graph.topological_order(downstream)
    values = np.random.default_rng(seed).normal(size=(200, 3))
    walked = np.zeros_like(values)
    for i in range(200):
        at = i
        while at >= 0:
            walked[at] += values[i]
            at = downstream[at]
    np.testing.assert_allclose(graph.accumulate(downstream, order, values), walked, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(
        graph.accumulate(downstream, order, values[:, 1]), graph.accumulate(downstream, order, values)[:, 1]
    )
    assert graph.upstream_count(downstream, order)[downstream < 0].sum() == 200


def test_accumulate_leaves_its_input_and_keeps_whole_numbers_whole() -> None:
    order = graph.topological_order(SMALL)
    values = np.full(6, 2**53 + 1)  # float64 would lose the 1
    total = graph.accumulate(SMALL, order, values)
    assert total.dtype == np.int64
    assert total[4] == 5 * (2**53 + 1)
    assert (values == 2**53 + 1).all()
    assert graph.accumulate(SMALL, order, np.ones(6, np.float32)).dtype == np.float64


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_any_integer_type_gives_the_same(dtype: type[np.signedinteger]) -> None:
    downstream = SMALL.astype(dtype)
    order = graph.topological_order(downstream)
    assert order.dtype == np.int64
    assert graph.basins(downstream, order.astype(dtype)).tolist() == [0, 0, 0, 0, 0, 1]


def test_a_cycle_is_found_and_named() -> None:
    with pytest.raises(InputError, match="cycle through positions 1, 2, 3;"):
        graph.topological_order([1, 2, 3, 1, -1])
    order, cycle = graph.order_or_cycle([1, 2, 3, 1, -1])
    assert sorted(order) == [0, 4]
    assert cycle.tolist() == [1, 2, 3]


def test_accumulate_names_the_shape_it_wants() -> None:
    with pytest.raises(InputError, match=r"n = 6, got shape \(5,\)"):
        graph.accumulate(SMALL, graph.topological_order(SMALL), np.ones(5))


def test_an_empty_network_has_empty_answers() -> None:
    order = graph.topological_order([])
    assert order.size == graph.levels([], order).size == graph.basins([], order).size == 0
    assert graph.accumulate([], order, np.ones((0, 3))).shape == (0, 3)
