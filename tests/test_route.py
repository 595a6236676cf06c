"""`rivergrad.route` with tensors, arrays and DataArrays: one answer, and one line where something is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

import rivergrad as rg

NETWORK = rg.RiverNetwork.from_ids([11, 5, 7, 2], [7, 7, 2, -1], length=[9e3, 7e3, 12e3, 20e3])
RUNOFF = np.random.default_rng(1).gamma(0.5, 4.0, (40, 4))
STEPS: dict[str, Any] = {"forcing_step": "1d", "routing_step": "1h"}
K = np.asarray(NETWORK.length) / 0.7


def tensors() -> torch.Tensor:
    given = {"k": torch.from_numpy(K), "x": torch.full((4,), 0.2, dtype=torch.float64)}
    return rg.route(NETWORK, torch.from_numpy(RUNOFF), given, forcing_step=86400, routing_step=3600)


def labelled(order: tuple[int, ...] = (2, 0, 3, 1)) -> xr.DataArray:
    """In another order of reaches, and with the time last."""
    at = list(order)
    times = pd.date_range("2001-01-01", periods=40)
    coords = {"time": times, "reach_id": ("river", NETWORK.reach_id[at])}
    return xr.DataArray(RUNOFF[:, at].T, dims=("river", "time"), coords=coords)


def test_arrays_numbers_and_text() -> None:
    expected = tensors().numpy()
    for given in (
        {"k": K, "x": 0.2},
        {"k": torch.from_numpy(K), "x": torch.tensor(0.2, dtype=torch.float64)},
    ):
        found = rg.route(NETWORK, RUNOFF, given, **STEPS)
        assert isinstance(found, np.ndarray)
        np.testing.assert_array_equal(found, expected)
    by_speed = rg.route(NETWORK, RUNOFF, celerity=0.7, **STEPS)
    np.testing.assert_array_equal(by_speed, expected)
    assert rg.route(NETWORK, RUNOFF.astype(np.float32), celerity=0.7, **STEPS).dtype == np.float32
    assert rg.route(NETWORK, np.ones((5, 4), int), celerity=0.7, **STEPS).dtype == np.float64


def test_a_data_array_is_matched_by_reach_id() -> None:
    found = rg.route(NETWORK, labelled(), {"k": K, "x": 0.2}, routing_step="1h")
    assert isinstance(found, xr.DataArray)
    assert found.attrs["units"] == "m3 s-1"
    assert found["reach_id"].values.tolist() == NETWORK.reach_id.tolist()
    assert found.dims == ("time", "river")
    np.testing.assert_array_equal(found["time"], labelled()["time"])
    np.testing.assert_array_equal(found.to_numpy(), tensors().numpy())
    k = xr.DataArray(K[[3, 1, 0, 2]], dims="n", coords={"reach_id": ("n", NETWORK.reach_id[[3, 1, 0, 2]])})
    again = rg.route(NETWORK, labelled((3, 2, 1, 0)), {"k": k, "x": 0.2}, routing_step="1h", targets=[2])
    np.testing.assert_array_equal(again.to_numpy(), tensors().numpy()[:, [2]])
    assert again["reach_id"].values.tolist() == [7]


def test_state_and_gradient() -> None:
    whole = rg.route(NETWORK, RUNOFF, celerity=0.7, **STEPS)
    first, state = rg.route(NETWORK, RUNOFF[:15], celerity=0.7, return_state=True, **STEPS)
    second = rg.route(NETWORK, RUNOFF[15:], celerity=0.7, state=state, **STEPS)
    np.testing.assert_allclose(np.concatenate([first, second]), whole, rtol=1e-12)
    celerity = torch.full((4,), 0.7, dtype=torch.float64, requires_grad=True)
    rg.route(NETWORK, torch.from_numpy(RUNOFF), celerity=celerity, **STEPS).pow(2).sum().backward()
    assert celerity.grad is not None
    assert (celerity.grad != 0).all()


def change(position: tuple[int, ...], value: float) -> np.ndarray:
    values = RUNOFF.copy()
    values[position] = value
    return values


LATE = labelled()["time"].values[[*range(39), 39]] + np.where(np.arange(40) > 20, np.timedelta64(1, "h"), 0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: rg.route(NETWORK, change((3, 2), np.nan), celerity=1.0, **STEPS),
            "nan at step 3 of reach id 7",
        ),
        (
            lambda: rg.route(NETWORK, change((0, 1), np.inf), celerity=1.0, **STEPS),
            "inf at step 0 of reach id 5",
        ),
        (lambda: rg.route(NETWORK, RUNOFF[:, :3], celerity=1.0, **STEPS), r"the shape \(40, 3\)"),
        (lambda: rg.route(NETWORK, RUNOFF[0], celerity=1.0, **STEPS), r"the shape \(4,\)"),
        (lambda: rg.route(NETWORK, RUNOFF.astype(str), celerity=1.0, **STEPS), "expected numbers, m³/s"),
        (lambda: rg.route(NETWORK, RUNOFF, celerity=1.0, routing_step="1h"), "found no forcing_step"),
        (
            lambda: rg.route(NETWORK, RUNOFF, celerity=1.0, forcing_step="1d", routing_step=0),
            "longer than 0s",
        ),
        (lambda: rg.route(NETWORK, RUNOFF, **STEPS), "found neither of parameters and celerity"),
        (lambda: rg.route(NETWORK, RUNOFF, {"k": 1.0}, celerity=1.0, **STEPS), "found both"),
        (
            lambda: rg.route(NETWORK, RUNOFF, celerity=0.0, **STEPS),
            "found 0.0 at reach id 11; expected m/s above 0",
        ),
        (
            lambda: rg.route(NETWORK, RUNOFF, celerity=1.0, spreading=0.1, scheme="pure_lag", **STEPS),
            "has none beside",
        ),
        (
            lambda: rg.route(NETWORK, labelled().isel(river=[0, 1, 2]), celerity=1.0, routing_step="1h"),
            "no values of reach ids 5",
        ),
        (
            lambda: rg.route(
                NETWORK, labelled().isel(river=[0, 1, 2, 2, 3]), celerity=1.0, routing_step="1h"
            ),
            "reach ids 2 twice",
        ),
        (
            lambda: rg.route(NETWORK, labelled().drop_vars("reach_id"), celerity=1.0, routing_step="1h"),
            "expected reach_id along a dimension",
        ),
        (
            lambda: rg.route(NETWORK, labelled().assign_coords(time=LATE), celerity=1.0, routing_step="1h"),
            "expected two or more in equal steps",
        ),
        (
            lambda: rg.route(NETWORK, labelled().drop_vars("time"), celerity=1.0, routing_step="1h"),
            "no dates along time",
        ),
        (
            lambda: rg.route(
                rg.RiverNetwork.from_ids([1, 2], [2, -1]), np.ones((4, 2)), celerity=1.0, **STEPS
            ),
            "has no lengths",
        ),
    ],
)
def test_a_mistake_is_one_line(call: Any, said: str) -> None:
    with pytest.raises(rg.InputError, match=said) as error:
        call()
    assert "\n" not in str(error.value)
