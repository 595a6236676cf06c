"""The text of a CSV before pandas parses it: what is no table is refused after a look at its first line."""

from __future__ import annotations

import csv
import gzip
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from rivergrad.errors import InputError

MOST_CHARACTERS = 1 << 24
"""Of the first line of a table: a name for each of a million columns."""
MOST_COLUMNS = 500_000
MOST_IN_CELL = 1 << 17
_MAGIC = (
    (b"PK\x03\x04", "a zip archive", "the table in it, unpacked"),
    (b"\x1f\x8b", "packed with gzip", "a name that ends in .csv.gz"),
    (b"PAR1", "a Parquet file", "a name that ends in .parquet"),
    (b"\x89HDF", "a NetCDF file", "a name that ends in .nc"),
    (b"\xff\xfe", "text in UTF-16", "text in UTF-8"),
    (b"\xfe\xff", "text in UTF-16", "text in UTF-8"),
)


def first_cells(path: Path) -> list[str]:
    """The cells of the first line of a CSV (also gzipped) that is not blank, as they stand.

    Raises:
        InputError: no text, or none in UTF-8; a line of more than `MOST_CHARACTERS`; more than `MOST_COLUMNS` cells.
    """
    with _opened(path) as binary:
        start = binary.read(4)
        for magic, what, expected in _MAGIC:
            if start.startswith(magic):
                raise InputError(f"{path}: is {what}; expected {expected}")
        whole = _Again(start, binary)
        with io.TextIOWrapper(io.BufferedReader(whole), encoding="utf-8-sig", newline="") as text:
            rows = csv.reader(_lines(text, path))
            try:
                cells = next((row for row in rows if len(row) > 1 or "".join(row).strip()), [])
            except csv.Error:
                raise InputError(
                    f"{path}: has a cell of more than {MOST_IN_CELL:,} characters in its first line; expected a table"
                ) from None
    if not cells:
        raise InputError(
            f"{path}: cannot be read as CSV, it is empty; expected a table with a line for each row"
        )
    refuse_many(len(cells), path)
    return cells


def refuse_many(columns: int, path: Path) -> None:
    """Raise an InputError for a table of more than `MOST_COLUMNS` columns."""
    if columns > MOST_COLUMNS:
        raise InputError(
            f"{path}: has {columns:,} columns; expected at most {MOST_COLUMNS:,}: a row for each reach and time, or "
            "NetCDF or Zarr"
        )


@contextmanager
def csv_source(path: Path) -> Iterator[Any]:
    """What pandas reads of a CSV: the path, or the text of a gzipped one, which ends where memory would.

    Raises:
        InputError: there is more text than this machine has memory.
    """
    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if not path.name.lower().endswith(".gz"):
        if path.stat().st_size > most:
            raise _too_large(path, most)
        yield path
        return
    with gzip.open(path, "rb") as packed:
        yield io.BufferedReader(_Bounded(packed, path, most), 1 << 18)


def _too_large(path: Path, most: int) -> InputError:
    return InputError(
        f"{path}: holds more text than this machine has memory ({most / 1e9:.3g} GB); expected NetCDF, Zarr or Parquet"
    )


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb") as file:
        yield file  # type: ignore[misc]


def _lines(text: io.TextIOWrapper, path: Path) -> Iterator[str]:
    """Lines, of all of which no more than `MOST_CHARACTERS` are read."""
    left = MOST_CHARACTERS
    while line := text.readline(left + 1):
        left -= len(line)
        if left < 0:
            raise InputError(
                f"{path}: its first line has more than {MOST_CHARACTERS:,} characters; "
                "expected a table with a line for each row"
            )
        if "\0" in line:
            raise InputError(f"{path}: holds zero bytes in its first line; expected a table as text in UTF-8")
        yield line


class _Again(io.RawIOBase):
    """A stream whose first bytes were read before."""

    def __init__(self, start: bytes, rest: BinaryIO) -> None:
        self._start, self._rest = start, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._start[: len(buffer)] or self._rest.read(len(buffer))
        self._start = self._start[len(data) :] if self._start else b""
        buffer[: len(data)] = data
        return len(data)


class _Bounded(io.RawIOBase):
    """The text of a packed file: one that unpacks to more than memory ends with an error before memory does."""

    def __init__(self, packed: gzip.GzipFile, path: Path, most: int) -> None:
        self._packed, self._path, self._most, self._read = packed, path, most, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._packed.read(len(buffer))
        self._read += len(data)
        if self._read > self._most:
            raise _too_large(self._path, self._most)
        buffer[: len(data)] = data
        return len(data)
