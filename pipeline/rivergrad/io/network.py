"""Networks from CSV, Parquet, a RAPID folder or `network.zarr`, and back to tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError, ids_text
from rivergrad.files import require_readable
from rivergrad.io.datasets import reading
from rivergrad.io.formats import detect, other_format
from rivergrad.io.heads import VECTOR_SUFFIXES, head_of, pyshp_for, require_extra
from rivergrad.io.missing import HUGE, absent
from rivergrad.io.networks.basin import Basin, subnetwork
from rivergrad.io.outlets import Outlets, downstream_ids
from rivergrad.io.plausible import require_plausible
from rivergrad.io.rapid import CONNECT, is_rapid_folder, read_rapid_network
from rivergrad.io.recorded import refuse_changed
from rivergrad.io.tables import (
    id_column,
    is_numeric,
    number_column,
    read_table,
    write_table,
)

REQUIRED = ("reach_id", "downstream_id", "length_m")
KNOWN = ("slope", "area_m2", "upstream_area_m2", "width_m", "manning_n", "is_lake", "lat", "lon")


def read_network(
    path: str | Path,
    format: str = "auto",
    *,
    outlets: Sequence[int | str] = (),
    layer: str | None = None,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    basin: Basin | None = None,
    channel_area: float | None = None,
) -> RiverNetwork:
    """Read a river network.

    A table has the columns `reach_id, downstream_id` (-1 at an outlet; see `outlets`), `length_m`, and any numeric
    attributes in SI (`slope, area_m2, lat, lon`, …), where `rivergrad.io.missing`
    says what means missing. A RAPID folder holds
    `rapid_connect.csv`, where 0 and ids that are not in the table mean an outlet; it has no lengths. Networks of other
    models and data sets are told by their names, columns and dimensions (see `docs/networks.md`).

    Args:
        path: a CSV, gzipped CSV or Parquet file, a RAPID folder, a network.zarr, or a file of another format.
        format: the name or import path of a format; `auto` tells by the name and by what is in a file or folder.
        outlets: downstream ids and texts that mean an outlet besides -1, and the words `outside` (any id that is
            not in the file, as in a part of a larger network) and `empty` (an empty cell). An id of 0 or below
            that no reach has is an outlet anyway, which is logged.
        layer: of a file with several layers.
        columns: the file's names of columns: `{"reach_id": "LINKNO", "downstream_id": "DSLINKNO"}`.
        units: of columns, by rivergrad's names: `{"length_m": "km"}`.
        basin: only the reaches that drain to the one with this id; or a box (west, south, east, north) in degrees,
            of which all reaches are read and all that drain into them.
        channel_area: m2; of a raster, a cell is a reach where at least so much drains to it. Without it every cell is.

    Raises:
        InputError: no such file, a missing column, ids that are no integers, no valid forest, or lengths, areas and
            travel times that no river has, with the likely unit.

    Example:
        >>> import rivergrad as rg
        >>> network = rg.read_network("network.csv")
        >>> network.n_reaches, network.length  # m
    """
    path = Path(path)
    require_readable(path, "network file or folder")
    refuse_changed(path)
    given = {
        "outlets": outlets,
        "layer": layer,
        "columns": columns,
        "units": units,
        "channel_area": channel_area,
    }
    if format == "auto" and (layer or columns or units):
        other = detect(path, "network")
        if other is not None:
            format = "table" if other.native else other.name
        elif path.suffix.lower() in VECTOR_SUFFIXES:  # whose columns no data set has: the user names them
            format = "table"
    network = _read(path, format, {name: one for name, one in given.items() if one})
    require_plausible(network, path)
    return network if basin is None else subnetwork(network, basin, path)


def _read(path: Path, format: str, options: dict[str, Any]) -> RiverNetwork:
    if (other := other_format(path, "network", format)) is not None:
        made: RiverNetwork = other.read(path, "network", **{"outlets": (), **options})
        return made
    for name in ("layer", "columns", "units", "channel_area"):
        if name in options:
            raise InputError(f"{path}: found {name} with format {format}; expected none, or format table")
    if path.suffix.lower() in VECTOR_SUFFIXES:
        if pyshp_for(path) is None:
            require_extra("pyogrio", "geo", path)
        raise InputError(
            f"{path}: no format knows its columns ({ids_text(head_of(path).columns) or 'none could be read'}); "
            "expected those of a data set, or names by columns: {reach_id: …, downstream_id: …, length_m: …}"
        )
    ends = Outlets.of(options.get("outlets", ()))
    if format == "auto":
        format = _format_of(path)
    if format == "rapid":
        if not is_rapid_folder(path):
            raise InputError(f"{path}: expected a folder that holds {CONNECT}")
        return read_rapid_network(path, ends.values)
    if format == "zarr":
        if ends.any:
            raise InputError(
                f"{path}: a network.zarr says itself which reaches are outlets; expected no outlets"
            )
        with reading(path, "network.zarr"):
            from rivercut import store  # which imports zarr

            network = store.read_network(path)
        cleaned = {name: without_missing(name, values) for name, values in network.attributes.items()}
        if all(values is network.attributes[name] for name, values in cleaned.items()):
            return network
        return RiverNetwork(network.reach_id, network.downstream, network.length, cleaned)
    return _read_table_network(path, ends)


def _format_of(path: Path) -> str:
    if path.is_dir():
        if is_rapid_folder(path):
            return "rapid"
        if (path / "zarr.json").is_file() or (path / ".zgroup").is_file():
            return "zarr"
        raise InputError(f"{path}: expected a folder that holds {CONNECT} or is a network.zarr")
    return "csv"


def _read_table_network(path: Path, outlets: Outlets) -> RiverNetwork:
    table = read_table(path, needs=REQUIRED)
    if table.empty:
        raise InputError(f"{path}: has no rows; expected a reach a row")
    attributes: dict[str, NDArray[Any]] = {}
    for column in table.columns:
        name = str(column)
        if name in REQUIRED:
            continue
        # Texts such as names and geometries are left; a known attribute has to be numbers.
        if name in KNOWN or is_numeric(table[column]):
            attributes[name] = _attribute(table, name, path)
    ids = id_column(table, "reach_id", path)
    return RiverNetwork.from_ids(
        ids,
        downstream_ids(table, ids, path, outlets),
        _length(table, path),
        attributes,
        source=str(path),
    )


def _length(table: pd.DataFrame, path: Path) -> NDArray[np.float64]:
    length = number_column(table, "length_m", path)
    # negative ones are refused with the number that stands there
    return np.where(length >= HUGE, np.nan, length)


def _attribute(table: pd.DataFrame, name: str, path: Path) -> NDArray[Any]:
    """A numeric column in its own type, NaN where there is no value; of known ones only is_lake is true or false."""
    column = table[name]
    truth_values = name not in KNOWN or name == "is_lake"
    plain = isinstance(column.dtype, np.dtype) and column.dtype.kind in ("iufb" if truth_values else "iuf")
    values = column.to_numpy() if plain else number_column(table, name, path, truth_values=truth_values)
    return without_missing(name, values)


def without_missing(name: str, values: NDArray[Any]) -> NDArray[Any]:
    """An attribute with NaN for what means that there is none; its type stays where every value is one.

    An infinite number counts as none: it is the logarithm of 0, or a ratio to 0.
    """
    if values.dtype.kind not in "iuf":
        return values
    numbers = values.astype(np.float64)
    # no place is as far south as -99, but some are as far west, and a temperature may be -99 tenths of a degree
    none = absent(numbers, short=name == "lat")
    none = np.isinf(numbers) if none is None else none | np.isinf(numbers)
    return np.where(none, np.nan, numbers) if (none & ~np.isnan(numbers)).any() else values


def write_network_table(path: str | Path, network: RiverNetwork) -> None:
    """Write a network to CSV (also gzipped) or Parquet, by the name, so that `read_network` reads the same.

    Args:
        path: ends in .csv, .csv.gz or .parquet.
        network: of n reaches, with lengths (m).

    Raises:
        InputError: another suffix, or a network without lengths.

    Example:
        >>> import rivergrad as rg
        >>> rg.write_network("network.parquet", rg.read_network("network.csv"))
    """
    path = Path(path)
    if network.length is None:
        raise InputError(f"{path}: a table needs lengths (length_m), and this network has none")
    table = network.to_dataframe().reset_index()
    truth = table.select_dtypes("bool").columns
    write_table(path, table.astype(dict.fromkeys(truth, np.int8)))
