"""Runoff of reaches, opened lazily and read in m3/s for the reaches and times that are wanted.

A source knows its time axis (a time labels the START of its forcing step) and reads `(time, reach)` in
float64. No open file is pickled with it: a worker opens the file itself and reads its own reaches.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError, ids_text
from rivergrad.io.accumulated import Accumulated, Accumulation, checked, find_accumulation
from rivergrad.io.axes import Grid, find_grid
from rivergrad.io.cellweights import cells_of, reach_weights
from rivergrad.io.curvilinear import curvilinear_weights
from rivergrad.io.damage import reading_steps
from rivergrad.io.datasets import (
    Damaged,
    find_ids,
    find_variable,
    kind_of,
    match_ids,
    numbers_of,
    open_dataset,
)
from rivergrad.io.formats import other_format
from rivergrad.io.gridded import check_positions, covers, shares
from rivergrad.io.heads import head_of
from rivergrad.io.joined import PLUS, Joined, joined, paths_of, together
from rivergrad.io.missing import LIMITS, ROUND, absent, as_numbers, refuse_bad, within, without_absent
from rivergrad.io.rapid import connect_ids, is_rapid_folder, times_by_name
from rivergrad.io.series import read_series
from rivergrad.io.stamps import FileAxis, Stamp, grib_step_type, read_axis, starts_of, time_dim, time_method
from rivergrad.io.times import TimeArray, text
from rivergrad.io.units import FlowUnit, flow_unit, unit_of

if TYPE_CHECKING:
    import scipy.sparse

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]
Int = NDArray[np.int64]

VARIABLES = ("runoff", "m3_riv", "ro", "lateral_inflow", "Qext", "qlateral")
Absent = Literal["error", "zero"]
WITHOUT_UNITS = ("m3_riv", "qlateral")
"""Variables that are m3 per step where they have no unit, by the formats of RAPID and river-route."""
BLOCK_VALUES = 1 << 24  # values read at once: 128 MB in float64, whatever the size of the file
DEPTHS = (1.0, 1e-2, 1e-3, 0.3048, 0.0254)  # m: the units of depth that rates are made of
PLACES, AT_A_PLACE = 4, 16  # where, and how many columns there, values are looked at before all are read
TINY_DEPTH = 1e-5  # m per step: packed reanalyses hold negatives down to here where they mean zero
UNKNOWN_AREA = 1e9  # m2, of a reach without area_m2: only says which negative flows pass for zero
MOST = 0.99 * ROUND  # from here on numbers are looked at closely
EXPECTED = "0 or more (but for rounding, 1e-5 m per step)"
_OPENING = threading.RLock()
"""Threads that read a source first, at once, would each open its file, and HDF5 crash where one that nobody holds is
closed while another is read: xarray closes it without its lock."""


class RunoffSource(Protocol):
    """Runoff of a network's reaches, read a piece at a time."""

    @property
    def path(self) -> Path:
        """The file, for messages."""
        ...

    @property
    def time(self) -> TimeArray:
        """(T,) start of each forcing step."""
        ...

    @property
    def step(self) -> float:
        """Length of a forcing step, s."""
        ...

    @property
    def reach_id(self) -> Int:
        """(n,) ids of the reaches, in the order of `read`."""
        ...

    def read(self, reach_positions: ArrayLike | None, start: int, stop: int) -> Float:
        """Runoff (stop - start, len(reach_positions)) in m3/s; None for every reach.

        Raises:
            InputError: a value is missing (NaN), or the file is damaged.
        """
        ...

    def select(self, reach_positions: ArrayLike) -> Self:
        """The source for some reaches only: small to pickle, with its own positions 0..m-1."""
        ...

    def close(self) -> None:
        """Close the file; the next `read` opens it again."""
        ...


def open_runoff(
    path: str | Path | Sequence[str | Path],
    network: RiverNetwork,
    *,
    variable: str | Sequence[str] | None = None,
    grid: bool | Literal["auto"] = "auto",
    cell: float | None = None,
    start: str | None = None,
    step: float | None = None,
    stamp: Stamp = "auto",
    accumulated: Accumulated = "auto",
    format: str = "auto",
    weights: str | Path | Sequence[str | Path] = (),
    absent: Absent = "error",
) -> RunoffSource:
    """Open the runoff of a network's reaches.

    NetCDF or Zarr, either per reach, `runoff(time, reach)` with the reaches' ids (matched by id, never by
    position), or on a grid (see `find_grid`), where the network needs `lat` and `lon`. Reaches whose lat and lon
    form a regular grid stand for its cells, others for points (see `regular_grid_weights`); on a curvilinear grid
    all are points (see `curvilinear_weights`).
    RAPID's `m3_riv` may lack ids (then its order is that of rapid_connect.csv), units (m3 per step) and
    values (NaN means 0). A CSV has a column `time` and one of m3/s per reach id, or `time, reach_id, runoff`.
    Several files that follow one another are one record, as are files of a single time each. Calendars without leap
    days, or of 360 days, are taken by their dates (see `rivergrad.io.calendars`).

    Args:
        path: the file or store; a pattern such as `runoff_*.nc`; or a list of them.
        network: whose reaches; units of depth need its attribute `area_m2`.
        variable: name of the variable, or of several that are summed; else `runoff`, `m3_riv`, `ro`, the surface and
            subsurface runoff of a known model, or the only one over time.
        grid: whether the file is gridded; `auto` tells by its dimensions.
        cell: size of the reaches' cells on a grid, degrees, 0 for points; else it is told from lat and lon.
            Open a source with the whole network and `select` from it: few reaches may not tell.
        start: first time, only for a file that has no times of its own.
        step: forcing step, s, only for a file that has no times of its own, or a single one.
        stamp: what times label, the start, middle or end of their step; `auto` as the file says (see `stamps`).
        accumulated: whether amounts accumulate: `no`, `run` (since the first step), or s from reset to reset;
            `auto` as the file and its values say (see `accumulated`).
        format: the name or import path of a format; `auto` tells by the name, and asks formats of other people first.
        weights: a table of which cells, or which catchments, drain to which reach (see `rivergrad.io.cellweights`); or
            two, first of cells to catchments, then of catchments to reaches.
        absent: what of reaches that the file or table lacks: an `error`, or that they have `zero` inflow.

    Raises:
        InputError: no such file or variable, a missing or unknown unit, a reach that the file lacks, a depth
            without areas, a time axis that is irregular or not readable, a grid that is neither in degrees nor has
            them, or values that look accumulated where nothing says so.

    Example:
        >>> import rivergrad as rg
        >>> source = rg.open_runoff("runoff.nc", rg.read_network("network.csv"))
        >>> first = source.read(None, 0, 10)  # (10, reach), m³/s
    """
    paths, names = paths_of(path), named(variable)
    path = paths[0]
    if (other := other_format(path, "runoff", format)) is not None:
        if len(paths) > 1:
            raise InputError(f"{path}: is one of {len(paths)} files, and its format reads one; expected one")
        given: dict[str, Any] = {"weights": weights or None, "start": start, "step": step, "cell": cell}
        given["absent"] = None if absent == "error" else absent
        options: dict[str, Any] = {
            "variable": variable,
            "grid": grid,
            "stamp": stamp,
            "accumulated": accumulated,
        }
        options |= {name: value for name, value in given.items() if value is not None}
        source: RunoffSource = other.read(path, "runoff", network=network, **options)
        return source
    kind = kind_of(path)
    if kind in ("csv", "parquet"):
        if len(paths) > 1 or len(names) > 1 or weights:
            raise InputError(f"{path}: is a table of flows; expected one file, one variable and no weights")
        if accumulated not in ("auto", "no"):
            raise InputError(f"{path}: is a table of flows, which do not accumulate; expected no accumulated")
        if start is not None or step is not None:
            raise InputError(f"{path}: is a table with times of its own; expected no start and no step")
        return _open_table(path, network, stamp, absent)
    names = names or _summed(path)
    files = joined(paths, names)
    with open_dataset(path) if files is None else files.open() as dataset:
        wanted = PLUS.join(names) if names else None
        array = find_variable(dataset, wanted, VARIABLES, path)
        array = array.squeeze([dim for dim in array.dims if array.sizes[dim] == 1 and _is_extra(str(dim))])
        dim = time_dim(dataset, array, path)
        by_name = times_by_name(path, int(array.sizes[dim])) if _is_rapid(array) else None
        axis = read_axis(dataset, array, dim, path, start=start, step=step, by_name=by_name)
        unit = _unit(array, path)
        _check_method(array, unit, axis.step, path)
        found = None if grid is False else find_grid(dataset, array, dim, path)
        if grid is True and found is None:
            raise InputError(
                f"{path}: variable '{array.name}' has the dimensions ({ids_text(array.dims)}); "
                "expected latitude and longitude, as grid is set"
            )
        opened: GridRunoff | ReachRunoff | WeightedRunoff
        if weights:
            opened = _open_weighted(dataset, array, found, dim, axis, unit, network, path, weights, absent)
        elif found is not None:
            opened = _open_grid(array, found, dim, axis, unit, network, path, cell)
        else:
            opened = _open_reaches(dataset, array, dim, axis, unit, network, path, absent)
        opened = replace(opened, files=files)
        return settled(
            opened,
            axis,
            stamp,
            accumulated,
            amount=unit.kind in ("depth", "volume"),
            hint=grib_step_type(array) == "accum",
            lowest=-TINY_DEPTH / unit.factor if unit.kind == "depth" else 0.0,
            what="runoff.",
        )


def named(variable: str | Sequence[str] | None) -> tuple[str, ...]:
    """The variables that an option names."""
    if variable is None:
        return ()
    return (variable,) if isinstance(variable, str) else tuple(variable)


def _summed(path: Path) -> tuple[str, ...]:
    """The variables of a known model that are runoff only together, where the file has no runoff of its own."""
    there = head_of(path).columns
    found = () if any(one in there for one in VARIABLES) else together(there)
    if found:
        log.warning("%s: runoff is %s", path, PLUS.join(found))
    return found


def _is_extra(dim: str) -> bool:
    return dim in ("expver", "number", "realization", "ensemble", "level", "height", "surface")


def _is_rapid(array: xr.DataArray) -> bool:
    return array.name == "m3_riv"


def _unit(array: xr.DataArray, path: Path) -> FlowUnit:
    name = str(array.name)
    if name in WITHOUT_UNITS and "units" not in array.attrs:
        return FlowUnit("volume", 1.0)  # part of these formats
    found = unit_of(array.attrs, str(path), name, "m3 s-1, mm/day or kg m-2 s-1")
    return flow_unit(found, str(path), name)


def _lowest(network: RiverNetwork, factor: float, step: float, is_depth: bool) -> Float:
    """() or (n,) the least runoff that passes for 0, in the file's unit; `factor` brings it to m3/s or m/s."""
    depth = -TINY_DEPTH / (factor * step)
    if is_depth:
        return np.asarray(depth)
    area = network.attributes.get("area_m2")
    if area is None:
        return np.asarray(depth * UNKNOWN_AREA)
    area = np.asarray(area, dtype=np.float64)
    return depth * np.where(np.isfinite(area) & (area > 0), area, UNKNOWN_AREA)


def _areas(network: RiverNetwork, array: xr.DataArray, path: Path) -> Float:
    area = network.attributes.get("area_m2")
    what = f"{path}: variable '{array.name}' is a depth ('{array.attrs.get('units')}')"
    if area is None:
        raise InputError(f"{what}, which needs the attribute area_m2 of the network, and it has none")
    area = np.asarray(area, dtype=np.float64)
    if (bad := ~(np.isfinite(area) & (area >= 0))).any():
        raise InputError(
            f"{what}, which needs area_m2, and the reaches {ids_text(network.reach_id[bad])} lack it"
        )
    return area


def _check_method(array: xr.DataArray, unit: FlowUnit, step: float, path: Path) -> None:
    """Sums of rates are no rates: `cell_methods` and unit must agree."""
    if time_method(array) != "sum" or unit.kind not in ("discharge", "depth rate"):
        return
    amount = unit.factor * step  # mm/day over a day is mm
    if unit.kind == "depth rate" and min(abs(amount / one - 1.0) for one in DEPTHS) < 1e-9:
        return
    raise InputError(
        f"{path}: variable '{array.name}' is a sum over time (cell_methods '{array.attrs['cell_methods']}') of a "
        f"rate ('{array.attrs.get('units')}'); expected an amount such as mm or m3, or means"
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class FileSource:
    """What both kinds of NetCDF and Zarr sources share: where it is, its times, and an open file or none.

    `time` begins with the first step that can be read: `skip` values of the file come before it. `files` says how
    several files, or variables, are read as one.
    """

    path: Path
    variable: str
    dims: tuple[str, ...]
    time: TimeArray
    step: float
    reach_id: Int
    accumulation: Accumulation | None = None
    skip: int = 0
    files: Joined | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_open"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def _dataset(self) -> xr.Dataset:
        with _OPENING:
            dataset: xr.Dataset | None = self.__dict__.get("_open")
            if dataset is None:
                dataset = open_dataset(self.path) if self.files is None else self.files.open()
                self.__dict__["_open"] = dataset
        return dataset

    def opened(self) -> xr.DataArray:
        """The variable in the open file, decoded lazily."""
        return self._dataset()[self.variable]

    def _array(self) -> xr.DataArray:
        array = self.opened()
        extra = [dim for dim in array.dims if dim not in self.dims]
        return array.squeeze(extra).transpose(*self.dims)

    def close(self) -> None:
        """Close the file; the next `read` opens it again."""
        dataset = self.__dict__.pop("_open", None)
        if dataset is not None:
            dataset.close()

    def reading(self, selection: Mapping[str, slice]) -> AbstractContextManager[None]:
        """Within it, what a library says of a damaged file is told with the days that were selected."""
        steps = selection.get(self.dims[0], slice(0, 0))
        return reading_steps(self.path, self.variable, self.dims[0], steps, self.all_starts)

    def values(self, selection: dict[str, slice], lowest: float = 0.0) -> Float:
        """Some values, NaN where the file declares that there is none.

        Args:
            selection: steps and places, by dimension.
            lowest: values down to here mean 0 where the file says that 0 is the least that is valid.
        """
        with self.reading(selection):
            array = self._array()
            stored = array.isel(selection).values
            limits = self._dataset()[self.variable].encoding.get(LIMITS)
        if limits is not None and lowest <= limits[0] <= 0:
            limits = (lowest, limits[1])
        return within(as_numbers(stored, self.source), limits)

    def amounts(self, start: int, stop: int, selection: dict[str, slice], lowest: float = 0.0) -> Float:
        """Values of the steps start..stop: as `values` has them, or what accumulated in each step alone."""
        time_dim = self.dims[0]
        first, last = start + self.skip, stop + self.skip
        if self.accumulation is None:
            return self.values({time_dim: slice(first, last), **selection}, lowest)
        before = 0 if first == last or self.accumulation.fresh[first] else 1
        values = without_absent(self.values({time_dim: slice(first - before, last), **selection}, lowest))
        steps = checked(
            self.accumulation, values.reshape(len(values), -1), first - before, self.all_starts, self.source
        )
        return steps.reshape(values.shape)[before:]

    @property
    def all_starts(self) -> TimeArray:
        """Start of every step of the file, those before `time` as well."""
        step = np.timedelta64(round(self.step * 1e9), "ns")
        return np.concatenate([self.time[:1] - np.arange(self.skip, 0, -1) * step, self.time])

    def without_first(self, steps: int) -> Self:
        """The source without so many of its first steps."""
        return replace(self, time=self.time[steps:], skip=self.skip + steps)

    def few(self, start: int, stop: int) -> Float:
        """Values (stop - start, cell) of some cells that are needed, as the file has them."""
        raise NotImplementedError

    @property
    def source(self) -> str:
        """What opens a message about values: file and variable."""
        return f"{self.path}: variable '{self.variable}'"

    def check_times(self, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= len(self.time):
            raise ValueError(f"steps {start}..{stop} are not within 0..{len(self.time)} of {self.path}")


def _positions(reach_positions: ArrayLike | None, count: int) -> Int:
    if reach_positions is None:
        return np.arange(count, dtype=np.int64)
    return np.asarray(reach_positions, dtype=np.int64)


def read_columns(
    source: FileSource,
    column: Int,
    reach_positions: ArrayLike | None,
    start: int,
    stop: int,
    *,
    lowest: Float | float = -np.inf,
    nines_above: float = np.inf,
    short: bool = True,
    expected: str = "0 or more",
    nan_is_zero: bool = False,
) -> Float:
    """Values (stop - start, reach) of a variable per reach, in the file's unit.

    Args:
        source: the file; column: each reach's place in it; reach_positions, start, stop: see `RunoffSource.read`.
        lowest: () or (n,) the least value that is let pass; nines_above, short, expected: see `refuse_bad`.
        nan_is_zero: whether NaN, and nothing else, means 0.

    Raises:
        InputError: a value is missing (unless that means 0), not finite or below `lowest`.
    """
    source.check_times(start, stop)
    positions = _positions(reach_positions, len(source.reach_id))
    column = column[positions]
    found = np.empty((stop - start, len(column)))
    if not found.size:
        return found
    first, last = int(column.min()), int(column.max()) + 1
    block = max(1, BLOCK_VALUES // (last - first))
    reach_dim = source.dims[1]
    least = np.asarray(lowest, np.float64)
    least = least[positions] if least.ndim else least
    for at in range(start, stop, block):
        end = min(at + block, stop)
        values = source.amounts(at, end, {reach_dim: slice(first, last)}, float(least.min(initial=0.0)))
        found[at - start : end - start] = values[:, column - first]
    if nan_is_zero:
        found[np.isnan(found)] = 0.0
    refuse_bad(
        found,
        source.reach_id[positions],
        source.time[start:stop],
        source.source,
        lowest=least,
        nines_above=nines_above,
        short=short,
        expected=expected,
    )
    return found


def few_columns(source: FileSource, column: Int, start: int, stop: int) -> Float:
    """Values (stop - start, cell) of neighbouring columns at some places of the file."""
    if not column.size:
        return np.zeros((stop - start, 0))
    time_dim, reach_dim = source.dims
    chosen = np.unique(column)[np.unique(np.linspace(0, len(np.unique(column)) - 1, PLACES).astype(int))]
    found = [
        source.values({time_dim: slice(start, stop), reach_dim: slice(int(at), int(at) + AT_A_PLACE)})
        for at in chosen
    ]
    return without_absent(np.concatenate(found, axis=1))


Opened = TypeVar("Opened", bound=FileSource)


def settled(
    source: Opened,
    axis: FileAxis,
    stamp: Stamp,
    accumulated: Accumulated,
    *,
    amount: bool,
    hint: bool,
    lowest: float,
    what: str,
    say: bool = True,
) -> Opened:
    """A source with the starts of its steps, and with amounts of steps where the file accumulates them.

    Args:
        source: as opened, with the stamps of the file.
        axis: what the file says of them.
        stamp, accumulated: the options.
        amount, hint, lowest: see `find_accumulation`.
        what: the beginning of the keys of a workflow, for messages.
        say: whether a conversion of stamps is said.

    Raises:
        InputError: see `starts_of` and `find_accumulation`.
    """

    def starts(accumulates: bool, say_it: bool = False) -> TimeArray:
        return starts_of(axis, stamp, source.path, what, accumulated=accumulates, say=say_it)

    accumulation = find_accumulation(
        axis,
        starts,
        accumulated,
        amount=amount,
        hint=hint,
        sample=source.few,
        lowest=lowest,
        path=source.path,
        variable=source.variable,
        what=what,
    )
    time = starts(accumulation is not None, say)
    skip = 0 if accumulation is None else accumulation.skip
    return replace(source, time=time[skip:], accumulation=accumulation, skip=skip)


@dataclass(frozen=True, eq=False, kw_only=True)
class ReachRunoff(FileSource):
    """Runoff that the file holds per reach.

    Attributes:
        column: (n,) each reach's place in the file.
        factor: from the file's unit to m3/s, or to m/s where `area` (n,) in m2 is given.
        lowest: () or (n,) the least value that passes for 0, in the file's unit.
        nan_is_zero: whether NaN means 0.
        dry: (n,) reaches that the file lacks and that have no inflow, by what the user says; None where it has all.
    """

    column: Int
    factor: float
    area: Float | None
    lowest: Float
    nan_is_zero: bool
    dry: NDArray[np.bool_] | None = None

    def read(self, reach_positions: ArrayLike | None, start: int, stop: int) -> Float:
        """See `RunoffSource.read`."""
        positions = _positions(reach_positions, len(self.reach_id))
        if self.dry is not None and self.dry[positions].any():
            dry = self.dry[positions]
            found = np.zeros((stop - start, len(positions)))
            found[:, ~dry] = self.read(positions[~dry], start, stop)
            return found
        runoff = read_columns(
            self,
            self.column,
            reach_positions,
            start,
            stop,
            lowest=self.lowest,
            expected=EXPECTED,
            nan_is_zero=self.nan_is_zero,
        )
        runoff *= self.factor
        if self.area is not None:
            runoff *= self.area[positions]
        return runoff

    def few(self, start: int, stop: int) -> Float:
        """See `FileSource.few`."""
        return few_columns(self, self.column if self.dry is None else self.column[~self.dry], start, stop)

    def select(self, reach_positions: ArrayLike) -> ReachRunoff:
        """See `RunoffSource.select`."""
        at = _positions(reach_positions, len(self.reach_id))
        area = None if self.area is None else self.area[at]
        lowest = self.lowest[at] if self.lowest.ndim else self.lowest
        dry = None if self.dry is None else self.dry[at]
        return replace(
            self, reach_id=self.reach_id[at], column=self.column[at], area=area, lowest=lowest, dry=dry
        )


def _open_reaches(
    dataset: xr.Dataset,
    array: xr.DataArray,
    time_dim: str,
    axis: FileAxis,
    unit: FlowUnit,
    network: RiverNetwork,
    path: Path,
    absent: Absent,
) -> ReachRunoff:
    others = [str(dim) for dim in array.dims if dim != time_dim]
    if len(others) != 1:
        raise InputError(
            f"{path}: variable '{array.name}' has the dimensions ({ids_text(array.dims)}); "
            "expected time and reach, or time, latitude and longitude"
        )
    step = axis.step
    ids = find_ids(dataset, others[0], path)
    if ids is None and _is_rapid(array):
        if is_rapid_folder(path.parent):
            ids = connect_ids(path.parent)
            if len(ids) != array.sizes[others[0]]:
                raise InputError(
                    f"{path}: has {array.sizes[others[0]]} reaches and no ids; "
                    f"expected {len(ids)}, as the rapid_connect.csv beside it"
                )
        elif array.sizes[others[0]] == network.n_reaches:
            ids = network.reach_id
        else:
            raise InputError(
                f"{path}: has {array.sizes[others[0]]} reaches and no ids; expected {network.n_reaches}, "
                "as the network, in the order of rapid_connect.csv"
            )
    if ids is None:
        raise InputError(
            f"{path}: variable '{array.name}' has no reach ids along '{others[0]}'; "
            f"expected an integer variable reach_id({others[0]})"
        )
    column, dry = _places(network.reach_id, ids, path, absent)
    return ReachRunoff(
        path=path.absolute(),
        variable=str(array.name),
        dims=(time_dim, others[0]),
        time=axis.stamps,
        step=step,
        reach_id=network.reach_id,
        column=column,
        factor=unit.to_rate(step),
        area=_areas(network, array, path) if unit.needs_area else None,
        lowest=_lowest(network, unit.to_rate(step), step, unit.needs_area),
        nan_is_zero=_is_rapid(array),
        dry=dry,
    )


def _places(wanted: Int, ids: Int, path: Path, absent: Absent) -> tuple[Int, NDArray[np.bool_] | None]:
    """(n,) where each reach is among the ids, and which are not among them, if these may be."""
    dry = ~np.isin(wanted, ids)
    if absent == "error" or not dry.any():
        return match_ids(wanted, ids, path, "runoff"), None
    if dry.all():
        raise InputError(f"{path}: holds none of the {wanted.size} reaches of the network; expected some")
    log.warning("%s: lacks %d of %d reaches, which have no inflow", path, int(dry.sum()), wanted.size)
    column = np.zeros(wanted.size, np.int64)
    column[~dry] = match_ids(wanted[~dry], ids, path, "runoff")
    return column, dry


def _open_weighted(
    dataset: xr.Dataset,
    array: xr.DataArray,
    grid: Grid | None,
    time_dim: str,
    axis: FileAxis,
    unit: FlowUnit,
    network: RiverNetwork,
    path: Path,
    weights: str | Path | Sequence[str | Path],
    absent: Absent,
) -> WeightedRunoff:
    """Runoff of cells or catchments, brought to reaches by tables of weights."""
    tables = [weights] if isinstance(weights, str | Path) else list(weights)
    dims = grid.dims if grid is not None else tuple(str(dim) for dim in array.dims if dim != time_dim)
    if not unit.needs_area:
        raise InputError(
            f"{path}: variable '{array.name}' has the unit '{array.attrs.get('units')}', and weights are "
            "areas or shares of them; expected a depth such as mm/day or m"
        )
    cells = cells_of(dataset, array, dims, grid, path)
    valid = _has_values(array.transpose(time_dim, *dims), time_dim, path, axis.stamps).ravel()
    matrix = reach_weights([Path(one) for one in tables], network, cells, valid, absent)
    factor = unit.to_rate(axis.step)
    return WeightedRunoff(
        path=path.absolute(),
        variable=str(array.name),
        dims=(time_dim, *dims),
        time=axis.stamps,
        step=axis.step,
        reach_id=network.reach_id,
        shape=cells.shape,
        matrix=matrix * factor,
        lowest=-TINY_DEPTH / (factor * axis.step),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class WeightedRunoff(FileSource):
    """Runoff of cells or catchments brought to reaches by a table of weights.

    Attributes:
        shape: of the cells in the file; matrix: (n, cell) m3/s per unit of the file.
        lowest: values down to here are read as 0.
    """

    shape: tuple[int, ...]
    matrix: scipy.sparse.csr_array
    lowest: float

    def read(self, reach_positions: ArrayLike | None, start: int, stop: int) -> Float:
        """See `RunoffSource.read`; negatives that are as good as zero are set to zero."""
        self.check_times(start, stop)
        rows = self.matrix[_positions(reach_positions, len(self.reach_id))]
        found = np.zeros((stop - start, rows.shape[0]))
        used = np.unique(rows.indices).astype(np.int64)
        if not used.size or not found.size:
            return found
        box, inside = self._box(used)
        few = rows[:, used]
        block = max(1, BLOCK_VALUES // max(1, int(np.prod([one.stop - one.start for one in box.values()]))))
        for at in range(start, stop, block):
            end = min(at + block, stop)
            values = self.amounts(at, end, box, self.lowest).reshape(end - at, -1)[:, inside]
            if not (values.min() >= 0 and values.max() < MOST):
                refuse_bad(
                    values,
                    used,
                    self.time[at:end],
                    f"{self.source} (by its cells, counted from 0)",
                    lowest=self.lowest,
                    expected=EXPECTED,
                )
                values[values < 0] = 0.0
            found[at - start : end - start] = np.asarray(few @ values.T).T
        return found

    def _box(self, used: Int) -> tuple[dict[str, slice], Int]:
        """The smallest part of the file that holds some cells, and their places in it."""
        index = np.unravel_index(used, self.shape)
        parts = [slice(int(one.min()), int(one.max()) + 1) for one in index]
        sizes = tuple(one.stop - one.start for one in parts)
        local = tuple(one - part.start for one, part in zip(index, parts, strict=True))
        return dict(zip(self.dims[1:], parts, strict=True)), np.ravel_multi_index(local, sizes)

    def few(self, start: int, stop: int) -> Float:
        """See `FileSource.few`."""
        used = np.unique(self.matrix.indices).astype(np.int64)
        if not used.size:
            return np.zeros((stop - start, 0))
        chosen = used[np.unique(np.linspace(0, used.size - 1, PLACES * AT_A_PLACE).astype(int))]
        box, inside = self._box(chosen)
        values = self.values({self.dims[0]: slice(start, stop), **box})
        return without_absent(values.reshape(stop - start, -1)[:, inside])

    def select(self, reach_positions: ArrayLike) -> WeightedRunoff:
        """See `RunoffSource.select`."""
        at = _positions(reach_positions, len(self.reach_id))
        return replace(self, reach_id=self.reach_id[at], matrix=self.matrix[at])


@dataclass(frozen=True, eq=False, kw_only=True)
class _GridFile(FileSource):
    """A variable on a regular grid of so many columns; values down to `lowest` (the file's unit) are read as 0.

    `out_reach` and `out_box` (m,) are the boxes that lie over reaches (their positions) and were left out, since they
    had no value at any time that was looked at when the file was opened.
    """

    columns: int
    lowest: float
    out_reach: Int
    out_box: Int

    def select_out(self, at: Int) -> tuple[Int, Int]:
        """What was left out of some reaches, by their new positions."""
        place = np.full(len(self.reach_id), -1, dtype=np.int64)
        place[at] = np.arange(len(at))
        mine = place[self.out_reach]
        return mine[mine >= 0], self.out_box[mine >= 0]


@dataclass(frozen=True, eq=False, kw_only=True)
class CellRunoff(_GridFile):
    """The cells of a grid that some reaches take their runoff from, in the file's unit.

    The runoff of reach i is Σ weight · value[cell] in m3/s, over the entries pointer[i] to pointer[i + 1].

    Attributes:
        pointer: (n + 1,) where the entries of each reach begin.
        cell: (entry,) position among the cells here; weight: (entry,) m3/s per unit of the file.
        flat: (n_cells,) position of each cell in the flat grid.
    """

    pointer: Int
    cell: Int
    weight: Float
    flat: Int

    def blocks(self, start: int, stop: int) -> Iterator[tuple[int, Float]]:
        """Blocks of times, each with its first step and the values (time, cell).

        Raises:
            InputError: a value is missing, not finite, or negative beyond rounding, naming the reaches that need it.
        """
        selection, inside = self.box()
        block = max(1, BLOCK_VALUES // int(np.prod([one.stop - one.start for one in selection.values()])))
        for at in range(start, stop, block):
            end = min(at + block, stop)
            box = self.amounts(at, end, selection, self.lowest)
            box = box.reshape(end - at, -1)
            values = box[:, inside[: self.n_cells]]
            if values.size and not (values.min() >= 0 and values.max() < MOST):
                self._check(values, at)
                values[values < 0] = 0.0
            self._check_left_out(box[:, inside[self.n_cells :]], at)
            yield at, values

    def box(self) -> tuple[dict[str, slice], Int]:
        """The part of the grid that holds the cells and the boxes left out, and the place of each in it."""
        row, column = np.divmod(np.concatenate([self.flat, self.out_box]), self.columns)
        rows = slice(int(row.min()), int(row.max()) + 1)
        columns = slice(int(column.min()), int(column.max()) + 1)
        _, lat_dim, lon_dim = self.dims
        inside = (row - rows.start) * (columns.stop - columns.start) + column - columns.start
        return {lat_dim: rows, lon_dim: columns}, inside

    def _check(self, values: Float, start: int) -> None:
        """Name the reaches, not the cells: those are what the user knows."""
        try:
            time = self.time[start : start + len(values)]
            refuse_bad(values, np.arange(self.n_cells), time, "", lowest=self.lowest)
        except InputError:
            reach = np.repeat(np.arange(len(self.reach_id)), np.diff(self.pointer))
            refuse_bad(
                values[:, self.cell],
                self.reach_id[reach],
                time,
                self.source,
                lowest=self.lowest,
                expected=EXPECTED,
            )
            raise

    def _check_left_out(self, values: Float, start: int) -> None:
        none = absent(values)
        if not values.size or (none is not None and none.all()):
            return
        there = np.ones(values.shape, bool) if none is None else ~none
        when = text(self.time[start + int(there.any(axis=1).argmax())])
        ids = self.reach_id[np.unique(self.out_reach[there.any(axis=0)])]
        raise InputError(
            f"{self.source} has no value at {text(self.time[0])} and one at {when} in boxes of the reaches "
            f"{ids_text(ids)}; expected a box to have a value at all times, or at none (the sea)"
        )

    @property
    def n_cells(self) -> int:
        return len(self.flat)

    @property
    def matrix(self) -> scipy.sparse.csr_array:
        """(n, n_cells): what brings cells onto reaches."""
        import scipy.sparse  # here: it takes long to import

        shape = (len(self.reach_id), self.n_cells)
        return scipy.sparse.csr_array((self.weight, self.cell, self.pointer), shape=shape)

    def read(self, start: int, stop: int) -> Float:
        """Values (stop - start, cell), negatives that are as good as zero set to zero.

        Raises:
            InputError: a value is missing (NaN), naming the reaches that need it; or the file is damaged.
        """
        self.check_times(start, stop)
        cells = np.empty((stop - start, self.n_cells))
        if cells.size:
            for at, values in self.blocks(start, stop):
                cells[at - start : at - start + len(values)] = values
        return cells


@dataclass(frozen=True, eq=False, kw_only=True)
class GridRunoff(_GridFile):
    """Runoff on a regular grid, brought onto reaches: `index` (n, k) in the flat grid, `weight` (n, k)."""

    index: Int
    weight: Float
    factor: float
    area: Float

    def read(self, reach_positions: ArrayLike | None, start: int, stop: int) -> Float:
        """See `RunoffSource.read`; negatives that are as good as zero are set to zero."""
        self.check_times(start, stop)
        positions = _positions(reach_positions, len(self.reach_id))
        runoff = np.empty((stop - start, len(positions)))
        if not runoff.size:
            return runoff
        cells = self.select(positions).cells()
        matrix = cells.matrix
        for at, values in cells.blocks(start, stop):
            runoff[at - start : at - start + len(values)] = np.asarray(matrix @ values.T).T
        return runoff

    def few(self, start: int, stop: int) -> Float:
        """See `FileSource.few`: the cells about those of some reaches."""
        if not len(self.index):
            return np.zeros((stop - start, 0))
        time_dim, lat_dim, lon_dim = self.dims
        chosen = np.unique(np.linspace(0, len(self.index) - 1, PLACES).astype(int))
        found = []
        for cell in np.unique(self.index[chosen, self.weight[chosen].argmax(axis=1)]):
            row, column = divmod(int(cell), self.columns)
            box = self.values(
                {
                    time_dim: slice(start, stop),
                    lat_dim: slice(max(row - 1, 0), row + 2),
                    lon_dim: slice(max(column - 1, 0), column + 2),
                }
            )
            found.append(box.reshape(stop - start, -1))
        return without_absent(np.concatenate(found, axis=1))

    def select(self, reach_positions: ArrayLike) -> GridRunoff:
        """See `RunoffSource.select`."""
        at = _positions(reach_positions, len(self.reach_id))
        out_reach, out_box = self.select_out(at)
        return replace(
            self,
            reach_id=self.reach_id[at],
            index=self.index[at],
            weight=self.weight[at],
            area=self.area[at],
            out_reach=out_reach,
            out_box=out_box,
        )

    def cells(self) -> CellRunoff:
        """The cells that these reaches need, to be read by themselves and weighted later."""
        used = self.weight > 0
        flat, cell = np.unique(self.index[used], return_inverse=True)
        rate = self.factor * self.area
        return CellRunoff(
            path=self.path,
            variable=self.variable,
            dims=self.dims,
            time=self.time,
            step=self.step,
            reach_id=self.reach_id,
            accumulation=self.accumulation,
            skip=self.skip,
            files=self.files,
            columns=self.columns,
            lowest=self.lowest,
            out_reach=self.out_reach,
            out_box=self.out_box,
            pointer=np.append(0, np.cumsum(used.sum(axis=1))),
            cell=cell.astype(np.int64),
            weight=(self.weight * rate[:, None])[used],
            flat=flat,
        )


def _open_grid(
    array: xr.DataArray,
    grid: Grid,
    time_dim: str,
    axis: FileAxis,
    unit: FlowUnit,
    network: RiverNetwork,
    path: Path,
    cell: float | None,
) -> GridRunoff:
    dims = (time_dim, *grid.dims)
    if not unit.needs_area:
        raise InputError(
            f"{path}: variable '{array.name}' is gridded and has the unit '{array.attrs['units']}'; "
            "expected a depth such as mm/day or m, since flows cannot be averaged over cells"
        )
    area = _areas(network, array, path)
    for name in ("lat", "lon"):
        if name not in network.attributes:
            raise InputError(
                f"{path}: is gridded, which needs the attributes lat and lon of the network; it has no {name}"
            )
    step = axis.step
    index, covered = _covers(grid, network, path, cell)
    valid = _has_values(array.transpose(*dims), dims[0], path, axis.stamps)
    out_reach, place = np.nonzero((covered > 0) & ~valid.ravel()[index])
    out_box = index[out_reach, place]
    index, weight = shares(index, covered, valid, network.reach_id, str(path))
    factor = unit.to_rate(step)
    return GridRunoff(
        path=path.absolute(),
        variable=str(array.name),
        dims=dims,
        time=axis.stamps,
        step=step,
        reach_id=network.reach_id,
        columns=int(array.sizes[dims[2]]),
        index=index,
        weight=weight,
        factor=factor,
        area=area,
        lowest=-TINY_DEPTH / (factor * step),
        out_reach=out_reach,
        out_box=out_box,
    )


def _covers(grid: Grid, network: RiverNetwork, path: Path, cell: float | None) -> tuple[Int, Float]:
    """Which boxes of a grid lie over each reach, and how much of it they cover: (n, k) each."""
    lat = np.asarray(network.attributes["lat"], dtype=np.float64)
    lon = np.asarray(network.attributes["lon"], dtype=np.float64)
    if not grid.is_curvilinear:
        return covers(
            grid.latitude,
            grid.longitude,
            lat,
            lon,
            cell=None if cell is None else (cell, cell),
            reach_id=network.reach_id,
            source=str(path),
        )
    check_positions(lat, lon, network.reach_id, str(path))
    return curvilinear_weights(
        grid.latitude, grid.longitude, lat, lon, reach_id=network.reach_id, source=str(path)
    )


def _has_values(array: xr.DataArray, time_dim: str, path: Path, stamps: TimeArray) -> NDArray[np.bool_]:
    """(row, column) whether a box has a value at the first, second, middle or last time.

    One that has none is taken for sea and left out; that it has none at any other time is checked as those are read.
    """
    steps = array.sizes[time_dim]
    some = sorted({0, min(1, steps - 1), steps // 2, steps - 1})
    try:
        values = numbers_of(array.isel({time_dim: some}), path)
    except Damaged:
        for step in some:  # which of them
            with reading_steps(path, str(array.name), time_dim, slice(step, step + 1), stamps):
                _ = array.isel({time_dim: step}).values
        raise
    none = absent(values)
    return np.ones(values.shape[1:], bool) if none is None else np.asarray(~none.all(axis=0))


@dataclass(frozen=True, eq=False)
class TableRunoff:
    """Runoff of a CSV or Parquet table, held in memory in m3/s: `values` (time, n)."""

    path: Path
    time: TimeArray
    step: float
    reach_id: Int
    values: Float

    def read(self, reach_positions: ArrayLike | None, start: int, stop: int) -> Float:
        """See `RunoffSource.read`."""
        if not 0 <= start <= stop <= len(self.time):
            raise ValueError(f"steps {start}..{stop} are not within 0..{len(self.time)} of {self.path}")
        return self.values[start:stop, _positions(reach_positions, len(self.reach_id))]

    def select(self, reach_positions: ArrayLike) -> TableRunoff:
        """See `RunoffSource.select`."""
        at = _positions(reach_positions, len(self.reach_id))
        return replace(self, reach_id=self.reach_id[at], values=self.values[:, at])

    def close(self) -> None:
        """Nothing is open."""


def _open_table(path: Path, network: RiverNetwork, stamp: Stamp, absent: Absent) -> TableRunoff:
    series = read_series(path, "runoff", complete=True)
    column, dry = _places(network.reach_id, series.reach_id, path, absent)
    values = series.values[:, column]
    if dry is not None:
        values[:, dry] = 0.0
    lowest = _lowest(network, 1.0, series.step, is_depth=False)
    refuse_bad(values, network.reach_id, series.time, f"{path}: runoff", lowest=lowest, expected=EXPECTED)
    time = starts_of(FileAxis(series.time, series.step), stamp, path, "runoff.")
    return TableRunoff(path.absolute(), time, series.step, network.reach_id, values)
