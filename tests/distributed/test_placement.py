"""Parts go to workers by weight, the same way every time; what does not fit is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivergrad.distributed.placement import check_room, place_parts, worker_order
from rivergrad.errors import InputError


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=60), st.integers(1, 12))
def test_longest_first(weights: list[int], workers: int) -> None:
    home = place_parts(weights, workers)
    load = np.bincount(home, weights, minlength=workers)
    assert load.sum() == sum(weights)
    # the last part that the fullest worker got was given to it when it had least: at most the mean of the others
    assert load.max() <= (sum(weights) - max(weights)) / workers + max(weights) + 1e-9
    assert np.count_nonzero(load) == min(workers, len(weights))
    assert np.array_equal(home, place_parts(weights, workers))


def test_by_hand() -> None:
    assert place_parts([5, 1, 4, 3, 3], 2).tolist() == [0, 1, 1, 1, 0]  # 5+3, 4+3+1
    assert place_parts([2, 2, 2, 2], 2).tolist() == [0, 1, 0, 1]  # equals in order
    assert place_parts([1, 9, 4], 3).tolist() == [0, 1, 2]  # one each


def test_workers_in_the_order_of_their_names() -> None:
    names = {"tcp://c": "w-10", "tcp://b": "w-9", "tcp://a": 11, "tcp://d": 2}
    assert worker_order({address: {"name": name} for address, name in names.items()}) == [
        *("tcp://d", "tcp://a", "tcp://b", "tcp://c")
    ]


def test_a_part_without_room() -> None:
    home = np.array([0, 1, 1])
    needed = np.array([3, 2, 4]) * 10**9
    one_host = [("here", 10 * 10**9), ("here", 9 * 10**9)]
    check_room(needed, home, one_host, "cpu")
    with pytest.raises(
        InputError, match=r"part 2 needs 4 GB .* other 2 parts of its machine 9 GB; .* is 8.5 GB"
    ):
        check_room(needed, home, [("here", 10 * 10**9), ("here", 85 * 10**8)], "cpu")
    check_room(needed, home, [("here", 5 * 10**9), ("there", 7 * 10**9)], "cpu")
    with pytest.raises(
        InputError, match=r"part 2 needs 4 GB .* other 1 parts of its worker 6 GB; the GPU memory"
    ):
        check_room(needed, home, [("here", 5 * 10**9), ("here", 5 * 10**9)], "cuda")
