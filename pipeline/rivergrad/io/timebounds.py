"""Bounds of times (CF 7.1): which variable holds them, and how far they lie from the stamps."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

import cftime
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rivergrad.errors import InputError
from rivergrad.io.calendars import CALENDARS, calendar_of
from rivergrad.io.datasets import reading
from rivergrad.io.missing import absent
from rivergrad.io.times import decode_time

Int = NDArray[np.int64]

_UNWRITTEN = (-2147483647, -9223372036854775806)
"""NetCDF's own fill values of integers, in files that never declare them."""
_ZERO = "microseconds since 1970-01-01 00:00:00"


def bounds_name(time: xr.Variable, name: str, there: Container[Any]) -> tuple[str | None, str | None]:
    """The variable that holds the bounds of a time variable, None where there is none; and the one that it names."""
    stated = time.attrs.get("bounds") or time.attrs.get("climatology")
    candidates = [str(stated)] if stated else [f"{name}_bnds", f"{name}_bounds", "time_bnds", "time_bounds"]
    return next((one for one in candidates if one in there), None), None if stated is None else str(stated)


def is_unwritten(values: NDArray[Any]) -> bool:
    """Whether a time variable was defined and never filled, as RAPID leaves it."""
    if values.dtype.kind == "f":
        none = absent(values.astype(np.float64))
        return none is not None and bool(none.all())
    if values.dtype.kind == "i":
        return bool(np.isin(values, _UNWRITTEN).all())
    if values.dtype.kind == "M":
        return bool(np.isnat(values).all())
    return False


def inherited(time: xr.Variable, bounds: xr.Variable) -> xr.Variable:
    """Bounds with the units and the calendar of their times, where they have none of their own."""
    of_time = {one: time.attrs[one] for one in ("units", "calendar") if one in time.attrs}
    return xr.Variable(bounds.dims, bounds.values, {**of_time, **bounds.attrs})


def offsets(time: xr.Variable, bounds: xr.Variable, path: Path, name: str) -> Int:
    """How far bounds lie from their stamps.

    Args:
        time: (n,) as stored, with its units; or a single one.
        bounds: (n, 2) as stored, with units or without; or (2,).
        path, name: of the file and the bounds, for messages.

    Returns:
        (n, 2) us, in the calendar of the file.

    Raises:
        InputError: bounds of another shape, or that are not readable.
    """
    stamps = xr.Variable(("step",), np.atleast_1d(time.values), time.attrs)
    pairs = xr.Variable(("step", "end"), np.atleast_2d(bounds.values), bounds.attrs)
    if pairs.shape != (stamps.size, 2):
        raise InputError(f"{path}: '{name}' has the shape {pairs.shape}; expected ({stamps.size}, 2)")
    pairs = inherited(stamps, pairs)
    if calendar_of(stamps) not in CALENDARS:
        low = decode_time(stamps, str(path), name).astype("datetime64[us]").astype(np.int64)
        ends = decode_time(pairs, str(path), name).astype("datetime64[us]").astype(np.int64)
        return ends - low[:, None]
    with reading(path, "times of a model's calendar"):
        return _number(pairs) - _number(stamps)[:, None]


def _number(variable: xr.Variable) -> Int:
    """us, counted in the variable's own calendar."""
    calendar = calendar_of(variable)
    dates = cftime.num2date(np.asarray(variable.values, np.float64), str(variable.attrs["units"]), calendar)
    return np.round(np.asarray(cftime.date2num(dates, _ZERO, calendar), np.float64)).astype(np.int64)
