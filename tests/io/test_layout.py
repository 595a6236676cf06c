"""Times with gaps: on the steps of the runoff, on their own, or named where they are on none."""

from __future__ import annotations

import time as clock
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.io import Observations, Steps, open_runoff, read_observations

FIRST = np.datetime64("2001-01-01", "ns")
DAILY, HOURLY = Steps(FIRST, 86400.0), Steps(FIRST, 3600.0)


def days(count: int, every: int = 1, first: str = "2001-01-01", time: str = "") -> list[str]:
    return [f"{one}{time}" for one in np.datetime64(first, "D") + np.arange(count) * every]


def table(path: Path, times: list[str]) -> Path:
    rows = [f"A,30,{one},{at + 1}" for at, one in enumerate(times)]
    path.write_text("\n".join(["gauge,reach_id,time,discharge", *rows]))
    return path


def netcdf(
    path: Path, times: Any, attributes: dict[str, Any] | None = None, bounds: Any = None, more: Any = None
) -> Path:
    values = np.arange(len(times))[:, None] + 1.0
    data = xr.Dataset(
        {
            "discharge": (("time", "gauge"), values, {"units": "m3 s-1", **(more or {})}),
            "discharge_error": (("time", "gauge"), 0.1 * values, {"units": "m3 s-1"}),
        },
        coords={"reach_id": ("gauge", [30])},
    )
    data["time"] = xr.Variable(
        ("time",), np.asarray(times, float), {"units": "days since 2001-01-01", **(attributes or {})}
    )
    if bounds is not None:
        data["time_bnds"] = xr.Variable(("time", "nv"), bounds)
    data.to_netcdf(path)
    return path


def held(found: Observations) -> list[str]:
    """Days (or hours) that hold a value, in order; the values are 1, 2, …"""
    there = np.isfinite(found.discharge[:, 0])
    assert found.discharge[there, 0].tolist() == list(range(1, int(there.sum()) + 1))
    unit = "D" if found.step == 86400.0 else "h"
    return found.time[there].astype(f"datetime64[{unit}]").astype(str).tolist()


@pytest.mark.parametrize(
    "times",
    [
        days(30, 10),
        days(1, first="2001-03-01"),
        ["2001-01-03", "2001-01-04", "2001-02-11", "2001-05-30"],
        days(30, 7),
        days(30),
        days(10) + days(10, first="2001-03-01"),
        days(5, first="2000-06-01"),
    ],
    ids=["tenth day", "single", "gaugings", "weeks", "all", "gap", "before"],
)
def test_any_days_of_the_runoff_will_do(tmp_path: Path, network: RiverNetwork, times: list[str]) -> None:
    found = read_observations(table(tmp_path / "q.csv", times), network, like=DAILY)
    assert found.step == 86400.0
    assert held(found) == times
    numbers = (np.array(times, "datetime64[D]") - np.datetime64("2001-01-01")).astype(float)
    found = read_observations(netcdf(tmp_path / "q.nc", numbers), network, like=DAILY)
    assert held(found) == times
    assert found.error is not None
    assert np.allclose(found.error, 0.1 * found.discharge, equal_nan=True)
    jittered = netcdf(tmp_path / "j.nc", numbers + 1e-7)
    assert held(read_observations(jittered, network, like=DAILY)) == times


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["2001-01-03T10:40", "2001-01-09T11:00", "2001-02-11T09:13"], "holds 2001-01-03 10:40"),
        ([*days(29), "2001-01-30T00:00:01"], "holds 2001-01-30 00:00:01, which is not on the steps of"),
        (["2001-01-01T00:00:01", *days(29, first="2001-01-02")], "holds 2001-01-01 00:00:01"),
        ([f"2001-{month:02d}-01" for month in range(1, 13)], "one time a month or year"),
        (
            [f"2001-{month:02d}-{end}" for month, end in ((1, 31), (2, 28), (3, 31), (4, 30))],
            "one time a mon",
        ),
        ([f"{year}-10-01" for year in range(1990, 2010)], "one time a month or year"),
        (["2001-01-03", "2001-01-03"], "two values for 'A' at 2001-01-03"),
        (["1700-01-01", "2200-01-01"], "expected fewer years"),
        (["2001-13-03"], "not a date"),
        ([""], "not a date"),
        (["1500-01-01", "2001-01-01"], "within 1678..2262"),
        (["36893", "36894"], "not a date"),
    ],
)
def test_a_time_beside_the_steps_is_named(
    tmp_path: Path, network: RiverNetwork, times: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_observations(table(tmp_path / "q.csv", times), network, like=DAILY)


@pytest.mark.parametrize(
    ("times", "like", "step"),
    [
        (days(30), HOURLY, 86400.0),
        (days(10) + days(18, first="2001-01-13"), HOURLY, 86400.0),
        (days(30, time="T06:00"), DAILY, 86400.0),
        ([str(FIRST.astype("datetime64[h]") + hour) for hour in range(100)], DAILY, 3600.0),
    ],
    ids=["days", "days with gaps", "at six", "hours"],
)
def test_means_of_other_steps_keep_their_own(
    tmp_path: Path, network: RiverNetwork, times: list[str], like: Steps, step: float
) -> None:
    # the period that both have in common is where other steps are refused
    assert read_observations(table(tmp_path / "q.csv", times), network, like=like).step == step


def test_bounds_and_snapshots_of_sparse_observations(tmp_path: Path, network: RiverNetwork) -> None:
    tenth = np.arange(30) * 10.0
    bounded = {"bounds": "time_bnds"}
    path = netcdf(tmp_path / "a.nc", tenth + 1, bounded, np.stack([tenth, tenth + 1], axis=1))
    assert held(read_observations(path, network, like=DAILY)) == days(30, 10)
    assert held(
        read_observations(netcdf(tmp_path / "b.nc", tenth + 1), network, like=DAILY, stamp="end")
    ) == (days(30, 10))
    wide = netcdf(tmp_path / "c.nc", tenth + 10, bounded, np.stack([tenth, tenth + 10], axis=1))
    with pytest.raises(InputError, match="expected bounds of one step each"):
        read_observations(wide, network, like=DAILY)
    points = netcdf(tmp_path / "d.nc", np.arange(30.0), more={"cell_methods": "time: point"})
    found = read_observations(points, network, like=HOURLY)
    assert found.step == 3600.0
    assert len(held(found)) == 30


def test_tables_keep_time_zones_and_refuse_holes(tmp_path: Path, network: RiverNetwork) -> None:
    frame = pd.DataFrame({"gauge": "A", "reach_id": 30, "discharge": [1.0, 2.0, 3.0]})
    frame["time"] = pd.date_range("2001-01-01T02:00", periods=3, tz="Europe/Athens")
    frame.to_parquet(tmp_path / "q.parquet")
    assert held(read_observations(tmp_path / "q.parquet", network, like=DAILY)) == days(3)
    frame["time"] = frame["time"].dt.tz_localize(None).where(np.arange(3) != 1)
    frame.to_parquet(tmp_path / "hole.parquet")
    with pytest.raises(InputError, match="'time' is missing at position 1"):
        read_observations(tmp_path / "hole.parquet", network, like=DAILY)


def test_a_stamp_a_second_late_is_named_at_once(tmp_path: Path, network: RiverNetwork) -> None:
    times = days(14000, first="1970-01-01")
    for at, name in ((9000, "late"), (0, "first")):
        wrong = [f"{one} 00:00:01" if i == at else one for i, one in enumerate(times)]
        path = tmp_path / f"{name}.csv"
        rows = [f"{one},1,2,3,4,5" for one in wrong]
        path.write_text("\n".join(["time,10,20,30,40,50", *rows]))
        start = clock.perf_counter()
        with pytest.raises(InputError, match=f"holds {times[at]} 00:00:01, which is not on the axis from"):
            open_runoff(path, network)
        assert clock.perf_counter() - start < 5.0
    with pytest.raises(InputError, match="00:00:01"):
        read_observations(table(tmp_path / "q.csv", wrong), network)


def test_an_axis_far_longer_than_its_rows_is_refused_before_it_is_made(
    tmp_path: Path, network: RiverNetwork
) -> None:
    seconds = Steps(FIRST, 1.0)
    path = table(tmp_path / "q.csv", ["1950-01-01", "1970-05-07", "2001-01-01"])
    with pytest.raises(InputError, match="in steps of 1 s, which are 1,609,459,201, with 3 times"):
        read_observations(path, network, like=seconds)


def test_microseconds_in_texts_are_rounding(tmp_path: Path, network: RiverNetwork) -> None:
    times = ["2001-01-03T00:00:00.000013", "2001-01-03T23:59:59.999987", "2001-01-06"]
    path = table(tmp_path / "q.csv", times)
    for like in (DAILY, None):
        found = read_observations(path, network, like=like)
        assert held(found) == ["2001-01-03", "2001-01-04", "2001-01-06"]
