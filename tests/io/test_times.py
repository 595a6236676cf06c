from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from rivergrad.errors import InputError
from rivergrad.io import overlap
from rivergrad.io.times import as_nanoseconds, decode_time, encode_time, parse_dates, regular_step

Times = Callable[..., np.ndarray]


def test_decode_what_was_encoded(make_times: Times) -> None:
    time = make_times(5, "1979-12-31", 3)
    attributes = {"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian"}
    variable = xr.Variable(("time",), encode_time(time), attributes)
    assert np.array_equal(decode_time(variable, "f.nc", "time"), time)
    assert decode_time(variable, "f.nc", "time").dtype == np.dtype("datetime64[ns]")
    assert regular_step(time, "f.nc") == 3 * 3600.0


@pytest.mark.parametrize(
    ("units", "calendar", "message"),
    [
        ("get from namelist", "standard", "expected some such as 'days since"),
        ("days since tuesday", "standard", "cannot be read as dates"),
        ("days since 2000-01-01", "noleap", "calendar 'noleap'"),
        ("days since 0500-01-01", "standard", "1678"),
    ],
)
def test_a_time_that_is_no_date(units: str, calendar: str, message: str) -> None:
    variable = xr.Variable(("time",), np.arange(3), {"units": units, "calendar": calendar})
    with pytest.raises(InputError, match=message) as error:
        decode_time(variable, "f.nc", "time")
    assert str(error.value).startswith("f.nc: 'time'")


def test_texts_are_dates_or_an_error_never_now() -> None:
    assert parse_dates(["2000-01-01", "2000-01-01T06:00"], "f.csv")[1] == np.datetime64("2000-01-01T06", "ns")
    assert parse_dates(["2000-01-01T06:00+02:00"], "f.csv")[0] == np.datetime64("2000-01-01T04", "ns")
    for bad in ("soon", "", "2000-13-01", "nan"):
        with pytest.raises(InputError, match="not a date"):
            parse_dates(["2000-01-01", bad], "f.csv")
    with pytest.raises(InputError, match="missing at position 1"):
        as_nanoseconds(np.array(["2000-01-01", "NaT"], dtype="datetime64[s]"), "f.nc")


@pytest.mark.parametrize(
    ("days", "message"),
    [
        ([0, 1, 1, 2], "2000-01-02 twice"),
        ([0, 2, 1, 3], "2000-01-02 before its predecessor"),
        ([0, 1, 3, 4], "by 2 d after 2000-01-02 and by 1 d before"),
        ([0], "has 1 time"),
    ],
)
def test_an_irregular_axis_says_where(days: list[int], message: str) -> None:
    time = np.datetime64("2000-01-01", "ns") + np.array(days) * np.timedelta64(1, "D")
    with pytest.raises(InputError, match=message):
        regular_step(time, "f.nc")


def test_overlap_is_the_common_period(make_times: Times) -> None:
    a, b = make_times(10, "2000-01-01"), make_times(10, "2000-01-05")
    common = overlap(a, b)
    assert np.array_equal(common.time, make_times(6, "2000-01-05"))
    assert np.array_equal(a[common.a], b[common.b])
    assert overlap(b, a).b == common.a


def test_axes_that_do_not_overlap_name_both_ranges(make_times: Times) -> None:
    a, b = make_times(3, "2000-01-01"), make_times(3, "2001-01-01")
    with pytest.raises(InputError, match="do not overlap") as error:
        overlap(a, b)
    for text in ("2000-01-01..2000-01-03", "2001-01-01..2001-01-03", "runoff", "observations"):
        assert text in str(error.value)
    with pytest.raises(InputError, match="shifted"):
        overlap(a, a + np.timedelta64(6, "h"))
    with pytest.raises(InputError, match=r"different steps \(1 d and 3 h\)"):
        overlap(a, make_times(20, "2000-01-01", 3))
