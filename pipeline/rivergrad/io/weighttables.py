"""The layouts of tables of weights, brought into one form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rivergrad.errors import InputError, ids_text, shortened
from rivergrad.files import require_readable, text_of
from rivergrad.io.datasets import ids_of, integer_ids, kind_of, missing, numbers_of, open_dataset
from rivergrad.io.frames import column_of, read_frame
from rivergrad.io.heads import head_of
from rivergrad.io.missing import absent, text_numbers, without_absent
from rivergrad.io.networks.mizuroute import HRU, HRU_AREA, HRU_SEGMENT, SEGMENT, TO
from rivergrad.io.tables import id_column, number_column, read_table

Float = NDArray[np.float64]
Int = NDArray[np.int64]

_COUNTS = ("frequency", "overlaps")
"""What mizuRoute's remapping calls the number of cells of each catchment."""
_COUPLING = ("riv", "skm", "1bi", "1bj")
"""Columns of RAPID 2's coupling, which has no header as CSV."""


@dataclass(frozen=True, eq=False)
class Table:
    """A row for each cell of each reach or catchment.

    Attributes:
        path: the file, for messages.
        target: (m,) ids of reaches or catchments; every_target: all that the table names, those without a cell too.
        value: (m,) area in m2, or the share of the target's own area; is_area: which.
        row, column: (m,) of the cell, from 0; or source: (m,) its id.
        counts: whether source counts cells from 0, row by row.
        lat, lon: (m,) of the cell, where the table has them.
    """

    path: Path
    target: Int
    value: Float
    is_area: bool
    every_target: Int
    row: Int | None = None
    column: Int | None = None
    source: Int | None = None
    counts: bool = False
    lat: Float | None = None
    lon: Float | None = None


def read_weights(path: Path) -> Table:
    """Read a table of weights of any layout.

    Raises:
        InputError: no such file, or none of the layouts.
    """
    require_readable(path, "table of weights", file=path.suffix != ".zarr")
    if path.suffix.lower() in (".rvt", ".txt", ".rvh"):
        return _rvh(path) if path.suffix.lower() == ".rvh" else _grid_weights(path)
    if kind_of(path) in ("csv", "parquet"):
        return _rapid(path)
    with open_dataset(path) as dataset:
        names = set(map(str, dataset.variables))
        if {"S", "row", "col"} <= names:
            return _xesmf(dataset, path)
        if "IDmask" in names or "overlapPolyId" in names or ("weight" in names and names & set(_COUNTS)):
            return _remap(dataset, path)
        if {"x_index", "y_index", "area_sqm"} <= names:
            return _river_route(dataset, path)
    if any(one in names for one in HRU_SEGMENT):
        return _topology(path)
    raise InputError(
        f"{path}: is no table of weights that is known; expected RAPID's CSV, river-route's or mizuRoute's NetCDF, "
        "Raven's :GridWeights or xESMF's"
    )


def _checked(table: Table) -> Table:
    given = (table.target, table.row, table.column, table.source, table.lat, table.lon)
    _require_alike(table.path, table.value, *(one for one in given if one is not None))
    none = absent(table.value)
    bad = ~(np.isfinite(table.value) & (table.value >= 0)) | (False if none is None else none)
    if bad.any():
        raise InputError(
            f"{table.path}: the weight of {ids_text(np.unique(table.target[bad]))} is {table.value[bad][0]:g}; "
            "expected 0 or more"
        )
    if not table.target.size:
        raise InputError(f"{table.path}: has no rows; expected a cell a row")
    return table


def _require_alike(path: Path, weight: NDArray[Any], *others: NDArray[Any]) -> None:
    """Raise unless there is a number of each kind for each weight."""
    for one in others:
        if one.shape != weight.shape or not one.ndim:
            raise InputError(
                f"{path}: has weights of shape {weight.shape}, and ids or indexes of shape {one.shape}; expected "
                "as many"
            )


def _coupling(path: Path) -> Table | None:
    """RAPID 2's coupling: id, area in km2, and column and row from 1; None where a table is another one."""
    if kind_of(path) == "parquet":
        if not head_of(path).has(*_COUPLING):
            return None
        table = read_table(path)
        table = table.rename(columns={one: str(one).strip().lower() for one in table.columns})
    else:
        cells = [one.strip() for one in head_of(path).text.partition("\n")[0].split(",")]
        if len(cells) != len(_COUPLING) or text_numbers(cells)[1].any():
            return None
        table = read_table(path, header=None).set_axis(list(_COUPLING), axis=1)
    target = id_column(table, "riv", path)
    area = number_column(table, "skm", path) * 1e6
    column, row = (id_column(table, one, path) - 1 for one in ("1bi", "1bj"))
    used = (column >= 0) & (row >= 0)
    return _checked(Table(path, target[used], area[used], True, target, row=row[used], column=column[used]))


def _rapid(path: Path) -> Table:
    """`rivid, area_sqm, lon_index, lat_index, npoints[, lon, lat]`, indexes from 0; or RAPID 2's coupling."""
    if (coupling := _coupling(path)) is not None:
        return coupling
    frame = read_frame(path)
    names = {one: column_of(frame, one) for one in ("area_sqm", "lon_index", "lat_index")}
    lacking = [one for one, column in names.items() if column is None]
    if lacking:
        raise InputError(
            f"{path}: lacks {', '.join(lacking)}; expected RAPID's weights: id, area_sqm, lon_index, …"
        )
    target = id_column(frame.table, str(frame.table.columns[0]), path)
    lat, lon = (column_of(frame, f"lsm_grid_{one}", one) for one in ("lat", "lon"))
    return _checked(
        Table(
            path,
            target,
            number_column(frame.table, str(names["area_sqm"]), path),
            True,
            target,
            row=id_column(frame.table, str(names["lat_index"]), path),
            column=id_column(frame.table, str(names["lon_index"]), path),
            lat=None if lat is None else number_column(frame.table, lat, path),
            lon=None if lon is None else number_column(frame.table, lon, path),
        )
    )


def _ids(dataset: xr.Dataset, name: str, path: Path) -> Int:
    values, none = ids_of(dataset, name, path)
    given = np.where(none, -1, values) if none.any() else values
    return integer_ids(given, path, name).reshape(np.shape(values))


def _river_route(dataset: xr.Dataset, path: Path) -> Table:
    target = _ids(dataset, "river_id", path)
    return _checked(
        Table(
            path,
            target,
            numbers_of(dataset["area_sqm"], path),
            True,
            target,
            row=_ids(dataset, "y_index", path),
            column=_ids(dataset, "x_index", path),
            lat=numbers_of(dataset["y"], path) if "y" in dataset.variables else None,
            lon=numbers_of(dataset["x"], path) if "x" in dataset.variables else None,
        )
    )


def _remap(dataset: xr.Dataset, path: Path) -> Table:
    """mizuRoute's remapping: by (catchment, overlap) with −999, or flat, with i and j from 1 or ids."""
    names = set(map(str, dataset.variables))
    if "weight" not in names:
        raise missing(path, "variable", "weight", names)
    weight = without_absent(numbers_of(dataset["weight"], path))
    catchment = next((one for one in ("polyid", *HRU) if one in names), None)
    if catchment is None:
        raise InputError(
            f"{path}: has no polyid or hruid; expected ids of catchments, as mizuRoute's remapping has"
        )
    every = _ids(dataset, catchment, path)
    if weight.ndim == 2:
        if "overlapPolyId" not in names:
            raise missing(path, "variable", "overlapPolyId", names)
        source = _whole(numbers_of(dataset["overlapPolyId"], path))
        _require_alike(path, weight, source)
        _require_alike(path, weight[:, 0], every)
        target = np.broadcast_to(every[:, None], weight.shape)
        used = np.isfinite(weight) & (weight > 0) & (source >= 0)
        return _checked(Table(path, target[used], weight[used], False, every, source=source[used]))
    owner = "IDmask" if "IDmask" in names else None
    count = next((one for one in _COUNTS if one in names), None)
    if owner is None and count is None:
        raise InputError(
            f"{path}: has no IDmask, frequency or overlaps; expected one, as mizuRoute's remapping has"
        )
    target = _ids(dataset, owner, path) if owner else _repeated(every, _ids(dataset, str(count), path), path)
    _require_alike(path, weight, target)
    used = np.isfinite(weight) & (weight > 0)
    if {"i_index", "j_index"} <= names:
        row, column = _ids(dataset, "j_index", path) - 1, _ids(dataset, "i_index", path) - 1
        _require_alike(path, weight, row, column)
        return _checked(
            Table(path, target[used], weight[used], False, every, row=row[used], column=column[used])
        )
    name = next((one for one in ("intersector", "overlapPolyId", "hruId_ro", "qhruid") if one in names), None)
    if name is None:
        raise InputError(
            f"{path}: has neither i_index and j_index nor ids of cells; expected one or the other"
        )
    source = _ids(dataset, name, path)
    _require_alike(path, weight, source)
    return _checked(Table(path, target[used], weight[used], False, every, source=source[used]))


def _repeated(every: Int, counts: Int, path: Path) -> Int:
    """The id of each overlap, from how many each catchment has."""
    _require_alike(path, every, counts)
    if (counts < 0).any():
        raise InputError(f"{path}: has a catchment with {counts.min()} overlaps; expected 0 or more")
    return np.repeat(every, counts)


def _whole(values: Float) -> Int:
    return np.where(np.isfinite(values), values, -1).astype(np.int64)


def _xesmf(dataset: xr.Dataset, path: Path) -> Table:
    """`S(n_s)`, `row(n_s)` and `col(n_s)` from 1, with `reach_id` of the rows."""
    ids = next(
        (one for one in ("reach_id", "river_id", "rivid", "COMID", "id") if one in dataset.variables), None
    )
    if ids is None:
        raise InputError(f"{path}: has no reach_id of its rows; expected the ids that row counts, from 1")
    every = _ids(dataset, ids, path).ravel()
    row = _ids(dataset, "row", path) - 1
    if row.size and (row.min() < 0 or row.max() >= every.size):
        raise InputError(
            f"{path}: row holds {row.max() + 1}, and there are {every.size} ids; expected 1 to that"
        )
    source = _ids(dataset, "col", path) - 1
    value = numbers_of(dataset["S"], path)
    return _checked(Table(path, every[row], value, False, every, source=source, counts=True))


def _topology(path: Path) -> Table:
    """mizuRoute's network topology: catchments (HRUs), their areas, and the segments that they drain to."""
    columns = head_of(path).columns
    frame = read_frame(path, dimension_of=next(one for one in HRU_SEGMENT if one in columns))
    hru, segment, area = (column_of(frame, *names) for names in (HRU, HRU_SEGMENT, HRU_AREA))
    if hru is None or segment is None or area is None:
        raise InputError(f"{path}: lacks ids or areas of HRUs; expected {HRU[1]}, {HRU_SEGMENT[1]} and area")
    target = id_column(frame.table, segment, path)
    table = Table(
        path,
        target,
        number_column(frame.table, area, path),
        True,
        _segments(path, target),
        source=id_column(frame.table, hru, path),
    )
    return _checked(table)


def _segments(path: Path, drained: Int) -> Int:
    """All segments of the topology: one without an HRU has no inflow, and the file says so."""
    columns = head_of(path).columns
    frame = read_frame(path, dimension_of=next((one for one in TO if one in columns), TO[0]))
    name = column_of(frame, *SEGMENT)
    return drained if name is None else np.union1d(drained, id_column(frame.table, name, path))


def _grid_weights(path: Path) -> Table:
    """Raven's `:GridWeights`: HRU, number of the cell from 0, and share."""
    rows: list[list[float]] = []
    inside = False
    for line in text_of(path).splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        if words[0] == ":GridWeights":
            inside = True
        elif words[0] == ":EndGridWeights":
            inside = False
        elif inside and not words[0].startswith(":"):
            try:
                rows.append([float(one) for one in words[:3]])
            except ValueError:
                raise InputError(
                    f"{path}: '{shortened(line.strip())}' is no weight; expected HRU, cell, share"
                ) from None
            if len(words) != 3:
                raise InputError(
                    f"{path}: '{shortened(line.strip())}' has {len(words)} numbers; expected three"
                )
    if inside:
        raise InputError(f"{path}: has no :EndGridWeights after :GridWeights; is it cut off?")
    if not rows:
        raise InputError(f"{path}: holds no :GridWeights; expected Raven's table")
    found = np.array(rows)
    target = integer_ids(found[:, 0], path, "HRU")
    source = integer_ids(found[:, 1], path, "cell")
    return _checked(Table(path, target, found[:, 2], False, target, source=source, counts=True))


def _rvh(path: Path) -> Table:
    """Raven's HRUs: their areas, and the subbasins that they drain to."""
    from rivergrad.io.networks.raven import hrus_of

    hru, basin, area, every = hrus_of(path)
    return _checked(Table(path, basin, area, True, every, source=hru))
