"""Shapefiles by pyshp, for where the extra `geo` is not installed: their tables, and the middles of their lines."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rivergrad.io.datasets import reading

Float = NDArray[np.float64]
Middles = tuple[Float, Float]

SUFFIXES = (".shp", ".dbf")
_LINES = (3, 13, 23)
_INTEGERS = 18
"""Digits of an integer that int64 holds for certain."""


def columns(shapefile: Any, path: Path) -> tuple[str, ...]:
    """Names of the columns; `shapefile` is pyshp's module."""
    with reading(path, "a shapefile"), _opened(shapefile, path) as file:
        return tuple(str(one[0]) for one in file.fields if one[0] != "DeletionFlag")


def has_lines(shapefile: Any, path: Path) -> bool:
    """Whether the shapes are lines; a table alone has none."""
    if _lines_of(path) is None:
        return False
    with reading(path, "a shapefile"), _opened(shapefile, path) as file:
        return file.shapeType in _LINES


def read(shapefile: Any, path: Path, geometry: bool) -> tuple[pd.DataFrame, Middles | None]:
    """The table, and latitude and longitude (n,) of the middle of each line.

    Args:
        shapefile: pyshp's module; path: .shp or .dbf.
        geometry: whether middles are wanted. None are given without lines, or where they are not in degrees.

    Raises:
        InputError: it can't be read.
    """
    with reading(path, "a shapefile"), _opened(shapefile, path) as file:
        fields = [one for one in file.fields if one[0] != "DeletionFlag"]
        rows = [list(one) for one in file.iterRecords()]
        table = {
            str(name): _values([row[at] for row in rows], str(kind), int(decimals))
            for at, (name, kind, _, decimals) in enumerate(fields)
        }
        drawn = _lines_of(path) is not None and file.shapeType in _LINES
        wanted = geometry and drawn and _in_degrees(path)
        middles = [_middle(one) for one in file.iterShapes()] if wanted else None
    if middles is None:
        return pd.DataFrame(table), None
    lon, lat = np.array(middles, np.float64).reshape(-1, 2).T
    return pd.DataFrame(table), (lat, lon)


@contextmanager
def _opened(shapefile: Any, path: Path) -> Iterator[Any]:
    options = {"encoding": _encoding(path), "encodingErrors": "replace"}
    if _lines_of(path) is None:
        with path.open("rb") as table, shapefile.Reader(dbf=table, **options) as file:
            yield file
        return
    with shapefile.Reader(str(path), **options) as file:
        yield file


def _lines_of(path: Path) -> Path | None:
    """The .shp that a path is or lies beside; None for a table alone."""
    beside = path.with_suffix(".shp")
    return path if path.suffix.lower() == ".shp" else beside if beside.is_file() else None


def _encoding(path: Path) -> str:
    """As the .cpg beside it says; Latin-1, which reads everything, where there is none."""
    beside = path.with_suffix(".cpg")
    said = beside.read_text(encoding="latin-1").strip() if beside.is_file() else ""
    try:
        return codecs.lookup(said).name
    except LookupError:
        return "latin-1"


def _values(cells: list[Any], kind: str, decimals: int) -> Any:
    """A column as pyogrio gives it: integers where all are, floats with NaN for empty cells, texts and dates."""
    if kind not in ("N", "F"):
        return np.array(cells, dtype=object)
    if decimals == 0 and all(isinstance(one, int) and len(str(one)) <= _INTEGERS for one in cells):
        return np.array(cells, np.int64)
    return np.array([np.nan if one is None else float(one) for one in cells], np.float64)


def _in_degrees(path: Path) -> bool:
    """Whether the .prj beside it says that coordinates are degrees."""
    beside = path.with_suffix(".prj")
    said = beside.read_text(encoding="latin-1").lstrip().upper() if beside.is_file() else ""
    return said.startswith(("GEOGCS", "GEOGCRS"))


def _middle(shape: Any) -> tuple[float, float]:
    """Longitude and latitude halfway along the parts of a line; NaN where there is none."""
    points = np.asarray([one[:2] for one in shape.points], np.float64).reshape(-1, 2)
    if len(points) < 2:
        return (float("nan"), float("nan")) if not len(points) else (float(points[0, 0]), float(points[0, 1]))
    steps = np.hypot(*np.diff(points, axis=0).T)
    starts = [one for one in shape.parts if one]
    steps[np.asarray(starts, np.int64) - 1] = 0.0  # from the end of a part to the next one
    along = np.concatenate([[0.0], np.cumsum(steps)])
    half = along[-1] / 2
    return float(np.interp(half, along, points[:, 0])), float(np.interp(half, along, points[:, 1]))
