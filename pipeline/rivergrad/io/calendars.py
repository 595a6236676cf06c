"""Times in calendars of models: without leap days, with 366 or 360 days a year."""

from __future__ import annotations

import logging
from pathlib import Path

import cftime
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rivergrad.errors import InputError
from rivergrad.io.times import TimeArray

log = logging.getLogger("rivergrad")

Int = NDArray[np.int64]

CALENDARS = ("noleap", "365_day", "all_leap", "366_day", "360_day", "julian")


def calendar_of(variable: xr.Variable) -> str:
    """The calendar of a time variable, `standard` where it states none."""
    return str(variable.attrs.get("calendar", "standard")).strip().lower()


def standard_times(variable: xr.Variable, path: Path, name: str) -> tuple[TimeArray, Int]:
    """Times of a model's calendar by their dates, and which steps of the file they are of.

    A date that the standard calendar lacks (30 February) is dropped. A day that the model's calendar lacks (29
    February, or the 31st) has the values of the day before. Both are said.

    Returns:
        times (T,), and steps (T,), positions in the file.

    Raises:
        InputError: units that are no dates.
    """
    calendar = calendar_of(variable)
    try:
        dates = cftime.num2date(
            np.asarray(variable.values, np.float64), str(variable.attrs["units"]), calendar
        )
    except (ValueError, KeyError, OverflowError) as error:
        raise InputError(
            f"{path}: '{name}' cannot be read as dates of the calendar {calendar}; expected units such as 'days since "
            "1980-01-01'"
        ) from error
    texts = [one.isoformat() for one in np.ravel(dates)]
    exists = np.array([_exists(one) for one in np.ravel(dates)], dtype=bool)
    steps = np.flatnonzero(exists)
    times = np.array([texts[at] for at in steps], dtype="datetime64[ns]")
    if calendar == "julian":
        return times, steps
    filled, taken = _with_days_that_lack(times, steps)
    dropped, added = int((~exists).sum()), taken.size - steps.size
    if dropped or added:
        said = []
        if dropped:
            first = texts[int((~exists).argmax())][:10]
            said.append(f"{dropped} steps on days that do not exist are dropped, the first on {first}")
        if added:
            first = str(filled[int((~np.isin(filled, times)).argmax())])[:10]
            said.append(
                f"{added} steps on days it lacks have the values of the day before, the first on {first}"
            )
        log.warning("%s: '%s' is in the calendar %s: %s", path, name, calendar, "; ".join(said))
    return filled, taken


def _exists(date: cftime.datetime) -> bool:
    try:
        cftime.datetime(date.year, date.month, date.day, calendar="proleptic_gregorian")
    except ValueError:
        return False
    return True


def _with_days_that_lack(times: TimeArray, steps: Int) -> tuple[TimeArray, Int]:
    """With the steps of the day before for each single day that is missing between two that are there."""
    if times.size < 2:
        return times, steps
    day = times.astype("datetime64[D]").astype(np.int64)
    first = np.flatnonzero(np.diff(day, prepend=day[0] - 1) > 0)
    there = day[first]
    missing = there[:-1][np.diff(there) == 2] + 1
    spacing = np.diff(times)
    if not missing.size or spacing.min() > np.timedelta64(1, "D"):
        return times, steps
    late = [times[day == one - 1] + np.timedelta64(1, "D") for one in missing]
    same = [steps[day == one - 1] for one in missing]
    every, of = np.concatenate([times, *late]), np.concatenate([steps, *same])
    order = np.argsort(every, kind="stable")
    return every[order], of[order]
