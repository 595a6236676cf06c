"""MERIT-Basins (Lin et al. 2019): `riv_pfaf_*.shp` and, beside it, the catchments `cat_pfaf_*.shp` with local areas."""

from __future__ import annotations

import logging
from pathlib import Path

from rivergrad.io.frames import Frame, column_of, read_frame
from rivergrad.io.networks.assemble import Options, Schema
from rivergrad.io.networks.joining import joined
from rivergrad.io.networks.schema_format import TableFormat

log = logging.getLogger("rivergrad")


def _with_catchments(frame: Frame, options: Options) -> Frame:
    """With `unitarea` of the catchment file, where one lies beside that of the rivers."""
    if column_of(frame, "unitarea") is not None:
        return frame
    name = frame.path.name
    for suffix in (frame.path.suffix, ".dbf", ".shp", ".gpkg"):
        beside = frame.path.with_name(name.replace("riv_", "cat_", 1)).with_suffix(suffix)
        if beside != frame.path and beside.is_file():
            return joined(frame, "COMID", read_frame(beside), "COMID", ("unitarea",))
    log.warning(
        "%s: no catchments (%s) beside it: local areas are differences of uparea",
        *(frame.path, Path(name.replace("riv_", "cat_", 1)).name),
    )
    return frame


MERIT = TableFormat(
    "MERIT-Basins",
    Schema(
        {
            "reach_id": (("COMID", None),),
            "downstream_id": (("NextDownID", None),),
            "length_m": (("lengthkm", "km"),),
            "area_m2": (("unitarea", "km2"),),
            "upstream_area_m2": (("uparea", "km2"),),
            "slope": (("slope", "1"),),
            "stream_order": (("order", None),),
        },
        outlets=(0,),
        needs_length=True,
    ),
    (("COMID", "NextDownID", "lengthkm"),),
    (
        "Lengths are in km and areas in km2.",
        "An outlet has NextDownID 0.",
        "Local areas stand in the file of catchments; without it they are differences of uparea.",
        "Slopes of 0 occur.",
    ),
    extra="geo",
    prepare=_with_catchments,
)
