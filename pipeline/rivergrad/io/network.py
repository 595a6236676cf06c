"""Networks from CSV, Parquet, a RAPID folder or `network.zarr`, and back to tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rivercut import store
from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.files import require_readable
from rivergrad.io.datasets import reading
from rivergrad.io.outlets import Outlets, downstream_ids
from rivergrad.io.rapid import CONNECT, is_rapid_folder, read_rapid_network
from rivergrad.io.tables import (
    SENTINEL,
    id_column,
    is_numeric,
    number_column,
    read_table,
    require,
    write_table,
)

Format = Literal["auto", "csv", "parquet", "rapid", "zarr"]

REQUIRED = ("reach_id", "downstream_id", "length_m")
KNOWN = ("slope", "area_m2", "upstream_area_m2", "width_m", "manning_n", "is_lake", "lat", "lon")


def read_network(
    path: str | Path, format: Format = "auto", *, outlets: Sequence[int | str] = ()
) -> RiverNetwork:
    """Read a river network.

    A table has the columns `reach_id, downstream_id` (-1 at an outlet; see `outlets`), `length_m`, and any numeric
    attributes in SI (`slope, area_m2, lat, lon`, …), where -9999 means missing. A RAPID folder holds
    `rapid_connect.csv`, where 0 and ids that are not in the table mean an outlet; it has no lengths.

    Args:
        path: a CSV, gzipped CSV or Parquet file, a RAPID folder, or a network.zarr.
        format: `auto` tells by the name and by what is in a folder.
        outlets: downstream ids and texts that mean an outlet besides -1, and the words `outside` (any id that is
            not in the file, as in a part of a larger network) and `empty` (an empty cell). An id of 0 or below
            that no reach has is an outlet anyway, which is logged.

    Raises:
        InputError: no such file, a missing column, ids that are no integers, or no valid forest.
    """
    ends = Outlets.of(outlets)
    path = Path(path)
    require_readable(path, "network file or folder")
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
            return store.read_network(path)
    return _read_table_network(path, ends)


def _format_of(path: Path) -> Format:
    if path.is_dir():
        if is_rapid_folder(path):
            return "rapid"
        if (path / "zarr.json").is_file() or (path / ".zgroup").is_file():
            return "zarr"
        raise InputError(f"{path}: expected a folder that holds {CONNECT} or is a network.zarr")
    return "csv"


def _read_table_network(path: Path, outlets: Outlets) -> RiverNetwork:
    table = read_table(path)
    require(table, REQUIRED, path)
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
        number_column(table, "length_m", path),
        attributes,
        source=str(path),
    )


def _attribute(table: pd.DataFrame, name: str, path: Path) -> NDArray[Any]:
    values = table[name].to_numpy() if is_numeric(table[name]) else number_column(table, name, path)
    if values.dtype.kind in "iuf" and (values == SENTINEL).any():
        values = np.where(values == SENTINEL, np.nan, values.astype(np.float64))
    return values


def write_network_table(path: str | Path, network: RiverNetwork) -> None:
    """Write a network to CSV (also gzipped) or Parquet, by the name, so that `read_network` reads the same.

    Raises:
        InputError: another suffix, or a network without lengths.
    """
    path = Path(path)
    if network.length is None:
        raise InputError(f"{path}: a table needs lengths (length_m), and this network has none")
    downstream = network.downstream
    columns: dict[str, NDArray[Any]] = {
        "reach_id": network.reach_id,
        "downstream_id": np.where(downstream >= 0, network.reach_id[downstream], -1),
        "length_m": network.length,
    }
    for name, values in network.attributes.items():
        columns[name] = values.astype(np.int8) if values.dtype.kind == "b" else values
    write_table(path, pd.DataFrame(columns))
