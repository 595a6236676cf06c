"""Tables of stations: where gauges lie, their areas, reaches and clocks, for archives whose series do not say it."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rivergrad.clocks import offset_of
from rivergrad.errors import InputError, ids_text
from rivergrad.files import require_readable
from rivergrad.io.datasets import NETCDF_SUFFIXES, open_dataset, optional_ids, reading, texts
from rivergrad.io.heads import require_extra
from rivergrad.io.missing import plain_text, text_numbers, without_absent
from rivergrad.io.observed.record import lines_of
from rivergrad.io.placement import NONE
from rivergrad.io.tables import read_table

log = logging.getLogger("rivergrad")
Float = NDArray[np.float64]

GAUGES = (
    *("gauge", "gauge_id", "station_id", "station", "site_no", "staid", "grdc_no", "basin_id", "gages", "id"),
)
REACHES = ("reach_id", "model_id", "linkno", "rivid", "river_id", "comid", "feature_id", "link")
LATITUDES = ("lat", "latitude", "gauge_lat", "dec_lat_va", "lat_snap")
LONGITUDES = ("lon", "longitude", "long", "gauge_lon", "dec_long_va", "lon_snap")
AREAS = {
    "area_m2": 1.0,
    "area_km2": 1e6,
    "area": 1e6,
    "area_official": 1e6,
    "area_estreams": 1e6,
    "area_gov": 1e6,
    "area_calc": 1e6,
    "area_gages2": 1e6,
    "area_geospa_fabric": 1e6,
    "drain_area_va": 2589988.110336,
}
"""Columns of drainage areas and what makes m2 of them: km2 as archives have it, square miles of the USGS."""
CLOCKS = ("utc_offset", "timezone", "tz")
LAMAH_CRS = "EPSG:3035"


@dataclass(frozen=True, eq=False)
class Stations:
    """Rows of a table of stations; NaN, `NONE` or an empty text where a row says nothing."""

    path: Path
    gauge: NDArray[np.str_]
    reach_id: NDArray[np.int64]
    lat: Float
    lon: Float
    area: Float
    clock: tuple[str, ...]

    def rows_of(self, gauges: NDArray[np.str_]) -> NDArray[np.int64]:
        """(G,) the row of each gauge, -1 where it has none. `1022500` is `01022500`, where no other gauge is."""
        exact = {str(name): row for row, name in enumerate(self.gauge)}
        bare: dict[str, list[int]] = {}
        for name, row in exact.items():
            bare.setdefault(_bare(name), []).append(row)
        found = []
        for name in map(str, gauges):
            near = bare.get(_bare(name), [])
            found.append(exact.get(name, near[0] if len(near) == 1 else -1))
        return np.asarray(found, np.int64)

    def offsets(self, rows: NDArray[np.int64]) -> Float:
        """(G,) s from UTC of the clock of each row, NaN where it says none."""
        what = f"{self.path}: utc_offset"
        return np.array(
            [
                np.nan if row < 0 or not self.clock[row] else offset_of(_clock(self.clock[row]), what)
                for row in rows
            ]
        )


def _clock(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def read_stations(path: str | Path, wanted: Sequence[str] = ()) -> Stations:
    """Read a table of stations: CSV (commas, semicolons or tabs), the USGS's RDB, Parquet, or Route_Link's NetCDF.

    It has a column of gauge names (`gauge`, `gauge_id`, `site_no`, `basin_id`, `ID`, …), and any of `reach_id`, `lat`
    and `lon`, a drainage area (`area_km2`, `area_m2`; `area` is in km2) and `utc_offset`, as archives name
    them.

    Args:
        path: the table.
        wanted: names of gauges: where several columns might name gauges, the one that has most of them does.

    Raises:
        InputError: no such file, no column of gauges, a gauge twice, or what is no number.
    """
    path = Path(path)
    require_readable(path, "table of stations")
    table = _table_of(path)
    table.columns = pd.Index([str(one).strip() for one in table.columns])
    columns = {name.lower(): name for name in table.columns}
    candidates = [columns[one] for one in GAUGES if one in columns]
    if not candidates:
        raise InputError(
            f"{path}: has no column of gauges; found {ids_text(table.columns)}, expected one of {', '.join(GAUGES)}"
        )
    hits = [
        len({_bare(_plain(one)) for one in table[name]} & {_bare(one) for one in wanted})
        for name in candidates
    ]
    gauge_column = candidates[int(np.argmax(hits))]
    gauge = np.array([_plain(one) for one in table[gauge_column]], dtype=np.str_)
    table = table[gauge != ""]
    gauge = gauge[gauge != ""]
    names, counts = np.unique(gauge, return_counts=True)
    if (counts > 1).any():
        raise InputError(f"{path}: the gauges {ids_text(names[counts > 1])} appear more than once")
    lat, lon = _numbers(table, columns, LATITUDES, path), _numbers(table, columns, LONGITUDES, path)
    lat, lon = _degrees(lat, lon, table, path)
    area_column = next((one for one in AREAS if one in columns), None)
    area = _numbers(table, columns, () if area_column is None else (area_column,), path)
    reach_column = next(
        (columns[one] for one in REACHES if one in columns and columns[one] != gauge_column), None
    )
    clock_column = next((columns[one] for one in CLOCKS if one in columns), None)
    count = len(gauge)
    return Stations(
        path,
        gauge,
        np.full(count, NONE)
        if reach_column is None
        else optional_ids(np.array([_plain(one) for one in table[reach_column]], object), path, reach_column),
        lat,
        lon,
        np.where(area > 0, area, np.nan) * (AREAS[area_column] if area_column is not None else 1.0),
        ("",) * count
        if clock_column is None
        else tuple(
            "" if _plain(one).lower() in ("nan", "none") else _plain(one) for one in table[clock_column]
        ),
    )


def station_table(
    path: Path | None, beside: str | None, files: Sequence[Path], wanted: Sequence[str]
) -> Stations | None:
    """The table that is named, or the one that an archive keeps beside its series (which a line says).

    Args:
        path: as named.
        beside: a pattern relative to the folder of a file, such as `../../attributes/*.csv`, as a format has it.
        files: the files of series.
        wanted: names of gauges.
    """
    if path is not None:
        return read_stations(path, wanted)
    if beside is None:
        return None
    found = sorted(
        {one for folder in {file.absolute().parent for file in files} for one in _beside(folder, beside)}
    )
    if len(found) != 1:
        return None
    log.info("stations: %s, which lies where the archive keeps it", found[0])
    return read_stations(found[0], wanted)


def _beside(folder: Path, pattern: str) -> list[Path]:
    while pattern.startswith("../"):
        folder, pattern = folder.parent, pattern[3:]
    return list(folder.glob(pattern))


def _table_of(path: Path) -> pd.DataFrame:
    name = path.name.lower()
    if name.endswith(NETCDF_SUFFIXES):
        return _from_netcdf(path)
    if name.endswith((".parquet", ".pq", ".gz")):
        return read_table(path, names=tuple({*GAUGES, *(one.upper() for one in GAUGES)}))
    lines = [line for line in lines_of(path) if line.strip() and not line.startswith("#")]
    if not lines:
        raise InputError(f"{path}: is empty; expected a table of stations")
    sign = max((",", ";", "\t"), key=lines[0].count)
    rows = list(csv.reader(lines, delimiter=sign))
    header, rows = rows[0], rows[1:]
    if sign == "\t" and rows and all(cell.strip()[-1:] in "sdn" for cell in rows[0] if cell.strip()):
        rows = rows[1:]  # RDB's line of widths: 5s 15s
    if not rows:
        raise InputError(f"{path}: has no rows; expected a station a row")
    long = next((at for at, row in enumerate(rows) if len(row) > len(header)), None)
    if long is not None:
        raise InputError(
            f"{path}: row {long + 1} has {len(rows[long])} cells; expected {len(header)}, as its header"
        )
    return pd.DataFrame([row + [""] * (len(header) - len(row)) for row in rows], columns=header, dtype=object)


def _from_netcdf(path: Path) -> pd.DataFrame:
    """`gages` of a Route_Link file: which link has which gauge."""
    with open_dataset(path) as dataset:
        if "gages" not in dataset.variables or "link" not in dataset.variables:
            raise InputError(
                f"{path}: found {ids_text(dataset.variables)}; expected link and gages, as in a Route_Link file"
            )
        with reading(path, "NetCDF"):
            values = dataset["gages"].values
            link = dataset["link"].values
    joined = values if values.ndim == 1 else np.array([b"".join(row) for row in values])
    return pd.DataFrame({"gauge": [one.strip() for one in texts(joined)], "reach_id": link}, dtype=object)


def _bare(name: str) -> str:
    return str(name).lstrip("0") if str(name).isdigit() else str(name)


def _plain(cell: object) -> str:
    return plain_text(cell).strip().strip('"')


def _numbers(table: pd.DataFrame, columns: Mapping[str, str], names: tuple[str, ...], path: Path) -> Float:
    column = next((columns[one] for one in names if one in columns), None)
    if column is None:
        return np.full(len(table), np.nan)
    cells = [_plain(one) for one in table[column]]
    values, bad = text_numbers(cells)
    if bad.any():
        at = int(bad.argmax())
        raise InputError(f"{path}: column '{column}' holds '{cells[at]}' in row {at + 1}; expected a number")
    return without_absent(values, short=column.lower() in LATITUDES)


def _degrees(lat: Float, lon: Float, table: pd.DataFrame, path: Path) -> tuple[Float, Float]:
    """Positions in degrees: LamaH's are metres of the European grid."""
    with np.errstate(invalid="ignore"):
        metres = (np.abs(lat) > 90) | (np.abs(lon) > 360)
    if not metres.any():
        return lat, lon
    if not {"HZBNR", "govnr", "area_gov", "NEXTDOWNID"} & set(table.columns):
        return lat, lon  # what is impossible is refused by whoever places the gauge, with its name
    pyproj = require_extra("pyproj", "geo", path)
    change = pyproj.Transformer.from_crs(LAMAH_CRS, "EPSG:4326", always_xy=True)
    east, north = change.transform(lon, lat)
    log.info("%s: positions are metres in %s, and are turned into degrees", path, LAMAH_CRS)
    return np.asarray(north, np.float64), np.asarray(east, np.float64)
