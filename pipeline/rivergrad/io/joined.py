"""Several files, one after the other in time, and several variables, as one: opened lazily like a single file.

What is joined looks to readers like a dataset of one file. Files are opened as they are needed, a few at a time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends.netCDF4_ import NETCDF4_PYTHON_LOCK
from xarray.core import indexing

from rivergrad.errors import InputError, ids_text
from rivergrad.files import Paths, expanded, is_pattern
from rivergrad.io.axes import NAMES
from rivergrad.io.calendars import CALENDARS, calendar_of, standard_times
from rivergrad.io.classic import require_whole
from rivergrad.io.datasets import TIME_NAMES, kind_of, missing, numbers_of, open_dataset, reading
from rivergrad.io.missing import LIMITS, without_absent
from rivergrad.io.timebounds import bounds_name, is_unwritten, offsets
from rivergrad.io.times import EPOCH, TimeArray, decode_time, text
from rivergrad.watchdog import opening

Int = NDArray[np.int64]

MOST_OPEN = 8
"""Files of a record that are open at a time."""
TOGETHER = (
    ("Qs_acc", "Qsb_acc"),
    ("Qs_tavg", "Qsb_tavg"),
    ("Qs_inst", "Qsb_inst"),
    ("Qs", "Qsb"),
    ("SFROFF", "UDROFF"),
    ("SFCRNOFF", "UGDRNOFF"),
    ("qSfcLatRunoff", "qBucket"),
    ("sro", "ssro"),
)
"""Surface and subsurface runoff of models that give no sum: GLDAS, LIS and JULES, WRF, WRF-Hydro, ERA5."""
PLUS = " + "


@dataclass(frozen=True)
class Joined:
    """Files and variables that are read as one dataset; small to pickle.

    Attributes:
        paths: in order of time; sums: variables whose sum is read, none for those of the files.
        time: name of the time variable; times: (T,) us since 1970; steps: (T,) positions in all files' steps.
        ends: (file,) how many steps there are up to the end of each file.
    """

    paths: tuple[Path, ...]
    sums: tuple[str, ...]
    time: str
    times: Int = field(repr=False)
    steps: Int = field(repr=False)
    ends: Int = field(repr=False)

    def open(self) -> xr.Dataset:
        """The files as one dataset.

        Raises:
            InputError: a file that can't be read, or whose variables are not those of the first.
        """
        files = _Open(self)
        with files.lock:
            first = files.dataset(0)
            return _assembled(self, files, first)


def paths_of(given: Paths) -> tuple[Path, ...]:
    """The files that a path, a pattern (`runoff_*.nc`) or a list of both names.

    Raises:
        InputError: a pattern that no file fits, or an empty list.
    """
    found = expanded(given)
    if not found:
        raise InputError("found no file of runoff; expected one at least")
    bare = next((one for one in found if is_pattern(one)), None)
    if bare is not None:
        raise InputError(f"{bare}: no file fits this pattern; expected one at least")
    return tuple(found)


def joined(paths: Sequence[Path], names: Sequence[str], *, dim: str | None = None) -> Joined | None:
    """How files and variables are read as one; None where a single file is read as it stands.

    Args:
        paths: the files, in any order.
        names: the variables that are summed, or the one that is read, or none for whatever there is.
        dim: name of the time dimension; else by `TIME_NAMES`.

    Raises:
        InputError: times that are not readable or overlap, or variables that are missing.
    """
    if not all(_is_dataset(path) for path in paths):
        if len(paths) == 1 and len(names) < 2:
            return None
        raise InputError(
            f"{paths[0]}: is no NetCDF or Zarr; expected these where several files or variables are one"
        )
    found: list[tuple[TimeArray, Int, Path, int]] = []
    time, plain = "", len(paths) == 1 and len(names) < 2
    for path in paths:
        if time and (quick := _quick_time(path, time)) is not None:
            found.append((*_times(quick, path, time), path, int(quick.size)))
            continue
        with open_dataset(path) as dataset:
            name = _time_of(dataset)
            if name is None:
                if plain:
                    return None
                raise InputError(f"{path}: has no variable of time; expected one such as time")
            variable = dataset[name].variable
            if (
                plain
                and variable.ndim == 1
                and _is_standard(variable)
                and _all_over_time(dataset, name, names)
            ):
                return None
            if plain and variable.dtype.kind not in "iufM" and _all_over_time(dataset, name, names):
                return None
            time = time or name
            found.append((*_times(variable, path, name), path, int(variable.size)))
    return _in_order(found, tuple(names) if len(names) > 1 else (), time)


def _quick_time(path: Path, name: str) -> xr.Variable | None:
    """The numbers of a time variable in NetCDF, without a look at all else: a record may have thousands of files."""
    if kind_of(path) != "netcdf":
        return None
    with reading(path, "NetCDF"):
        require_whole(path)
        with opening(path), NETCDF4_PYTHON_LOCK, netCDF4.Dataset(str(path)) as file:
            stored = file.variables.get(name)
            if stored is None or stored.dtype == str or stored.dtype.kind not in "iuf" or stored.ndim > 1:
                return None
            stored.set_auto_maskandscale(False)
            attributes = {
                one: stored.getncattr(one) for one in ("units", "calendar") if one in stored.ncattrs()
            }
            return xr.Variable(("step",), np.atleast_1d(np.asarray(stored[...])), attributes)


def _in_order(found: list[tuple[TimeArray, Int, Path, int]], sums: tuple[str, ...], time: str) -> Joined:
    found.sort(key=lambda one: one[0][0])
    for (before, _, early, _), (after, _, late, _) in pairwise(found):
        if after[0] <= before[-1]:
            raise InputError(
                f"{late}: begins at {text(after[0])}, and {early.name} ends at {text(before[-1])}; expected files that "
                "follow one another"
            )
    ends = np.cumsum([one[3] for one in found])
    starts = np.concatenate([[0], ends[:-1]])
    times = np.concatenate([one[0] for one in found])
    steps = np.concatenate([one[1] + start for one, start in zip(found, starts, strict=True)])
    whole = times.astype("datetime64[us]").astype(np.int64)
    return Joined(tuple(one[2].absolute() for one in found), sums, time, whole, steps, ends.astype(np.int64))


def together(names: Sequence[str]) -> tuple[str, ...]:
    """Of a file's variables, surface and subsurface runoff of a model that gives no sum; empty where there are none."""
    return next((pair for pair in TOGETHER if all(one in names for one in pair)), ())


def _is_dataset(path: Path) -> bool:
    return kind_of(path) in ("netcdf", "zarr")


def _time_of(dataset: xr.Dataset) -> str | None:
    names = (*TIME_NAMES, "Times")
    if "Times" in dataset.variables and "Time" in dataset.dims and "Time" not in dataset.variables:
        return "Times"
    return next((one for one in names if one in dataset.variables and dataset[one].ndim < 2), None)


def _is_standard(variable: xr.Variable) -> bool:
    return calendar_of(variable) not in CALENDARS


def _all_over_time(dataset: xr.Dataset, time: str, names: Sequence[str]) -> bool:
    """Whether the variable that is wanted lies over the time as it stands."""
    dims = dataset[time].dims
    wanted = [one for one in names if one in dataset.data_vars] or [
        str(one) for one, array in dataset.data_vars.items() if set(array.dims) & set(dims)
    ]
    return bool(dims) and bool(wanted) and all(set(dims) <= set(dataset[one].dims) for one in wanted)


def _times(variable: xr.Variable, path: Path, name: str) -> tuple[TimeArray, Int]:
    with reading(path, "NetCDF or Zarr"):
        loaded = variable.load()
    loaded = xr.Variable(("step",), np.atleast_1d(loaded.values), loaded.attrs)
    if not loaded.size:
        raise InputError(f"{path}: '{name}' holds no time; expected one at least")
    if _is_standard(loaded):
        return decode_time(loaded, str(path), name), np.arange(loaded.size)
    return standard_times(loaded, path, name)


class _Open:
    """A few of the files, open."""

    def __init__(self, joined: Joined) -> None:
        self.joined = joined
        self.lock = threading.RLock()
        self._kept: OrderedDict[int, xr.Dataset] = OrderedDict()

    def dataset(self, number: int) -> xr.Dataset:
        """A file, its variables over time with that dimension first."""
        kept = self._kept.pop(number, None)
        if kept is None:
            kept = open_dataset(self.joined.paths[number])
            while len(self._kept) >= MOST_OPEN:
                self._kept.popitem(last=False)[1].close()
        self._kept[number] = kept
        return kept

    def values(self, number: int, names: Sequence[str], dim: str, steps: Int, rest: tuple[Any, ...]) -> Any:
        """The sum of variables at some steps of a file: time first, then the other dimensions."""
        path = self.joined.paths[number]
        total: Any = None
        for name in names:
            dataset = self.dataset(number)
            if name not in dataset.data_vars:
                raise missing(path, "variable", name, dataset.data_vars)
            array = dataset[name]
            array = array.expand_dims(dim) if dim not in array.dims else array
            others = [one for one in array.dims if one != dim]
            chosen = array.transpose(dim, *others).isel(
                dict(zip((dim, *others), (steps, *rest), strict=True))
            )
            if len(names) == 1:
                with reading(path, "NetCDF or Zarr"):
                    return chosen.values
            part = without_absent(numbers_of(chosen, path))
            total = part if total is None else total + part
        return total

    def close(self) -> None:
        with self.lock:
            while self._kept:
                self._kept.popitem()[1].close()


class _Values(xr.backends.BackendArray):
    """A variable of all files, or the sum of some, read when it is indexed."""

    def __init__(
        self, files: _Open, names: tuple[str, ...], dim: str, shape: tuple[int, ...], dtype: Any
    ) -> None:
        self.files, self.names, self.dim = files, names, dim
        self.shape, self.dtype = shape, np.dtype(dtype)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._outer
        )

    def _of_file(self, number: int, steps: Int, rest: tuple[Any, ...]) -> Any:
        return self.files.values(number, self.names, self.dim, steps, rest)

    def _outer(self, key: tuple[Any, ...]) -> Any:
        whole = self.files.joined
        wanted = np.atleast_1d(np.arange(self.shape[0])[key[0]])
        steps = whole.steps[wanted]
        number = np.searchsorted(whole.ends, steps, side="right")
        parts = []
        with self.files.lock:
            for run in np.split(np.arange(steps.size), np.flatnonzero(np.diff(number)) + 1):
                if not run.size:
                    continue
                at = int(number[run[0]])
                local = steps[run] - (int(whole.ends[at - 1]) if at else 0)
                parts.append(self._of_file(at, local, key[1:]))
        if not parts:
            return np.empty((0, *np.empty(self.shape[1:], bool)[key[1:]].shape), self.dtype)
        values = np.concatenate(parts).astype(self.dtype, copy=False)
        return values[0] if isinstance(key[0], int | np.integer) else values


class _Bounds(_Values):
    """The bounds of all files' times, us since 1970: each file counts from an origin of its own."""

    def __init__(self, files: _Open, name: str) -> None:
        super().__init__(files, (name,), "", (files.joined.times.size, 2), np.int64)

    def _of_file(self, number: int, steps: Int, rest: tuple[Any, ...]) -> Any:
        dataset, path = self.files.dataset(number), self.files.joined.paths[number]
        name, time = self.names[0], _time_of(dataset)
        if time is None or name not in dataset.variables:
            raise missing(path, "variable", name, dataset.variables)
        with reading(path, "NetCDF or Zarr"):
            stamps, pairs = dataset[time].variable.load(), dataset[name].variable.load()
        return offsets(stamps, pairs, path, name)[steps][:, rest[0]]

    def _outer(self, key: tuple[Any, ...]) -> Any:
        stamps = self.files.joined.times[key[0]]
        return np.asarray(super()._outer(key)) + (stamps[:, None] if np.ndim(stamps) else stamps)


def _assembled(whole: Joined, files: _Open, first: xr.Dataset) -> xr.Dataset:
    dims = first[whole.time].dims
    dim = str(dims[0]) if dims else "time"
    alone = not dims or first.sizes[dim] == 1
    variables: dict[str, xr.Variable] = {}
    bounds, _ = bounds_name(first[whole.time].variable, whole.time, first.variables)
    if bounds is not None and is_unwritten(first[bounds].values):
        bounds = None
    wanted = [whole.sums] if whole.sums else [(str(one),) for one in first.data_vars]
    for names in wanted:
        arrays = []
        for name in names:
            if name not in first.data_vars:
                raise missing(whole.paths[0], "variable", name, first.data_vars)
            arrays.append(first[name])
        array = arrays[0]
        units = {str(one.attrs.get("units")) for one in arrays}
        if len(units) > 1:
            raise InputError(
                f"{whole.paths[0]}: {ids_text(names)} have the units {ids_text(sorted(units))}; "
                "expected one, to sum them"
            )
        if names in ((whole.time,), (bounds,)) or (
            dim not in array.dims and not (alone and _is_wanted(array, first))
        ):
            continue
        others = [str(one) for one in array.dims if one != dim]
        shape = (whole.times.size, *(first.sizes[one] for one in others))
        dtype = np.float64 if len(names) > 1 else array.dtype
        lazy = indexing.LazilyIndexedArray(_Values(files, names, dim, shape, dtype))
        made = xr.Variable((dim, *others), lazy, array.attrs)
        if len(names) == 1 and LIMITS in array.encoding:
            made.encoding[LIMITS] = array.encoding[LIMITS]
        variables[PLUS.join(names)] = made
    for key, kept in first.variables.items():
        name = str(key)
        if name == bounds:
            continue
        if name != whole.time and name not in variables and dim not in kept.dims and name not in whole.sums:
            variables[name] = kept
        elif name not in variables and dim in kept.dims and kept.ndim == 3 and name not in first.data_vars:
            variables[name] = kept.isel({dim: 0})
    _of_the_grid(variables, first, dim)
    if (whole.times % 1_000_000).any():
        times, unit = whole.times, EPOCH.replace("seconds", "microseconds")
    else:
        times, unit = whole.times // 1_000_000, EPOCH
    attributes = {"units": unit, "calendar": "proleptic_gregorian"}
    if bounds is not None:
        lazy = indexing.LazilyIndexedArray(_Bounds(files, bounds))
        said = {**attributes, "units": EPOCH.replace("seconds", "microseconds")}
        variables[bounds] = xr.Variable((dim, "bounds of times"), lazy, said)
        attributes = {**attributes, "bounds": bounds}
    variables[dim if dim in TIME_NAMES else "time"] = xr.Variable((dim,), times, attributes)
    made_of = xr.Dataset(variables, attrs=first.attrs)
    made_of.set_close(files.close)
    return made_of


def _of_the_grid(variables: dict[str, xr.Variable], first: xr.Dataset, dim: str) -> None:
    """Latitudes and longitudes that a file writes again for every time are those of its first time."""
    for key, array in first.variables.items():
        name = str(key)
        if name.lower() in ("xlat", "xlong", "lat", "lon", "latitude", "longitude") and dim in array.dims:
            variables[name] = array.isel({dim: 0})


def _is_wanted(array: xr.DataArray, first: xr.Dataset) -> bool:
    """Whether a variable without time is one of a single time: not a coordinate, nor something about ids."""
    name = str(array.name)
    return (
        array.ndim >= 1
        and array.dtype.kind == "f"
        and name.lower() not in NAMES
        and name not in first.dims
        and name != "elevation"
    )
