"""Caravan: streamflow in mm/day, as CSV or NetCDF a gauge, or NetCDF of many."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rivergrad.clocks import offset_of
from rivergrad.errors import InputError
from rivergrad.io.datasets import find_variable, numbers_of, reading, texts
from rivergrad.io.heads import head_of
from rivergrad.io.missing import without_absent
from rivergrad.io.observed.delimited import Delimited, header_of
from rivergrad.io.observed.netcdf import along, opened, series
from rivergrad.io.observed.record import GaugeFormat, Record
from rivergrad.io.stamps import read_stamps
from rivergrad.io.times import parse_dates, snapped

UNIT = "mm/day"
"""Of streamflow, which has no attribute units; its attribute unit, where there is one, says the same."""


@dataclass(frozen=True)
class Caravan(GaugeFormat):
    """Daily streamflow of Caravan; the name of a gauge is that of its file, such as camels_01022500."""

    name: str = "caravan"
    traps: tuple[str, ...] = (
        "Streamflow is in mm/day of the drainage area, in km2, which stands in the attributes.",
        "NetCDF of many gauges is (basin_id, time); of one, along date.",
        "Days are those of the gauge's own clock (see utc_offset).",
    )
    table: str | None = "../../../attributes/*/attributes_other_*.csv"

    def guess(self, path: Path) -> str | None:
        """See `GaugeFormat`."""
        header = header_of(path)
        if header[:1] == ["date"] and "streamflow" in header and len(header) > 1 and "gauge" not in header:
            return "a header with date and streamflow"
        names = set(head_of(path).columns)
        if (
            "streamflow" in names
            and ("basin_id" in names or "date" in names)
            and not names & {"reach_id", "units"}
        ):
            return "has streamflow over basin_id, or along date"
        return None

    def records(self, path: Path) -> list[Record]:
        """See `GaugeFormat`."""
        if header_of(path):
            return [_from_csv(path)]
        with opened(path) as dataset:
            array = find_variable(dataset, "streamflow", (), path)
            if str(array.attrs.get("units", array.attrs.get("unit", "mm/d"))).strip() not in (
                "mm/d",
                "mm/day",
                "mm d-1",
            ):
                raise InputError(
                    f"{path}: streamflow is in '{array.attrs.get('units', array.attrs.get('unit'))}'; "
                    "expected mm/d, as Caravan has it"
                )
            if array.ndim == 1:
                found = read_stamps(dataset, array, str(array.dims[0]), path)
                if found is None:
                    raise InputError(f"{path}: has no readable times along '{array.dims[0]}'; expected dates")
                values = without_absent(numbers_of(array, path))
                return [Record(_gauge(path), snapped(found[1]), values, UNIT, path)]
            time, values, dim = series(dataset, array, path)
            if not along(dataset, "basin_id", dim):
                raise InputError(f"{path}: has no basin_id({dim}); expected the names of gauges")
            with reading(path, "NetCDF"):
                gauges = texts(dataset["basin_id"].values)
                zones = texts(dataset["timezone"].values) if along(dataset, "timezone", dim) else None
            empty = np.full(len(gauges), np.nan)
            lat, lon, area = (
                numbers_of(dataset[one], path) if along(dataset, one, dim) else empty
                for one in ("lat", "lon", "area")
            )
        values = without_absent(values)
        return [
            Record(
                str(gauge),
                time,
                values[:, g],
                UNIT,
                path,
                lat=float(lat[g]),
                lon=float(lon[g]),
                area=float(area[g]) * 1e6,
                utc_offset=None if zones is None else offset_of(str(zones[g]), f"{path}: timezone"),
            )
            for g, gauge in enumerate(gauges)
        ]


def _gauge(path: Path) -> str:
    return path.name.split(".")[0]


def _from_csv(path: Path) -> Record:
    table = Delimited.of(path, ",")
    return Record(
        _gauge(path),
        parse_dates(table.column("date"), str(path), "date"),
        without_absent(table.numbers("streamflow")),
        UNIT,
        path,
    )
