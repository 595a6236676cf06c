"""Raven: subbasins and HRUs of an `.rvh` file, and BasinMaker's lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError, shortened
from rivergrad.files import require_readable, text_of
from rivergrad.io.datasets import missing
from rivergrad.io.frames import Frame, midpoints
from rivergrad.io.networks.assemble import Options, Schema, network_of
from rivergrad.io.networks.joining import lengths_with_lakes
from rivergrad.io.networks.schema_format import TableFormat
from rivergrad.io.tables import id_column, number_column
from rivergrad.io.units import si_factor

_AREA, _LAT, _LON, _LAKE = "sum of HRU areas", "mean latitude", "mean longitude", "has ZERO-"
_NONE = -1.2345
"""What stands for no value in Raven's and BasinMaker's files."""
_SCHEMA = Schema(
    {
        "reach_id": (("ID", None),),
        "downstream_id": (("DOWNSTREAM_ID", None),),
        "length_m": (("REACH_LENGTH", "km"),),
        "area_m2": ((_AREA, "km2"),),
        "is_lake": ((_LAKE, None),),
        "lat": ((_LAT, None),),
        "lon": ((_LON, None),),
    },
    needs_length=True,
)


@dataclass(frozen=True)
class Rvh:
    """Subbasins of Raven."""

    reads: tuple[str, ...] = ("network",)
    traps: tuple[str, ...] = (
        "REACH_LENGTH is in km; ZERO- stands for none, as of lakes, which get 1 m.",
        "An outlet has DOWNSTREAM_ID -1.",
        "A subbasin has several HRUs: its area is their sum.",
    )
    extra: str | None = None

    def guess(self, path: Path) -> str | None:
        """By its name."""
        return "Raven: its name ends in .rvh" if path.suffix.lower() == ".rvh" else None

    def read(self, path: Path, role: str, **options: Any) -> RiverNetwork:
        """See `Format`."""
        return network_of(_subbasins(path), _SCHEMA, Options.of(**options))


def _subbasins(path: Path) -> Frame:
    basins, units = _block(path, "SubBasins")
    zero = basins["REACH_LENGTH"].str.upper().str.startswith("ZERO")
    basins["REACH_LENGTH"] = basins["REACH_LENGTH"].mask(zero, "0").replace("_AUTO", "")
    basins["REACH_LENGTH"] = number_column(basins, "REACH_LENGTH", path)
    basins[_LAKE] = zero.astype(np.int8)
    unit = units.get("REACH_LENGTH", "none")  # a line of units need not be there: Raven itself takes km
    frame = Frame(path, _with_hrus(basins, path), {"REACH_LENGTH": "km" if unit.lower() == "none" else unit})
    return lengths_with_lakes(frame, "REACH_LENGTH", zero.to_numpy(dtype=bool))


def _with_hrus(basins: pd.DataFrame, path: Path) -> pd.DataFrame:
    hrus, _ = _block(path, "HRUs", needed=False)
    if not {"AREA", "BASIN_ID"} <= set(hrus.columns):
        return basins
    owner, area = id_column(hrus, "BASIN_ID", path), number_column(hrus, "AREA", path)
    sums = pd.Series(area).groupby(owner).sum()
    ids = id_column(basins, "ID", path)
    basins[_AREA] = sums.reindex(ids, fill_value=0.0).to_numpy()
    for made, name in ((_LAT, "LATITUDE"), (_LON, "LONGITUDE")):
        if name in hrus.columns:
            weighted = pd.Series(number_column(hrus, name, path) * area).groupby(owner).sum() / sums
            basins[made] = weighted.reindex(ids).to_numpy()
    return basins


def hrus_of(
    path: Path,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """HRUs of an `.rvh` file: ids, subbasins and areas (m2), (hru,) each; and the ids of all subbasins."""
    hrus, units = _block(path, "HRUs")
    basins, _ = _block(path, "SubBasins")
    for name in ("ID", "BASIN_ID", "AREA"):
        if name not in hrus.columns:
            raise missing(path, "attribute of :HRUs", name, hrus.columns)
    factor = si_factor(units.get("AREA", "km2"), "m2", str(path), "AREA")
    area = number_column(hrus, "AREA", path) * factor
    return id_column(hrus, "ID", path), id_column(hrus, "BASIN_ID", path), area, id_column(basins, "ID", path)


def _block(path: Path, name: str, *, needed: bool = True) -> tuple[pd.DataFrame, dict[str, str]]:
    """The table between `:Name` and `:EndName`, as texts, and its units."""
    attributes: list[str] = []
    units: list[str] = []
    rows: list[list[str]] = []
    for words in _lines_of(path, name):
        if words[0] == ":Attributes":
            attributes = [one.strip(",") for one in words[1:]]
        elif words[0] == ":Units":
            units = [one.strip(",") for one in words[1:]]
        elif not words[0].startswith(":"):
            rows.append(words)
    if not rows or not attributes:
        if not needed:
            return pd.DataFrame(), {}
        raise InputError(f"{path}: holds no :{name} with :Attributes; expected Raven's .rvh")
    if all(len(one) == len(attributes) + 1 for one in rows):  # the id of a row need not be named
        attributes, units = ["ID", *attributes], ["none", *units]
    uneven = next((one for one in rows if len(one) != len(attributes)), None)
    if uneven is not None:
        raise InputError(
            f"{path}: '{shortened(' '.join(uneven))}' in :{name} has {len(uneven)} cells; expected {len(attributes)}"
        )
    units += ["none"] * (len(attributes) - len(units))
    return pd.DataFrame(rows, columns=attributes), dict(zip(attributes, units, strict=False))


def _lines_of(path: Path, name: str) -> Iterator[list[str]]:
    require_readable(path, file=True)
    lines = text_of(path).splitlines()
    inside = False
    for line in lines:
        words = line.split("#")[0].replace(",", " ").split()
        if not words:
            continue
        if words[0] == f":{name}":
            inside = True
        elif words[0] == f":End{name}":
            return
        elif inside:
            yield words
    if inside:
        raise InputError(f"{path}: :{name} has no :End{name}, is it cut off? Expected Raven's .rvh")


RVH = Rvh()


def _lakes(frame: Frame, options: Options) -> Frame:
    numbers = frame.table.select_dtypes("float").columns
    frame = replace(
        frame, table=frame.table.assign(**frame.table[numbers].mask(frame.table[numbers] == _NONE))
    )
    if {"centroid_x", "centroid_y"} <= set(numbers) and (found := midpoints(frame)) is not None:
        table = frame.table
        both = {"centroid_y": table["centroid_y"].fillna(pd.Series(found[0]))}
        both["centroid_x"] = table["centroid_x"].fillna(pd.Series(found[1]))
        frame = replace(frame, table=table.assign(**both))
    if "Lake_Cat" not in frame.table.columns:
        return frame
    lake = np.asarray(frame.table["Lake_Cat"], np.float64) > 0
    marked = replace(frame, table=frame.table.assign(**{_LAKE: lake.astype(np.int8)}))
    return lengths_with_lakes(marked, "RivLength", lake)


BASINMAKER = TableFormat(
    "BasinMaker",
    Schema(
        {
            "reach_id": (("SubId", None),),
            "downstream_id": (("DowSubId", None),),
            "length_m": (("RivLength", "m"),),
            "area_m2": (("BasArea", "m2"),),
            "upstream_area_m2": (("DrainArea", "m2"),),
            "slope": (("RivSlope", "1"),),
            "width_m": (("BkfWidth", "m"),),
            "manning_n": (("Ch_n", None),),
            "elevation_m": (("MeanElev", "m"),),
            "stream_order": (("Strahler", None),),
            "is_lake": ((_LAKE, None),),
            "lat": (("centroid_y", None),),
            "lon": (("centroid_x", None),),
        },
        outlets=(-1, 0),
        outside=True,
        needs_length=True,
    ),
    (("SubId", "DowSubId", "RivLength", "BasArea"),),
    (
        "An outlet flows into -1, or into a subbasin that the file does not hold.",
        "Lakes without a length get 1 m.",
    ),
    extra="geo",
    prepare=_lakes,
)
