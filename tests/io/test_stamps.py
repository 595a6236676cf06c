"""Times are what the file says: bounds, cell methods, known sources, calendars, and what is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.io import open_forcings, open_runoff
from rivergrad.io.stamps import time_method
from rivergrad.io.times import snapped

DAYS = {"units": "days since 2001-01-01"}
BOUNDED = {**DAYS, "bounds": "time_bnds"}
HOURS = {"units": "hours since 2001-01-01"}
LOWER = np.arange(6.0)
FIRST = np.datetime64("2001-01-01")


def file(
    path: Path,
    time: Any,
    attributes: dict[str, Any],
    *,
    bounds: Any = None,
    units: str = "m3 s-1",
    values: Any = None,
    more: dict[str, Any] | None = None,
    bounds_attributes: dict[str, Any] | None = None,
    name: str = "runoff",
) -> Path:
    """runoff(time, reach) of the reaches 10 to 50, with a time variable as it is given."""
    count = len(time)
    flows = np.arange(count * 5.0).reshape(count, 5) % 7 + 1.0 if values is None else values
    data = xr.Dataset(
        {name: (("time", "reach"), flows, {"units": units, **(more or {})})},
        coords={"reach_id": ("reach", [10, 20, 30, 40, 50])},
    )
    data["time"] = xr.Variable(("time",), time, attributes)
    if bounds is not None:
        data["time_bnds"] = xr.Variable(("time", "nv"), bounds, bounds_attributes or {})
    data.to_netcdf(path, encoding={one: {"_FillValue": None} for one in data.variables})
    return path


def spans(lower: np.ndarray, width: float = 1.0) -> np.ndarray:
    return np.stack([lower, lower + width], axis=1)


@pytest.mark.parametrize("late", [0.0, 0.3, 0.5, 1.0], ids=["start", "somewhere", "middle", "end"])
def test_bounds_say_where_steps_start(
    tmp_path: Path, network: RiverNetwork, caplog: pytest.LogCaptureFixture, late: float
) -> None:
    path = file(tmp_path / "r.nc", LOWER + late, BOUNDED, bounds=spans(LOWER))
    source = open_runoff(path, network)
    assert source.time[0] == FIRST
    assert source.time[-1] == FIRST + 5
    assert source.step == 86400.0
    assert bool(caplog.messages) == (late > 0)  # a conversion is said, in one line
    assert len(caplog.messages) <= 1


@pytest.mark.parametrize(
    ("time", "attributes", "bounds", "own"),
    [
        (LOWER + 1, DAYS, spans(LOWER), {}),
        (LOWER + 1, {**DAYS, "climatology": "time_bnds"}, spans(LOWER), {}),
        (LOWER + 1, BOUNDED, spans(LOWER)[:, ::-1], {}),
        (LOWER + 1, BOUNDED, spans(LOWER) * 24, HOURS),
        ([1.0], BOUNDED, [[0.0, 1.0]], {}),
    ],
    ids=["by name", "climatology", "upper first", "own units", "one step"],
)
def test_bounds_in_other_clothes(
    tmp_path: Path, network: RiverNetwork, time: Any, attributes: Any, bounds: Any, own: Any
) -> None:
    path = file(tmp_path / "r.nc", time, attributes, bounds=bounds, bounds_attributes=own)
    source = open_runoff(path, network)
    assert source.time[0] == FIRST
    assert source.step == 86400.0


@pytest.mark.parametrize(
    ("time", "bounds", "message"),
    [
        (LOWER + 1, spans(LOWER, 2.0), "expected bounds of one step each"),
        (LOWER + 5, spans(LOWER), "expected the stamp within them"),
        (LOWER + 1, spans(LOWER + np.array([0, 0, 0, 0.5, 0, 0])), "at the same place in each step"),
        (LOWER + 1, spans(LOWER * 365), "expected the stamp within them|expected bounds of one step"),
        (LOWER + 1, np.where(LOWER[:, None] == 2, np.nan, spans(LOWER)), "is missing at position 4"),
        (LOWER + 1, np.repeat(spans(LOWER), 2, axis=1), r"has the shape \(6, 4\)"),
    ],
    ids=["too wide", "elsewhere", "irregular", "far apart", "missing in part", "four"],
)
def test_bounds_that_contradict_the_stamps(
    tmp_path: Path, network: RiverNetwork, time: Any, bounds: Any, message: str
) -> None:
    path = file(tmp_path / "r.nc", time, BOUNDED, bounds=bounds)
    with pytest.raises(InputError, match=message) as error:
        open_runoff(path, network)
    assert str(path) in str(error.value)
    assert "time_bnds" in str(error.value)


@pytest.mark.parametrize(
    "bounds", [None, np.full((6, 2), np.nan), spans(LOWER, 0.0)], ids=["absent", "unwritten", "of no length"]
)
def test_bounds_that_say_nothing_leave_the_stamps(tmp_path: Path, network: RiverNetwork, bounds: Any) -> None:
    path = file(tmp_path / "r.nc", LOWER, BOUNDED, bounds=bounds)
    assert open_runoff(path, network).time[0] == FIRST


def test_an_option_overrides_the_file_aloud(
    tmp_path: Path, network: RiverNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    silent = file(tmp_path / "silent.nc", LOWER + 1, DAYS)
    assert open_runoff(silent, network).time[0] == FIRST + 1
    assert open_runoff(silent, network, stamp="end").time[0] == FIRST
    assert open_runoff(silent, network, stamp="middle").time[0] == FIRST.astype("datetime64[h]") + 12
    assert not caplog.messages
    bounded = file(tmp_path / "bounded.nc", LOWER + 1, BOUNDED, bounds=spans(LOWER))
    assert open_runoff(bounded, network, stamp="start").time[0] == FIRST + 1
    assert "the file says the end (bounds 'time_bnds')" in caplog.text
    table = tmp_path / "r.csv"
    table.write_text("time,10,20,30,40,50\n2001-01-02,1,2,3,4,5\n2001-01-03,1,2,3,4,5\n")
    assert open_runoff(table, network, stamp="end").time[0] == FIRST


@pytest.mark.parametrize(
    ("methods", "found"),
    [
        ("time: mean", "mean"),
        ("area: mean time: sum", "sum"),
        ("lat: lon: time: mean (interval: 1 hour comment: time: sum)", "mean"),
        ("time:point", "point"),
        ("area: mean", None),
        ("mean", None),
        ("", None),
    ],
)
def test_cell_methods_are_read(methods: str, found: str | None) -> None:
    assert time_method(xr.DataArray(0.0, attrs={"cell_methods": methods})) == found


@pytest.mark.parametrize(
    ("units", "methods", "message"),
    [
        ("m3 s-1", "time: sum", "a sum over time"),
        ("kg m-2 s-1", "area: mean time: sum", "a sum over time"),
        ("m3 s-1", "time: maximum", "the maximum of each step"),
        ("m3 s-1", "time: minimum", "the minimum of each step"),
        ("mm/day", "time: sum", None),  # over a day: mm
        ("mm", "time: sum", None),
        ("m3 s-1", "time: mean", None),
        ("m3 s-1", "time: point", None),
    ],
)
def test_what_is_no_mean_is_refused(
    tmp_path: Path, network: RiverNetwork, units: str, methods: str, message: str | None
) -> None:
    path = file(tmp_path / "r.nc", LOWER, DAYS, units=units, more={"cell_methods": methods})
    if message is None:
        assert open_runoff(path, network).time[0] == FIRST
    else:
        with pytest.raises(InputError, match=message):
            open_runoff(path, network)


def test_means_at_noon_are_means_of_the_day(
    tmp_path: Path, network: RiverNetwork, caplog: pytest.LogCaptureFixture
) -> None:
    said = file(tmp_path / "said.nc", LOWER + 0.5, DAYS, more={"cell_methods": "time: mean"})
    assert open_runoff(said, network).time[0] == FIRST
    caplog.clear()
    unsaid = file(tmp_path / "unsaid.nc", LOWER + 0.5, DAYS)
    assert open_runoff(unsaid, network).time[0] == FIRST.astype("datetime64[h]") + 12
    assert "nothing says that they are the middle" in caplog.text


def test_grib_stamps_the_end_of_an_hour_and_is_asked_about_days(
    tmp_path: Path, network: RiverNetwork
) -> None:
    accum = {"GRIB_stepType": "accum"}
    hourly = file(tmp_path / "h.nc", np.arange(1, 9), HOURS, units="m", more=accum)
    assert open_runoff(hourly, network).time[0] == FIRST
    daily = file(tmp_path / "d.nc", LOWER + 1, DAYS, units="m", more=accum)
    with pytest.raises(InputError, match=r"may be starts or ends .*runoff\.stamp"):
        open_runoff(daily, network)
    assert open_runoff(daily, network, stamp="start").time[0] == FIRST + 1
    assert open_runoff(daily, network, accumulated=86400.0).time[0] == FIRST  # the day before 00 UTC
    instant = file(tmp_path / "i.nc", np.arange(1, 9), HOURS, more={"GRIB_stepType": "instant"})
    assert open_runoff(instant, network).time[0] == FIRST.astype("datetime64[h]") + 1


@pytest.mark.parametrize(
    ("time", "attributes", "first"),
    [
        (np.arange(6), {**HOURS, "calendar": " Gregorian "}, "2001-01-01"),
        (np.arange(6) + 730487, {"units": "days since 1-1-1"}, "2001-01-01"),
        (np.arange(6) + 730485, {"units": "days since 1-1-1", "calendar": "proleptic_gregorian"}, "2001-01-01"),
        (np.arange(6), {"units": "hours since 2001-01-01 00:00 +05:00"}, "2000-12-31T19"),
        (np.arange(6), {"units": "hours since 2001-01-01T00:00:00Z"}, "2001-01-01"),
        (np.array([f"2001-01-0{day}_00:00:00" for day in range(1, 7)], "S19"), {}, "2001-01-01"),
        (np.array([f"2001-01-0{day}T02:00+02:00" for day in range(1, 7)], object), {}, "2001-01-01"),
        (np.arange(6) / 24 + 3000, {"units": "days since 1990-01-01"}, "1998-03-20"),
        ((np.arange(6) / 24 + 100).astype(np.float32), DAYS, "2001-04-11"),
        (np.arange(6) + np.array([0, 1, -1, 2, 0, 1]) * 1e-8, HOURS, "2001-01-01"),
    ],
    ids=["calendar", "julian days", "proleptic", "zone", "zulu", "wrf", "texts", "float64", "float32", "micro"],
)  # fmt: skip
def test_times_of_all_kinds(
    tmp_path: Path, network: RiverNetwork, time: Any, attributes: Any, first: str
) -> None:
    source = open_runoff(file(tmp_path / "r.nc", time, attributes), network)
    assert source.time[0] == np.datetime64(first)
    assert source.step in (3600.0, 86400.0)
    assert (np.diff(source.time) == np.timedelta64(int(source.step), "s")).all()


@pytest.mark.parametrize(
    ("time", "attributes", "message"),
    [
        (np.arange(6)[::-1].copy(), HOURS, "before its predecessor"),
        ([0, 1, 1, 2, 3, 4], HOURS, "2001-01-01 01:00 twice"),
        ([0, 1, 2, 4, 5, 6], HOURS, "by 2 h after 2001-01-01 02:00 and by 1 h before"),
        ([0.0, 60, 121, 180, 240, 300], {"units": "minutes since 2001-01-01"}, "3660 s .* by 1 h"),
        ((np.arange(6) / 24 + 9000).astype(np.float32), DAYS, "one regular step"),
        (np.arange(6), {**HOURS, "calendar": "lunar"}, "calendar 'lunar'"),
        (np.arange(6), {**HOURS, "calendar": "none"}, "calendar 'none'"),
        (np.arange(6), {"units": "months since 2001-01-01"}, "cannot be read as dates"),
        (np.arange(6) * 1e9, DAYS, "cannot be read as dates|1678"),
        ([0, 1, np.nan, 3, 4, 5], HOURS, "missing at position 2"),
        (np.zeros(6), HOURS, "twice"),
        (np.full(6, np.nan), HOURS, "no readable times"),
        (np.arange(6), {}, "has the units None"),
        (np.array(["soon"] * 6, object), {}, "not a date"),
    ],
)
@pytest.mark.parametrize("name", ["runoff", "m3_riv"])
def test_a_mistake_in_the_axis_is_an_error_for_all(
    tmp_path: Path, network: RiverNetwork, time: Any, attributes: Any, message: str, name: str
) -> None:
    path = tmp_path / "x_3hr_20010101.nc"  # a name that tells times, which only an empty variable needs
    file(path, np.asarray(time), attributes, name=name)
    if name == "m3_riv" and message == "no readable times":
        assert open_runoff(path, network).step == 10800.0
        return
    with pytest.raises(InputError, match=message):
        open_runoff(path, network)


def test_integers_that_were_never_written_are_no_times(tmp_path: Path, network: RiverNetwork) -> None:
    path = tmp_path / "m3_riv_3hr_20010101.nc"
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("time", 4)
        data.createDimension("rivid", 5)
        data.createVariable("time", "i4", ("time",)).units = "seconds since 1970-01-01"
        data.createVariable("rivid", "i4", ("rivid",))[:] = [10, 20, 30, 40, 50]
        data.createVariable("m3_riv", "f4", ("time", "rivid"))[:] = 1.0
    assert open_runoff(path, network).time[1] == np.datetime64("2001-01-01T03")


def test_times_of_two_dimensions_are_refused(tmp_path: Path, network: RiverNetwork) -> None:
    path = tmp_path / "r.nc"
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("time", 4)
        data.createDimension("reach", 5)
        data.createVariable("time", "f8", ("time", "reach"))[:] = np.arange(20.0).reshape(4, 5)
        data.createVariable("reach_id", "i4", ("reach",))[:] = [10, 20, 30, 40, 50]
        flow = data.createVariable("runoff", "f4", ("time", "reach"))
        flow.units = "m3 s-1"
        flow[:] = 1.0
    with pytest.raises(InputError, match=r"r\.nc"):
        open_runoff(path, network)


def test_the_time_variable_is_found_by_its_attributes(tmp_path: Path, network: RiverNetwork) -> None:
    path = file(tmp_path / "r.nc", LOWER, DAYS)
    with xr.open_dataset(path, decode_times=False) as data:
        data.load().rename({"time": "record"}).to_netcdf(tmp_path / "other.nc")
    assert open_runoff(tmp_path / "other.nc", network).time[0] == FIRST


@pytest.mark.parametrize("shift", [0, 13_000, -400_000_000])
def test_snapping_is_within_a_thousandth_of_a_step(shift: int, make_times: Callable[..., np.ndarray]) -> None:
    time = make_times(50, hours=1)
    moved = time.copy()
    moved[7::5] += np.timedelta64(shift, "ns")
    assert np.array_equal(snapped(moved), time)
    far = time.copy()
    far[20] += np.timedelta64(4, "s")
    assert np.array_equal(snapped(far), far)


def test_snapshots_among_forcings_follow_the_depths(tmp_path: Path, network: RiverNetwork) -> None:
    time = np.arange(1, 9)
    values = np.ones((8, 5))
    data = xr.Dataset(
        {
            "rain": (("time", "reach"), values, {"units": "mm", "GRIB_stepType": "accum"}),
            "cold": (("time", "reach"), values, {"units": "degC", "GRIB_stepType": "instant"}),
            "mute": (("time", "reach"), values, {"units": "W m-2"}),
        },
        coords={"reach_id": ("reach", [10, 20, 30, 40, 50])},
    )
    data["time"] = xr.Variable(("time",), time, HOURS)
    data.to_netcdf(tmp_path / "f.nc")
    for names in (("rain", "cold", "mute"), ("cold", "mute", "rain")):
        assert open_forcings(tmp_path / "f.nc", network, names).time[0] == FIRST
