"""What is said of an estimate before its map is used; nothing is said of one that is as it should be."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import rivergrad as rg
from rivercut import graph
from rivergrad.gauges.delays import mean_distance, storage_delays, unexplained_delay
from rivergrad.routing.reported import Report
from rivergrad.run.cautions import Estimated, cautions

Float = NDArray[np.float64]
N, DAYS, DAY = 120, 500, 86400.0


def stored(runoff: Float, days: float) -> Float:
    """A linear storage, by explicit steps of a hundredth of a day."""
    store, found = days * runoff[0], np.zeros_like(runoff)
    for t, inflow in enumerate(runoff):
        for _ in range(100):
            out = store / days
            found[t] += out / 100
            store = store + (inflow - out) / 100
    return found


@pytest.fixture(scope="module")
def twin() -> dict[str, Any]:
    """A tree with gauges, the runoff, and discharge with and without two days on the hillslopes."""
    rng = np.random.default_rng(3)
    down = np.array([-1] + [max(0, i - 1 - int(rng.geometric(0.35))) for i in range(1, N)])
    network = rg.RiverNetwork(np.arange(1, N + 1), down, length=rng.uniform(4000.0, 12000.0, N))
    runoff = rng.exponential(1.0, (DAYS, 1)) * (rng.random((DAYS, 1)) < 0.2) + 0.2 * rng.gamma(
        1.0, 1.0, (DAYS, N)
    )
    gauges = np.sort(rng.permutation(N)[:24])
    k = torch.from_numpy(np.asarray(network.length) / np.exp(rng.normal(0.0, 0.3, N)))
    router = rg.Router(network, "linear_storage", forcing_step=DAY, routing_step=3600.0, dtype=torch.float64)

    def routed(lateral: Float) -> Float:
        found: Float = router(torch.from_numpy(lateral), {"tau": k})[0].numpy()[:, gauges]
        return found

    unrouted = graph.accumulate(network.downstream, network.order, np.ascontiguousarray(runoff.T)).T[
        :, gauges
    ]
    return {
        "network": network,
        "gauges": gauges,
        "unrouted": unrouted,
        "discharge": routed(runoff),
        "late": routed(stored(runoff, 2.0)),
    }


def estimated(twin: dict[str, Any], observed: Float, **changes: Any) -> Estimated:
    inputs: Any = SimpleNamespace(
        network=twin["network"],
        observations=SimpleNamespace(gauge=np.array([f"G{g}" for g in twin["gauges"]]), reach=twin["gauges"]),
        observed=observed,
        compared=slice,
        report=Report(),
        runoff=SimpleNamespace(step=DAY, time=np.arange(DAYS)),
        runoff_is_given=True,
    )
    found = Estimated(
        inputs=inputs,
        trains=np.ones(24, bool),
        informed=np.ones(N, bool),
        celerity=np.exp(np.random.default_rng(1).normal(0.0, 0.3, N)),
        bounds=(0.05, 5.0),
        discharge={"estimate": observed, "unrouted": twin["unrouted"]},
        start=60,
        hillslope=False,
        lakes=False,
        seed=1,
    )
    return replace(found, **changes)


def test_nothing_is_said_of_a_good_estimate(twin: dict[str, Any]) -> None:
    assert cautions(estimated(twin, twin["discharge"])) == []


def test_a_hillslope_delay_that_the_channels_absorbed(twin: dict[str, Any]) -> None:
    (said,) = cautions(estimated(twin, twin["late"]))
    assert "Try a hillslope stage" in said
    assert cautions(estimated(twin, twin["late"], hillslope=True)) == []
    delay = storage_delays(twin["late"][60:], twin["unrouted"][60:]) * DAY
    distance = mean_distance(twin["network"], np.ones(N))[twin["gauges"]]
    found = unexplained_delay(delay, distance, 1)
    assert found is not None
    assert 1.5 * DAY < found.delay < 2.2 * DAY  # celerity is uniform here, and taken to grow downstream
    assert found.low < found.delay < found.high
    assert unexplained_delay(delay[:5], distance[:5], 1) is None
    assert unexplained_delay(delay, np.full(24, 7.0), 1) is None


def test_mean_distance_by_hand() -> None:
    network = rg.RiverNetwork([1, 2, 3], [2, 2, -1], length=np.array([10.0, 30.0, 5.0]))
    np.testing.assert_allclose(mean_distance(network, np.array([1.0, 3.0, 0.0])), [10, 30, 5 + 100 / 4])
    np.testing.assert_allclose(mean_distance(network, np.zeros(3)), [10, 30, (15 + 35 + 5) / 3])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"celerity": np.where(np.arange(N) < 3, 0.05, 1.0)},
            "3 of 120 celerities (2.5 %) lie at the bound of 0.05",
        ),
        (
            {"celerity": np.where(np.arange(N) < 2, 4.99, 1.0)},
            "2 of 120 celerities (1.7 %) lie at the bound of 5",
        ),
        (
            {"celerity": np.where(np.arange(N) < 20, 0.07, 1.0)},
            "20 of 120 celerities are below 0.1 or above 6",
        ),
        ({"trains": np.arange(24) < 9}, "Few gauges: 9 for 120 reaches"),
    ],
)
def test_a_caution(twin: dict[str, Any], changes: dict[str, Any], said: str) -> None:
    (found,) = cautions(estimated(twin, twin["discharge"], **changes))
    assert said in found


def test_bounds_of_reaches_that_no_gauge_sees_are_not_told(twin: dict[str, Any]) -> None:
    celerity = np.where(np.arange(N) < 3, 0.05, 1.0)
    assert cautions(estimated(twin, twin["discharge"], celerity=celerity, informed=np.arange(N) >= 3)) == []


def test_negative_flow(twin: dict[str, Any]) -> None:
    flow = twin["discharge"].copy()
    mean = flow[60:, 4].mean()
    for depth, count in ((0.009, 0), (0.02, 1)):
        flow[100, 4] = -depth * mean
        found = cautions(
            estimated(twin, twin["discharge"], discharge={"estimate": flow, "unrouted": twin["unrouted"]})
        )
        assert len(found) == count
    assert f"at 1 gauges (G{twin['gauges'][4]})" in found[0]
    flow[100, 4], flow[10, 4] = 1.0, -1e9  # in the warm-up, which counts for nothing
    given = {"estimate": flow, "unrouted": twin["unrouted"]}
    assert cautions(estimated(twin, twin["discharge"], discharge=given)) == []


def test_runoff_with_another_volume(twin: dict[str, Any]) -> None:
    given = {"estimate": twin["discharge"], "unrouted": 2 * twin["unrouted"]}
    (said,) = cautions(estimated(twin, twin["discharge"], discharge=given))
    assert said.startswith("Runoff has 2 times the observed volume in the median")


def test_gauges_below_lakes(twin: dict[str, Any]) -> None:
    lake = np.zeros(N)
    lake[twin["gauges"][5]] = 1
    network = replace(twin["network"], attributes={"is_lake": lake})
    twin = {**twin, "network": network}
    (said,) = cautions(estimated(twin, twin["discharge"]))
    assert "of 24 training gauges lie below lakes" in said
    assert cautions(estimated(twin, twin["discharge"], lakes=True)) == []
