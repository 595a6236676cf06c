"""A GeoPackage or shapefile like the user's: its lines, columns and types stay, and the estimate comes beside them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rivergrad.errors import InputError, ids_text
from rivergrad.io.datasets import reading
from rivergrad.io.exporters.base import Estimate, left_alone, matched
from rivergrad.io.exporters.changes import IDS, changes_for, filled, id_name, ids_of_cells
from rivergrad.io.heads import layers_of, require_extra
from rivergrad.io.shapefiles import require_whole_shapefile

Drawn = tuple[dict[str, Any], pa.Table]


def geopackage_like(estimate: Estimate, output: Path, like: Path, said: dict[str, str]) -> list[str]:
    """Write the user's GeoPackage with the estimate in the layer whose ids are the run's.

    Args:
        estimate: the run; output: where to; like: the user's file.
        said: what is written into the layer's metadata besides what is there.

    Raises:
        InputError: no layer has ids of the run, or the template is no GeoPackage.
    """
    if like.suffix.lower() != ".gpkg":
        raise InputError(f"--like {like}: expected a GeoPackage (.gpkg), as the output is one")
    layer, drawn, told = _with_estimate(estimate, like, None)
    shutil.copyfile(like, output)
    info = require_extra("pyogrio", "geo", like).read_info(like, layer=layer)
    metadata = {**(info.get("layer_metadata") or {}), **said}
    _write(drawn, output, layer, "GPKG", layer_metadata=metadata)
    return [*told, f"the estimate is in the layer {layer} of {like}'s"]


def shapefile_like(estimate: Estimate, output: Path, like: Path, short: dict[str, str]) -> list[str]:
    """Write the user's shapefile, under its own name, into a folder.

    Args:
        estimate: the run; output: the folder, which is there; like: the user's .shp.
        short: names of ten letters for the columns of the estimate.

    Raises:
        InputError: its ids are not of the run, or it is no shapefile.
    """
    if like.suffix.lower() != ".shp":
        raise InputError(f"--like {like}: expected a shapefile (.shp), as the output is one")
    require_whole_shapefile(like)
    layer, drawn, told = _with_estimate(estimate, like, short)
    _write(drawn, output / f"{like.stem}.shp", layer, "ESRI Shapefile")
    return told


def _with_estimate(
    estimate: Estimate, like: Path, short: dict[str, str] | None
) -> tuple[str, Drawn, list[str]]:
    """The layer that has ids of the run, its features with the estimate, and what is said of it."""
    pyogrio = require_extra("pyogrio", "geo", like)
    with reading(like, "a vector file"):
        layers = [name for name, kind in layers_of(like) if kind is not None]
    for layer in layers:
        with reading(like, "a vector file"):
            meta, table = pyogrio.read_arrow(like, layer=layer)
        columns = [str(one) for one in meta["fields"]]
        name = id_name(columns)
        ids = None if name is None else ids_of_cells(table.column(name).to_pandas())
        if ids is None or not np.isin(ids, estimate.network.reach_id).any():
            continue
        at, known = matched(estimate, ids, like)
        changes = changes_for(estimate, columns, like, short)
        drawn = filled(table, changes, at, known, add=True)
        return layer, (meta, drawn), [*changes.told, *left_alone(known, estimate, like)]
    raise InputError(
        f"--like {like}: no layer has ids of the run's reaches ({ids_text(estimate.network.reach_id)}); expected "
        f"one with a column such as {', '.join(IDS[:4])}"
    )


def _write(drawn: Drawn, output: Path, layer: str, driver: str, **options: Any) -> None:
    pyogrio = require_extra("pyogrio", "geo", output)
    meta, table = drawn
    pyogrio.write_arrow(
        table,
        output,
        layer=layer,
        driver=driver,
        geometry_name=meta["geometry_name"] or "wkb_geometry",
        geometry_type=meta["geometry_type"],
        crs=meta["crs"],
        encoding="UTF-8",
        **options,
    )
