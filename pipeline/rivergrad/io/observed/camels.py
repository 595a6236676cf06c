"""CAMELS-US: `01022500_streamflow_qc.txt`, a gauge a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rivergrad.errors import InputError
from rivergrad.io.observed.record import GaugeFormat, Record, beginning_of, lines_of, no_rows, numbers
from rivergrad.io.times import parse_dates

_ROW = re.compile(r"\d{7,15}\s+\d{4}\s+\d{1,2}\s+\d{1,2}\s+-?[\d.]+\s+\S+\s*$")


@dataclass(frozen=True)
class CamelsUs(GaugeFormat):
    """Daily discharge of a USGS gauge with a flag: gauge, year, month, day, ft3/s, flag; no header."""

    name: str = "camels_us"
    traps: tuple[str, ...] = (
        "Values are in ft3/s; -999.00 is a missing value (flag M).",
        "Year, month and day are columns of their own.",
        "Days are those of the gauge's own clock (see utc_offset).",
    )
    table: str | None = "camels_topo.txt"

    def guess(self, path: Path) -> str | None:
        """See `GaugeFormat`."""
        lines = beginning_of(path, 512).splitlines()
        return "rows of gauge, year, month, day, flow and flag" if lines and _ROW.match(lines[0]) else None

    def records(self, path: Path) -> list[Record]:
        """See `GaugeFormat`."""
        rows = [line.split() for line in lines_of(path) if line.strip()]
        if not rows:
            raise no_rows(path, "gauge, year, month, day, flow, flag")
        bad = next((at for at, row in enumerate(rows) if len(row) != 6), None)
        if bad is not None:
            raise InputError(
                f"{path}: row {bad + 1} has {len(rows[bad])} columns; expected 6 (gauge, year, month, day, flow, flag)"
            )
        names = sorted({row[0] for row in rows})
        if len(names) > 1:
            raise InputError(f"{path}: holds the gauges {names[0]} and {names[1]}; expected one a file")
        stamps = [f"{row[1]:>04}-{row[2]:>02}-{row[3]:>02}" for row in rows]
        values = numbers([row[4] for row in rows], path, "the column of flow")
        return [
            Record(
                names[0],
                parse_dates(stamps, str(path), "date"),
                np.where(values <= -999.0, np.nan, values),
                "ft3/s",
                path,
                np.array([row[5] for row in rows], np.str_),
            )
        ]
