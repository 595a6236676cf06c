"""Runoff and discharge as xarray's arrays: matched by reach id, with steps from their time axis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError, ids_text
from rivergrad.io.datasets import integer_ids

TIME, REACH = "time", "reach_id"


def by_reach(values: xr.DataArray, network: RiverNetwork, what: str) -> xr.DataArray:
    """Values of the network's reaches in its order.

    Args:
        values: with a coordinate `reach_id` along its last or another dimension.
        network: whose reaches are wanted, each of which has to be there.
        what: opens messages.

    Returns:
        The array with that dimension last and in the network's order.

    Raises:
        InputError: no such coordinate, ids twice, or reaches that are missing.
    """
    if REACH not in values.coords or values[REACH].ndim != 1:
        found = ", ".join(map(str, values.coords)) or "none"
        raise InputError(f"{what}: found the coordinates {found}; expected {REACH} along a dimension")
    (dimension,) = values[REACH].dims
    ids = integer_ids(values[REACH].to_numpy(), Path(what), REACH)
    order = np.argsort(ids, kind="stable")
    twice = np.unique(ids[order][1:][ids[order][1:] == ids[order][:-1]])
    if twice.size:
        raise InputError(f"{what}: found reach ids {ids_text(twice)} twice; expected each once")
    at = order[np.minimum(np.searchsorted(ids[order], network.reach_id), ids.size - 1)] if ids.size else order
    missing = network.reach_id[ids[at] != network.reach_id] if ids.size else network.reach_id
    if missing.size:
        raise InputError(
            f"{what}: has no values of reach ids {ids_text(missing)}; expected all of the network's"
        )
    return values.isel({dimension: at}).transpose(..., dimension)


def step_of(values: xr.DataArray, what: str) -> float:
    """The step of a time axis, s.

    Raises:
        InputError: no time axis, fewer than two times, or steps that differ.
    """
    if TIME not in values.coords or values[TIME].ndim != 1 or values[TIME].dtype.kind != "M":
        raise InputError(f"{what}: found no dates along {TIME}; expected them, or forcing_step")
    times = values[TIME].to_numpy().astype("datetime64[ns]").astype(np.int64)
    steps = np.unique(np.diff(times))
    if steps.size != 1 or steps[0] <= 0:
        raise InputError(
            f"{what}: found {times.size} times in steps of {ids_text((steps[:5] / 1e9).tolist()) or 'none'} s; "
            "expected two or more in equal steps, or forcing_step"
        )
    return float(steps[0]) / 1e9


def discharge_like(runoff: xr.DataArray, values: NDArray[Any], reach_id: NDArray[np.int64]) -> xr.DataArray:
    """Discharge (…, time, reach) with the coordinates of the runoff, m³/s."""
    dimension = runoff.dims[-1]
    kept = {
        name: one for name, one in runoff.coords.items() if dimension not in one.dims and name != dimension
    }
    return xr.DataArray(
        values,
        dims=runoff.dims,
        coords={**kept, REACH: (dimension, reach_id)},
        name="discharge",
        attrs={"units": "m3 s-1", "long_name": "mean discharge of each step"},
    )
