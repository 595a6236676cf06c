"""Forcings of reaches (rain, temperature, …), opened lazily and read for the reaches and times that are wanted.

What a runoff model takes: water in mm per forcing step, temperature in °C, everything else in SI. As with runoff, a
source is small to pickle: a worker opens the file itself and reads its own reaches.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError, ids_text
from rivergrad.io.accumulated import Accumulated
from rivergrad.io.datasets import (
    Variable,
    find_ids,
    kind_of,
    match_ids,
    missing,
    open_dataset,
    write_dataset,
)
from rivergrad.io.discharge import REACH_ATTRIBUTES
from rivergrad.io.runoff import TINY_DEPTH, FileSource, few_columns, read_columns, settled
from rivergrad.io.stamps import FileAxis, Stamp, grib_step_type, read_axis, time_dim
from rivergrad.io.times import TIME_ATTRIBUTES, TimeArray, encode_time
from rivergrad.io.units import forcing_unit, is_depth, is_depth_of_a_step, is_temperature, unit_of

Float = NDArray[np.float64]
Int = NDArray[np.int64]

CHUNKS = (512, 1024)
"""Steps and reaches of a chunk in Zarr: what a worker reads of it is little more than its own."""
ABSOLUTE_ZERO = -273.15
MOST_NEGATIVE_RAIN = 1.0
"""mm per step below 0 that interpolation leaves behind where there was no rain."""
MOST_WATER = 3000.0
"""mm of rain or evaporation per step, or per day where steps are longer: more has never been measured in a day, so that
9999 and the like mean that there is no value."""
LEAST_WATER = -100.0
"""The same of what has either sign: no dew is as much."""
MOST_WARMTH = 100.0
"""degC: no air or soil is as warm, so that 9999 and the like mean that there is no value."""
EXAMPLES = "mm/day, kg m-2 s-1, degC, K or W m-2"


@dataclass(frozen=True, eq=False, kw_only=True)
class ForcingVariable(FileSource):
    """One variable (time, reach) of a file; what a model takes is `factor` times its values plus `offset`.

    Attributes:
        column: (n,) each reach's place in the file.
        lowest: the least value there can be, in the file's unit; expected: how a message says so.
        nines_above: from here on 9999 and the like mean that there is no value.
        short: whether −99 means that there is no value: not of radiation, nor of anything in an unknown unit.
    """

    column: Int
    factor: float
    offset: float
    lowest: float = -np.inf
    nines_above: float = np.inf
    expected: str = ""
    short: bool = False

    def read(self, reach_positions: ArrayLike | None, start: int, stop: int) -> Float:
        """(stop - start, len(reach_positions)) in a model's units.

        Raises:
            InputError: a value is missing (NaN), or the file is damaged.
        """
        values = read_columns(
            self,
            self.column,
            reach_positions,
            start,
            stop,
            lowest=self.lowest,
            nines_above=self.nines_above,
            short=self.short,
            expected=self.expected,
        )
        return values * self.factor + self.offset

    def few(self, start: int, stop: int) -> Float:
        """See `FileSource.few`."""
        return few_columns(self, self.column, start, stop)


@dataclass(frozen=True, eq=False)
class ForcingSource:
    """Several variables over the same times and reaches, in the order in which a model takes them.

    Attributes:
        path: the file, for messages; time: (T,) start of each step; step: s; reach_id: (n,) of the network.
        variables: each with its name.
    """

    path: Path
    time: TimeArray
    step: float
    reach_id: Int
    variables: tuple[ForcingVariable, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the variables, in order."""
        return tuple(one.variable for one in self.variables)

    def read(self, reach_positions: ArrayLike | None, start: int, stop: int) -> Float:
        """Forcings (time, reach, variable): mm per step, °C, SI; see `ForcingVariable.read`."""
        return np.stack([one.read(reach_positions, start, stop) for one in self.variables], axis=-1)

    def select(self, reach_positions: ArrayLike) -> ForcingSource:
        """The source for some reaches only: small to pickle, with its own positions 0..m-1."""
        at = np.asarray(reach_positions, np.int64)
        chosen = tuple(
            replace(one, reach_id=one.reach_id[at], column=one.column[at]) for one in self.variables
        )
        return replace(self, reach_id=self.reach_id[at], variables=chosen)

    def close(self) -> None:
        """Close the file; the next `read` opens it again."""
        for one in self.variables:
            one.close()


def open_forcings(
    path: str | Path,
    network: RiverNetwork,
    names: Sequence[str],
    *,
    stamp: Stamp = "auto",
    accumulated: Accumulated = "auto",
) -> ForcingSource:
    """Open the forcings of a network's reaches: NetCDF or Zarr, `name(time, reach)` each, matched by reach id.

    Args:
        path: the file or store.
        network: whose reaches.
        names: of the variables wanted, in the order in which the model takes them; without any, all that are there
            over time and reach, by name.
        stamp: see `open_runoff`.
        accumulated: see `open_runoff`; what is no depth does not accumulate.

    Raises:
        InputError: no such file or variable, a missing or unknown unit, a reach that the file lacks, or a time axis
            with a day missing.

    Example:
        >>> import rivergrad as rg
        >>> weather = rg.open_forcings("weather.nc", rg.read_network("network.csv"), ["precipitation"])
    """
    path = Path(path)
    if kind_of(path) not in ("netcdf", "zarr"):
        raise InputError(
            f"{path}: forcings are variables (time, reach); expected NetCDF (.nc) or Zarr (.zarr)"
        )
    with open_dataset(path) as dataset:
        known = sorted(str(name) for name, array in dataset.data_vars.items() if array.ndim == 2)
        wanted = tuple(names) or tuple(known)
        if not wanted:
            raise InputError(f"{path}: holds no variable over time and reach; expected one at least")
        opened = [_open_variable(dataset, name, known, network, path) for name in wanted]
    # depths first: they say where in their steps the stamps of all lie
    order = sorted(range(len(opened)), key=lambda at: not opened[at].is_depth)
    found: dict[int, ForcingVariable] = {}
    lead: FileAxis | None = None
    for at in order:
        one = opened[at]
        axis = _following(one.axis, lead)
        found[at] = settled(
            one.variable,
            axis,
            stamp,
            accumulated if one.is_depth else "no",
            amount=one.is_depth,
            hint=one.is_accum,
            lowest=-TINY_DEPTH * 1000.0 / one.variable.factor if one.is_depth else 0.0,
            what="runoff.forcings_",
            say=lead is None,
        )
        if lead is None:
            ended = axis.at is None and found[at].accumulation is not None
            lead = replace(axis, at="end", why="accumulated until then") if ended else axis
    variables = _of_the_same_times([found[at] for at in range(len(opened))], path)
    first = variables[0]
    return ForcingSource(path.absolute(), first.time, first.step, network.reach_id, variables)


@dataclass(frozen=True, eq=False)
class _Opened:
    """A variable with the stamps of its file, and what its attributes say."""

    variable: ForcingVariable
    axis: FileAxis
    is_depth: bool
    is_accum: bool


def _open_variable(
    dataset: xr.Dataset, name: str, known: Sequence[str], network: RiverNetwork, path: Path
) -> _Opened:
    if name not in dataset.data_vars:
        raise missing(path, "variable", name, known)
    array = dataset[name]
    dim = time_dim(dataset, array, path)
    others = [str(one) for one in array.dims if one != dim]
    if len(others) != 1:
        raise InputError(
            f"{path}: variable '{name}' has the dimensions ({ids_text(array.dims)}); expected time and reach"
        )
    ids = find_ids(dataset, others[0], path)
    if ids is None:
        raise InputError(
            f"{path}: variable '{name}' has no reach ids along '{others[0]}'; "
            f"expected an integer variable reach_id({others[0]})"
        )
    axis = read_axis(dataset, array, dim, path)
    unit = unit_of(array.attrs, str(path), name, EXAMPLES)
    factor, offset = forcing_unit(unit, axis.step, str(path), name)
    lowest, nines_above, expected, short = _range(array, unit, factor, offset, axis.step)
    variable = ForcingVariable(
        path=path.absolute(),
        variable=name,
        dims=(dim, others[0]),
        time=axis.stamps,
        step=axis.step,
        reach_id=network.reach_id,
        column=match_ids(network.reach_id, ids, path, "forcings"),
        factor=factor,
        offset=offset,
        lowest=lowest,
        nines_above=nines_above,
        expected=expected,
        short=short,
    )
    return _Opened(variable, axis, is_depth_of_a_step(unit), grib_step_type(array) == "accum")


def _following(axis: FileAxis, lead: FileAxis | None) -> FileAxis:
    """A snapshot, or a variable that says nothing, has its stamps where those of the others are in their steps."""
    if lead is None or lead.at is None or not (axis.at is None or axis.is_point):
        return axis
    return replace(axis, at=lead.at, why=lead.why, ask=None)


def _of_the_same_times(found: list[ForcingVariable], path: Path) -> tuple[ForcingVariable, ...]:
    """The variables without the first steps that not all have: what accumulates may lack one."""
    latest = max(one.time[0] for one in found)
    same = tuple(one.without_first(1) if (one.time < latest).sum() == 1 else one for one in found)
    for one in same[1:]:
        if not np.array_equal(one.time, same[0].time):
            raise InputError(
                f"{path}: variables '{same[0].variable}' and '{one.variable}' have different times; expected the same"
            )
    return same


def _range(
    array: xr.DataArray, unit: str, factor: float, offset: float, step: float
) -> tuple[float, float, str, bool]:
    """What there can be of a variable, as `ForcingVariable` has it: `lowest`, `nines_above`, `expected`, `short`."""
    if is_temperature(unit):
        # -99 °F is a cold day
        lowest, most = ((end - offset) / factor for end in (ABSOLUTE_ZERO, MOST_WARMTH))
        return lowest, most, "a temperature above absolute zero", factor == 1.0
    if not is_depth(unit):
        return -np.inf, np.inf, "", False
    most = MOST_WATER * max(1.0, step / 86400.0) / factor
    named = f"{array.name} {array.attrs.get('standard_name', '')}".lower()
    if not re.search(r"precip|rain|snowfall|\b(pr|tp|prcp|ppt)\b", named):
        least = LEAST_WATER * max(1.0, step / 86400.0)
        return least / factor, most, f"{least:g} mm per step or more", True  # of either sign
    return (
        -MOST_NEGATIVE_RAIN / factor,
        most,
        f"0 or more ({MOST_NEGATIVE_RAIN:g} mm per step less is rounding)",
        True,
    )


def write_forcings(
    path: str | Path,
    reach_id: Int,
    time: TimeArray,
    variables: Mapping[str, tuple[NDArray[Any], str]],
) -> None:
    """Write forcings to NetCDF or Zarr, whole or not at all, so that `open_forcings` reads the same.

    Args:
        path: ends in .nc or .zarr.
        reach_id: (n,); time: (T,) start of each step.
        variables: by name, values (T, n) and their unit.

    Raises:
        InputError: another suffix.

    Example:
        >>> import rivergrad as rg
        >>> rg.write_forcings("weather.nc", network.reach_id, time, {"precipitation": (rain, "mm")})
    """
    arrays = {
        name: Variable(("time", "reach"), np.asarray(values, np.float32), {"units": unit}, CHUNKS)
        for name, (values, unit) in variables.items()
    }
    write_dataset(
        Path(path),
        {
            "time": Variable(("time",), encode_time(time), TIME_ATTRIBUTES),
            "reach_id": Variable(("reach",), np.asarray(reach_id, np.int64), REACH_ATTRIBUTES),
            **arrays,
        },
        {"Conventions": "CF-1.11"},
    )
