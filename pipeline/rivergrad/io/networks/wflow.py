"""Wflow's static maps: a local drain direction, and lengths, slopes and widths of river cells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.io.datasets import missing, numbers_of, open_dataset
from rivergrad.io.gridded import regular_axis
from rivergrad.io.heads import head_of
from rivergrad.io.missing import without_absent
from rivergrad.io.networks.cells import Raster, network_of_cells, refuse_options

Float = NDArray[np.float64]

DIRECTIONS = ("local_drain_direction", "wflow_ldd", "ldd")
RIVER = ("river_mask", "wflow_river", "river_location__mask")
LAYERS: dict[str, tuple[tuple[str, ...], float]] = {
    "length_m": (("river_length", "wflow_riverlength"), 1.0),
    "slope": (("river_slope", "RiverSlope"), 1.0),
    "width_m": (("river_width", "wflow_riverwidth"), 1.0),
    "manning_n": (("river_manning_n", "N_River"), 1.0),
    "elevation_m": (("land_elevation", "wflow_dem"), 1.0),
    "upstream_area_m2": (("meta_upstream_area", "wflow_uparea"), 1e6),
}
"""By rivergrad's name, Wflow's before and after version 1, and the factor to SI."""


@dataclass(frozen=True)
class StaticMaps:
    """Wflow's static maps."""

    reads: tuple[str, ...] = ("network",)
    traps: tuple[str, ...] = (
        "Directions are 1 to 9, 5 a pit and 255 none.",
        "Reaches are the river cells; the area of other cells goes to the river cell below.",
        "Names changed with version 1; upstream areas are in km2.",
    )
    extra: str | None = None

    def guess(self, path: Path) -> str | None:
        """By the variable of directions."""
        head = head_of(path)
        found = next((one for one in DIRECTIONS if len(head.along(one)) == 2), None)
        return None if found is None else f"Wflow's static maps: has {found}"

    def read(
        self, path: Path, role: str, *, channel_area: float | None = None, **options: Any
    ) -> RiverNetwork:
        """See `Format`."""
        refuse_options(path, options)
        with open_dataset(path) as dataset:
            raster, channels = _raster(dataset, path)
        if channel_area is not None:
            channels = None
        return network_of_cells(raster, channels=channels, channel_area=channel_area)


def _raster(dataset: xr.Dataset, path: Path) -> tuple[Raster, NDArray[np.bool_] | None]:
    name = next((one for one in DIRECTIONS if one in dataset.variables), None)
    if name is None:
        raise missing(path, "variable", DIRECTIONS[0], dataset.variables)
    rows, columns = (str(dim) for dim in dataset[name].dims)
    lat = regular_axis(numbers_of(dataset[rows], path), str(path), rows)
    lon = regular_axis(numbers_of(dataset[columns], path), str(path), columns, circle=True)
    north, west = lat.edge + lat.size * lat.spacing, lon.edge

    def layer(one: str) -> Float:
        values = without_absent(numbers_of(dataset[one].transpose(rows, columns), path))
        values = values if lat.descending else values[::-1]
        return values[:, ::-1] if lon.descending else values

    codes = layer(name)
    none = ~np.isfinite(codes) | (codes == 255) | (codes == 0)
    if not np.isin(codes[~none], np.arange(1, 10)).all():
        raise InputError(f"{path}: '{name}' holds numbers other than 1 to 9 and 255; expected directions")
    found = {
        made: layer(one) * factor
        for made, (names, factor) in LAYERS.items()
        if (one := next((one for one in names if one in dataset.variables), "")) != ""
    }
    river = next((one for one in RIVER if one in dataset.variables), None)
    channels = None if river is None else np.nan_to_num(layer(river)) > 0
    transform = _transform(west, north, lon.spacing, lat.spacing)
    directions = np.where(none, 255, codes).astype(np.uint8)
    return Raster(path, directions, "ldd", transform, True, found), channels


def _transform(west: float, north: float, width: float, height: float) -> Any:
    from affine import Affine  # of pyflwdir

    return Affine(width, 0.0, west, 0.0, -height, north)


WFLOW = StaticMaps()
