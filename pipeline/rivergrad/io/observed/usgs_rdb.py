"""The RDB of the USGS's water services: tabs, comments, and a line of widths below the header."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rivergrad.errors import InputError, ids_text
from rivergrad.io.observed.record import GaugeFormat, Record, beginning_of, lines_of, no_rows, numbers
from rivergrad.io.times import parse_dates

DISCHARGE = "00060"
MEAN = "00003"
CLOCKS = {
    "UTC": 0.0,
    "GMT": 0.0,
    "EST": -5.0,
    "EDT": -4.0,
    "CST": -6.0,
    "CDT": -5.0,
    "MST": -7.0,
    "MDT": -6.0,
    "PST": -8.0,
    "PDT": -7.0,
    "AKST": -9.0,
    "AKDT": -8.0,
    "HST": -10.0,
    "AST": -4.0,
    "ADT": -3.0,
}
"""Hours from UTC of the time zones in `tz_cd`."""
WORDS = frozenset(
    ["ice", "eqp", "bkw", "ssn", "dis", "rat", "zfl", "mnt", "fld", "***", "--", "unk", "pmp", "tst", "nd"]
)
"""What stands in place of a value that is not there: affected by ice, equipment out of order, …"""
_COLUMN = re.compile(r"(?:\w*?_)?(?P<what>\d{5})(?:_(?P<statistic>\d{5}))?$")


@dataclass(frozen=True)
class UsgsRdb(GaugeFormat):
    """Daily or instantaneous discharge (00060), in cubic feet per second."""

    name: str = "usgs_rdb"
    traps: tuple[str, ...] = (
        "Values are in ft3/s.",
        "Days are those of the gauge's own clock (see utc_offset).",
        "Names keep their leading zeros.",
        "A second line below the header has widths, and words such as Ice stand for missing values.",
    )

    def guess(self, path: Path) -> str | None:
        """See `GaugeFormat`."""
        for line in beginning_of(path, 1 << 16).splitlines():
            if line and not line.startswith("#"):
                cells = line.split("\t")
                return "a header of the USGS's RDB, agency_cd and site_no" if _is_header(cells) else None
        return None

    def records(self, path: Path) -> list[Record]:
        """See `GaugeFormat`."""
        rows = [line.split("\t") for line in lines_of(path) if line.strip() and not line.startswith("#")]
        if not rows or not _is_header(rows[0]):
            raise InputError(
                f"{path}: has no header of RDB; expected agency_cd, site_no and datetime, by tabs"
            )
        found: list[Record] = []
        starts = [at for at, row in enumerate(rows) if _is_header(row)]
        for at, stop in zip(starts, [*starts[1:], len(rows)], strict=True):
            found += _table(rows[at], rows[at + 1 : stop], path)
        if not found:
            raise no_rows(path, "a row a day of discharge (00060)")
        return found


def _is_header(cells: list[str]) -> bool:
    return cells[:2] == ["agency_cd", "site_no"]


def _table(header: list[str], rows: list[list[str]], path: Path) -> list[Record]:
    if rows and all(re.fullmatch(r"\d+[sdn]", cell) for cell in rows[0] if cell):
        rows = rows[1:]
    if "datetime" not in header:
        raise InputError(
            f"{path}: is a table of sites, without datetime; expected one of daily or instantaneous values "
            "(this one is for observations.stations)"
        )
    short = next((at for at, row in enumerate(rows) if len(row) != len(header)), None)
    if short is not None:
        raise InputError(
            f"{path}: row {short + 1} has {len(rows[short])} cells; expected {len(header)}, is the file cut off?"
        )
    if not rows:
        return []
    column = _discharge_column(header, path)
    site, stamp = header.index("site_no"), header.index("datetime")
    zone = header.index("tz_cd") if "tz_cd" in header else None
    flag = header.index(f"{header[column]}_cd") if f"{header[column]}_cd" in header else None
    records = []
    for gauge in dict.fromkeys(row[site].strip() for row in rows):
        own = [row for row in rows if row[site].strip() == gauge]
        time = parse_dates([row[stamp] for row in own], str(path), "datetime")
        if zone is not None:
            time = time - _ahead([row[zone].strip() for row in own], path)
        records.append(
            Record(
                gauge,
                time,
                numbers([row[column] for row in own], path, f"column '{header[column]}'", WORDS),
                "ft3/s",
                path,
                None if flag is None else np.array([row[flag].strip() for row in own], np.str_),
                utc=zone is not None,
            )
        )
    return records


def _discharge_column(header: list[str], path: Path) -> int:
    matches = {at: match for at, name in enumerate(header) if (match := _COLUMN.match(name))}
    flows = [at for at, match in matches.items() if match["what"] == DISCHARGE]
    means = [at for at in flows if matches[at]["statistic"] in (MEAN, None)]
    if len(means) == 1:
        return means[0]
    if len(means) > 1:
        several = ids_text(header[at] for at in means)
        raise InputError(f"{path}: has several columns of mean discharge ({several}); expected one")
    others = ids_text(header[at] for at in matches) or "none of values"
    raise InputError(f"{path}: has no mean discharge (00060, statistic 00003); found the columns {others}")


def _ahead(zones: list[str], path: Path) -> np.ndarray[tuple[int], np.dtype[np.timedelta64]]:
    unknown = sorted(set(zones) - set(CLOCKS))
    if unknown:
        raise InputError(f"{path}: tz_cd holds {ids_text(unknown)}; expected {', '.join(CLOCKS)}")
    hours = np.array([CLOCKS[one] for one in zones])
    return np.round(hours * 3600).astype("timedelta64[s]")
