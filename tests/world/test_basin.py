"""A basin of one outlet: all of it drains there, by long rivers, the same each time."""

from __future__ import annotations

import numpy as np
import pytest

from rivercut import graph
from rivergrad.world.basin import one_basin


@pytest.mark.parametrize("reaches", [2, 5, 400])
def test_all_reaches_drain_to_one_outlet_and_rivers_are_long(reaches: int) -> None:
    network = one_basin(reaches, seed=3)
    assert network.n_reaches == reaches
    assert np.flatnonzero(network.downstream < 0).tolist() == [0]
    count = graph.accumulate(network.downstream, network.order, np.ones(reaches))
    assert count[0] == reaches
    steps = np.zeros(reaches)
    for i in network.order[::-1]:
        if network.downstream[i] >= 0:
            steps[i] = steps[network.downstream[i]] + 1
    assert steps.max() >= 0.8 * (reaches**0.5 - 1)
    upstream = network.attributes["upstream_area_m2"]
    assert upstream[0] == pytest.approx(network.attributes["area_m2"].sum())


def test_equal_seeds_give_equal_basins_and_slopes_fall_downstream() -> None:
    one, other, third = one_basin(300, 1), one_basin(300, 1), one_basin(300, 2)
    assert np.array_equal(one.downstream, other.downstream)
    assert np.array_equal(one.attributes["slope"], other.attributes["slope"])
    assert not np.array_equal(one.downstream, third.downstream)
    large = one.attributes["upstream_area_m2"] > np.quantile(one.attributes["upstream_area_m2"], 0.9)
    assert np.median(one.attributes["slope"][large]) < 0.5 * np.median(one.attributes["slope"][~large])
