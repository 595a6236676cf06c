"""HydroRIVERS (Lehner and Grill 2013), and HDMA's segments as mizuRoute's setups have them."""

from __future__ import annotations

from rivergrad.io.networks.assemble import Schema
from rivergrad.io.networks.schema_format import TableFormat

HYDRORIVERS = TableFormat(
    "HydroRIVERS",
    Schema(
        {
            "reach_id": (("HYRIV_ID", None),),
            "downstream_id": (("NEXT_DOWN", None),),
            "length_m": (("LENGTH_KM", "km"),),
            "area_m2": (("CATCH_SKM", "km2"),),
            "upstream_area_m2": (("UPLAND_SKM", "km2"),),
            "stream_order": (("ORD_STRA", None),),
        },
        outlets=(0,),
        needs_length=True,
    ),
    (("HYRIV_ID", "NEXT_DOWN", "LENGTH_KM"),),
    ("Lengths are in km and areas in km2.", "An outlet has NEXT_DOWN 0.", "It has no slopes."),
    extra="geo",
)

HDMA = TableFormat(
    "HDMA",
    Schema(
        {
            "reach_id": (("seg_id", None),),
            "downstream_id": (("Tosegment", None),),
            "length_m": (("Length", "m"),),
            "upstream_area_m2": (("flow_acc", "km2"),),
            "slope": (("Slope", "1"),),
        },
        outlets=(0, -1, -9999),
        outside=True,
        needs_length=True,
    ),
    (("seg_id", "Tosegment", "Length", "PFAF_CODE"),),
    (
        "An outlet flows into a segment that the file does not hold.",
        "Lengths are in m, flow_acc in km2; local areas are its differences.",
        "Slopes of 0 and below occur.",
    ),
    extra="geo",
)
