"""The lines of reaches, from the file that a run's network was read from."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.io.formats import detect
from rivergrad.io.frames import column_of
from rivergrad.io.heads import require_extra
from rivergrad.io.networks.assemble import Options
from rivergrad.io.networks.schema_format import TableFormat
from rivergrad.io.tables import id_column

log = logging.getLogger("rivergrad")


def lines_of(
    path: Path, network: RiverNetwork, format: str = "auto", options: Options | None = None
) -> tuple[list[bytes | None], str] | None:
    """WKB of every reach (None where the file has none), and the reference system; None without geometry.

    Args:
        path: the file; network: whose reaches; format, options: as it was read with.
    """
    if not path.exists():
        return None
    found = detect(path, "network", format)
    if found is None or not isinstance(found.format, TableFormat):
        return None
    options = options or Options()
    try:
        frame = found.format.frame(path, options)
    except InputError as error:
        log.warning("%s: its lines are not taken: %s", path, error)
        return None
    if frame.geometry is None or frame.crs is None:
        return None
    shapely = require_extra("shapely", "geo", path)
    names = (options.columns.get("reach_id"), *(name for name, _ in found.format.schema.columns["reach_id"]))
    column = next((one for name in names if name and (one := column_of(frame, name)) is not None), None)
    if column is None:
        return None
    shapes = dict(zip(id_column(frame.table, column, path).tolist(), frame.geometry, strict=True))
    chosen = np.array([shapes.get(reach) for reach in network.reach_id.tolist()], dtype=object)
    if all(one is None for one in chosen):
        return None
    return [None if one is None else bytes(one) for one in shapely.to_wkb(chosen)], str(frame.crs)
