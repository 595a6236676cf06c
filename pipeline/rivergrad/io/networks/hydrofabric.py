"""NextGen hydrofabric 2.0 to 2.2: flowpaths `wb-…` that flow into one another through nexuses `nex-…`."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rivergrad.errors import InputError, shortened
from rivergrad.io.frames import Frame, column_of, read_frame
from rivergrad.io.heads import head_of
from rivergrad.io.networks.assemble import Options, Schema, prefixed_ids
from rivergrad.io.networks.joining import joined
from rivergrad.io.networks.schema_format import TableFormat

log = logging.getLogger("rivergrad")

LAYERS = ("flowpath-attributes-ml", "flowpath-attributes", "flowpath_attributes")
_ATTRIBUTES = ("So", "n", "BtmWdth", "MusK", "MusX", "rl_So", "rl_n", "rl_BtmWdth_m", "rl_MusK_s", "rl_MusX")
_ENDS = ("tnx-", "cnx-", "inx-")


def _flowpaths(frame: Frame, options: Options) -> Frame:
    """With numbers for ids, the flowpath downstream instead of the nexus, and the attributes of the other layer."""
    nexus = _part(frame.path, "nexus")
    table = frame.table.copy()
    table["toid"] = _downstream(table["toid"], None if nexus is None else nexus.table)
    table["id"] = _numbers(table["id"], frame.path)
    made = replace(frame, table=table)
    further = next((part for one in LAYERS if (part := _part(frame.path, one)) is not None), None)
    key = None if further is None else column_of(further, "id", "link")
    if further is None or key is None:
        return made
    further = replace(
        further, table=further.table.assign(**{key: _numbers(further.table[key], further.path)})
    )
    return joined(made, "id", further, key, _ATTRIBUTES)


def _part(path: Path, layer: str) -> Frame | None:
    """A layer of a GeoPackage, or the Parquet file of that name beside the flowpaths; None where there is none."""
    if path.suffix.lower() != ".parquet":
        return read_frame(path, layer=layer) if layer in head_of(path).layers else None
    beside = path.with_name(f"{layer}.parquet")
    return read_frame(beside) if beside.is_file() and beside != path else None


def _numbers(column: pd.Series[Any], path: Path) -> pd.Series[Any]:
    """`wb-88316` as 88316."""
    found = prefixed_ids(column, "wb-")
    bad = ~found.astype(str).str.fullmatch(r"\d{1,18}")
    if bad.any():
        raise InputError(
            f"{path}: id holds '{shortened(column[bad].iloc[0])}'; expected ids such as wb-88316"
        )
    return found.astype(np.int64)


def _downstream(toid: pd.Series[Any], nexus: pd.DataFrame | None) -> pd.Series[Any]:
    """The flowpath that a nexus flows into: by the layer of nexuses, else the one of the same number; -1 at an end."""
    texts = toid.astype(object).where(toid.notna(), "-1").astype(str)
    if nexus is not None:
        known = dict(zip(nexus["id"].astype(str), nexus["toid"].astype(str), strict=True))
        texts = texts.map(lambda one: known.get(one, one))
    ends = texts.str.startswith(_ENDS) | texts.isin(["0", "wb-0", "nan", "None", ""])
    numbers = texts.str.replace(r"^(wb|nex)-", "", regex=True)
    return numbers.mask(ends, "-1")


HYDROFABRIC = TableFormat(
    "NextGen hydrofabric",
    Schema(
        {
            "reach_id": (("id", None),),
            "downstream_id": (("toid", None),),
            "length_m": (("lengthkm", "km"),),
            "area_m2": (("areasqkm", "km2"),),
            "upstream_area_m2": (("tot_drainage_areasqkm", "km2"),),
            "k": (("MusK", "s"), ("rl_MusK_s", "s")),
            "x": (("MusX", "1"), ("rl_MusX", "1")),
            "slope": (("So", "1"), ("rl_So", "1")),
            "width_m": (("BtmWdth", "m"), ("rl_BtmWdth_m", "m")),
            "manning_n": (("n", None), ("rl_n", None)),
            "stream_order": (("order", None),),
        },
        outside=True,
        needs_length=True,
    ),
    (
        ("id", "toid", "lengthkm", "areasqkm", "has_divide"),
        ("id", "toid", "lengthkm", "tot_drainage_areasqkm"),
    ),
    (
        "Ids are texts (wb-88316): a reach has the number alone.",
        "A flowpath flows into a nexus, and that into the next flowpath.",
        "Slopes, widths and Manning's n stand in another layer, or Parquet file, where an id may stand twice.",
        "Lengths are in km and areas in km2.",
    ),
    containers=("vector", "parquet"),
    extra="geo",
    prepare=_flowpaths,
)
