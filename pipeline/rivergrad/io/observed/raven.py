"""Raven: observations in .rvt, and its NetCDF of gauging stations; Wflow's scalar output, which is like it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rivergrad.errors import InputError, shortened
from rivergrad.io.datasets import find_variable, reading, texts
from rivergrad.io.heads import head_of
from rivergrad.io.missing import without_absent
from rivergrad.io.observed.netcdf import along, opened, series
from rivergrad.io.observed.record import GaugeFormat, Record, beginning_of, lines_of, no_rows, numbers
from rivergrad.io.times import parse_dates
from rivergrad.io.units import unit_of

NONE = -1.2345
"""What Raven writes for no value."""
_BEGIN = re.compile(r":ObservationData\s+HYDROGRAPH\s+(\S+)(?:\s+(\S+))?", re.IGNORECASE)


@dataclass(frozen=True)
class RavenRvt(GaugeFormat):
    """`:ObservationData HYDROGRAPH <subbasin> m3/s`: start, step in days and number, then a value a line."""

    name: str = "raven_rvt"
    traps: tuple[str, ...] = (
        "-1.2345 is a missing value.",
        "Times are those of the start and the step, on a line of their own.",
        "The gauge's name is the id of its subbasin, which is its reach.",
        "Lines :RedirectToFile are not followed: the file with the values is read itself.",
    )

    def guess(self, path: Path) -> str | None:
        """See `GaugeFormat`."""
        return "has :ObservationData HYDROGRAPH" if _BEGIN.search(beginning_of(path)) else None

    def records(self, path: Path) -> list[Record]:
        """See `GaugeFormat`."""
        lines = [line.split("#")[0].strip() for line in lines_of(path)]
        found, at = [], 0
        while at < len(lines):
            match = _BEGIN.match(lines[at])
            at += 1
            if match is not None:
                stop = next(
                    (i for i in range(at, len(lines)) if lines[i].lower() == ":endobservationdata"), None
                )
                if stop is None:
                    raise InputError(
                        f"{path}: :ObservationData of {match[1]} has no :EndObservationData; is it cut off?"
                    )
                found.append(_block(match[1], match[2], [line for line in lines[at:stop] if line], path))
                at = stop + 1
        if not found:
            raise no_rows(path, ":ObservationData HYDROGRAPH with values")
        return found


def _block(subbasin: str, unit: str | None, lines: list[str], path: Path) -> Record:
    words = lines[0].split() if lines else []
    if len(words) != 4:
        raise InputError(
            f"{path}: found '{shortened(lines[0] if lines else '')}' below :ObservationData; "
            "expected date, time, step in days and number of values"
        )
    values = numbers(" ".join(lines[1:]).split(), path, ":ObservationData")
    step, count = numbers(words[2:3], path, "the step")[0], words[3]
    if not count.isdigit() or not step > 0:
        raise InputError(
            f"{path}: found the step '{words[2]}' and the number '{count}'; expected both above 0"
        )
    if len(values) != int(count):
        raise InputError(
            f"{path}: has {len(values)} values of subbasin {subbasin}; expected {count}, as it says"
        )
    hours = words[1].split(":")[0].zfill(2) + words[1][words[1].find(":") :]
    first = parse_dates([f"{words[0]}T{hours}"], str(path), "start")[0]
    time = first + np.round(np.arange(len(values)) * step * 86400).astype("timedelta64[s]")
    return Record(
        subbasin,
        time.astype("datetime64[ns]"),
        np.where(np.isclose(values, NONE, rtol=0, atol=1e-6), np.nan, without_absent(values)),
        unit or "m3/s",
        path,
        reach_id=int(subbasin) if subbasin.isdigit() and len(subbasin) < 19 else -1,
    )


@dataclass(frozen=True)
class StationNetcdf(GaugeFormat):
    """Discharge `Q` of stations: Raven's `Q(nstations, time)` with station_id, Wflow's `Q(time, Q_gauges)`."""

    name: str = "station_netcdf"
    traps: tuple[str, ...] = (
        "Dimensions may be (station, time).",
        "The unit may be spelled m**3 s**-1; Wflow's Q has none, and is m3/s.",
        "A missing value may be declared by fill_value alone.",
    )

    def guess(self, path: Path) -> str | None:
        """See `GaugeFormat`."""
        names = set(head_of(path).columns)
        if "Q" not in names or "reach_id" in names or {"lat", "lon"} <= names:
            return None
        if {"station_id", "station_info"} <= names:
            return "has Q and station_info"
        return "has Q and Q_gauges" if "Q_gauges" in names else None

    def records(self, path: Path) -> list[Record]:
        """See `GaugeFormat`."""
        with opened(path) as dataset:
            array = find_variable(dataset, "Q", (), path)
            time, values, dim = series(dataset, array, path)
            name = next((one for one in ("station_id", "Q_gauges", dim) if along(dataset, one, dim)), None)
            if name is None:
                raise InputError(
                    f"{path}: has no names of stations along '{dim}'; expected station_id({dim})"
                )
            with reading(path, "NetCDF"):
                gauges = texts(dataset[name].values)
            wflow = name == "Q_gauges" and "units" not in array.attrs
            unit = "m3/s" if wflow else unit_of(array.attrs, str(path), "Q", "m3/s")
        values = without_absent(values)
        return [Record(str(gauge), time, values[:, g], unit, path) for g, gauge in enumerate(gauges)]
