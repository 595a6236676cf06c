"""What NetCDF and Zarr of series hold, as `inspect` says it: unit, times, places, and what is converted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rivergrad.errors import InputError, ids_text
from rivergrad.io.accumulated import find_accumulation
from rivergrad.io.axes import Grid, find_grid
from rivergrad.io.calendars import CALENDARS
from rivergrad.io.cellweights import CATCHMENT_NAMES
from rivergrad.io.datasets import find_ids, find_variable, open_dataset
from rivergrad.io.joined import PLUS, joined, together
from rivergrad.io.missing import as_numbers
from rivergrad.io.rapid import times_by_name
from rivergrad.io.runoff import VARIABLES, WITHOUT_UNITS
from rivergrad.io.stamps import FileAxis, grib_step_type, read_axis, time_dim
from rivergrad.io.times import step_text, text
from rivergrad.io.units import flow_unit

SOME = 8
"""Cells along each dimension in whose values accumulation is looked for."""
NO_STEP = 7200.0
"""s, of a single time: no length that a source is known by."""


@dataclass(frozen=True)
class Seen:
    """What was seen in a file of series: facts, what is converted, and settings of the workflow that read it."""

    facts: tuple[str, ...]
    handled: tuple[str, ...]
    settings: dict[str, str]


def many(count: int, word: str) -> str:
    """`1 reach`, `2 reaches`."""
    plural = word + ("es" if word.endswith("ch") else "s")
    return f"{count:,} {word if count == 1 else plural}"


def series_seen(path: Path, names: Sequence[str], what: str) -> Seen:
    """Look at a file of series.

    Args:
        path: NetCDF or Zarr; names: of variables that hold the series; what: `reach` or `gauge`.

    Raises:
        InputError: it has no such variable, or is damaged.
    """
    with _opened(path, names) as (dataset, first, parts):
        array = find_variable(dataset, PLUS.join(parts) if parts else None, names, path)
        dim = time_dim(dataset, array, path)
        look = _Look(path, dataset, first, array, dim, parts)
        facts = [f"variable {array.name} ({', '.join(map(str, array.dims))}), {look.unit()}"]
        facts += look.times()
        facts += look.places(what)
        return Seen(tuple(facts), tuple(look.handled), look.settings)


@contextmanager
def _opened(path: Path, names: Sequence[str]) -> Iterator[tuple[xr.Dataset, xr.Dataset, tuple[str, ...]]]:
    """The file as it is read (time scalar or not, sums), the file as it stands, and which variables are summed."""
    with open_dataset(path) as first:
        there = list(map(str, first.data_vars))
        parts = () if any(one in there for one in names) else together(there)
        parts = parts if tuple(names) == VARIABLES else ()
        files = joined([path], parts)
        if files is None:
            yield first, first, parts
            return
        with files.open() as dataset:
            yield dataset, first, parts


class _Look:
    """One file under inspection; `handled` and `settings` grow as it is looked at."""

    def __init__(
        self,
        path: Path,
        dataset: xr.Dataset,
        first: xr.Dataset,
        array: xr.DataArray,
        dim: str,
        parts: tuple[str, ...],
    ) -> None:
        self.path, self.dataset, self.first, self.array, self.dim = path, dataset, first, array, dim
        self.parts = parts
        self.handled: list[str] = []
        self.settings: dict[str, str] = {}
        self.is_rapid = array.name == "m3_riv"

    def unit(self) -> str:
        """The unit, or what stands for it."""
        for one in self.parts or (str(self.array.name),):
            if one in self.first and "scale_factor" in self.first[one].encoding:
                self.handled.append(f"{one} is packed in integers.")
        if self.is_rapid:
            self.handled.append("NaN, or a declared 0, is no inflow.")
        if "units" in self.array.attrs:
            return f"unit {self.array.attrs['units']}"
        if self.array.name in WITHOUT_UNITS:
            return "no unit: m3 per step, as this format has it"
        return "no unit: a run refuses it; expected the attribute units, such as mm/s"

    def times(self) -> list[str]:
        """Period, step and stamp."""
        stored = next((self.first[one] for one in (self.dim, "time", "Times") if one in self.first), None)
        calendar = "" if stored is None else str(stored.attrs.get("calendar", "")).lower()
        if calendar in CALENDARS:
            self.handled.append(f"Times of the calendar {calendar} are taken by their dates.")
        if stored is not None and not stored.ndim:
            self.handled.append("Time is a single number, without a dimension.")
        count = int(self.array.sizes[self.dim])
        try:
            by_name = times_by_name(self.path, count) if self.is_rapid else None
            axis = read_axis(
                self.dataset,
                self.array,
                self.dim,
                self.path,
                by_name=by_name,
                step=NO_STEP if count == 1 and by_name is None else None,
            )
        except InputError as error:
            return [f"{many(count, 'time')}: {error}"]
        if count == 1:
            end = ", the end of its step" if axis.at == "end" else ""
            return [
                f"1 time, {text(axis.stamps[0])}{end}: give all files of the record, as a list or a pattern, or "
                "runoff.step"
            ]
        if by_name is not None and self.dim not in self.first.variables:
            self.handled.append("Times are those of the file's name.")
        said = [
            f"period {text(axis.stamps[0])} to {text(axis.stamps[-1])}, {count} steps of {step_text(axis.step)}",
            f"stamp: {self._stamp(axis)}",
        ]
        return said + self._amounts(axis)

    def _stamp(self, axis: FileAxis) -> str:
        if axis.ask is not None:
            self.settings["stamp"] = "end  # or start"
            return f"may be start or end ({axis.ask}): a run asks"
        if axis.at is not None:
            return f"the {axis.at} of the step ({axis.why})"
        return "not stated, taken as the start"

    def _amounts(self, axis: FileAxis) -> list[str]:
        """Whether values look accumulated, where they are amounts."""
        if "units" not in self.array.attrs or self.array.ndim < 2:
            return []
        try:
            unit = flow_unit(str(self.array.attrs["units"]), str(self.path), str(self.array.name))
        except InputError:
            return []
        if unit.kind not in ("depth", "volume"):
            return []
        try:
            found = find_accumulation(
                axis,
                lambda accumulates: axis.starts("end" if accumulates else axis.at or "start"),
                "auto",
                amount=True,
                hint=grib_step_type(self.array) == "accum",
                sample=self._some,
                lowest=0.0,
                path=self.path,
                variable=str(self.array.name),
                what="runoff.",
            )
        except InputError as error:
            if error.expected is not None:
                first, _, others = error.expected.rpartition(": ")[2].partition(", ")
                self.settings["accumulated"] = f"{first}  # {others}"
            return [f"amounts: {error.what}: a run asks"]
        return [] if found is None else ["amounts accumulate, and are taken apart"]

    def _some(self, start: int, stop: int) -> NDArray[np.float64]:
        """(time, cell) from the middle of the file."""
        other = [str(one) for one in self.array.dims if one != self.dim]
        middle = {one: max(0, (int(self.array.sizes[one]) - SOME) // 2) for one in other}
        box = self.array.isel({one: slice(at, at + SOME) for one, at in middle.items()})
        values = box.isel({self.dim: slice(start, stop)}).transpose(self.dim, ...).values
        return as_numbers(values, str(self.path)).reshape(stop - start, -1)

    def places(self, what: str) -> list[str]:
        """The grid, or the ids."""
        grid = find_grid(self.dataset, self.array, self.dim, self.path)
        if grid is not None:
            return [self._grid(grid)]
        other = next((str(one) for one in self.array.dims if str(one) != self.dim), self.dim)
        count = int(self.array.sizes[other])
        hru = next((one for one in CATCHMENT_NAMES if one in self.first.variables), None)
        ids = find_ids(self.dataset, other, self.path)
        if what == "reach" and hru is not None and (ids is None or other == hru):
            self.settings["weights"] = "ntopo.nc  # which catchments drain to which reach"
            return [f"{many(count, 'catchment')} by {hru}: a table of weights leads to reaches"]
        if ids is not None:
            return [f"{many(count, what)} ({ids_text(ids)})"]
        if self.is_rapid:
            self.handled.append("Its order is that of the rapid_connect.csv beside it, or of the network.")
        return [f"{many(count, what)} without ids"]

    def _grid(self, grid: Grid) -> str:
        if grid.is_curvilinear:
            self.handled.append("Latitudes and longitudes have two dimensions.")
        if np.nanmax(grid.longitude) > 180:
            self.handled.append("Longitudes go from 0 to 360.")
        sizes = " x ".join(str(self.array.sizes[one]) for one in self.array.dims if str(one) != self.dim)
        return f"on a grid of {sizes}: the network needs lat, lon and area_m2, or weights"
