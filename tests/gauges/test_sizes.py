"""Scores by the size of the river."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivercut.network import RiverNetwork
from rivergrad.gauges.sizes import WORST, has_area, river_size, scores_by_size, size_classes


@given(st.lists(st.floats(1.0, 1e12), min_size=1, max_size=80))
def test_thirds_hold_every_gauge_once(sizes: list[float]) -> None:
    size = np.array(sizes)
    classes = size_classes(size)
    thirds = [here for name, here in classes.items() if "third" in name]
    if size.size < 9:
        assert not classes
        return
    assert (np.sum(thirds, axis=0) == 1).all()
    if "largest tenth" in classes:
        assert size[classes["largest tenth"]].min() >= size[~classes["largest tenth"]].max()


def test_small_streams_do_not_hide_the_large_rivers() -> None:
    size = np.geomspace(1.0, 1e4, 40)
    unrouted = np.where(size > 3000, -1.5, 0.996)  # as it is on the largest tenth
    routed = np.full(40, 0.95)
    assert np.median(unrouted) > np.median(routed)
    found = scores_by_size({"nse_unrouted": unrouted, "nse_estimate": routed}, size, size)
    tenth = found["classes"][-1]
    assert (tenth["name"], tenth["gauges"]) == ("largest tenth", 4)
    assert tenth["nse_unrouted"] == -1.5
    assert tenth["nse_estimate"] == pytest.approx(0.95)
    assert found["by_flow"]["nse_unrouted"] < 0 < found["by_flow"]["nse_estimate"]


def test_a_gauge_without_a_score_or_a_flow_counts_for_nothing() -> None:
    score = np.array([0.5, np.nan, 0.7, -1e6])
    found = scores_by_size({"nse_estimate": score}, np.ones(4), np.array([1.0, 100.0, np.nan, 1.0]))
    assert found["classes"] == []
    assert found["by_flow"]["nse_estimate"] == pytest.approx((0.5 + WORST) / 2)


def test_size_is_the_area_or_else_the_number_of_reaches() -> None:
    ids, down = [1, 2, 3, 4], [2, 2, 3, -1]
    plain = RiverNetwork(ids, down, length=np.ones(4))
    assert not has_area(plain)
    assert river_size(plain).tolist() == [1, 1, 3, 4]
    area = np.array([5.0, 6.0, 20.0, 30.0])
    known = RiverNetwork(ids, down, length=np.ones(4), attributes={"upstream_area_m2": area})
    assert has_area(known)
    assert river_size(known).tolist() == area.tolist()
    half = RiverNetwork(
        ids, down, length=np.ones(4), attributes={"upstream_area_m2": np.append(area[:3], np.nan)}
    )
    assert river_size(half).tolist() == [1, 1, 3, 4]
