"""RiverNetwork: what it accepts, what it refuses and how it says so."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from rivercut.errors import InputError
from rivercut.network import RiverNetwork

IDS = [10, 20, 30, 40]
DOWN = [30, 30, -1, -1]


def network(**given: Any) -> RiverNetwork:
    arguments: dict[str, Any] = {
        "reach_id": IDS,
        "downstream_id": DOWN,
        "length": [1.0, 2.0, 3.0, 4.0],
    } | given
    return RiverNetwork.from_ids(**arguments)


def test_ids_become_positions() -> None:
    made = network(attributes={"slope": [0.1, 0.2, 0.3, 0.4], "is_lake": [True, False, False, False]})
    assert made.downstream.tolist() == [2, 2, -1, -1]
    assert (made.n_reaches, made.n_basins) == (4, 2)
    assert made.basin.tolist() == [0, 0, 0, 1]
    assert made.level.tolist() == [0, 0, 1, 0]
    assert made.outlets.tolist() == [2, 3]
    assert made.attributes["slope"].dtype == np.float64
    assert made.attributes["is_lake"].dtype == np.bool_


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"reach_id": [10, 20, 10, 20]}, "reach ids 10, 20 appear more than once"),
        ({"downstream_id": [10, 30, -1, -1]}, "reach ids 10 flow into themselves"),
        ({"downstream_id": [20, 30, 10, -1]}, "reach ids 10, 20, 30 form a cycle"),
        ({"downstream_id": [99, 30, -1, 7]}, "unknown downstream ids: 10 -> 99, 40 -> 7;"),
        ({"downstream_id": [np.nan, 30, -1, -1]}, "downstream_id of reach ids 10 is nan"),
        ({"downstream_id": [30.5, 30, -1, -1]}, "downstream_id of reach ids 10 is 30.5; expected an integer"),
        ({"reach_id": [-1, 20, 30, 40]}, "reach id -1 means an outlet"),
        ({"length": [1.0, np.nan, -3.0, 0.0]}, r"length of reach ids 20 \(nan m\), 30 \(-3 m\); expected"),
        ({"length": [0.0, 0.0, 0.0, 0.0]}, "length is 0 at every reach; expected metres, above 0 at most"),
        ({"length": [1.0]}, r"length has shape \(1,\); expected \(4,\)"),
        ({"downstream_id": [30]}, r"downstream_id has shape \(1,\)"),
        ({"attributes": {"slope": [1.0]}}, "attribute 'slope' has shape"),
        ({"attributes": {"name": ["a", "b", "c", "d"]}}, "attribute 'name' has type <U1; expected numbers"),
        ({"attributes": {"length": [1, 2, 3, 4]}}, "attribute 'length' has the name of a field"),
        ({"reach_id": np.array([1, 2, 3, 4], np.float32)}, "reach_id has type float32"),
    ],
)
def test_refusals_name_the_source_and_the_reaches(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^rivers.csv: .*{message}"):
        network(**given, source="rivers.csv")


def test_a_long_list_of_ids_is_cut_short() -> None:
    with pytest.raises(InputError, match=r"ids 0, 1, 2, 3, 4 and 95 more flow into themselves"):
        RiverNetwork(np.arange(100), np.arange(100))


def test_a_cycle_is_named_without_the_reaches_that_enter_it() -> None:
    with pytest.raises(InputError, match="reach ids 3, 4 form a cycle"):
        RiverNetwork.from_ids([1, 2, 3, 4, 5], [2, 3, 4, 3, -1])


def test_positions_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match=r"reach ids 7 -> 2, 8 -> -2; expected -1 to 1"):
        RiverNetwork(np.array([7, 8]), np.array([2, -2]))


def test_outlet_values_and_cut_outs_are_the_callers_choice() -> None:
    assert network(downstream_id=[30, 30, 0, 0], outlet_values=(0,)).n_basins == 2
    assert network(downstream_id=[30, 30, 99, -1], unknown_downstream="outlet").downstream[2] == -1
    with pytest.raises(InputError, match="30 -> 0"):
        network(downstream_id=[30, 30, 0, -1])


def test_large_ids_survive() -> None:
    ids = np.array([2**60 + 1, 2**60 + 2, 2**60 + 3])
    made = RiverNetwork.from_ids(ids, [2**60 + 3, 2**60 + 3, -1])
    assert made.downstream.tolist() == [2, 2, -1]
    assert made.positions([2**60 + 2]).tolist() == [1]


def test_positions_follow_the_ids_given_and_name_the_missing() -> None:
    made = network()
    assert made.positions([40, 10, 40]).tolist() == [3, 0, 3]
    with pytest.raises(InputError, match="unknown gauge ids 5, 99;"):
        made.positions([10, 5, 99], "gauge")


def test_arrays_cannot_be_changed_from_inside_or_outside() -> None:
    length = np.array([1.0, 2.0, 3.0, 4.0])
    slope = np.ones(4)
    made = network(length=length, attributes={"slope": slope})
    length[0], slope[0] = -1.0, -1.0
    assert made.length is not None
    assert made.length[0] == 1.0
    assert made.attributes["slope"][0] == 1.0
    for array in (
        made.reach_id,
        made.downstream,
        made.length,
        made.attributes["slope"],
        made.order,
        made.basin,
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(AttributeError):
        made.length = length  # type: ignore[misc]
    with pytest.raises(TypeError):
        made.attributes["slope"] = slope  # type: ignore[index]


def test_pickle_sends_the_fields_alone_and_brings_them_back() -> None:
    made = RiverNetwork(np.arange(10_000), np.append(np.arange(1, 10_000), -1), np.ones(10_000))
    bare = len(pickle.dumps(made))
    assert made.level.max() == 9_999
    assert made.positions([3]).tolist() == [3]
    sent = pickle.dumps(made)
    assert len(sent) == bare < 3 * 8 * 10_000 + 2_000
    back = pickle.loads(sent)
    np.testing.assert_array_equal(back.downstream, made.downstream)
    np.testing.assert_array_equal(back.order, made.order)
    with pytest.raises(ValueError, match="read-only"):
        back.reach_id[0] = 5


def test_subset_keeps_order_and_makes_outlets_where_it_cuts() -> None:
    part = network(attributes={"slope": [0.1, 0.2, 0.3, 0.4]}).subset([3, 1, 0])
    assert part.reach_id.tolist() == [40, 20, 10]
    assert part.downstream.tolist() == [-1, -1, -1]
    assert part.attributes["slope"].tolist() == [0.4, 0.2, 0.1]
    assert network().subset([2, 0]).downstream.tolist() == [-1, 0]
    with pytest.raises(InputError, match="positions 4 are out of range"):
        network().subset([0, 4])
    with pytest.raises(InputError, match="reach ids 10 appear more than once"):
        network().subset([0, 0])


def test_a_network_may_be_empty_and_may_lack_lengths() -> None:
    empty = RiverNetwork.from_ids([], [])
    assert (empty.n_reaches, empty.n_basins, empty.order.size) == (0, 0, 0)
    assert network(length=None).length is None
