"""Time series in tables: long (`time, gauge, reach_id, discharge`) or wide (`time` and reach ids)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rivergrad.errors import InputError
from rivergrad.io.datasets import missing, texts
from rivergrad.io.tables import id_column, number_column, read_table, require
from rivergrad.io.times import TimeArray, parse_dates, regular_step, seconds, step_text, text
from rivergrad.io.units import discharge_factor

_WITH_UNIT = re.compile(r"^\s*(.+?)\s*[\[(]\s*(.+?)\s*[\])]\s*$")


@dataclass(frozen=True, eq=False)
class Series:
    """Series by label: `values` (time, label) in m3/s with NaN where a row is absent or empty."""

    label: NDArray[np.str_]
    reach_id: NDArray[np.int64]
    time: TimeArray
    step: float
    values: NDArray[np.float64]


def read_series(path: Path, value: str) -> Series:
    """Read a table of series in m3/s; a column headed `discharge [ft3/s]` is converted.

    Absent rows are missing values: the axis goes from the first to the last time by the smallest step.

    Args:
        path: a CSV or Parquet file.
        value: name of the value's column in a long table (`discharge`, `runoff`).

    Raises:
        InputError: a missing column, a text that is no date, an axis that is no regular one, or two values
            for one time.
    """
    # gauges are names: 01567000 keeps its zero, and NA is a name like any other
    table = read_table(path, converters={"gauge": str})
    if "time" not in table.columns:
        raise missing(path, "column", "time", table.columns)
    if table.empty:
        raise InputError(f"{path}: has no rows")
    time = _times(table["time"], path)
    named = {match.group(1): str(one) for one in table.columns if (match := _WITH_UNIT.match(str(one)))}
    if value in table.columns or value in named or "reach_id" in table.columns:
        return _long(table, time, value, named.get(value), path)
    return _wide(table, time, path)


def _times(column: pd.Series[Any], path: Path) -> TimeArray:
    if column.dtype.kind == "M":
        return column.to_numpy().astype("datetime64[ns]")
    return parse_dates(column, str(path))


def _long(table: pd.DataFrame, time: TimeArray, value: str, with_unit: str | None, path: Path) -> Series:
    require(table, ["reach_id"], path)
    name, factor = value, 1.0
    if with_unit is not None and value not in table.columns:
        match = _WITH_UNIT.match(with_unit)
        name, factor = with_unit, discharge_factor(match.group(2) if match else "", str(path), value)
    require(table, [name], path)
    reach = id_column(table, "reach_id", path)
    label = texts(table["gauge"]) if "gauge" in table.columns else texts(reach)
    labels, first, which = np.unique(label, return_index=True, return_inverse=True)
    if (reach != reach[first][which]).any():
        at = int((reach != reach[first][which]).argmax())
        raise InputError(
            f"{path}: gauge '{label[at]}' lies on the reaches {reach[first][which][at]} and {reach[at]}; "
            "expected one"
        )
    axis, slot, step = _regular(time, path)
    place = slot * len(labels) + which
    twice = np.bincount(place, minlength=1) > 1
    if twice.any():
        at, gauge = divmod(int(twice.argmax()), len(labels))
        raise InputError(f"{path}: has two values for '{labels[gauge]}' at {text(axis[at])}; expected one")
    values = np.full((len(axis), len(labels)), np.nan)
    values[slot, which] = number_column(table, name, path) * factor
    return Series(labels, reach[first], axis, step, values)


def _wide(table: pd.DataFrame, time: TimeArray, path: Path) -> Series:
    headers = [str(one) for one in table.columns if one != "time"]
    reach = []
    for header in headers:
        if not re.fullmatch(r"\d+", header.strip()):
            raise InputError(
                f"{path}: column '{header}' is no reach id; expected the columns time, gauge, reach_id, "
                "discharge, or time and a column of m3/s a reach id"
            )
        reach.append(int(header))
    if not reach:
        raise InputError(f"{path}: has a column time only; expected a column of m3/s a reach id")
    axis, slot, step = _regular(time, path)
    if len(np.unique(slot)) < len(slot):
        at = int((np.bincount(slot) > 1).argmax())
        raise InputError(f"{path}: has two rows for {text(axis[at])}; expected one")
    values = np.full((len(axis), len(reach)), np.nan)
    values[slot] = np.stack([number_column(table, header, path) for header in headers], axis=1)
    return Series(texts(headers), np.array(reach, dtype=np.int64), axis, step, values)


def _regular(time: TimeArray, path: Path) -> tuple[TimeArray, NDArray[np.int64], float]:
    """The regular axis that holds all times, each row's place on it, and its step in s."""
    levels = np.unique(time)
    if len(levels) < 2:
        regular_step(levels, str(path))  # raises: one time tells no step
    step = np.diff(levels).min()
    offset = levels - levels[0]
    off = offset % step != np.timedelta64(0, "ns")
    if off.any():
        raise InputError(
            f"{path}: 'time' holds {text(levels[off][0])}, which is not on the axis from {text(levels[0])} "
            f"by {step_text(seconds(step))}; expected one regular step"
        )
    count = int(offset[-1] // step) + 1
    return levels[0] + np.arange(count) * step, ((time - levels[0]) // step).astype(np.int64), seconds(step)
