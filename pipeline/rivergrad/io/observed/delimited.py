"""Tables of text with a header, as archives have them: every row as long as the header."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError
from rivergrad.io.datasets import missing
from rivergrad.io.observed.record import beginning_of, lines_of, no_rows, numbers


def header_of(path: Path, sign: str = ",") -> list[str]:
    """The names in the first line of a file, for `guess`; empty where it is no file of text."""
    if path.suffix.lower() not in (".csv", ".txt"):
        return []
    lines = beginning_of(path, 1 << 16).splitlines()
    return [name.strip().strip('"') for name in lines[0].split(sign)] if lines else []


@dataclass(frozen=True)
class Delimited:
    """A table of text: `rows` of as many cells as `header` has names."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, path: Path, sign: str) -> Delimited:
        """Read a table.

        Args:
            path: the file; sign: what is between cells.

        Raises:
            InputError: no rows, a name twice in the header, or a row that is shorter or longer than it.
        """
        lines = [line for line in lines_of(path) if line.strip()]
        found = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=sign)]
        if len(found) < 2:
            raise no_rows(path, "a header and a row a time")
        header, rows = found[0], found[1:]
        twice = next((name for name in header if header.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"{path}: has the column '{twice}' twice; expected each name once")
        bad = next((at for at, row in enumerate(rows) if len(row) != len(header)), None)
        if bad is not None:
            raise InputError(
                f"{path}: row {bad + 1} has {len(rows[bad])} cells; expected {len(header)}, is the file cut off?"
            )
        return cls(path, tuple(header), tuple(tuple(row) for row in rows))

    def column(self, name: str) -> list[str]:
        """The cells of a column.

        Raises:
            InputError: there is none of the name.
        """
        if name not in self.header:
            raise missing(self.path, "column", name, self.header)
        at = self.header.index(name)
        return [row[at] for row in self.rows]

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A column of numbers, NaN where a cell is empty."""
        return numbers(self.column(name), self.path, f"column '{name}'")
