"""Runoff on a latitude-longitude grid, in which every reach of the small case lies in a box of its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tests.fuzz import inputs
from tests.fuzz.arrays import Model, Var, time_var

Float = NDArray[np.float64]

LATITUDE = np.arange(44.75, 48.0, 0.5)
LONGITUDE = np.arange(6.0, 10.5, 0.5)
ELSEWHERE = 0.5  # m3/s per reach's area, in boxes that no reach lies in


def box(reach: int) -> tuple[int, int]:
    """Row and column of the box a reach lies in."""
    at = inputs.position(reach)
    row = int(np.abs(LATITUDE - inputs.LAT[at]).argmin())
    return row, int(np.abs(LONGITUDE - inputs.LON[at]).argmin())


def rates(values: Float) -> Float:
    """(time, row, column) runoff in m/s of which each reach gets its runoff (time, reach) in m3/s."""
    found = np.full((len(values), LATITUDE.size, LONGITUDE.size), ELSEWHERE * 1e-6)
    for at, reach in enumerate(inputs.IDS.tolist()):
        found[:, *box(reach)] = values[:, at] / inputs.AREA_M2[at]
    return found


def grid_model(values: Float | None = None) -> Model:
    """ro(time, latitude, longitude) in m/s."""
    data = rates(inputs.runoff() if values is None else values)
    return Model(
        {
            "time": time_var(len(data)),
            "latitude": Var(("latitude",), LATITUDE.copy(), {"units": "degrees_north"}),
            "longitude": Var(("longitude",), LONGITUDE.copy(), {"units": "degrees_east"}),
            "ro": Var(("time", "latitude", "longitude"), data, {"units": "m s-1"}),
        }
    )
