"""MOSART's parameter files: a reach a cell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rivergrad.io.frames import Frame
from rivergrad.io.networks.assemble import Options, Schema
from rivergrad.io.networks.schema_format import TableFormat
from rivergrad.io.tables import number_column


def _land(frame: Frame, options: Options) -> Frame:
    """Without the cells of a global grid that have no id."""
    name = options.columns.get("reach_id", "ID")
    if name not in frame.table.columns:
        return frame
    ids = number_column(frame.table, name, frame.path)
    there = np.isfinite(ids) & (ids > 0)
    return frame if there.all() else replace(frame, table=frame.table[there].reset_index(drop=True))


MOSART = TableFormat(
    "MOSART",
    Schema(
        {
            "reach_id": (("ID", None),),
            "downstream_id": (("dnID", None),),
            "length_m": (("rlen", "m"),),
            "area_m2": (("area", "m2"),),
            "slope": (("rslp", "1"),),
            "width_m": (("rwid", "m"),),
            "manning_n": (("nr", None),),
            "lat": (("latixy", None), ("lat", None)),
            "lon": (("longxy", None), ("lon", None)),
        },
        outlets=(-9999, 0),
        needs_length=True,
    ),
    (("ID", "dnID", "rlen", "rslp"),),
    (
        "An outlet has dnID -9999.",
        "areaTotal is not the sum of area along the network; upstream areas are summed from area.",
        "Slopes of 0 occur.",
    ),
    containers=("netcdf",),
    prepare=_land,
    dimension_of="ID",
)
