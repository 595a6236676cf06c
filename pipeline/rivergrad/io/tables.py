"""CSV and Parquet: columns by name, ids as exact integers, errors that name the file and the column."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rivergrad.errors import InputError, ids_text, shortened
from rivergrad.io.atomic import atomic_path
from rivergrad.io.datasets import kind_of, missing, reading

# Floats as they were written: the default of pandas before 3.1 may be off by the last digit.
_PANDAS = tuple(int(part) for part in pd.__version__.split(".")[:2])
_EXACT: dict[str, Any] = {} if _PANDAS >= (3, 1) else {"float_precision": "round_trip"}

SENTINEL = -9999.0  # the one value that always means "missing"; 0 may be a value


def read_table(path: Path, **options: Any) -> pd.DataFrame:
    """Read a CSV (also gzipped) or a Parquet file; `options` go to `pandas.read_csv`.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    kind = kind_of(path)
    if kind == "parquet":
        with reading(path, "Parquet"):
            # geometries (bytes) and other nested columns are never wanted, and may be most of the file
            schema = pq.read_schema(path)
            names = [field.name for field in schema if not _is_bytes(str(field.type))]
            return pd.read_parquet(path, columns=names)
    if kind == "csv":
        with reading(path, "CSV"):
            return pd.read_csv(path, **_EXACT, **options)
    raise InputError(f"{path}: expected a table (.csv, .csv.gz or .parquet), found {kind}")


def column_names(path: Path) -> list[str]:
    """Names of the columns of a CSV (also gzipped) or a Parquet file, without reading its rows.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    if kind_of(path) == "parquet":
        with reading(path, "Parquet"):
            return list(pq.read_schema(path).names)
    return [str(name) for name in read_table(path, nrows=0).columns]


def _is_bytes(arrow_type: str) -> bool:
    return arrow_type.startswith(("binary", "large_binary", "struct", "list", "map"))


def require(table: pd.DataFrame, names: Sequence[str], path: Path) -> None:
    """Every one of these columns must be there; else an InputError with the nearest name."""
    for name in names:
        if name not in table.columns:
            raise missing(path, "column", name, table.columns)


def id_column(table: pd.DataFrame, name: str, path: Path) -> NDArray[np.int64]:
    """A column of ids as int64; empty cells and anything that is not an integer are an InputError."""
    column = table[name]
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iu":
        return column.to_numpy(dtype=np.int64)
    empty = column.isna().to_numpy()
    if empty.any():
        hint = "; an outlet has the downstream_id -1 (or --outlets empty)" if name == "downstream_id" else ""
        raise InputError(f"{path}: column '{name}' is empty in row {int(empty.argmax()) + 1}{hint}")
    if column.dtype.kind in "iu":  # of pandas' own, which may hold empty cells
        return column.to_numpy(dtype=np.int64)
    numbers = column.to_numpy()
    if numbers.dtype.kind != "f":
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = ~(np.isfinite(numbers) & (numbers == np.round(numbers)) & (np.abs(numbers) <= 2.0**53))
    if bad.any():
        at = int(bad.argmax())
        raise InputError(
            f"{path}: column '{name}' holds '{shortened(column.iloc[at])}' in row {at + 1}; expected an integer"
        )
    return numbers.astype(np.int64)


def number_column(table: pd.DataFrame, name: str, path: Path) -> NDArray[np.float64]:
    """A column of numbers as float64, empty cells NaN; a text that is no number is an InputError."""
    column = table[name]
    if column.dtype.kind in "iufb":
        return column.to_numpy(dtype=np.float64)
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.isnan(numbers) & column.notna().to_numpy()
    if bad.any():
        at = int(bad.argmax())
        raise InputError(
            f"{path}: column '{name}' holds '{shortened(column.iloc[at])}' in row {at + 1}; expected a number"
        )
    return numbers


def is_numeric(column: pd.Series[Any]) -> bool:
    """Whether a column holds numbers or truth values."""
    return column.dtype.kind in "iufb"


def unique_ids(ids: NDArray[np.int64], path: Path) -> None:
    """Ids must not repeat; else an InputError that names them."""
    found, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise InputError(f"{path}: reach ids {ids_text(found[counts > 1])} appear more than once")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table to CSV (also gzipped) or Parquet, by the name; the same content gives the same bytes."""
    kind = kind_of(path, writing=True)
    if kind not in ("csv", "parquet"):
        raise InputError(f"{path}: expected a name that ends in .csv, .csv.gz or .parquet")
    with atomic_path(path) as temporary:
        if kind == "parquet":
            table.to_parquet(temporary, index=False)
        elif path.name.lower().endswith(".gz"):
            # the header of gzip holds a name and a time, which would make every file another
            with temporary.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
                table.to_csv(packed, index=False, lineterminator="\n")
        else:
            table.to_csv(temporary, index=False, lineterminator="\n")
