"""Tables of weights: which cells of a grid, or which catchments, drain to which reach, and with what area or share.

RAPID's CSV, river-route's NetCDF, mizuRoute's remapping (both layouts) and topology, Raven's `:GridWeights` and `.rvh`,
and NetCDF as xESMF writes it. Two tables may follow one another: from cells to catchments, and from these to reaches.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import scipy.sparse
import xarray as xr
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError, ids_text
from rivergrad.io.axes import Grid
from rivergrad.io.datasets import REACH_NAMES, ids_of, integer_ids, places_of
from rivergrad.io.weighttables import Table, read_weights

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]
Int = NDArray[np.int64]

CATCHMENT_NAMES = ("hruid", "hruId", "hru_id", "hru", "polyid", "HRUID", "cell_id", "id")
NEAR = 0.51
"""Of a spacing: a table's own coordinates of a cell lie within half of one of the file's."""


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a runoff file, in the order of its dimensions.

    Attributes:
        shape: of the dimensions; ids: (cell,) where the file has some.
        grid: where they lie, on a grid.
        path: the file, for messages.
    """

    shape: tuple[int, ...]
    ids: Int | None
    grid: Grid | None
    path: Path


def cells_of(
    dataset: xr.Dataset, array: xr.DataArray, dims: Sequence[str], grid: Grid | None, path: Path
) -> Cells:
    """The cells of a variable, with their ids where an integer variable over the same dimensions holds some."""
    ids: Int | None = None
    for name in (*CATCHMENT_NAMES, *REACH_NAMES, *dims):
        if name in dataset.variables and sorted(map(str, dataset[name].dims)) == sorted(dims) and ids is None:
            found = dataset[name]
            if found.dtype.kind in "iu" or found.ndim == 1:
                values, none = ids_of(dataset[[name]].transpose(*dims), name, path)
                if not none.any() and (values.dtype.kind in "iu" or _is_whole(values)):
                    ids = integer_ids(values, path, name).ravel()
    return Cells(tuple(int(array.sizes[dim]) for dim in dims), ids, grid, path)


def _is_whole(values: NDArray[np.generic]) -> bool:
    return values.dtype.kind == "f" and bool((np.mod(values.astype(np.float64), 1.0) == 0).all())


def reach_weights(
    paths: Sequence[Path],
    network: RiverNetwork,
    cells: Cells,
    valid: NDArray[np.bool_],
    absent: Literal["error", "zero"],
) -> scipy.sparse.csr_array:
    """(n, cell) m2 of each cell that drain to each reach.

    Args:
        paths: a table from cells to reaches, or one from cells to catchments and one from these to reaches.
        network: whose reaches; cells: of the runoff file.
        valid: (cell,) whether a cell ever has a value; the others' area counts with those beside it.
        absent: what of reaches that the tables lack.

    Raises:
        InputError: a table that does not fit the file or the network.
    """
    if not 1 <= len(paths) <= 2:
        raise InputError(f"weights: found {len(paths)} tables; expected one, or two that follow one another")
    tables = [read_weights(path) for path in paths]
    last = tables[-1]
    reach, known = _reaches(last, network)
    named = np.zeros(network.n_reaches, dtype=bool)
    named[reach[known]] = True
    named |= np.isin(network.reach_id, last.every_target)
    _refuse_absent(network, named, last.path, absent)
    first = tables[0]
    flat = _flat(first, cells)
    if len(tables) == 1:
        area = (
            first.value if first.is_area else first.value * _areas(network, first)[np.where(known, reach, 0)]
        )
        made = _matrix(reach[known], flat[known], area[known], (network.n_reaches, int(np.prod(cells.shape))))
        return _without_sea(made, valid, network, first.path)
    if first.is_area or last.source is None or not last.is_area:
        raise InputError(
            f"{first.path}: found two tables that do not follow one another; expected shares of catchments, then the "
            "areas of catchments by reach (mizuRoute's topology or Raven's .rvh)"
        )
    catchments = np.unique(last.source)
    slot, mine = places_of(first.target, catchments)
    lacking = np.setdiff1d(last.source[known], first.every_target)
    if lacking.size and absent == "error":
        raise InputError(
            f"{first.path}: lacks the catchments {ids_text(lacking)} of {last.path.name}; "
            "expected all (or absent: zero)"
        )
    count = int(np.prod(cells.shape))
    shares = _matrix(slot[mine], flat[mine], first.value[mine], (catchments.size, count))
    shares = _without_sea(shares, valid, network, first.path, ids=catchments)
    at = np.searchsorted(catchments, last.source[known])
    areas = _matrix(reach[known], at, last.value[known], (network.n_reaches, catchments.size))
    return scipy.sparse.csr_array(areas @ shares)


def _matrix(row: Int, column: Int, value: Float, shape: tuple[int, int]) -> scipy.sparse.csr_array:
    used = value > 0
    made = scipy.sparse.csr_array((value[used], (row[used], column[used])), shape=shape)
    made.sum_duplicates()
    return made


def _reaches(table: Table, network: RiverNetwork) -> tuple[Int, NDArray[np.bool_]]:
    """(m,) position of each row's reach, and whether the network has it."""
    at, known = places_of(table.target, network.reach_id)
    if not known.any():
        raise InputError(
            f"{table.path}: names none of the reaches of the network (it has {ids_text(table.target[:5])}); "
            "expected its ids, or a second table that leads from these to reaches"
        )
    return at, known


def _refuse_absent(network: RiverNetwork, named: NDArray[np.bool_], path: Path, absent: str) -> None:
    lacking = network.reach_id[~named]
    if not lacking.size:
        return
    if absent == "error":
        raise InputError(
            f"{path}: lacks the reaches {ids_text(lacking)} of the network; expected all of its "
            f"{network.n_reaches}, or absent: zero where these have no inflow"
        )
    log.warning("%s: lacks %d of %d reaches, which have no inflow", path, lacking.size, network.n_reaches)


def _areas(network: RiverNetwork, table: Table) -> Float:
    area = network.attributes.get("area_m2")
    if area is None:
        raise InputError(
            f"{table.path}: holds shares, which need the attribute area_m2 of the network; it has none"
        )
    return np.asarray(area, np.float64)


def _flat(table: Table, cells: Cells) -> Int:
    """(m,) number of each row's cell in the flat order of the file."""
    count = int(np.prod(cells.shape))
    if table.source is not None and table.row is None:
        if table.counts:
            return _within(table.source, count, table, cells)
        if cells.ids is None:
            raise InputError(
                f"{cells.path}: has no ids of cells or catchments; expected those of {table.path.name}"
            )
        place, known = places_of(table.source, cells.ids)
        if not known.all():
            raise InputError(
                f"{cells.path}: lacks the cells {ids_text(np.unique(table.source[~known]))} of "
                f"{table.path.name}; expected all"
            )
        return place
    assert table.row is not None
    assert table.column is not None
    if len(cells.shape) != 2:
        raise InputError(
            f"{table.path}: names rows and columns of a grid, and {cells.path} has none; expected a grid"
        )
    rows, columns = cells.shape
    bad = (table.row < 0) | (table.row >= rows) | (table.column < 0) | (table.column >= columns)
    if bad.any():
        at = int(bad.argmax())
        raise InputError(
            f"{table.path}: names the cell in row {table.row[at]} and column {table.column[at]} (from 0), and "
            f"{cells.path.name} has {rows} by {columns}; expected the grid that the weights were made for"
        )
    _refuse_moved(table, cells)
    return table.row * columns + table.column


def _within(numbers: Int, count: int, table: Table, cells: Cells) -> Int:
    if numbers.size and (numbers.min() < 0 or numbers.max() >= count):
        raise InputError(
            f"{table.path}: names the cell {numbers.max()} (from 0), and {cells.path.name} has {count} cells; expected "
            "the grid that the weights were made for"
        )
    return numbers


def _refuse_moved(table: Table, cells: Cells) -> None:
    """A table that has coordinates of its cells must agree with the file's."""
    if table.lat is None or table.lon is None or cells.grid is None or cells.grid.is_curvilinear:
        return
    assert table.row is not None
    assert table.column is not None
    lat, lon = cells.grid.latitude, cells.grid.longitude
    height = float(np.median(np.abs(np.diff(lat)))) if lat.size > 1 else np.inf
    width = float(np.median(np.abs(np.diff(np.unwrap(lon, period=360.0))))) if lon.size > 1 else np.inf
    across = np.abs((lon[table.column] - table.lon + 180.0) % 360.0 - 180.0)
    bad = (np.abs(lat[table.row] - table.lat) > NEAR * height) | (across > NEAR * width)
    if bad.any():
        at = int(bad.argmax())
        raise InputError(
            f"{table.path}: has the cell in row {table.row[at]} and column {table.column[at]} at lat "
            f"{table.lat[at]:g}, lon {table.lon[at]:g}, and {cells.path.name} has it at {lat[table.row[at]]:g}, "
            f"{lon[table.column[at]]:g}; "
            "expected the grid that the weights were made for"
        )


def _without_sea(
    made: scipy.sparse.csr_array,
    valid: NDArray[np.bool_],
    network: RiverNetwork,
    path: Path,
    ids: Int | None = None,
) -> scipy.sparse.csr_array:
    """The weights without cells that never have a value; the others of a row take their part."""
    if valid.all() or valid[np.unique(made.indices)].all():
        return made
    total = made @ np.ones(made.shape[1])
    left = made @ valid.astype(np.float64)
    bad = (total > 0) & (left <= 0)
    if bad.any():
        names = network.reach_id if ids is None else ids
        raise InputError(
            f"{path}: {ids_text(names[bad])} lie where the runoff has no values (NaN); expected some"
        )
    scale = np.divide(total, left, out=np.ones_like(total), where=left > 0)
    data = np.where(valid[made.indices], made.data, 0.0) * np.repeat(scale, np.diff(made.indptr))
    made = scipy.sparse.csr_array((data, made.indices, made.indptr), shape=made.shape)
    made.eliminate_zeros()
    return made
