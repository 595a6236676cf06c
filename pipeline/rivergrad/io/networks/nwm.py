"""Route_Link of the National Water Model, as WRF-Hydro and t-route read it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rivergrad.io.frames import Frame, column_of
from rivergrad.io.networks.assemble import Options, Schema
from rivergrad.io.networks.schema_format import TableFormat

_LAKE = "is in a waterbody"


def _with_lakes(frame: Frame, options: Options) -> Frame:
    name = column_of(frame, "NHDWaterbodyComID", "NHDWaterbodyComID ")
    if name is None:
        return frame
    return replace(frame, table=frame.table.assign(**{_LAKE: (frame.table[name] > 0).astype(np.int8)}))


NWM = TableFormat(
    "Route_Link of the National Water Model",
    Schema(
        {
            "reach_id": (("link", None),),
            "downstream_id": (("to", None),),
            "length_m": (("Length", "m"),),
            "k": (("MusK", "s"),),
            "x": (("MusX", "1"),),
            "slope": (("So", "1"),),
            "width_m": (("BtmWdth", "m"),),
            "manning_n": (("n", None),),
            "elevation_m": (("alt", "m"),),
            "stream_order": (("order", None),),
            "is_lake": ((_LAKE, None),),
            "lat": (("lat", None),),
            "lon": (("lon", None),),
        },
        outlets=(0,),
        outside=True,
        needs_length=True,
    ),
    (("link", "to", "Length", "BtmWdth"),),
    (
        "An outlet has to 0, or flows into a link that the file does not hold.",
        "Length has no unit; it is in m.",
        "MusK is 3600 s everywhere and no estimate.",
        "There are no areas: runoff given as a depth needs them from elsewhere.",
    ),
    containers=("netcdf", "parquet", "csv"),
    prepare=_with_lakes,
    dimension_of="link",
)
