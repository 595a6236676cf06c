"""Whether a shapefile and its table are as long as they say: libraries read what is left of one that was cut off."""

from __future__ import annotations

import struct
from pathlib import Path

from rivergrad.errors import InputError
from rivergrad.files import open_file

MAGIC = 9994


def require_whole_shapefile(path: Path) -> None:
    """Raise where the lines or the table of a shapefile, or a table alone, are shorter than their headers say.

    Args:
        path: .shp or .dbf; others are not looked at.

    Raises:
        InputError: a file that is too short, or no shapefile.
    """
    suffix = path.suffix.lower()
    if suffix == ".shp":
        header = _start(path, 100)
        if len(header) < 100 or struct.unpack(">i", header[:4])[0] != MAGIC:
            raise InputError(f"{path}: is no shapefile, is it damaged? Expected one")
        _require(path, 2 * struct.unpack(">i", header[24:28])[0])
        beside = next(
            (one for one in (path.with_suffix(".dbf"), path.with_suffix(".DBF")) if one.is_file()), None
        )
        if beside is None:
            raise InputError(f"{path}: has no {path.stem}.dbf beside it; expected its table")
        require_whole_shapefile(beside)
    elif suffix == ".dbf":
        header = _start(path, 12)
        if len(header) < 12:
            raise InputError(f"{path}: is no table of a shapefile, is it damaged? Expected one")
        rows, start, width = struct.unpack("<IHH", header[4:12])
        _require(path, start + rows * width)


def _start(path: Path, size: int) -> bytes:
    with open_file(path) as file:
        return file.read(size)


def _require(path: Path, size: int) -> None:
    found = path.stat().st_size
    if found < size:
        raise InputError(f"{path}: has {found} bytes, and its header says {size}; is it cut off?")
