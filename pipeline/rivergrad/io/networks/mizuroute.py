"""Network topology of mizuRoute: segments, and HRUs that drain into them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError
from rivergrad.io.datasets import places_of
from rivergrad.io.frames import Frame, column_of, read_frame
from rivergrad.io.heads import head_of
from rivergrad.io.missing import absent
from rivergrad.io.networks.assemble import Options, Schema
from rivergrad.io.networks.joining import lengths_with_lakes
from rivergrad.io.networks.schema_format import TableFormat
from rivergrad.io.tables import id_column, number_column

SEGMENT = ("seg_id", "segId", "reachID", "ID")
TO = ("tosegment", "downSegId", "downReachID", "ID_next", "Tosegment")
HRU = ("hruid", "hruId", "hru_id", "HRUID")
HRU_SEGMENT = ("seg_hru_id", "hruToSegId", "hru_seg_id", "hruSegId")
HRU_AREA = ("Basin_Area", "area", "hru_area", "HRUarea")
_LAT, _LON, _AREA = "middle latitude", "middle longitude", "sum of HRU areas"


def hrus_of(frame: Frame) -> Frame | None:
    """The table of HRUs in a topology file; None where segments carry their own areas."""
    head = head_of(frame.path)
    name = next((one for one in HRU_SEGMENT if one in head.columns), None)
    return None if name is None else read_frame(frame.path, dimension_of=name)


def _segments(frame: Frame, options: Options) -> Frame:
    table = frame.table.copy()
    for made, low, high in ((_LAT, "start_lat", "end_lat"), (_LON, "start_lon", "end_lon")):
        if low in table and high in table:
            table[made] = 0.5 * (
                number_column(table, low, frame.path) + number_column(table, high, frame.path)
            )
    slope = column_of(frame, "Slope", "slope")
    if slope is not None and not (number_column(table, slope, frame.path) != 0).any():
        table = table.drop(columns=slope)  # as good as none
    frame = replace(frame, table=table)
    hrus = hrus_of(frame)
    if hrus is not None:
        frame = replace(frame, table=table.assign(**{_AREA: _hru_areas(frame, hrus)}))
    lake, length = column_of(frame, "lake", "islake"), column_of(frame, "Length", "length")
    if lake is not None and length is not None:
        frame = lengths_with_lakes(frame, length, np.asarray(frame.table[lake] > 0))
    return frame


def _hru_areas(frame: Frame, hrus: Frame) -> NDArray[np.float64]:
    """(segment,) m2 of the HRUs that drain into each; 0 where none does."""
    segment, area = column_of(hrus, *HRU_SEGMENT), column_of(hrus, *HRU_AREA)
    own = column_of(frame, *SEGMENT)
    if segment is None or own is None:
        raise InputError(f"{frame.path}: has no {' or '.join(SEGMENT)}; expected ids of segments")
    if area is None:
        return np.full(len(frame.table), np.nan)
    values = number_column(hrus.table, area, frame.path)
    none = absent(values)
    values = values if none is None else np.where(none, np.nan, values)
    ids = id_column(frame.table, own, frame.path)
    to = id_column(hrus.table, segment, frame.path)
    at, known = places_of(to, ids)
    return np.bincount(at[known], weights=values[known], minlength=len(ids)).astype(np.float64)


class _BySegment(TableFormat):
    """Read along the dimension of the segments, whatever they are called."""

    def frame(self, path: Path, options: Options) -> Frame:
        """See `TableFormat.frame`."""
        head = head_of(path)
        name = next((one for one in TO if one in head.columns), None)
        return self.prepare(
            read_frame(path, dimension_of=options.columns.get("downstream_id", name)), options
        )


MIZUROUTE = _BySegment(
    "mizuRoute's network topology",
    Schema(
        {
            "reach_id": tuple((one, None) for one in SEGMENT),
            "downstream_id": tuple((one, None) for one in TO),
            "length_m": (("Length", "m"), ("length", "m")),
            "area_m2": ((_AREA, "m2"), ("area", "m2")),
            "slope": (("Slope", "1"), ("slope", "1")),
            "manning_n": (("man_n", None),),
            "width_m": (("width", "m"),),
            "is_lake": (("lake", None), ("islake", None)),
            "lat": ((_LAT, None),),
            "lon": ((_LON, None),),
        },
        outlets=(0, -1, -9999),
        outside=True,
        needs_length=True,
    ),
    tuple((segment, to, "length") for segment in SEGMENT for to in TO),
    (
        "Runoff may be by HRU: several may drain into a segment, and none into another.",
        "An outlet flows into 0, -9999 or a segment that the file does not hold.",
        "Slopes that are 0 everywhere are left out.",
        "Lakes without a length get 1 m.",
    ),
    containers=("netcdf",),
    prepare=_segments,
)
