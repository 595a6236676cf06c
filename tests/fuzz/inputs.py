"""A small valid case, and what is right for it, computed without rivergrad.

Eight reaches and 40 days. Reaches delay by 0 or 1 day (scheme `pure_lag`, routing step 1 day), so that discharge is
sums of whole numbers: any change of one value is seen, and float32 holds every answer exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

Float = NDArray[np.float64]

IDS = np.array([40, 10, 30, 20, 50, 60, 70, 80])  # not sorted: a position never passes for an id
DOWNSTREAM = {10: 30, 20: 30, 30: 50, 40: 50, 50: 70, 60: 70, 70: -1, 80: -1}
DELAYED = (10, 40, 60, 70)
DAY = 86400.0
DAYS = 40
FIRST = "2001-01-01"

# A reach lies in a box of its own of the grid of `grid.py`, and no regular grid goes through all of them.
LAT = np.array([45.13, 45.71, 46.24, 46.78, 47.31, 45.02, 46.61, 47.43])
LON = np.array([6.17, 8.71, 7.23, 9.29, 6.81, 7.62, 8.06, 9.77])
AREA_M2 = np.arange(1.0, 9.0) * 1e6
SLOPE = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]) * 1e-3

GAUGES = ("0A1", "B2", "NA")  # a name that begins with 0, and one that pandas takes for "missing"
GAUGE_REACH = np.array([50, 70, 30])

MID_TIME, MID_REACH = 14, 30
"""Where mutations of one value are made: on 2001-01-15 at reach 30, which four others are downstream or beside."""


def times(count: int = DAYS, first: str = FIRST, step: float = DAY) -> NDArray[np.datetime64]:
    """(count,) start of each step, datetime64[ns]."""
    return np.datetime64(first, "ns") + np.arange(count) * np.timedelta64(round(step * 1e9), "ns")


def runoff(count: int = DAYS) -> Float:
    """(count, reach) runoff in m3/s: whole numbers from 1 to 11."""
    t, i = np.arange(count)[:, None], np.arange(len(IDS))[None, :]
    return 1.0 + (7 * i + 3 * t + t * t * (i + 1)) % 11


def position(reach: int) -> int:
    """The position of a reach in `IDS`."""
    return int(np.flatnonzero(reach == IDS)[0])


def routed(
    values: Float,
    downstream: Mapping[int, int] = DOWNSTREAM,
    delayed: tuple[int, ...] = DELAYED,
) -> Float:
    """(time, reach) discharge of runoff (time, reach), both in the order of `IDS`: sums and shifts by a day."""
    depth = {i: _depth(i, downstream) for i in IDS.tolist()}
    inflow = {i: values[:, position(i)].copy() for i in IDS.tolist()}
    out = np.zeros_like(values)
    for i in sorted(IDS.tolist(), key=lambda one: -depth[one]):
        q = inflow[i]
        if i in delayed:
            q = np.concatenate([[0.0], q[:-1]])
        out[:, position(i)] = q
        if downstream[i] in inflow:
            inflow[downstream[i]] = inflow[downstream[i]] + q
    return out


def _depth(reach: int, downstream: Mapping[int, int]) -> int:
    count = 0
    while downstream.get(reach, -1) in downstream:
        reach, count = downstream[reach], count + 1
    return count


def muskingum(
    values: Float, k: Float, x: Float, step: float, forcing_step: float, *, rapid: bool = False
) -> Float:
    """(time, reach) mean discharge by Muskingum: q[t] = C0 x[t] + C1 x[t-1] + C2 q[t-1], in float64.

    With `rapid`, runoff of an interval stands at both ends of each step, and the mean is that of the states before
    each update (David et al. 2011).
    """
    ratio = round(forcing_step / step)
    n = len(IDS)
    d = k * (1 - x) + step / 2
    c0, c1, c2 = (step / 2 - k * x) / d, (step / 2 + k * x) / d, (k * (1 - x) - step / 2) / d
    order = sorted(range(n), key=lambda at: -_depth(int(IDS[at]), DOWNSTREAM))
    below = [position(DOWNSTREAM[int(i)]) if DOWNSTREAM[int(i)] > 0 else -1 for i in IDS]
    q, upstream, entered = np.zeros(n), np.zeros(n), np.zeros(n)
    out = np.zeros_like(values)
    for t in range(len(values) * ratio):
        lateral = values[t // ratio]
        before, came = q.copy(), np.zeros(n)
        new = np.zeros(n)
        for at in order:
            if rapid:
                new[at] = c0[at] * came[at] + c1[at] * upstream[at] + (c0[at] + c1[at]) * lateral[at]
            else:
                now = came[at] + lateral[at]
                new[at] = c0[at] * now + c1[at] * entered[at]
                entered[at] = now
            new[at] += c2[at] * q[at]
            if below[at] >= 0:
                came[below[at]] += new[at]
        out[t // ratio] += (before if rapid else new) / ratio
        q, upstream = new, came
    return out


def observed() -> Float:
    """(time, gauge) observed discharge: that of the reaches, a little off, to three decimals."""
    at = [position(int(i)) for i in GAUGE_REACH]
    t = np.arange(DAYS)[:, None]
    return np.round(routed(runoff())[:, at] * (1.0 + 0.05 * np.sin(t)) + 1.0, 3)


def network_table() -> pd.DataFrame:
    """The network as a table, a reach a row."""
    return pd.DataFrame(
        {
            "reach_id": IDS,
            "downstream_id": [DOWNSTREAM[int(i)] for i in IDS],
            "length_m": np.full(len(IDS), 5000.0),
            "slope": SLOPE,
            "area_m2": AREA_M2,
            "lat": LAT,
            "lon": LON,
        }
    )


def delays() -> Float:
    """(reach,) delay in s."""
    return np.where(np.isin(IDS, DELAYED), DAY, 0.0)


def parameter_table() -> pd.DataFrame:
    """The parameters of `pure_lag`, and others that schemes take."""
    return pd.DataFrame({"reach_id": IDS, "delay": delays()})


def write_basics(folder: Path) -> None:
    """The network (n.csv) and its parameters (p.csv)."""
    network_table().to_csv(folder / "n.csv", index=False)
    parameter_table().to_csv(folder / "p.csv", index=False)


def workflow(**sections: Any) -> dict[str, Any]:
    """A workflow of one step of adam on the small case; `sections` replace keys, or a section by None or a scalar."""
    data: dict[str, Any] = {
        "name": "small",
        "output": "run",
        "network": {"path": "n.csv"},
        "runoff": {"path": "r.nc"},
        "observations": {"path": "o.nc"},
        "scheme": {"name": "pure_lag"},
        "time": {"routing_step": "1d", "train": ["2001-01-01", "2001-02-09"]},
        "gauges": {"screening": {"enabled": False}},
        "partition": {"parts": 1},
        "compute": {"kind": "serial"},
        "estimate": {"steps": 1, "window": "10d", "uniform_grid": 1},
        "uncertainty": {"enabled": False},
    }
    for name, keys in sections.items():
        if keys is None:
            data.pop(name, None)
        elif isinstance(keys, dict):
            data[name] = {**data.get(name, {}), **keys}
        else:
            data[name] = keys
    return data


def write_workflow(path: Path, **sections: Any) -> None:
    """Write `workflow(**sections)` as YAML."""
    path.write_text(yaml.safe_dump(workflow(**sections), sort_keys=False))
