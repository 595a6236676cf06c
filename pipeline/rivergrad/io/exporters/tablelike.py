"""Templates that are tables, in Parquet and CSV: the columns of parameters change, all else stays."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rivergrad.errors import InputError, ids_text
from rivergrad.io.csvtext import first_cells
from rivergrad.io.datasets import reading
from rivergrad.io.exporters.base import Estimate, Float, left_alone, matched
from rivergrad.io.exporters.changes import IDS, changes_for, filled, id_name, ids_of_cells
from rivergrad.io.missing import exact_integers
from rivergrad.io.tables import write_text

_DECIMAL_COMMA = re.compile(r"[-+]?\d+,\d+")
_WANTED = f"one of ids, such as {', '.join(IDS[:4])}"


def refill(
    estimate: Estimate,
    like: Path,
    output: Path,
    ids: tuple[str, ...],
    columns: Mapping[tuple[str, ...], Float],
) -> list[str]:
    """Write a Parquet file like the user's, with the values of a run in some of its columns.

    Args:
        estimate: the run.
        like: the user's file.
        output: where to.
        ids: names that the column of ids may have.
        columns: values (n,) by the names that their column may have; at least one of them has to be there.

    Raises:
        InputError: no such column, or ids that are no integers.
    """
    with reading(like, "Parquet"):
        table = pq.read_table(like)
    name = next((one for one in ids if one in table.column_names), None)
    if name is None:
        raise InputError(
            f"--like {like}: found the columns {ids_text(table.column_names)}; expected one of {', '.join(ids)}"
        )
    found, bad = exact_integers(table.column(name).to_numpy())
    if bad.any():
        raise InputError(
            f"--like {like}: column '{name}' holds what is no integer in row {int(bad.argmax()) + 1}"
        )
    at, known = matched(estimate, found, like)
    changed = 0
    for names, values in columns.items():
        column = next((one for one in names if one in table.column_names), None)
        if column is None:
            continue
        place = table.column_names.index(column)
        kind = table.schema.field(column)
        old = table.column(column).to_numpy().astype(np.float64)
        new = np.where(known, values[at], old)
        if pa.types.is_integer(kind.type):
            new = np.round(new)
        table = table.set_column(place, kind, pa.array(new).cast(kind.type))
        changed += 1
    if not changed:
        wanted = ", ".join(names[0] for names in columns)
        raise InputError(
            f"--like {like}: found the columns {ids_text(table.column_names)}; expected one of {wanted}"
        )
    pq.write_table(table, output)
    return left_alone(known, estimate, like)


def parquet_like(
    estimate: Estimate, output: Path, like: Path, said: Mapping[str, str], *, add: bool
) -> list[str]:
    """Write a Parquet file, GeoParquet too, like the user's: its rows, types and metadata stay.

    Columns of parameters change; where it has none of them, or with `add`, the estimate comes in further columns.

    Args:
        estimate: the run; output: where to; like: the user's file.
        said: what is written into the metadata besides; add: whether all that the template lacks is added.

    Raises:
        InputError: no Parquet, no column of ids, ids that are no integers, or none of the run.
    """
    with reading(like, "Parquet"):
        table = pq.read_table(like)
    ids = _ids(like, table.column_names, lambda name: table.column(name).to_pandas())
    at, known = matched(estimate, ids, like)
    changes = changes_for(estimate, table.column_names, like)
    made = filled(table, changes, at, known, add=add or not changes.change)
    metadata = {
        **(made.schema.metadata or {}),
        **{name.encode(): text.encode() for name, text in said.items()},
    }
    pq.write_table(made.replace_schema_metadata(metadata), output)
    return [*changes.told, *left_alone(known, estimate, like)]


def csv_like(estimate: Estimate, output: Path, like: Path) -> list[str]:
    """Write a CSV like the user's: every cell stays as it stands, but for those of parameters.

    Raises:
        InputError: no table, no column of ids, ids that are no integers, or none of the run.
    """
    text, header, rows, dialect = _cells(like)
    ids = _ids(like, header, lambda name: pd.Series([row[header.index(name)] for row in rows], dtype=object))
    at, known = matched(estimate, ids, like)
    changes = changes_for(estimate, header, like)
    for column, values in changes.change.items():
        place = header.index(column)
        comma = any(_DECIMAL_COMMA.fullmatch(row[place].strip()) for row in rows)
        for row, place_in_run, there in zip(rows, at, known, strict=True):
            if there:
                row[place] = _cell(values[place_in_run], comma)
    if not changes.change:
        for name, values in changes.add.items():
            header.append(name)
            for row, place_in_run, there in zip(rows, at, known, strict=True):
                row.append(_cell(values[place_in_run], False) if there else "")
    written = io.StringIO(newline="")
    ending = "\r\n" if "\r\n" in text else "\n"
    csv.writer(written, delimiter=dialect, lineterminator=ending).writerows([header, *rows])
    write_text(output, written.getvalue())
    return [*changes.told, *left_alone(known, estimate, like)]


def _cells(like: Path) -> tuple[str, list[str], list[list[str]], str]:
    """Text, header, rows and delimiter of a CSV."""
    first_cells(like)  # what is no text, and what is empty, is one line
    with reading(like, "CSV"):
        text = _unpacked(like)
    for delimiter in (",", ";", "\t"):
        header, *rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
        names = [one.strip() for one in header]
        if id_name(names) is None:
            continue
        uneven = next((number for number, row in enumerate(rows, 1) if len(row) != len(names)), None)
        if uneven is not None:
            raise InputError(
                f"--like {like}: row {uneven} has {len(rows[uneven - 1])} cells; expected {len(names)}, as its header"
            )
        return text, names, rows, delimiter
    raise InputError(f"--like {like}: found the columns {ids_text(first_cells(like))}; expected {_WANTED}")


def _unpacked(like: Path) -> str:
    if like.name.lower().endswith(".gz"):
        with gzip.open(like, "rt", encoding="utf-8-sig", newline="") as packed:
            return packed.read()
    return like.read_bytes().decode("utf-8-sig")


def _cell(value: Any, comma: bool) -> str:
    number = float(value)
    text = "" if np.isnan(number) else repr(number)
    return text.replace(".", ",") if comma else text


def _ids(like: Path, columns: Sequence[str], cells: Callable[[str], pd.Series[Any]]) -> NDArray[np.int64]:
    name = id_name(columns)
    if name is None:
        raise InputError(f"--like {like}: found the columns {ids_text(columns)}; expected {_WANTED}")
    ids = ids_of_cells(cells(name))
    if ids is None:
        raise InputError(f"--like {like}: column '{name}' holds what is no integer; expected ids of reaches")
    return ids
