"""Time series in tables: long (`time, gauge, reach_id, discharge`) or wide (`time` and reach ids)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rivergrad.errors import InputError
from rivergrad.io.datasets import optional_ids, texts
from rivergrad.io.layout import Steps, lay_out
from rivergrad.io.missing import absent, exact_integers, without_absent
from rivergrad.io.tables import id_column, number_column, read_table, require
from rivergrad.io.times import TimeArray, as_nanoseconds, text
from rivergrad.io.units import discharge_factor

OntoAxis = Callable[[int], tuple[TimeArray, NDArray[np.int64], float]]
"""The axis for so many series, each row's place on it, and its step in s."""
_WITH_UNIT = re.compile(r"^\s*(.+?)\s*[\[(]\s*(.+?)\s*[\])]\s*$")


@dataclass(frozen=True, eq=False)
class Series:
    """Series by label: `values` (time, label) in m3/s with NaN where a row is absent or empty.

    Numbers that mean "no value" (see `rivergrad.io.missing`) are there as in the file.

    `reach_id` is -1 where a label came without. Of the further columns that were asked for and are there,
    `per_label` has (label,) and `per_value` (time, label), with the unit of the header or None; NaN where empty.
    """

    label: NDArray[np.str_]
    reach_id: NDArray[np.int64]
    time: TimeArray
    step: float
    values: NDArray[np.float64]
    per_label: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    per_value: Mapping[str, tuple[NDArray[np.float64], str | None]] = field(default_factory=dict)


def read_series(
    path: Path,
    value: str,
    *,
    per_label: Sequence[str] = (),
    per_value: Sequence[str] = (),
    like: Steps | None = None,
    complete: bool = False,
    located: bool = False,
) -> Series:
    """Read a table of series in m3/s; a column headed `discharge [ft3/s]` is converted.

    Absent rows are missing values: the axis goes from the first to the last time by the step of `like`, where the
    times lie on it, else by the smallest gap between two times.

    Args:
        path: a CSV or Parquet file.
        value: name of the value's column in a long table (`discharge`, `runoff`).
        per_label: further columns of a long table with one number a label; with `lat` and `lon` among them and in
            the table, labels need no reach id.
        per_value: further columns of a long table with a number a row.
        like: the steps of the runoff.
        complete: whether rows are absent by mistake alone: the step is the most frequent gap then.
        located: whether labels may come without a reach id, as a table of stations has it.

    Raises:
        InputError: a missing column, a text that is no date, an axis that is no regular one, or two values
            for one time.
    """
    # gauges are names: 01567000 keeps its zero, and NA is a name like any other
    table = read_table(path, names=("gauge",), needs=("time",))
    if table.empty:
        raise InputError(f"{path}: has no rows")
    time = _times(table["time"], path)
    named = {match.group(1): str(one) for one in table.columns if (match := _WITH_UNIT.match(str(one)))}

    def onto_axis(width: int) -> tuple[TimeArray, NDArray[np.int64], float]:
        return lay_out(time, path, like=like, complete=complete, exact=True, width=width)

    if value in table.columns or value in named or "reach_id" in table.columns:
        return _long(table, onto_axis, value, named, per_label, per_value, path, located)
    return _wide(table, onto_axis, path)


def _times(column: pd.Series[Any], path: Path) -> TimeArray:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    return as_nanoseconds(column.to_numpy(), str(path))


def _long(
    table: pd.DataFrame,
    onto_axis: OntoAxis,
    value: str,
    named: Mapping[str, str],
    per_label: Sequence[str],
    per_value: Sequence[str],
    path: Path,
    placed: bool,
) -> Series:
    """`named`: the columns that have a unit in their header, by their names without it."""
    located = placed or {"lat", "lon"} <= {*per_label} & {str(one) for one in table.columns}
    if not located:
        require(table, ["reach_id"], path)
    name, factor = value, 1.0
    if value in named and value not in table.columns:
        name, factor = named[value], discharge_factor(_unit_in(named[value]), str(path), value)
    require(table, [name], path)
    if not located:
        reach = id_column(table, "reach_id", path)
    elif "reach_id" in table.columns:
        reach = optional_ids(table["reach_id"].to_numpy(), path, "reach_id")
    else:
        reach = np.full(len(table), -1, dtype=np.int64)
    if located and (reach == -1).any():
        require(table, ["gauge"], path)  # an id that is not there names nothing
    label = texts(table["gauge"]) if "gauge" in table.columns else texts(reach)
    labels, first, which = np.unique(label, return_index=True, return_inverse=True)
    if (reach != reach[first][which]).any():
        at = int((reach != reach[first][which]).argmax())
        raise InputError(
            f"{path}: gauge '{label[at]}' lies on the reaches {reach[first][which][at]} and {reach[at]}; "
            "expected one"
        )
    axis, slot, step = onto_axis(len(labels))
    place = slot * len(labels) + which
    twice = np.bincount(place, minlength=1) > 1
    if twice.any():
        at, gauge = divmod(int(twice.argmax()), len(labels))
        raise InputError(f"{path}: has two values for '{labels[gauge]}' at {text(axis[at])}; expected one")

    def spread(column: str, factor: float = 1.0) -> NDArray[np.float64]:
        values = np.full((len(axis), len(labels)), np.nan)
        values[slot, which] = _converted(number_column(table, column, path), factor)
        return values

    further: dict[str, tuple[NDArray[np.float64], str | None]] = {}
    for one in per_value:
        if one in table.columns:
            further[one] = spread(one), None
        elif one in named:
            further[one] = spread(named[one]), _unit_in(named[one])
    return Series(
        labels,
        reach[first],
        axis,
        step,
        spread(name, factor),
        {one: _one_each(table, one, labels, which, path) for one in per_label if one in table.columns},
        further,
    )


def _unit_in(header: str) -> str:
    match = _WITH_UNIT.match(header)
    return match.group(2) if match else ""


def _one_each(
    table: pd.DataFrame, name: str, labels: NDArray[np.str_], which: NDArray[np.int64], path: Path
) -> NDArray[np.float64]:
    """(label,) the one number that a column has for each label, NaN where all its cells are empty."""
    values = without_absent(number_column(table, name, path))
    there = ~np.isnan(values)
    least, most = np.full(len(labels), np.inf), np.full(len(labels), -np.inf)
    np.minimum.at(least, which[there], values[there])
    np.maximum.at(most, which[there], values[there])
    if (least < most).any():
        at = int((least < most).argmax())
        raise InputError(
            f"{path}: gauge '{labels[at]}' has the {name} {least[at]:g} and {most[at]:g}; expected one"
        )
    return np.where(np.bincount(which[there], minlength=len(labels)) > 0, least, np.nan)


def _converted(values: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Values in m3/s; what means that there is none stays as it is in the file, so that it is known for it."""
    if factor == 1.0:
        return values
    none = absent(values)
    return values * factor if none is None else np.where(none, values, values * factor)


def _wide(table: pd.DataFrame, onto_axis: OntoAxis, path: Path) -> Series:
    headers = [str(one) for one in table.columns if one != "time"]
    reach, bad = exact_integers(np.array(headers, dtype=object))
    for header, is_bad in zip(headers, bad, strict=True):
        if is_bad or not re.fullmatch(r"[0-9]+", header.strip()):
            raise InputError(
                f"{path}: column '{header}' is no reach id; expected the columns time, gauge, reach_id, "
                "discharge, or time and a column of m3/s a reach id"
            )
    if not headers:
        raise InputError(f"{path}: has a column time only; expected a column of m3/s a reach id")
    axis, slot, step = onto_axis(len(headers))
    if len(np.unique(slot)) < len(slot):
        at = int((np.bincount(slot) > 1).argmax())
        raise InputError(f"{path}: has two rows for {text(axis[at])}; expected one")
    values = np.full((len(axis), len(headers)), np.nan)
    numbers = table[headers]
    if all(dtype.kind in "iuf" for dtype in set(numbers.dtypes)):
        values[slot] = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        values[slot] = np.stack([number_column(table, header, path) for header in headers], axis=1)
    return Series(texts(headers), reach, axis, step, values)
