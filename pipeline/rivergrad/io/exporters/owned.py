"""Whether what is at a path is an export of rivergrad's: only that may be written over."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from rivergrad.files import json_of
from rivergrad.io.datasets import NETCDF_SUFFIXES, open_dataset
from rivergrad.io.digest import digest_of
from rivergrad.io.exporters.base import SIDECAR
from rivergrad.io.heads import RASTER_SUFFIXES, require_extra
from rivergrad.io.output import PARAMETERS, is_one

MARK = "rivergrad_export"
"""The attribute by which NetCDF and Zarr are known."""


def is_export(path: Path) -> bool:
    """Whether a file or folder was exported by rivergrad and, where that is known, not changed since."""
    try:
        return _is_folder(path) if path.is_dir() and path.suffix != ".zarr" else _is_file(path)
    except Exception:  # whatever libraries raise of what they cannot read: it is none of ours
        return False


def sidecar_of(table: Path) -> Path:
    """Where the sidecar of a table lies."""
    return table.with_name(f"{table.name}.json")


def _is_folder(path: Path) -> bool:
    said = json_of(path / SIDECAR)
    return said["written_by"] == "rivergrad" and {one.name for one in path.iterdir()} <= {
        *said["files"],
        SIDECAR,
    }


def _is_file(path: Path) -> bool:
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        if is_one(path, PARAMETERS):
            return True
        said = json_of(sidecar_of(path))
        return said["written_by"] == "rivergrad" and said["digest"] == digest_of(path).text
    if name.endswith((".parquet", ".pq", ".geoparquet")):
        return b"rivergrad" in (pq.read_schema(path).metadata or {}) or is_one(path, PARAMETERS)
    if name.endswith((*NETCDF_SUFFIXES, ".zarr")):
        if is_one(path, PARAMETERS):
            return True
        with open_dataset(path) as dataset:
            return MARK in dataset.attrs and name.endswith(NETCDF_SUFFIXES)
    if name.endswith(".gpkg"):
        info = require_extra("pyogrio", "geo", path).read_info(path)
        return "rivergrad" in (info.get("layer_metadata") or {})
    if name.endswith(RASTER_SUFFIXES):
        with require_extra("rasterio", "raster", path).open(path) as file:
            return "rivergrad" in file.tags()
    return False
