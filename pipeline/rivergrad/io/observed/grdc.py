"""GRDC: a text file a station, and NetCDF of many stations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rivergrad.clocks import offset_of
from rivergrad.errors import InputError
from rivergrad.io.datasets import find_variable, numbers_of, reading, texts
from rivergrad.io.heads import head_of
from rivergrad.io.missing import without_absent
from rivergrad.io.observed.netcdf import along, opened, series
from rivergrad.io.observed.record import GaugeFormat, Record, beginning_of, lines_of, no_rows, numbers
from rivergrad.io.times import parse_dates
from rivergrad.io.units import si_factor, unit_of


@dataclass(frozen=True)
class GrdcText(GaugeFormat):
    """A station a file (`6435060_Q_Day.Cmd.txt`): semicolons, and all about the station in comments."""

    name: str = "grdc"
    traps: tuple[str, ...] = (
        "It is in Latin-1: the superscripts of km² and m³/s.",
        "Position and area (km²) stand in comments alone.",
        "-999.000 is a missing value.",
        "Of several columns, Original is read, not Calculated.",
    )

    def guess(self, path: Path) -> str | None:
        """See `GaugeFormat`."""
        return (
            "a header with GRDC-No."
            if re.search(r"^#\s*GRDC-No\.", beginning_of(path), re.MULTILINE)
            else None
        )

    def records(self, path: Path) -> list[Record]:
        """See `GaugeFormat`."""
        lines = lines_of(path)
        said = _header(lines)
        if "grdc-no." not in said:
            raise InputError(f"{path}: has no line '# GRDC-No.:'; expected a station file of the GRDC")
        rows = [line.split(";") for line in lines if line.strip() and not line.startswith("#")]
        if rows and rows[0][0].strip().upper().startswith("YYYY"):
            rows = rows[1:]
        if not rows:
            raise no_rows(path, "a row a day, YYYY-MM-DD;hh:mm;value")
        width = max(3, len(rows[0]))
        short = next((at for at, row in enumerate(rows) if len(row) < width), None)
        if short is not None:
            raise InputError(
                f"{path}: data row {short + 1} is '{';'.join(rows[short])[:40]}'; expected date, time and value, by "
                "semicolons"
            )
        declared = said.get("data lines", "")
        if declared.isdigit() and int(declared) > len(rows):
            raise InputError(f"{path}: says 'Data lines: {declared}' and has {len(rows)}; is it cut off?")
        unit = next((value for name, value in said.items() if name.startswith("unit of measure")), None)
        if unit is None:
            raise InputError(f"{path}: has no line '# Unit of measure:'; expected one such as m³/s")
        stamps = [_stamp(row[0].strip(), row[1].strip()) for row in rows]
        values = numbers([row[2] for row in rows], path, "the column of values")
        return [
            Record(
                said["grdc-no."],
                parse_dates(stamps, str(path), "date"),
                np.where(values <= -999.0, np.nan, values),
                unit,
                path,
                lat=_one(said, "latitude", path),
                lon=_one(said, "longitude", path),
                area=_one(said, "catchment area", path) * 1e6,
            )
        ]


def _header(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        if line.startswith("#") and ":" in line:
            name, _, value = line[1:].partition(":")
            found.setdefault(name.strip().lower(), value.strip())
    return found


def _stamp(day: str, clock: str) -> str:
    day = f"{day[:8]}01" if re.fullmatch(r"\d{4}-\d{2}-00", day) else day  # monthly files have no day
    return f"{day}T{clock}" if re.fullmatch(r"\d{2}:\d{2}", clock) else day


def _one(said: dict[str, str], name: str, path: Path) -> float:
    found = next((value for key, value in said.items() if key.startswith(name)), "")
    value = without_absent(numbers([found], path, f"the line of {name}"), short=True)[0]
    return float(value)


@dataclass(frozen=True)
class GrdcNetcdf(GaugeFormat):
    """Many stations in a file (`GRDC-Daily.nc`): `runoff_mean(time, id)`, which is discharge."""

    name: str = "grdc_netcdf"
    traps: tuple[str, ...] = (
        "runoff_mean is discharge in m3/s, not runoff.",
        "geo_x and geo_y are degrees; area is in km2; -999 is a missing value.",
        "timezone is that of the station (utc_offset: file takes it).",
    )

    def guess(self, path: Path) -> str | None:
        """See `GaugeFormat`."""
        names = set(head_of(path).columns)
        return "has runoff_mean, geo_x and geo_y" if {"runoff_mean", "geo_x", "geo_y"} <= names else None

    def records(self, path: Path) -> list[Record]:
        """See `GaugeFormat`."""
        with opened(path) as dataset:
            array = find_variable(dataset, "runoff_mean", (), path)
            time, values, dim = series(dataset, array, path)
            name = next((one for one in ("id", dim) if along(dataset, one, dim)), None)
            if name is None:
                raise InputError(
                    f"{path}: has no numbers of stations along '{dim}'; expected a variable id({dim})"
                )
            with reading(path, "NetCDF"):
                gauges = texts(dataset[name].values)
            empty = np.full(len(gauges), np.nan)

            def each(variable: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
                there = along(dataset, variable, dim)
                return without_absent(numbers_of(dataset[variable], path), short=True) if there else empty

            factor = 1e6
            if along(dataset, "area", dim) and "units" in dataset["area"].attrs:
                factor = si_factor(str(dataset["area"].attrs["units"]), "m2", str(path), "area")
            lat, lon, area, zone = each("geo_y"), each("geo_x"), each("area") * factor, each("timezone")
            unit = unit_of(array.attrs, str(path), "runoff_mean", "m3/s")
        return [
            Record(
                str(gauge),
                time,
                np.where(values[:, g] <= -999.0, np.nan, values[:, g]),
                unit,
                path,
                lat=float(lat[g]),
                lon=float(lon[g]),
                area=float(area[g]),
                utc_offset=None if np.isnan(zone[g]) else offset_of(float(zone[g]), f"{path}: timezone"),
            )
            for g, gauge in enumerate(gauges)
        ]
