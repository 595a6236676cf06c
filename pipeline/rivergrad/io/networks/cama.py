"""CaMa-Flood's maps: `nextxy.bin` without a header, and its size in `params.txt`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.files import require_readable, text_of
from rivergrad.io.heads import head_of
from rivergrad.io.missing import without_absent
from rivergrad.io.networks.cells import Raster, network_of_cells, refuse_options

LAYERS = {
    "length_m": "rivlen.bin",
    "upstream_area_m2": "uparea.bin",
    "elevation_m": "elevtn.bin",
    "width_m": "rivwth.bin",
}
_NEEDED = ("nextxy.bin", "params.txt")


@dataclass(frozen=True)
class CamaFlood:
    """A map folder of CaMa-Flood."""

    reads: tuple[str, ...] = ("network",)
    traps: tuple[str, ...] = (
        "nextxy.bin has no header: the size stands in params.txt.",
        "Next cells count from 1; -9 is a mouth, -10 an inland end, -9999 the sea.",
        "Lengths are those of rivlen.bin, and over the ground without it.",
    )
    extra: str | None = None

    def guess(self, path: Path) -> str | None:
        """By the names in the folder."""
        folder = path.parent if path.name == _NEEDED[0] else path
        if set(_NEEDED) <= set(head_of(folder).names):
            return "CaMa-Flood: holds nextxy.bin and params.txt"
        return None

    def read(
        self, path: Path, role: str, *, channel_area: float | None = None, **options: Any
    ) -> RiverNetwork:
        """See `Format`."""
        refuse_options(path, options)
        folder = path if path.is_dir() else path.parent
        return network_of_cells(_raster(folder), channel_area=channel_area)


def _raster(folder: Path) -> Raster:
    numbers = _parameters(folder / _NEEDED[1])
    columns, rows = int(numbers[0]), int(numbers[1])
    size, west, north = numbers[3], numbers[4], numbers[7]
    path = folder / _NEEDED[0]
    following = _binary(path, "<i4", (2, rows, columns))
    low, high = following.min(), following.max()
    if high > max(columns, rows) or low < -9999:
        raise InputError(f"{path}: holds {low} to {high}; expected cells of {columns} by {rows} (params.txt)")
    layers = {
        name: without_absent(_binary(folder / file, "<f4", (rows, columns)).astype(np.float64))
        for name, file in LAYERS.items()
        if (folder / file).is_file()
    }
    from affine import Affine  # of pyflwdir

    return Raster(path, following, "nextxy", Affine(size, 0.0, west, 0.0, -size, north), True, layers)


def _parameters(path: Path) -> list[float]:
    require_readable(path, file=True)
    given = [line.split("!!")[0].strip() for line in text_of(path).splitlines()]
    try:
        found = [float(one) for one in given if one]
    except ValueError:
        raise InputError(
            f"{path}: holds a line that is no number; expected CaMa-Flood's params.txt"
        ) from None
    if len(found) < 8 or min(found[:2]) < 1 or found[3] <= 0:
        raise InputError(
            f"{path}: expected eight numbers: columns, rows, layers, size, west, east, south, north"
        )
    return found


def _binary(path: Path, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    require_readable(path, file=True)
    expected = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if path.stat().st_size != expected:
        raise InputError(
            f"{path}: has {path.stat().st_size} bytes; expected {expected}, {' x '.join(str(one) for one in shape)} "
            "numbers of 4 bytes (params.txt)"
        )
    return np.fromfile(path, dtype).reshape(shape)


CAMA = CamaFlood()
