"""The lines of reaches: read from where the network came from, and written as GeoParquet for maps and exports."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError
from rivergrad.io.atomic import atomic_path
from rivergrad.io.datasets import places_of
from rivergrad.io.formats import detect
from rivergrad.io.frames import Frame, column_of, geometry_stated, read_frame
from rivergrad.io.heads import require_extra
from rivergrad.io.networks.assemble import Options, Schema
from rivergrad.io.tables import id_column

log = logging.getLogger("rivergrad")


@runtime_checkable
class HasLines(Protocol):
    """A format whose files hold lines, as `TableFormat` has it."""

    schema: Schema

    def frame(self, path: Path, options: Options) -> Frame:
        """The table with its geometry."""
        ...


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines of some reaches.

    Attributes:
        reach_id: (m,); geometry: (m,) shapes of shapely; crs: their reference system.
    """

    reach_id: NDArray[np.int64]
    geometry: NDArray[Any]
    crs: str


def read_lines(
    path: str | Path,
    format: str = "auto",
    *,
    layer: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Lines | None:
    """Read the lines of a network's reaches.

    Args:
        path, format, layer, columns: as `read_network` has them.

    Returns:
        The lines; None where the file holds none.

    Raises:
        InputError: the file can't be read.
    """
    path = Path(path)
    found = detect(path, "network", format)
    if found is None:
        return None
    options = Options.of(layer=layer, columns=columns)
    if found.name == "parquet":
        if geometry_stated(path) is None:
            return None
        frame, names = read_frame(path, geometry=True), ["reach_id"]
    elif isinstance(found.format, HasLines):
        frame = found.format.frame(path, options)
        names = [one for one, _ in found.format.schema.columns["reach_id"]]
    else:
        return None
    if frame.geometry is None or frame.crs is None:
        return None
    name = options.columns.get("reach_id") or column_of(frame, *names)
    if name is None:
        return None
    return Lines(id_column(frame.table, name, path), frame.geometry, frame.crs)


def write_lines(path: Path, lines: Lines, reach_id: NDArray[np.int64]) -> None:
    """Write the lines of some reaches as GeoParquet, in degrees; a reach without a line has none there.

    Args:
        path: ends in .parquet.
        lines: of these reaches and others.
        reach_id: (n,) the reaches, in the order in which they are written.

    Raises:
        InputError: geopandas is not installed.
    """
    geopandas = require_extra("geopandas", "geo", path)
    at, there = places_of(reach_id, lines.reach_id)
    shapes = lines.geometry[at]
    shapes[~there] = None
    frame = geopandas.GeoDataFrame({"reach_id": reach_id}, geometry=shapes, crs=lines.crs).to_crs("EPSG:4326")
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)


def copy_lines(path: Path, source: str | Path, reach_id: NDArray[np.int64], **options: Any) -> bool:
    """Write the lines that the file of a network holds; whether there were some.

    What goes wrong is logged: a run can do without them.

    Args:
        path: where to; source: the file of the network; reach_id: (n,) of the run; options: see `read_lines`.
    """
    try:
        lines = read_lines(source, **options)
        if lines is None:
            return False
        write_lines(path, lines, reach_id)
    except InputError as error:
        log.warning("the lines of reaches are not kept: %s", error)
        return False
    return True
