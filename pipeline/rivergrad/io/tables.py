"""CSV and Parquet: columns by name, ids as exact integers, errors that name the file and the column."""

from __future__ import annotations

import gzip
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rivergrad.errors import InputError, ids_text, shortened
from rivergrad.io.atomic import atomic_path
from rivergrad.io.csvtext import csv_source, first_cells, refuse_many
from rivergrad.io.datasets import kind_of, missing, reading
from rivergrad.io.missing import exact_integers, plain_text, text_numbers

# Floats as they were written: the default of pandas before 3.1 may be off by the last digit.
_PANDAS = tuple(int(part) for part in pd.__version__.split(".")[:2])
_EXACT: dict[str, Any] = {} if _PANDAS >= (3, 1) else {"float_precision": "round_trip"}


def read_table(
    path: Path, *, names: Sequence[str] = (), needs: Sequence[str] = (), **options: Any
) -> pd.DataFrame:
    """Read a CSV (also gzipped) or a Parquet file.

    Args:
        path: the file.
        names: columns of names, which are texts as they stand: 01567000, NA.
        needs: columns that must be there, which is looked at before any row is read.
        options: further ones of `pandas.read_csv`.

    Raises:
        InputError: there is no such file, it cannot be read, or it has a column twice or rows longer than its header.
    """
    kind = kind_of(path)
    if kind == "parquet":
        # read as a file: a data set, as pandas opens it, takes memory by the square of the number of columns
        with reading(path, "Parquet"), pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            refuse_many(len(schema.names), path)
            _refuse_twice(schema.names, path)
            # geometries (bytes) and other nested columns are never wanted, and may be most of the file
            names = [field.name for field in schema if not _is_bytes(str(field.type))]
            require(names, needs, path)
            return file.read(columns=names, use_pandas_metadata=True).to_pandas()
    if kind == "csv":
        with reading(path, "CSV"):
            header = first_cells(path)
            if "header" in options:
                with csv_source(path) as text:
                    return pd.read_csv(text, **_EXACT, **options)
            stripped = [name.strip() for name in header]
            _refuse_twice(stripped, path)
            require(stripped, needs, path)
            return _read_csv(path, header, names, **options)
    raise InputError(f"{path}: expected a table (.csv, .csv.gz or .parquet), found {kind}")


def _read_csv(path: Path, header: Sequence[str], names: Sequence[str], **options: Any) -> pd.DataFrame:
    # the header as it stands in the file, which may have blanks around its names
    raw = [name for name in header if name.strip() in names]
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            # else pandas takes the first cell of longer rows for the row's name, and every column for its neighbour
            with csv_source(path) as text:
                table = pd.read_csv(
                    text, index_col=False, dtype=dict.fromkeys(raw, str) or None, **_EXACT, **options
                )
        except pd.errors.ParserWarning:
            raise InputError(
                f"{path}: has rows of more cells than there are names in its header; expected as many"
            ) from None
        for name in raw:  # of which NA is one like any other
            if table[name].isna().any():
                only = {"usecols": [name], "keep_default_na": False}
                with csv_source(path) as text:
                    table[name] = pd.read_csv(text, index_col=False, dtype=str, **only)[name]  # type: ignore[call-overload]
    for name in raw:
        table[name] = table[name].str.strip()
    table.columns = pd.Index([name.strip() for name in header])
    # what a comma at the end of each line makes
    return table.drop(columns=[one for one in table.columns if not one and table[one].isna().all()])


def _refuse_twice(names: Sequence[str], path: Path) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1 and name]
    if twice:
        raise InputError(
            f"{path}: the columns {ids_text(twice)} appear more than once; expected each name once"
        )


def column_names(path: Path) -> list[str]:
    """Names of the columns of a CSV (also gzipped) or a Parquet file, without reading its rows.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    if kind_of(path) == "parquet":
        with reading(path, "Parquet"), pq.ParquetFile(path) as file:
            return list(file.schema_arrow.names)
    return [str(name) for name in read_table(path, nrows=0).columns]


def _is_bytes(arrow_type: str) -> bool:
    return arrow_type.startswith(("binary", "large_binary", "struct", "list", "map"))


def require(table: pd.DataFrame | Sequence[str], names: Sequence[str], path: Path) -> None:
    """Every one of these columns must be there; else an InputError with the nearest name."""
    there = table.columns if isinstance(table, pd.DataFrame) else table
    for name in names:
        if name not in there:
            raise missing(path, "column", name, there)


def id_column(table: pd.DataFrame, name: str, path: Path) -> NDArray[np.int64]:
    """A column of ids as int64; empty cells and anything that is not an integer are an InputError."""
    require(table, [name], path)  # a damaged Parquet may name other columns than its schema
    column = table[name]
    empty = column.isna().to_numpy()
    if empty.any():
        hint = "; an outlet has the downstream_id -1 (or --outlets empty)" if name == "downstream_id" else ""
        raise InputError(f"{path}: column '{name}' is empty in row {int(empty.argmax()) + 1}{hint}")
    ids, bad = exact_integers(column.to_numpy())
    if bad.any():
        at = int(bad.argmax())
        raise InputError(
            f"{path}: column '{name}' holds '{shortened(column.iloc[at])}' in row {at + 1}; expected an integer, "
            "exact in its type and below 2^63"
        )
    return ids


def number_column(
    table: pd.DataFrame, name: str, path: Path, *, truth_values: bool = False
) -> NDArray[np.float64]:
    """A column of numbers as float64, NaN for empty cells and texts such as NA.

    Args:
        table, name, path: the column, and the file for messages.
        truth_values: whether true and false are 1 and 0.

    Raises:
        InputError: a text that is no number, dates, or truth values where they are none.
    """
    require(table, [name], path)
    column = table[name]
    kind = column.dtype.kind
    if kind in "iuf" or (kind == "b" and truth_values):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    if kind in "bMm":
        what = "truth values" if kind == "b" else "dates" if kind == "M" else "durations"
        raise InputError(f"{path}: column '{name}' holds {what}; expected numbers")
    texts = column if isinstance(column.dtype, pd.StringDtype) else column.where(column.notna(), "").tolist()
    numbers, bad = text_numbers(texts)
    if bad.any():
        at = int(bad.argmax())
        raise InputError(
            f"{path}: column '{name}' holds '{shortened(plain_text(column.iloc[at]))}' in row {at + 1}; "
            "expected a number"
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


def write_text(path: Path, text: str) -> None:
    """Write text, packed where the name ends in .gz; the same text gives the same bytes."""
    with path.open("wb") as raw:
        if not path.name.lower().endswith(".gz"):
            raw.write(text.encode())
            return
        with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:  # without a name and a time
            packed.write(text.encode())
