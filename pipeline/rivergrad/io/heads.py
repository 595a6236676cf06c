"""What a file looks like from outside: names, columns, dimensions, first lines; nothing large is read.

Formats tell their files from others by a `Head`. It is made once for a file and kept, as many formats ask.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from rivergrad.errors import InputError
from rivergrad.io.datasets import kind_of, open_dataset
from rivergrad.io.plainshapes import SUFFIXES as PLAIN_SUFFIXES
from rivergrad.io.plainshapes import columns as plain_columns
from rivergrad.io.plainshapes import has_lines
from rivergrad.io.tables import column_names

Kind = Literal["csv", "parquet", "netcdf", "zarr", "vector", "raster", "folder", "text", "unknown"]

VECTOR_SUFFIXES = (".gpkg", ".shp", ".dbf", ".fgb", ".geojson")
RASTER_SUFFIXES = (".tif", ".tiff", ".vrt", ".map", ".asc")
TEXT_BYTES = 1 << 13


@dataclass(frozen=True)
class Head:
    """What can be seen of a file or folder without reading it.

    Attributes:
        path: the file or folder.
        kind: what it is by its name; `unknown` where it can't be opened as that.
        columns: of a table, or of all layers of a vector file; names of the variables of NetCDF and Zarr.
        layers: the columns of each layer of a vector file.
        dims: the dimensions of each variable of NetCDF and Zarr.
        units: the units of each variable that has some.
        attributes: of the whole file, as text.
        names: of the files in a folder.
        text: the first lines of a text file, a CSV included.
    """

    path: Path
    kind: Kind
    columns: tuple[str, ...] = ()
    layers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    text: str = ""

    def has(self, *names: str) -> bool:
        """Whether all of these columns or variables are there, in any case."""
        there = {one.lower() for one in self.columns}
        return all(name.lower() in there for name in names)

    def along(self, name: str) -> tuple[str, ...]:
        """The dimensions of a variable; none where it is not there."""
        return self.dims.get(name, ())


def head_of(path: str | Path) -> Head:
    """The head of a file or folder. One that can't be opened has no columns: its reader says why."""
    path = Path(path)
    try:
        state = path.stat()
    except (OSError, ValueError):
        return Head(path, "unknown")
    if not (stat.S_ISREG(state.st_mode) or stat.S_ISDIR(state.st_mode)):  # a pipe would block for ever
        return Head(path, "unknown")
    return _head(str(path), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)
def _head(name: str, changed: int, size: int) -> Head:
    path = Path(name)
    suffix = path.suffix.lower()
    try:
        if suffix in VECTOR_SUFFIXES:
            return _vector(path)
        if suffix in RASTER_SUFFIXES:
            return Head(path, "raster")
        if path.is_dir() and not _is_store(path):
            return Head(path, "folder", names=tuple(sorted(os.listdir(path))))
        return _by_kind(path)
    except Exception:  # of whatever is wrong with a file its reader says more than a guess could
        return Head(path, "unknown", text=_text_of_any(path))


def _is_store(path: Path) -> bool:
    return any((path / one).is_file() for one in ("zarr.json", ".zgroup", ".zmetadata"))


def _by_kind(path: Path) -> Head:
    try:
        kind = kind_of(path)
    except InputError:
        return Head(path, "text", text=_text(path))
    if kind == "csv":
        return Head(path, "csv", tuple(column_names(path)), text=_text(path))
    if kind == "parquet":
        return Head(path, "parquet", tuple(column_names(path)))
    with open_dataset(path) as dataset:
        arrays = {str(name): array for name, array in dataset.variables.items()}
        return Head(
            path,
            kind,
            tuple(arrays),
            dims={name: tuple(str(dim) for dim in array.dims) for name, array in arrays.items()},
            units={
                name: str(array.attrs["units"]) for name, array in arrays.items() if "units" in array.attrs
            },
            attributes={str(name): str(value) for name, value in dataset.attrs.items()},
        )


def _text(path: Path) -> str:
    if path.name.lower().endswith(".gz"):
        return ""
    with path.open("rb") as file:
        return file.read(TEXT_BYTES).decode("utf-8", "replace")


def _text_of_any(path: Path) -> str:
    try:
        return "" if path.is_dir() else _text(path)
    except OSError:
        return ""


def _vector(path: Path) -> Head:
    if (pyshp := pyshp_for(path)) is not None:
        names = plain_columns(pyshp, path)
        return Head(path, "vector", names, {path.stem: names})
    pyogrio = require_extra("pyogrio", "geo", path)
    layers = {
        str(name): tuple(str(one) for one in pyogrio.read_info(path, layer=name)["fields"])
        for name, _ in layers_of(path)
    }
    every: Iterable[str] = dict.fromkeys(one for columns in layers.values() for one in columns)
    return Head(path, "vector", tuple(every), layers)


def layers_of(path: Path) -> list[tuple[str, str | None]]:
    """Names and kinds of geometry (None without) of the layers of a vector file."""
    if (pyshp := pyshp_for(path)) is not None:
        return [(path.stem, "LineString" if has_lines(pyshp, path) else None)]
    pyogrio = require_extra("pyogrio", "geo", path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GDAL warns of whatever is odd and harmless
        return [(str(name), kind) for name, kind in pyogrio.list_layers(path)]


def pyshp_for(path: Path) -> Any | None:
    """The module of pyshp, where it stands in for pyogrio: for shapefiles, if the extra `geo` is not installed."""
    if path.suffix.lower() not in PLAIN_SUFFIXES or _optional("pyogrio") is not None:
        return None
    return _optional("shapefile")


def _optional(module: str) -> Any | None:
    try:
        return import_module(module)
    except ImportError:
        return None


def require_extra(module: str, extra: str, path: Path) -> Any:
    """A module that an extra of rivergrad installs.

    Raises:
        InputError: it is not installed, with the line that does it.
    """
    try:
        return import_module(module)
    except ImportError:
        raise InputError(
            f"{path}: needs {module}; expected it installed: pip install 'rivergrad[{extra}]'"
        ) from None
