"""Files of GIS: GeoPackage, GeoParquet and shapefiles of reaches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rivergrad.errors import InputError
from rivergrad.io.exporters.base import SIDECAR, Estimate, sidecar
from rivergrad.io.exporters.tablelike import parquet_like
from rivergrad.io.exporters.tables import columns_of, metadata_of, units_of
from rivergrad.io.exporters.vectorlike import geopackage_like, shapefile_like
from rivergrad.io.heads import require_extra

LAYER = "reaches"
_SHORT = {
    "downstream_id": "down_id",
    "upstream_area_m2": "uparea_m2",
    "diffusivity": "diffusiv",
    "celerity_lower": "cel_lower",
    "celerity_upper": "cel_upper",
    "celerity_true": "cel_true",
    "celerity_log_sd": "cel_logsd",
    "identifiability": "identif",
    "identifiability_spreading": "identif_sp",
    "diffusivity_lower": "dif_lower",
    "diffusivity_upper": "dif_upper",
    "diffusivity_sd": "dif_sd",
    "residence_time": "resid_time",
}
"""Names of ten letters at most, which is all that shapefiles have."""


def frame_of(estimate: Estimate, output: Path) -> tuple[Any, list[str]]:
    """A GeoDataFrame of all columns, with lines where the network has them and points else.

    Raises:
        InputError: the extra is not installed, or the network has neither.
    """
    geopandas = require_extra("geopandas", "geo", output)
    shapely = require_extra("shapely", "geo", output)
    columns, told = columns_of(estimate), []
    shapes: Any
    if estimate.geometry is not None:
        shapes = shapely.from_wkb(np.array(list(estimate.geometry), dtype=object))
    else:
        lat, lon = estimate.attribute("lat"), estimate.attribute("lon")
        if lat is None or lon is None:
            raise InputError(
                f"{output}: the network has neither lines nor lat and lon; expected one of them for a file of GIS"
            )
        shapes = shapely.points(lon, lat)
        told.append("reaches are points: the run's network has no lines")
    return geopandas.GeoDataFrame(columns, geometry=shapes, crs=estimate.crs), told


@dataclass(frozen=True)
class GeoPackage:
    """A layer `reaches`, with units and provenance in the layer's metadata."""

    endings: tuple[str, ...] = (".gpkg",)
    folder: bool = False
    like: bool = True
    extra: str | None = "geo"

    def write(self, estimate: Estimate, output: Path, like: Path | None) -> list[str]:
        """See `Exporter`."""
        if like is not None:
            return geopackage_like(estimate, output, like, metadata_of(estimate))
        frame, told = frame_of(estimate, output)
        pyogrio = require_extra("pyogrio", "geo", output)
        pyogrio.write_dataframe(
            frame, output, layer=LAYER, driver="GPKG", layer_metadata=metadata_of(estimate)
        )
        return told


@dataclass(frozen=True)
class GeoParquet:
    """Parquet with geometry, its reference system, units and provenance."""

    endings: tuple[str, ...] = (".geoparquet", ".parquet")
    folder: bool = False
    like: bool = True
    extra: str | None = "geo"

    def write(self, estimate: Estimate, output: Path, like: Path | None) -> list[str]:
        """See `Exporter`."""
        import pyarrow.parquet as pq

        if like is not None:
            return parquet_like(estimate, output, like, metadata_of(estimate), add=True)
        frame, told = frame_of(estimate, output)
        frame.to_parquet(output, index=False)
        table = pq.read_table(output)
        said = {name.encode(): text.encode() for name, text in metadata_of(estimate).items()}
        pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **said}), output)
        return told


@dataclass(frozen=True)
class Shapefile:
    """A folder with reaches.shp and its parts; names have ten letters, and a sidecar says which is which."""

    endings: tuple[str, ...] = ()
    folder: bool = True
    like: bool = True
    extra: str | None = "geo"

    def write(self, estimate: Estimate, output: Path, like: Path | None) -> list[str]:
        """See `Exporter`."""
        short = short_names(list(columns_of(estimate)))
        if like is not None:
            output.mkdir()
            told = shapefile_like(estimate, output, like, short)
        else:
            told = self._whole(estimate, output, short)
        units = units_of(estimate)
        named = {f"{new} ({old})" if new != old else old: units[old] for old, new in short.items()}
        sidecar(output / SIDECAR, estimate, named, [one.name for one in output.iterdir()])
        return told

    def _whole(self, estimate: Estimate, output: Path, short: dict[str, str]) -> list[str]:
        frame, told = frame_of(estimate, output)
        pyogrio = require_extra("pyogrio", "geo", output)
        output.mkdir()
        pyogrio.write_dataframe(
            frame.rename(columns=short), output / f"{LAYER}.shp", driver="ESRI Shapefile", encoding="UTF-8"
        )
        return told


def short_names(names: list[str]) -> dict[str, str]:
    """By name, one of ten letters at most, each once."""
    found: dict[str, str] = {}
    for name in names:
        short = _SHORT.get(name, name)[:10]
        number = 1
        while short in found.values():
            short = f"{_SHORT.get(name, name)[:8]}_{number}"
            number += 1
        found[name] = short
    return found
