"""The time axis of a file: which variable it is, and where in its step each stamp lies.

Inside rivergrad a time labels the start of its step. A file may stamp the middle or the end. Its own word
decides, in this order: bounds of the time variable (CF 7.1), `cell_methods` (CF 7.3), and the conventions of
known sources. What is converted is said in one line. An option `stamp` overrides the file.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rivergrad.errors import InputError, ids_text
from rivergrad.io.datasets import TIME_NAMES, reading
from rivergrad.io.layout import Steps, has_own_step
from rivergrad.io.timebounds import bounds_name, inherited, is_unwritten
from rivergrad.io.times import (
    SECOND,
    SNAP,
    TimeArray,
    decode_time,
    increasing,
    parse_dates,
    regular_step,
    seconds,
    snapped,
    step_text,
    text,
)

log = logging.getLogger("rivergrad")

Stamp = Literal["auto", "start", "middle", "end"]
At = Literal["start", "middle", "end"]
STAMPS: tuple[Stamp, ...] = ("auto", "start", "middle", "end")
SHARE: Mapping[At, float] = {"start": 0.0, "middle": 0.5, "end": 1.0}
"""Where in its step a stamp lies, as a share of the step."""

_NAMES = (*TIME_NAMES, "Times", "XTIME")
_NOT_OF_A_STEP = ("maximum", "minimum", "max", "min", "range", "standard_deviation", "variance", "mid_range")


@dataclass(frozen=True, eq=False)
class FileAxis:
    """The time axis of a file as it stands.

    Attributes:
        stamps: (T,) as in the file, on a regular axis.
        step: length of a step, s.
        at: where in their steps the stamps lie, as the file says; None where it says nothing.
        why: what in the file says so.
        fresh: (T,) whether a value holds its own step alone; None unless bounds say that values accumulate.
        ask: what to ask where the file's word can mean two things.
        by_bounds: whether bounds say so.
        is_point: whether values are snapshots at their stamps.
    """

    stamps: TimeArray
    step: float
    at: At | None = None
    why: str = ""
    fresh: NDArray[np.bool_] | None = None
    ask: str | None = None
    by_bounds: bool = False
    is_point: bool = False

    def starts(self, at: At) -> TimeArray:
        """(T,) the start of each step, if stamps lie at its start, middle or end."""
        return self.stamps - np.timedelta64(round(self.step * SHARE[at] * 1e9), "ns")


def time_dim(dataset: xr.Dataset, array: xr.DataArray, path: Path) -> str:
    """The dimension of a variable that is its time: by attributes, else by name.

    Raises:
        InputError: none of them, or several.
    """
    dims = [str(dim) for dim in array.dims]
    for name in TIME_NAMES:
        if name in dims:
            return name
    found = [dim for dim in dims if _time_variable(dataset, dim) is not None]
    if len(found) == 1:
        return found[0]
    raise InputError(
        f"{path}: variable '{array.name}' has the dimensions ({ids_text(array.dims)}); one must be time"
    )


def read_axis(
    dataset: xr.Dataset,
    array: xr.DataArray,
    dim: str,
    path: Path,
    *,
    start: str | None = None,
    step: float | None = None,
    by_name: tuple[TimeArray, float] | None = None,
    like: Steps | None = None,
) -> FileAxis:
    """The regular time axis of a variable, and what the file says about its stamps.

    Args:
        dataset, array, dim: the open file, a variable of it, and its time dimension.
        path: for messages.
        start, step: first time and step (s), only for a file that has no times of its own.
        by_name: times told by the file's name, for a file that has none of its own.
        like: the steps of the runoff, for observations: times may leave out steps of it.

    Raises:
        InputError: times that are missing, irregular or not readable, or bounds that contradict them.
    """
    count = int(array.sizes[dim])
    if count == 0:
        raise InputError(f"{path}: variable '{array.name}' has no times")
    found = read_stamps(dataset, array, dim, path)
    if found is None:
        told, length = by_name if by_name is not None else (None, None)
        first = parse_dates([start], "start")[0] if start is not None else None if told is None else told[0]
        length = length if step is None else float(step)
        if first is None or length is None:
            raise InputError(
                f"{path}: variable '{array.name}' has no readable times along '{dim}'; expected a variable '{dim}' "
                "with units such as 'days since 1980-01-01', or runoff.start and runoff.step (route --runoff-start, "
                "--runoff-step)"
            )
        return FileAxis(first + np.arange(count) * np.timedelta64(round(length * 1e9), "ns"), length)
    name, stamps = found
    stamps = snapped(stamps)
    if start is not None and stamps[0] != parse_dates([start], "start")[0]:
        raise InputError(f"{path}: '{name}' begins at {text(stamps[0])}, but the start {start} was given")
    bounds = read_bounds(dataset, name, dim, path)
    if like is not None and (
        time_method(array, {dim, name}) == "point" or not has_own_step(stamps, like, path)
    ):
        increasing(stamps, str(path), name)
        own = like.length
    elif count == 1 and (step is not None or bounds is not None):
        assert step is not None or bounds is not None
        length = seconds(np.ptp(bounds[1])) if bounds is not None else 0.0
        own = float(step) if step is not None else length
        if own <= 0:
            regular_step(stamps, str(path), name)  # raises: one time tells no step
    elif count == 1:
        raise InputError(
            f"{path}: '{name}' has 1 time; expected two or more, to know the step (of runoff, runoff.step or "
            "--runoff-step gives it)"
        )
    else:
        own = regular_step(stamps, str(path), name)
        if step is not None and step != own:
            raise InputError(
                f"{path}: '{name}' has a step of {step_text(own)}, but {step_text(step)} was given"
            )
    return _with_statement(FileAxis(stamps, own), dataset, array, dim, name, bounds, path)


def read_stamps(
    dataset: xr.Dataset, array: xr.DataArray, dim: str, path: Path
) -> tuple[str, TimeArray] | None:
    """Name and times of the time variable as they stand; None where there is none, or none was ever written.

    Raises:
        InputError: times that are not readable, or missing in part.
    """
    name = _time_variable(dataset, dim)
    if name is None:
        for one in (dim, "time"):
            if one in dataset.variables and dim in dataset[one].dims:
                raise InputError(
                    f"{path}: '{one}' has the dimensions ({ids_text(dataset[one].dims)}); expected {dim} alone"
                )
        return None
    with reading(path, "NetCDF or Zarr"):
        variable = dataset[name].variable.load()
    if is_unwritten(variable.values):
        return None
    with reading(path, "NetCDF or Zarr"):
        return name, decode_time(variable, str(path), name)


def _time_variable(dataset: xr.Dataset, dim: str) -> str | None:
    """The variable along a dimension that holds its times."""
    along = [str(one) for one in dataset.variables if dataset[one].dims == (dim,)]
    for name in (dim, *_NAMES):
        if name in along and (name != dim or dim in _NAMES or _is_time(dataset[name])):
            return name
    return next((name for name in along if _is_time(dataset[name])), None)


def _is_time(array: xr.DataArray) -> bool:
    attributes = array.attrs
    return (
        str(attributes.get("standard_name", "")).strip() == "time"
        or str(attributes.get("axis", "")).strip().upper() == "T"
        or bool(re.match(r"\s*\w+ since ", str(attributes.get("units", ""))))
    )


def read_bounds(
    dataset: xr.Dataset, name: str, dim: str, path: Path
) -> tuple[str, NDArray[np.datetime64]] | None:
    """Name and values (T, 2), lower and upper, of the bounds of a time variable; None where there are none.

    Raises:
        InputError: bounds of another shape, or that are not readable.
    """
    time = dataset[name]
    found, stated = bounds_name(time.variable, name, dataset.variables)
    if found is None:
        if stated:
            log.warning("%s: '%s' names the bounds '%s', which are not there", path, name, stated)
        return None
    variable = dataset[found].variable
    if variable.ndim != 2 or dim not in variable.dims or sorted(variable.shape) != sorted((time.size, 2)):
        raise InputError(
            f"{path}: '{found}', the bounds of '{name}', has the shape {variable.shape}; "
            f"expected ({time.size}, 2)"
        )
    with reading(path, "NetCDF or Zarr"):
        variable = variable.transpose(dim, ...).load()
        if is_unwritten(variable.values):
            return None
        values = decode_time(inherited(time.variable, variable), str(path), found)
    return found, np.sort(values, axis=1)


# -- what the file says ----------------------------------------------------------------------------------------


def _with_statement(
    axis: FileAxis,
    dataset: xr.Dataset,
    array: xr.DataArray,
    dim: str,
    name: str,
    bounds: tuple[str, NDArray[np.datetime64]] | None,
    path: Path,
) -> FileAxis:
    method = time_method(array, {dim, name})
    if method in _NOT_OF_A_STEP:
        raise InputError(
            f"{path}: variable '{array.name}' holds the {method} of each step "
            f"(cell_methods '{array.attrs['cell_methods']}'); expected means or sums"
        )
    if method == "point":
        return replace(axis, at="start", why="cell_methods 'time: point'", is_point=True)
    if bounds is not None:
        found = _by_bounds(axis, *bounds, name, path)
        if found is not None:
            return found
    return _by_source(axis, dataset, array, method)


def time_method(array: xr.DataArray, names: Iterable[str] = ("time",)) -> str | None:
    """What `cell_methods` say about time: `mean`, `sum`, `point`, …; None where they say nothing."""
    methods = re.sub(r"\([^)]*\)", " ", str(array.attrs.get("cell_methods", "")))
    wanted = {*names, "time", "t"}
    along: list[str] = []
    for word in methods.replace(":", ": ").split():
        if word.endswith(":"):
            along.append(word[:-1])
        elif along:
            if wanted & set(along):
                return word.lower()
            along = []
    return None


def _by_bounds(
    axis: FileAxis, found: str, bounds: NDArray[np.datetime64], name: str, path: Path
) -> FileAxis | None:
    """Where stamps lie in their steps by bounds; None where bounds enclose no time."""
    step = np.timedelta64(round(axis.step * 1e9), "ns")
    near = SNAP * axis.step
    low, high = bounds[:, 0], bounds[:, 1]
    width = (high - low) / SECOND
    if (width <= near).all():
        return None
    fresh = np.abs(width - axis.step) <= near
    if not fresh.all():
        grown = np.abs(np.diff(width) - axis.step) <= near
        regular = np.abs(np.diff(high) / SECOND - axis.step) <= near
        if not (regular.all() and (fresh[1:] | grown).all() and (width > near).all()):
            at = int((~fresh).argmax())
            raise InputError(
                f"{path}: '{found}' of {text(axis.stamps[at])} goes from {text(low[at])} to {text(high[at])}, "
                f"and a step is {step_text(axis.step)}; expected bounds of one step each"
            )
        low = high - step
    offset = (axis.stamps - low) / SECOND
    bad = (offset < -near) | (offset > axis.step + near) | (np.abs(offset - offset[0]) > near)
    if bad.any():
        at = int(bad.argmax())
        raise InputError(
            f"{path}: '{name}' holds {text(axis.stamps[at])}, and its bounds '{found}' go from {text(low[at])} "
            f"to {text(high[at])}; expected the stamp within them, at the same place in each step"
        )
    share = float(offset[0]) / axis.step
    at_share = next((one for one in SHARE if abs(share - SHARE[one]) <= SNAP), None)
    said = None if fresh.all() else fresh
    why = f"bounds '{found}'"
    if at_share is None:  # at a place in the step that has no name: the lower bounds stand for the stamps
        log.warning("%s: stamps are replaced by the lower ends of their bounds '%s'", path, found)
        return FileAxis(snapped(low), axis.step, "start", why, said, by_bounds=True)
    return FileAxis(axis.stamps, axis.step, at_share, why, said, by_bounds=True)


def _by_source(axis: FileAxis, dataset: xr.Dataset, array: xr.DataArray, method: str | None) -> FileAxis:
    """Where stamps lie by what the sources that are known do."""
    attributes = " ".join(str(value) for value in dataset.attrs.values())
    hour = axis.step == 3600.0
    kind = grib_step_type(array)
    if kind == "instant":
        return replace(axis, at="start", why="GRIB_stepType 'instant'", is_point=True)
    if kind in ("accum", "avg"):
        why = f"GRIB_stepType '{kind}'"
        if hour:
            return FileAxis(axis.stamps, axis.step, "end", why)
        return FileAxis(
            axis.stamps,
            axis.step,
            why=why,
            ask=f"{why} and steps of {step_text(axis.step)}: ECMWF stamps the end of a step, and sums that were "
            "made afterwards its start",
        )
    if hour and "grib_to_netcdf" in attributes and str(array.attrs.get("units", "")).strip() == "m":
        return FileAxis(axis.stamps, axis.step, "end", "made by grib_to_netcdf, a depth an hour")
    if "GLDAS" in attributes and str(array.name).endswith(("_acc", "_tavg")):
        return FileAxis(axis.stamps, axis.step, "end", "GLDAS")
    if re.search(r"OUTPUT FROM WRF-Hydro", attributes):
        return FileAxis(axis.stamps, axis.step, "end", "WRF-Hydro")
    if "OUTPUT FROM WRF" in attributes and str(array.attrs.get("units", "")).strip() in ("mm", "kg m-2"):
        return FileAxis(axis.stamps, axis.step, "end", "WRF, amounts")
    if "MERRA" in attributes and re.search(r"tavg|time.averaged", attributes, re.IGNORECASE):
        return FileAxis(axis.stamps, axis.step, *_centred(axis, "MERRA's time averages"))
    if method in ("mean", "sum"):
        return FileAxis(axis.stamps, axis.step, *_centred(axis, f"cell_methods 'time: {method}'"))
    return axis


def grib_step_type(array: xr.DataArray) -> str:
    """`accum`, `avg`, `instant`, … of a variable that comes from GRIB; empty where it does not."""
    return str(array.attrs.get("GRIB_stepType", "")).strip().lower()


def _centred(axis: FileAxis, why: str) -> tuple[At | None, str]:
    """The middle, if stamps are half a step off the hours (or days) that steps begin at."""
    step = round(axis.step * 1e9)
    day = 86_400_000_000_000
    if step % 2 or day % step:
        return None, ""
    if int(axis.stamps[0].astype(np.int64)) % step != step // 2:
        return None, ""
    return "middle", f"{why}, half a step off"


# -- what is taken ---------------------------------------------------------------------------------------------


def starts_of(
    axis: FileAxis, stamp: Stamp, path: Path, what: str, *, accumulated: bool = False, say: bool = True
) -> TimeArray:
    """(T,) the start of each step: as the option says, else as the file says, else the stamps themselves.

    Args:
        axis: the axis of the file.
        stamp: what stamps label.
        path, what: the file and the beginning of the workflow's keys (`runoff.`), for messages.
        accumulated: whether values accumulate: a file that says nothing then stamps the end of a step.
        say: whether a conversion is said.

    Raises:
        InputError: what the file says can mean two things.
    """
    if stamp != "auto":
        if say and axis.at is not None and axis.at != stamp:
            log.warning(
                "%s: stamps are taken as the %s of their step, as %sstamp says; the file says the %s (%s)",
                *(path, stamp, what, axis.at, axis.why),
            )
        return axis.starts(stamp)
    at, why = axis.at, axis.why
    if at is None and accumulated:
        at, why = "end", "accumulated until then"
    if at is None and axis.ask is not None:
        raise InputError(
            f"{path}: its stamps may be starts or ends ({axis.ask}); "
            f"expected {what}stamp (route --stamp): start or end"
        )
    if at is None and say and _centred(axis, "")[0] is not None:
        log.warning(
            "%s: stamps such as %s are half a step off, and nothing says that they are the middle: they are taken as "
            "the start (%sstamp)",
            *(path, text(axis.stamps[0]), what),
        )
    if at is None or at == "start":
        return axis.stamps
    starts = axis.starts(at)
    if say:
        log.warning(
            "%s: stamps are the %s of their step (%s): %s is of the step from %s on",
            *(path, at, why, text(axis.stamps[0]), text(starts[0])),
        )
    return starts
