"""Networks that come from TDX-Hydro: its own lines, and the model tables of GEOGLOWS v2."""

from __future__ import annotations

import logging
from dataclasses import replace

from rivergrad.errors import InputError
from rivergrad.io.frames import Frame, geodesic_lengths
from rivergrad.io.networks.assemble import Options, Schema
from rivergrad.io.networks.schema_format import TableFormat

log = logging.getLogger("rivergrad")

GEODESIC = "geodesic length"


def _measured(frame: Frame, options: Options) -> Frame:
    """With lengths over the ground: `Length` is in the unit of the map, which is degrees."""
    if "length_m" in options.columns:
        return frame
    length = geodesic_lengths(frame)
    if length is None:
        raise InputError(
            f"{frame.path}: Length is in the unit of the map (degrees), and there is no geometry to measure; expected "
            "lines, or columns: {length_m: …}"
        )
    log.warning("%s: lengths are measured along the lines, in m: Length is in degrees", frame.path)
    return replace(frame, table=frame.table.assign(**{GEODESIC: length}))


TDX = TableFormat(
    "TDX-Hydro",
    Schema(
        {
            "reach_id": (("LINKNO", None),),
            "downstream_id": (("DSLINKNO", None),),
            "length_m": ((GEODESIC, "m"),),
            "upstream_area_m2": (("DSContArea", "m2"),),
            "slope": (("Slope", "1"),),
            "stream_order": (("strmOrder", None),),
        },
        needs_length=True,
    ),
    (("LINKNO", "DSLINKNO", "USLINKNO1", "USLINKNO2"),),
    (
        "Length is in the unit of the map, degrees: lengths are measured along the lines instead.",
        "Ids are unique within a region only: GEOGLOWS adds the region's header times 10,000,000.",
        "An outlet has DSLINKNO -1.",
    ),
    containers=("vector",),
    extra="geo",
    prepare=_measured,
)

GEOGLOWS = TableFormat(
    "GEOGLOWS v2",
    Schema(
        {
            "reach_id": (("LINKNO", None), ("TDXHydroLinkNo", None)),
            "downstream_id": (("DSLINKNO", None),),
            "length_m": (("LengthGeodesicMeters", "m"),),
            "upstream_area_m2": (("DSContArea", "m2"), ("USContArea", "m2")),
            "k": (("musk_k", "s"),),
            "x": (("musk_x", "1"),),
            "stream_order": (("strmOrder", None),),
            "elevation_m": (("z", "m"),),
            "lat": (("lat", None),),
            "lon": (("lon", None),),
        },
        needs_length=True,
    ),
    (
        ("LINKNO", "DSLINKNO", "LengthGeodesicMeters"),
        ("LINKNO", "DSLINKNO", "musk_k"),
        ("TDXHydroLinkNo", "DSLINKNO", "musk_k"),
    ),
    (
        "An outlet has DSLINKNO -1.",
        "Lengths are in m, k in s.",
        "There are no slopes and no local areas in it.",
    ),
)
