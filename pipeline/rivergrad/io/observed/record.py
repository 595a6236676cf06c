"""What a file of an archive holds about one gauge, as it stands there; and what the formats of archives share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError, shortened
from rivergrad.files import open_file
from rivergrad.io.missing import text_numbers
from rivergrad.io.placement import NONE
from rivergrad.io.times import TimeArray

Float = NDArray[np.float64]
Flags = NDArray[np.str_]

HEAD = 1 << 13
"""Bytes that are looked at to tell a format."""


@dataclass(frozen=True, eq=False)
class Record:
    """The series of one gauge in one file.

    Attributes:
        gauge: its name.
        time: (T,) stamps as they stand, on the gauge's own clock unless `utc`.
        values: (T,) in `unit`, NaN where the file says that there is none.
        unit: of the values, such as `ft3/s` or `mm/day`.
        path: the file.
        flags: (T,) words about the quality of each value; None where the format has none.
        lat, lon: degrees; area: m2; NaN where the file does not say it.
        reach_id: of its reach; `NONE` where the file does not say it.
        utc: whether stamps were in UTC, or came with their time zone.
        utc_offset: s by which the gauge's clock is ahead of UTC, as the file says; None where it does not.
    """

    gauge: str
    time: TimeArray
    values: Float
    unit: str
    path: Path
    flags: Flags | None = None
    lat: float = np.nan
    lon: float = np.nan
    area: float = np.nan
    reach_id: int = NONE
    utc: bool = False
    utc_offset: float | None = None


@dataclass(frozen=True)
class GaugeFormat:
    """A format of observations: subclasses have `name`, `traps`, `guess(path)` and `records(path)`."""

    name: str = ""
    reads: tuple[str, ...] = ("observations",)
    traps: tuple[str, ...] = ()
    extra: str | None = None
    table: str | None = field(default=None)
    """Where the format keeps its table of stations: a pattern, relative to the folder of a file."""

    def guess(self, path: Path) -> str | None:
        """Why a path is of this format; None where it is not."""
        raise NotImplementedError

    def records(self, path: Path) -> list[Record]:
        """The series in a file, one a gauge.

        Raises:
            InputError: it is not of this format, or is damaged.
        """
        raise NotImplementedError

    def read(self, path: Path, role: str, **options: Any) -> Any:
        """See `rivergrad.io.formats.Format`: the observations of one file, placed on `network`."""
        from rivergrad.io.observations import read_observations

        return read_observations(path, format=self.name, **options)


def beginning_of(path: Path, size: int = HEAD) -> str:
    """The first characters of a file, for `guess`; empty where there is no file to look at."""
    if not path.is_file():
        return ""
    try:
        with path.open("rb") as file:
            found = file.read(size)
    except OSError:
        return ""
    return "" if b"\0" in found else found.decode("latin-1").removeprefix("\xef\xbb\xbf")


def lines_of(path: Path) -> list[str]:
    """The lines of a file in UTF-8 or, where it is not that, Latin-1; without ends of lines.

    Raises:
        InputError: it holds bytes that no text has.
    """
    with open_file(path) as file:
        found = file.read()
    if b"\0" in found:
        raise InputError(f"{path}: holds bytes that are no text; expected a file of text")
    try:
        text = found.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = found.decode("latin-1")
    return text.splitlines()


def numbers(cells: list[str], path: Path, what: str, words: frozenset[str] = frozenset()) -> Float:
    """Cells as numbers, NaN where a cell is empty, says `NA` or the like, or one of `words` (in small letters).

    Raises:
        InputError: a cell that is no number.
    """
    known = ["" if cell.strip().lower() in words else cell for cell in cells]
    values, bad = text_numbers(known)
    if bad.any():
        at = int(bad.argmax())
        raise InputError(
            f"{path}: {what} holds '{shortened(cells[at].strip())}' in row {at + 1}; expected a number"
        )
    return values


def no_rows(path: Path, what: str) -> InputError:
    """The error for a file that is of a format, and holds no value."""
    return InputError(f"{path}: has no rows of values; expected {what}")
