"""Flow directions as rasters: D8 in ESRI's codes, and LDD as PCRaster and Wflow number them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError, ids_text
from rivergrad.files import require_readable
from rivergrad.io.datasets import reading
from rivergrad.io.heads import head_of, require_extra
from rivergrad.io.networks.cells import Raster, network_of_cells, refuse_options

D8 = (0, 1, 2, 4, 8, 16, 32, 64, 128)
LDD = tuple(range(1, 10))
NONE = {"d8": (247,), "ldd": (0, 255)}
"""Codes that mean that there is no direction, whether the file declares them or not."""
SINK = {"d8": (255,), "ldd": ()}
"""Codes of a pit besides the usual one: of an inland sink in HydroSHEDS and MERIT Hydro."""
_LOOK = 256


@dataclass(frozen=True)
class DirectionRaster:
    """A raster of flow directions.

    Attributes:
        kind: `d8` or `ldd`; codes: the directions.
    """

    kind: str
    codes: tuple[int, ...]
    traps: tuple[str, ...]
    extra: str | None = "raster"
    reads: tuple[str, ...] = ("network",)

    def guess(self, path: Path) -> str | None:
        """By some of its cells; by the name alone where rasterio is not installed."""
        if head_of(path).kind != "raster":
            return None
        try:
            found = np.unique(_some(path))
        except InputError:
            return "its name is that of a raster" if self.kind == "d8" else None
        inside = found[~np.isin(found, (*NONE[self.kind], *SINK[self.kind]))]
        if not inside.size or not np.isin(inside, self.codes).all():
            return None
        if self.kind == "ldd" and np.isin(inside, D8).all():
            return None  # 1, 2, 4 and 8 are both
        return f"{self.kind.upper()} flow directions: its cells hold {ids_text(inside)}"

    def read(
        self, path: Path, role: str, *, channel_area: float | None = None, **options: Any
    ) -> RiverNetwork:
        """See `Format`."""
        refuse_options(path, options)
        return network_of_cells(self.raster(path), channel_area=channel_area)

    def raster(self, path: Path) -> Raster:
        """All of it."""
        require_readable(path, file=True)
        rasterio = require_extra("rasterio", "raster", path)
        with reading(path, "a raster"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with rasterio.open(path) as file:
                values = file.read(1)
                transform, nodata, crs, bounds = file.transform, file.nodata, file.crs, file.bounds
        latlon = _in_degrees(crs, bounds, path)
        none = np.isin(values, NONE[self.kind])
        if nodata is not None and nodata not in self.codes:
            none |= values == nodata
        if values.dtype == np.int8:  # MERIT Hydro: -9 is 247, and -1 is 255
            values = values.astype(np.uint8)
            none |= np.isin(values, NONE[self.kind])
        strange = np.unique(values[~none & ~np.isin(values, (*self.codes, *SINK[self.kind]))])
        if strange.size:
            raise InputError(
                f"{path}: holds {ids_text(strange)}; expected directions of {self.kind.upper()}, {ids_text(self.codes)}"
            )
        sinks = np.isin(values, SINK[self.kind]) & ~none
        directions = np.where(sinks, 0, values)
        directions = np.where(none, 247 if self.kind == "d8" else 255, directions).astype(np.uint8)
        return Raster(path, directions, self.kind, transform, bool(latlon), {})


def _in_degrees(crs: Any, bounds: Any, path: Path) -> bool:
    """Whether coordinates are degrees, and not metres.

    Raises:
        InputError: neither of them, or no word about it and numbers that are no degrees.
    """
    if crs is None:
        if max(abs(bounds.left), abs(bounds.right)) <= 360 and max(abs(bounds.top), abs(bounds.bottom)) <= 90:
            return True
        raise InputError(
            f"{path}: has no reference system and no degrees; expected one, in degrees or metres"
        )
    if crs.is_geographic:
        return True
    if crs.linear_units not in ("metre", "meter", "m"):
        raise InputError(f"{path}: is in {crs.linear_units}; expected degrees or metres")
    return False


def _some(path: Path) -> NDArray[Any]:
    """Some cells of a raster."""
    rasterio = require_extra("rasterio", "raster", path)
    with reading(path, "a raster"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path) as file:
            shape = (min(file.height, _LOOK), min(file.width, _LOOK))
            some: NDArray[Any] = file.read(1, out_shape=shape)
            return some[some != file.nodata] if file.nodata is not None else some


_CELLS = (
    "Lengths are over the ground, areas those of cells.",
    "A cell is a reach, unless channel_area says from which area on.",
)
D8_RASTER = DirectionRaster(
    "d8",
    D8,
    (
        "0 is a pit, and so is 255 (an inland sink) unless it is declared as no data.",
        "247 is the sea, declared or not.",
        *_CELLS,
    ),
)
LDD_RASTER = DirectionRaster("ldd", LDD, ("5 is a pit; 255 has no direction.", *_CELLS))
