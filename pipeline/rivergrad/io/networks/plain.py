"""Networks in tables of any container with names that are known, or that the user gives."""

from __future__ import annotations

from pathlib import Path

from rivergrad.io.heads import head_of
from rivergrad.io.networks.assemble import Schema
from rivergrad.io.networks.schema_format import TableFormat

_LENGTHS = (
    ("length_m", "m"),
    ("length", None),
    ("LengthGeodesicMeters", "m"),
    ("lengthkm", "km"),
    ("LENGTH_KM", "km"),
    ("rlen", "m"),
)
SCHEMA = Schema(
    {
        "reach_id": tuple(
            (one, None)
            for one in (
                "reach_id",
                "river_id",
                "rivid",
                "LINKNO",
                "COMID",
                "riv",
                "link",
                "seg_id",
                "segId",
                "ID",
                "id",
            )
        ),
        "downstream_id": tuple(
            (one, None)
            for one in (
                *(
                    "downstream_id",
                    "downstream_river_id",
                    "downstream_rivid",
                    "DSLINKNO",
                    "NextDownID",
                    "next_id",
                ),
                *("down_id", "dwn", "to", "tosegment", "downSegId", "NEXT_DOWN", "ID_next", "dnID", "toid"),
            )
        ),
        "length_m": _LENGTHS,
        "area_m2": (("area_m2", "m2"), ("area_km2", "km2"), ("areasqkm", "km2"), ("unitarea", "km2")),
        "upstream_area_m2": (
            ("upstream_area_m2", "m2"),
            ("uparea_m2", "m2"),
            ("upstream_area_km2", "km2"),
            ("uparea", "km2"),
        ),
        "k": (("k", None), ("musk_k", "s"), ("kpr", "s")),
        "x": (("x", "1"), ("musk_x", "1"), ("xpr", "1")),
        "slope": (("slope", None), ("So", "1")),
        "width_m": (("width_m", "m"),),
        "manning_n": (("manning_n", None),),
        "elevation_m": (("elevation_m", "m"),),
        "is_lake": (("is_lake", None),),
        "lat": (("lat", None), ("latitude", None)),
        "lon": (("lon", None), ("longitude", None)),
    },
    needs_length=True,
)


class AnyTable(TableFormat):
    """A table whose columns have names that are known; the last that is asked of rivergrad's own."""

    def guess(self, path: Path) -> str | None:
        """By one of the known names for the reach and one for the reach downstream."""
        head = head_of(path)
        if head.kind not in self.containers:
            return None
        found = {}
        for name in ("reach_id", "downstream_id"):
            found[name] = next((one for one, _ in self.schema.columns[name] if head.has(one)), None)
        if None in found.values() or found["reach_id"] == found["downstream_id"]:
            return None
        return f"a table with {found['reach_id']} and {found['downstream_id']}"


ANY_TABLE = AnyTable(
    "a table",
    SCHEMA,
    (),
    (
        "Units are those of headers such as length [km], of units, or else SI.",
        "Columns of other names are left out.",
    ),
    containers=("csv", "parquet", "vector", "netcdf"),
)
