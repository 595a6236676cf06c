"""What of a user's own table an export changes: which of its columns hold parameters, and in which unit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from rivergrad.errors import InputError
from rivergrad.io.exporters.base import Estimate, Float
from rivergrad.io.exporters.muskingum import muskingum_of
from rivergrad.io.exporters.tables import columns_of
from rivergrad.io.frames import WITH_UNIT
from rivergrad.io.missing import exact_integers
from rivergrad.io.units import si_factor

IDS = (
    "reach_id",
    "id",
    "COMID",
    "LINKNO",
    "HYRIV_ID",
    "SubId",
    "divide_id",
    "link",
    "seg_id",
    "river_id",
    "rivid",
)
"""Names that the column of ids has in a template."""
K_NAMES, X_NAMES = ("k", "musk_k", "kpr"), ("x", "musk_x", "xpr")
_KEPT = ("reach_id", "downstream_id", "length_m", "lat", "lon")
_PREFIX = re.compile(r"^[A-Za-z]+-")


@dataclass(frozen=True, eq=False)
class Changes:
    """What becomes of the columns of a template.

    Attributes:
        change: by the template's own name, values (n,) of the run in the unit of that column.
        add: by name, values (n,) of columns that the template lacks.
        told: sentences about how values were made.
    """

    change: dict[str, NDArray[Any]]
    add: dict[str, NDArray[Any]]
    told: list[str]


def changes_for(
    estimate: Estimate, columns: Sequence[str], like: Path, short: dict[str, str] | None = None
) -> Changes:
    """Which columns of a template change, and what comes beside them.

    `k` and `x` are known by the names that models give them. `x` alone, or beside `y`, is a position and stays.

    Args:
        estimate: the run; columns: of the template, in order; like: the template, for messages.
        short: what the format makes of names that are too long for it.

    Raises:
        InputError: a column whose unit is not known.
    """
    values, told = _values(estimate, columns)
    spelled = {new: name for name, new in (short or {}).items() if name in values}
    change: dict[str, NDArray[Any]] = {}
    done: set[str] = set()
    lower = {_plain(one)[0].lower() for one in columns}
    for column in columns:
        name, unit = _plain(column)
        known = _known(spelled.get(name, name), lower)
        if known not in values or known in _KEPT:
            continue
        factor = 1.0 if unit is None else si_factor(unit, estimate.unit_of(known), str(like), column)
        change[column] = values[known] if factor == 1.0 else np.asarray(values[known], np.float64) / factor
        done.add(known)
    own = {one: values[one] for one in columns_of(estimate) if one not in _KEPT and one not in done}
    add = {(f"musk_{one}" if one in lower else one): found for one, found in own.items()}
    return Changes(change, {(short or {}).get(one, one): found for one, found in add.items()}, told)


def _values(estimate: Estimate, columns: Sequence[str]) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Values by rivergrad's names, with k and x where the template asks for them and the run can give them."""
    values = columns_of(estimate)
    asked = {_plain(one)[0] for one in columns} & set(K_NAMES)
    if not asked or {"k", "x"} <= set(values):
        return values, []
    try:
        k, x, told = muskingum_of(estimate)
    except InputError:
        return values, []
    return {**values, "k": k, "x": x}, told


def _plain(column: str) -> tuple[str, str | None]:
    """The name of a column without the unit that stands in it, and that unit."""
    match = WITH_UNIT.match(column)
    return (column.strip(), None) if match is None else (match.group(1), match.group(2))


def _known(name: str, there: set[str]) -> str:
    if name in K_NAMES:
        return "k"
    if name in X_NAMES:
        is_position = name == "x" and ("y" in there or not there & set(K_NAMES))
        return "" if is_position else "x"
    return name


def ids_of_cells(cells: pd.Series[Any]) -> NDArray[np.int64] | None:
    """Ids as integers, of `wb-88316` its number; None where a cell is none."""
    texts = cells.map(lambda one: _PREFIX.sub("", one.strip()) if isinstance(one, str) else one)
    ids, bad = exact_integers(texts.to_numpy())
    return None if bad.any() else ids


def id_name(columns: Sequence[str]) -> str | None:
    """The column of ids; None where there is none."""
    return next((one for one in IDS if one in columns), None)


def filled(
    table: pa.Table, changes: Changes, at: NDArray[np.int64], known: NDArray[np.bool_], *, add: bool
) -> pa.Table:
    """A table with other values in the columns that change, in their own types, and further columns where asked for.

    Args:
        table: the template; changes: see `Changes`.
        at: (m,) for each of its rows the place in the run; known: (m,) whether it has one.
        add: whether columns that the template lacks come beside.
    """
    for column, values in changes.change.items():
        place, kind = table.column_names.index(column), table.schema.field(column)
        old = table.column(column).to_pandas().to_numpy(dtype=np.float64, na_value=np.nan)
        new = np.where(known, np.asarray(values, np.float64)[at], old)
        table = table.set_column(place, kind, _array(new, kind.type))
    for column, values in changes.add.items() if add else ():
        new = np.where(known, np.asarray(values, np.float64)[at], np.nan)
        table = table.append_column(column, _array(new, pa.float64()))
    return table


def _array(values: Float, kind: pa.DataType) -> pa.Array:
    if pa.types.is_integer(kind):
        values = np.round(values)
    return pa.array(values, mask=np.isnan(values), type=pa.float64()).cast(kind)
