"""Tables of any container: CSV, Parquet, a layer of GeoPackage or shapefile, one-dimensional NetCDF.

A frame has the columns under the file's own names, the units that the file states (in a header such as `k [d]` or
in an attribute), and the lines or points where the file has some.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import xarray as xr
from numpy.typing import NDArray

from rivergrad.errors import InputError, ids_text
from rivergrad.files import require_readable
from rivergrad.io.datasets import ids_of, kind_of, missing, open_dataset, reading
from rivergrad.io.heads import VECTOR_SUFFIXES, layers_of, pyshp_for, require_extra
from rivergrad.io.missing import as_numbers
from rivergrad.io.plainshapes import read as read_plain
from rivergrad.io.shapefiles import require_whole_shapefile
from rivergrad.io.tables import read_table

WITH_UNIT = re.compile(r"^\s*(.+?)\s*[\[(]\s*([^\])]+?)\s*[\])]\s*$")
"""A header that states a unit: `length [km]`, `k (d)`."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A table as a file has it.

    Attributes:
        path: the file, for messages.
        table: a row per reach, columns under the file's own names, without the units of headers.
        units: what the file states, by column.
        geometry: (n,) shapes of shapely, where they were asked for; crs: their reference system.
        middles: latitude and longitude (n,) of the middle of each line, where they are known without shapes.
    """

    path: Path
    table: pd.DataFrame
    units: Mapping[str, str] = field(default_factory=dict)
    geometry: NDArray[Any] | None = None
    crs: str | None = None
    middles: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None


def read_frame(
    path: Path,
    *,
    layer: str | None = None,
    dimension_of: str | None = None,
    geometry: bool = False,
) -> Frame:
    """Read a table of any container.

    Args:
        path: .csv, .csv.gz, .parquet, .gpkg, .shp, .dbf, .fgb, .geojson, .nc or .zarr.
        layer: of a file with several; else the only one, or the first with lines.
        dimension_of: of NetCDF, the variable whose dimension is that of the rows; else the longest.
        geometry: whether lines and points are read too, where the file has some.

    Raises:
        InputError: no such file, layer or variable, or it can't be read.
    """
    require_readable(path)
    if path.suffix.lower() in VECTOR_SUFFIXES:
        return _vector(path, layer, geometry)
    if layer is not None:
        raise InputError(f"{path}: has no layers; expected none to be named, found {layer}")
    if kind_of(path) in ("netcdf", "zarr"):
        return _one_dimensional(path, dimension_of)
    if geometry and kind_of(path) == "parquet":
        return _geoparquet(path)
    return with_units(Frame(path, read_table(path)))


def with_units(frame: Frame) -> Frame:
    """The frame with units out of its headers: `length [km]` becomes `length`, in km."""
    named = {str(one): match for one in frame.table.columns if (match := WITH_UNIT.match(str(one)))}
    if not named:
        return frame
    renamed = {one: match.group(1) for one, match in named.items()}
    table = frame.table.rename(columns=renamed)
    if table.columns.has_duplicates:
        twice = table.columns[table.columns.duplicated()].unique()
        raise InputError(
            f"{frame.path}: the columns {ids_text(twice)} appear more than once; expected each once"
        )
    units = {match.group(1): match.group(2) for match in named.values()}
    return Frame(frame.path, table, {**frame.units, **units}, frame.geometry, frame.crs)


def _vector(path: Path, layer: str | None, geometry: bool) -> Frame:
    require_whole_shapefile(path)
    if (pyshp := pyshp_for(path)) is not None:
        return _plain_shapefile(pyshp, path, layer, geometry)
    pyogrio = require_extra("pyogrio", "geo", path)
    with reading(path, "a vector file"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layers = layers_of(path)
        names = [name for name, _ in layers]
        if layer is None:
            layer = next((name for name, kind in layers if kind is not None and "Line" in kind), names[0])
        if layer not in names:
            raise missing(path, "layer", layer, names)
        meta, _, shapes, columns = pyogrio.raw.read(
            path, layer=layer, read_geometry=geometry and dict(layers)[layer] is not None
        )
    table = pd.DataFrame({str(name): values for name, values in zip(meta["fields"], columns, strict=True)})
    if not len(table):
        raise InputError(f"{path}: layer '{layer}' has no rows; expected a reach a row")
    if shapes is None:
        return Frame(path, table)
    shapely = require_extra("shapely", "geo", path)
    return Frame(path, table, {}, shapely.from_wkb(shapes), meta["crs"])


def geometry_stated(path: Path) -> bytes | None:
    """What the metadata of a Parquet file say of its geometry, as GeoParquet has it; None where it has none."""
    with reading(path, "Parquet"):
        return (pq.read_schema(path).metadata or {}).get(b"geo")


def _plain_shapefile(pyshp: Any, path: Path, layer: str | None, geometry: bool) -> Frame:
    """By pyshp: all that a network needs but shapes."""
    if layer not in (None, path.stem):
        raise missing(path, "layer", str(layer), [path.stem])
    table, middles = read_plain(pyshp, path, geometry)
    if not len(table):
        raise InputError(f"{path}: layer '{path.stem}' has no rows; expected a reach a row")
    return Frame(path, table, middles=middles)


def _geoparquet(path: Path) -> Frame:
    """Parquet with its geometry, by the metadata that GeoParquet has; a plain table where there is none."""
    import json

    stated = geometry_stated(path)
    frame = with_units(Frame(path, read_table(path)))
    if stated is None:
        return frame
    shapely = require_extra("shapely", "geo", path)
    with reading(path, "GeoParquet"):
        described = json.loads(stated)
        name = described["primary_column"]
        crs = described["columns"][name].get("crs", "OGC:CRS84")
        shapes = shapely.from_wkb(
            pq.read_table(path, columns=[name]).column(0).to_numpy(zero_copy_only=False)
        )
    return Frame(path, frame.table, frame.units, shapes, crs if isinstance(crs, str) else json.dumps(crs))


def _one_dimensional(path: Path, dimension_of: str | None) -> Frame:
    with open_dataset(path) as dataset:
        if dimension_of is not None:
            if dimension_of not in dataset.variables:
                raise missing(path, "variable", dimension_of, dataset.variables)
            dims = tuple(str(dim) for dim in dataset[dimension_of].dims)
        else:
            longest = max(
                (array.dims for array in dataset.variables.values() if array.ndim == 1),
                key=lambda dims: dataset.sizes[dims[0]],
                default=(),
            )
            dims = tuple(str(dim) for dim in longest)
        if not dims:
            raise InputError(f"{path}: has no variable with a value per reach; expected reach_id(reach)")
        columns: dict[str, Any] = {}
        units: dict[str, str] = {}
        for key, array in dataset.variables.items():
            if array.dims != dims:
                continue
            name = str(key)
            if array.dtype.kind in "iu":
                columns[name] = ids_of(dataset, name, path)[0].ravel()
            elif array.dtype.kind == "f":
                with reading(path, "NetCDF or Zarr"):
                    values = as_numbers(array.values, f"{path}: variable '{name}'")
                columns[name] = _stored(array, values).ravel()
            else:
                with reading(path, "NetCDF or Zarr"):
                    columns[name] = array.values.astype(object).ravel()
            if isinstance(unit := array.attrs.get("units"), str):
                units[name] = unit
    return Frame(path, pd.DataFrame(columns), units)


def _stored(variable: xr.Variable, values: NDArray[np.float64]) -> NDArray[Any]:
    """Integers as they are stored: a fill value among ids may be what means an outlet."""
    stored, fill = variable.encoding.get("dtype"), variable.encoding.get("_FillValue")
    if (
        stored is None
        or np.dtype(stored).kind not in "iu"
        or fill is None
        or "scale_factor" in variable.encoding
    ):
        return values
    none = np.isnan(values)
    whole = np.where(none, 0.0, values)
    if (np.abs(whole) >= 2.0**53).any():
        return values
    return np.where(none, int(fill), whole.astype(np.int64))


def column_of(frame: Frame, *names: str) -> str | None:
    """The first of these columns that the frame has, in any case, as the frame spells it."""
    there = {str(one).lower(): str(one) for one in frame.table.columns}
    return next((there[name.lower()] for name in names if name.lower() in there), None)


def midpoints(frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Latitude and longitude (n,) of the middle of each line; None without geometry or reference system."""
    if frame.geometry is None or frame.crs is None:
        return frame.middles
    shapely = require_extra("shapely", "geo", frame.path)
    pyproj = require_extra("pyproj", "geo", frame.path)
    points = shapely.line_interpolate_point(shapely.line_merge(frame.geometry), 0.5, normalized=True)
    empty = shapely.is_missing(points) | shapely.is_empty(points)
    points = np.where(empty, shapely.centroid(frame.geometry), points)
    to_degrees = pyproj.Transformer.from_crs(frame.crs, "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(shapely.get_x(points), shapely.get_y(points))
    return np.asarray(lat, np.float64), np.asarray(lon, np.float64)


def geodesic_lengths(frame: Frame) -> NDArray[np.float64] | None:
    """(n,) lengths of the lines over the ellipsoid, m; None without geometry."""
    if frame.middles is not None:  # there are lines, which pyshp alone does not measure
        require_extra("pyogrio", "geo", frame.path)
    if frame.geometry is None or frame.crs is None:
        return None
    shapely = require_extra("shapely", "geo", frame.path)
    pyproj = require_extra("pyproj", "geo", frame.path)
    to_degrees = pyproj.Transformer.from_crs(frame.crs, "EPSG:4326", always_xy=True)
    geod = pyproj.Geod(ellps="WGS84")
    points, line = shapely.get_coordinates(shapely.get_parts(frame.geometry), return_index=True)
    parts, owner = shapely.get_parts(frame.geometry, return_index=True)
    lon, lat = to_degrees.transform(points[:, 0], points[:, 1])
    along = line[1:] == line[:-1]
    _, _, pieces = geod.inv(lon[:-1][along], lat[:-1][along], lon[1:][along], lat[1:][along])
    per_part = np.bincount(line[:-1][along], weights=pieces, minlength=len(parts))
    return np.bincount(owner, weights=per_part, minlength=len(frame.geometry)).astype(np.float64)
