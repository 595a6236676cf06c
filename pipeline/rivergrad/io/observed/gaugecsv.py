"""Archives that keep tables of text: GEOGLOWS, LamaH, EStreams and Wflow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rivergrad.errors import InputError, ids_text
from rivergrad.io.missing import without_absent
from rivergrad.io.observed.delimited import Delimited, header_of
from rivergrad.io.observed.record import GaugeFormat, Record
from rivergrad.io.times import parse_dates

_FLOW = re.compile(r"(?:streamflow|discharge|flow|q)\s*[\[(]\s*([^\])]+?)\s*[\])]$", re.IGNORECASE)
_WFLOW = re.compile(r"Q_(\w+)$")


@dataclass(frozen=True)
class GeoglowsCsv(GaugeFormat):
    """A gauge a file, `Datetime,Streamflow (m3/s)`; its name is that of the file."""

    name: str = "geoglows_gauge"
    traps: tuple[str, ...] = ("The reach of a gauge stands in a table (model_id), not in its file.",)
    table: str | None = "gauge_table.csv"

    def guess(self, path: Path) -> str | None:
        """See `GaugeFormat`."""
        header = header_of(path)
        if len(header) == 2 and header[0].lower() in ("datetime", "date") and _FLOW.match(header[1]):
            return "a header with Datetime and Streamflow (unit)"
        return None

    def records(self, path: Path) -> list[Record]:
        """See `GaugeFormat`."""
        table = Delimited.of(path, ",")
        column = next((name for name in table.header if _FLOW.match(name)), None)
        if column is None:
            raise InputError(
                f"{path}: found the columns {ids_text(table.header)}; expected Datetime and Streamflow (m3/s)"
            )
        match = _FLOW.match(column)
        assert match is not None
        values = without_absent(table.numbers(column))
        time = parse_dates(table.column(table.header[0]), str(path), table.header[0])
        return [Record(path.name.split(".")[0], time, values, match.group(1), path)]


@dataclass(frozen=True)
class LamaH(GaugeFormat):
    """LamaH-CE: `ID_1.csv`, a gauge a file, `YYYY;MM;DD;qobs;ckhs`; also hourly with hh and mm."""

    name: str = "lamah"
    traps: tuple[str, ...] = (
        "Cells are separated by semicolons; year, month and day are columns of their own.",
        "-999 is a missing value; ckhs is the flag.",
        "Positions of the attributes are metres in EPSG:3035.",
    )
    table: str | None = "../../1_attributes/Gauge_attributes.csv"

    def guess(self, path: Path) -> str | None:
        """See `GaugeFormat`."""
        header = header_of(path, ";")
        return "a header with YYYY;MM;DD and qobs" if {"YYYY", "MM", "DD", "qobs"} <= set(header) else None

    def records(self, path: Path) -> list[Record]:
        """See `GaugeFormat`."""
        table = Delimited.of(path, ";")
        days = zip(*(table.column(name) for name in ("YYYY", "MM", "DD")), strict=True)
        stamps = [f"{year:>04}-{month:>02}-{day:>02}" for year, month, day in days]
        if "hh" in table.header:
            minutes = table.column("mm") if "mm" in table.header else ["0"] * len(stamps)
            clock = zip(stamps, table.column("hh"), minutes, strict=True)
            stamps = [f"{day}T{hour:>02}:{minute:>02}" for day, hour, minute in clock]
        values = table.numbers("qobs")
        name = path.name.split(".")[0]
        flags = np.array(table.column("ckhs"), np.str_) if "ckhs" in table.header else None
        time = parse_dates(stamps, str(path), "date")
        values = np.where(values <= -999.0, np.nan, values)
        return [Record(name.removeprefix("ID_"), time, values, "m3/s", path, flags)]


@dataclass(frozen=True)
class EStreams(GaugeFormat):
    """EStreams: a column a gauge, in m3/s, under `dates`."""

    name: str = "estreams"
    traps: tuple[str, ...] = (
        "Gauges are columns named by text ids, which the table of gauges calls basin_id.",
        "Positions are lon_snap and lat_snap (on the river) or lon and lat.",
    )
    table: str | None = "estreams_gauging_stations.csv"

    def guess(self, path: Path) -> str | None:
        """See `GaugeFormat`."""
        header = header_of(path)
        return "a header that begins with dates" if header[:1] == ["dates"] and len(header) > 1 else None

    def records(self, path: Path) -> list[Record]:
        """See `GaugeFormat`."""
        table = Delimited.of(path, ",")
        time = parse_dates(table.column("dates"), str(path), "dates")
        return [
            Record(name, time, without_absent(table.numbers(name)), "m3/s", path) for name in table.header[1:]
        ]


@dataclass(frozen=True)
class WflowCsv(GaugeFormat):
    """Wflow's output.csv, or a table of observations like it: `time` and columns `Q_<gauge>`, in m3/s."""

    name: str = "wflow_csv"
    traps: tuple[str, ...] = (
        "Cells are separated by commas or semicolons.",
        "Columns of other variables (Q-max, P_1, …) are left out.",
        "Discharge has no unit in the file; it is m3/s by Wflow's documentation.",
        "Wflow's own output labels the end of a step.",
    )

    def guess(self, path: Path) -> str | None:
        """See `GaugeFormat`."""
        for sign in (",", ";"):
            header = header_of(path, sign)
            if header[:1] == ["time"] and any(_WFLOW.match(name) for name in header):
                return "a header with time and columns Q_<gauge>"
        return None

    def records(self, path: Path) -> list[Record]:
        """See `GaugeFormat`."""
        sign = ";" if header_of(path, ";")[:1] == ["time"] else ","
        table = Delimited.of(path, sign)
        columns = {match.group(1): name for name in table.header if (match := _WFLOW.match(name))}
        if not columns:
            raise InputError(
                f"{path}: found the columns {ids_text(table.header)}; expected some named Q_<gauge>"
            )
        time = parse_dates(table.column("time"), str(path), "time")
        return [
            Record(gauge, time, without_absent(table.numbers(name)), "m3/s", path)
            for gauge, name in columns.items()
        ]
