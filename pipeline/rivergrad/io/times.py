"""Time axes: regular, increasing, in datetime64[ns]; a time labels the START of its forcing step."""

from __future__ import annotations

import re
import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from rivergrad.errors import InputError

TimeArray = NDArray[np.datetime64]

SECOND = np.timedelta64(1_000_000_000, "ns")
EPOCH = "seconds since 1970-01-01 00:00:00"
TIME_ATTRIBUTES = {
    "standard_name": "time",
    "long_name": "start of the forcing step",
    "units": EPOCH,
    "calendar": "proleptic_gregorian",
}
_UNDERSCORE = re.compile(r"(\d)_(\d)")
_WEEKS = re.compile(r"^\s*weeks?\s+since\s+", re.IGNORECASE)
_CALENDARS = ("standard", "gregorian", "proleptic_gregorian")
SNAP = 1e-3
"""Share of a step by which stamps may be off the regular axis: what arithmetic in floating point leaves."""
_FIRST, _LAST = np.datetime64("1678-01-01", "s"), np.datetime64("2262-01-01", "s")


def text(time: np.datetime64) -> str:
    """A time as people write it, without a part that is zero: `1980-01-01` or `1980-01-01 03:00`."""
    stamp = pd.Timestamp(time)
    if stamp == stamp.normalize():
        return stamp.strftime("%Y-%m-%d")
    if stamp.microsecond or stamp.nanosecond:
        return stamp.strftime("%Y-%m-%d %H:%M:%S.%f").rstrip("0").rstrip(".")
    return stamp.strftime("%Y-%m-%d %H:%M" if stamp.second == 0 else "%Y-%m-%d %H:%M:%S")


def step_text(step: float) -> str:
    """A duration as people write it: `1 d`, `3 h`, `900 s`."""
    for size, name in ((86400.0, "d"), (3600.0, "h")):
        if step % size == 0:
            return f"{step / size:g} {name}"
    return f"{step:.10g} s"


def as_nanoseconds(values: Any, source: str, variable: str = "time") -> TimeArray:
    """Dates of any kind (numpy or texts) as datetime64[ns].

    Raises:
        InputError: one cannot be read as a date, is missing, or lies outside 1678..2262.
    """
    array = np.asarray(values)
    if array.dtype.kind != "M":
        return parse_dates(array, source, variable)
    if np.isnat(array).any():
        raise InputError(f"{source}: '{variable}' is missing at position {int(np.isnat(array).argmax())}")
    return _within_range(array, source, variable)


def _within_range(array: NDArray[np.datetime64], source: str, variable: str) -> TimeArray:
    seconds = array.astype("datetime64[s]")
    outside = (seconds < _FIRST) | (seconds >= _LAST)
    if outside.any():
        raise InputError(
            f"{source}: '{variable}' holds {array[outside][0]}; expected dates within 1678..2262"
        )
    return array.astype("datetime64[ns]")


def parse_dates(values: Any, source: str, variable: str = "time") -> TimeArray:
    """Read texts as ISO 8601 dates (time zones become UTC); one that is not a date is an InputError."""
    array = np.asarray(values).ravel()
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    series = pd.Series(array).astype(str).str.strip()
    # WRF joins day and time by an underscore
    joined = series.str.replace(_UNDERSCORE, r"\1T\2", regex=True)
    parsed = pd.to_datetime(joined, format="ISO8601", errors="coerce", utc=True)
    bad = parsed.isna().to_numpy()
    if bad.any():
        raise InputError(
            f"{source}: '{variable}' holds '{str(series.to_numpy()[bad][0])[:40]}', which is not a date; "
            "expected one such as 1980-01-01 or 1980-01-01T03:00"
        )
    return _within_range(parsed.dt.tz_localize(None).to_numpy(), source, variable)


def snapped(time: TimeArray) -> TimeArray:
    """Times put on the regular axis that they miss by no more than `SNAP` of a step; others as they are.

    Days as floating-point numbers do not hold hours exactly: such stamps are off by microseconds or seconds.
    The axis begins at a whole second and goes on by whole seconds.
    """
    stamps = time.astype(np.int64)
    second = 1_000_000_000
    if len(stamps) < 2:
        near = (stamps + second // 2) // second * second
        return np.where(np.abs(stamps - near) <= SNAP * second, near, stamps).astype("datetime64[ns]")
    step = round((int(stamps[-1]) - int(stamps[0])) / (len(stamps) - 1) / second) * second
    if step <= 0:
        return time
    along = np.arange(len(stamps), dtype=np.int64) * step
    tolerance = SNAP * step
    origin = int(np.median(stamps - along - stamps[0])) + int(stamps[0])
    whole = (origin + second // 2) // second * second
    if abs(origin - whole) <= tolerance:
        origin = whole
    if np.abs(stamps - origin - along).max() > second:  # off by so much, the second of the first says nothing
        for unit in (step, 3600 * second, 60 * second):
            whole = (origin + unit // 2) // unit * unit
            if abs(origin - whole) <= tolerance:
                origin = whole
                break
    axis = origin + along
    if np.abs(stamps - axis).max() > tolerance:
        return time
    return axis.astype("datetime64[ns]")


def regular_step(time: TimeArray, source: str, variable: str = "time") -> float:
    """The step of a regular time axis, s.

    Raises:
        InputError: fewer than two times, or an axis that repeats, goes back or changes its step.
    """
    if len(time) < 2:
        raise InputError(
            f"{source}: '{variable}' has {len(time)} time; expected two or more, to know the step"
        )
    increasing(time, source, variable)
    steps = np.diff(time)
    if (steps != steps[0]).any():
        at = int((steps != steps[0]).argmax())
        raise InputError(
            f"{source}: '{variable}' goes on by {step_text(seconds(steps[at]))} after {text(time[at])} and "
            f"by {step_text(seconds(steps[0]))} before; expected one regular step"
        )
    return seconds(steps[0])


def increasing(time: TimeArray, source: str, variable: str = "time") -> None:
    """Times must increase; else an InputError that names the first that does not."""
    steps = np.diff(time)
    for bad, what in ((steps == 0, "twice"), (steps < 0, "before its predecessor")):
        if bad.any():
            at = int(bad.argmax()) + 1
            raise InputError(
                f"{source}: '{variable}' holds {text(time[at])} {what} (position {at}); "
                "expected increasing times"
            )


def seconds(duration: np.timedelta64) -> float:
    """A duration in seconds."""
    return float(duration / SECOND)


def decode_time(variable: xr.Variable, source: str, name: str) -> TimeArray:
    """A CF time variable (numbers with `days since …`, or texts) as datetime64[ns].

    Raises:
        InputError: units that are no dates, a calendar other than the standard one, missing values.
    """
    if variable.dtype.kind in "OUST" and "since" not in str(variable.attrs.get("units", "")):
        return as_nanoseconds(variable.values, source, name)
    if variable.dtype.kind != "M":
        units = variable.attrs.get("units")
        if not isinstance(units, str) or " since " not in units:
            raise InputError(
                f"{source}: '{name}' has the units {units!r}; expected some such as 'days since 1980-01-01'"
            )
        values = variable.values
        if values.dtype.kind == "f" and np.isnan(values).any():
            raise InputError(f"{source}: '{name}' is missing at position {int(np.isnan(values).argmax())}")
        calendar = str(variable.attrs.get("calendar", "standard")).strip().lower()
        if calendar not in _CALENDARS:
            raise InputError(f"{source}: '{name}' is in the calendar '{calendar}'; expected the standard one")
        attributes = {**variable.attrs, "calendar": calendar}
        if _WEEKS.match(units):  # UDUNITS knows weeks, and xarray does not
            values = values.astype(np.float64) * 7.0
            attributes["units"] = _WEEKS.sub("days since ", units)
        variable = xr.Variable(variable.dims, values, attributes)
        try:
            with warnings.catch_warnings():
                # xarray warns where it falls back to cftime; such dates are refused below
                warnings.simplefilter("ignore", xr.SerializationWarning)
                decoded = xr.conventions.decode_cf_variable(name, variable, decode_timedelta=False).values
        except (ValueError, OverflowError, TypeError) as error:
            raise InputError(
                f"{source}: '{name}' cannot be read as dates with the units '{units}'; "
                "expected some such as 'days since 1980-01-01'"
            ) from error
        if decoded.dtype.kind != "M":
            raise InputError(
                f"{source}: '{name}' holds {decoded.ravel()[0]}; expected dates within 1678..2262"
            )
        return as_nanoseconds(decoded, source, name)
    return as_nanoseconds(variable.values, source, name)


def encode_time(time: TimeArray) -> NDArray[np.int64]:
    """Times as whole seconds since 1970 (see `TIME_ATTRIBUTES`).

    Raises:
        InputError: a time with a fraction of a second.
    """
    whole = np.asarray(time).astype("datetime64[s]")
    if (whole != time).any():
        raise InputError(f"time {np.asarray(time)[whole != time][0]} has a fraction of a second")
    return whole.astype(np.int64)


class Overlap(NamedTuple):
    """The common period of two time axes: `time` is `time_a[a]` and `time_b[b]`."""

    time: TimeArray
    a: slice
    b: slice


def overlap(
    time_a: TimeArray, time_b: TimeArray, *, what_a: str = "runoff", what_b: str = "observations"
) -> Overlap:
    """The common period of two regular time axes of the same step.

    Args:
        time_a: (T,) datetime64[ns].
        time_b: (U,) datetime64[ns].
        what_a, what_b: what they are, and of which file, for the error.

    Raises:
        InputError: the axes do not overlap, have different steps, or are shifted against each other.
    """

    def period(time: TimeArray) -> str:
        return f"{text(time[0])}..{text(time[-1])}" if len(time) else "no time at all"

    def say(problem: str, expected: str) -> InputError:
        found = f"{what_a} has {period(time_a)}, {what_b} has {period(time_b)}"
        return InputError(f"time axes {problem}: {found}; expected {expected}")

    if not len(time_a) or not len(time_b) or time_a[-1] < time_b[0] or time_b[-1] < time_a[0]:
        raise say("do not overlap", "a common period")
    if len(time_a) > 1 and len(time_b) > 1 and (time_a[1] - time_a[0]) != (time_b[1] - time_b[0]):
        step_a, step_b = (step_text(seconds(time[1] - time[0])) for time in (time_a, time_b))
        raise say(f"have different steps ({step_a} and {step_b})", "the same step")
    first, last = max(time_a[0], time_b[0]), min(time_a[-1], time_b[-1])
    a = slice(int(np.searchsorted(time_a, first)), int(np.searchsorted(time_a, last, side="right")))
    b = slice(int(np.searchsorted(time_b, first)), int(np.searchsorted(time_b, last, side="right")))
    if not np.array_equal(time_a[a], time_b[b]):
        raise say("are shifted against each other", "steps that begin at the same times")
    return Overlap(time_a[a], a, b)
