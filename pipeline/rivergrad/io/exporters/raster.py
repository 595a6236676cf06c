"""GeoTIFF: the estimate of reaches that are cells of a regular grid, a band a parameter."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rivergrad.errors import InputError
from rivergrad.io.exporters.base import Estimate, Float, plain
from rivergrad.io.exporters.tables import columns_of, units_of
from rivergrad.io.heads import require_extra

_OFF = 1e-3
"""Share of a cell by which positions may miss the grid."""
MOST = 1 << 28


@dataclass(frozen=True)
class GeoTiff:
    """Bands by name with their units; NaN where no reach is."""

    endings: tuple[str, ...] = (".tif", ".tiff")
    folder: bool = False
    like: bool = True
    extra: str | None = "raster"

    def write(self, estimate: Estimate, output: Path, like: Path | None) -> list[str]:
        """See `Exporter`."""
        rasterio = require_extra("rasterio", "raster", output)
        lat, lon = estimate.attribute("lat"), estimate.attribute("lon")
        if lat is None or lon is None:
            raise InputError(
                f"{output}: the network has no lat and lon; expected reaches that are cells of a grid"
            )
        if like is not None:
            with rasterio.open(like) as given:
                shape, transform, crs = (given.height, given.width), given.transform, given.crs
            if crs is None or not crs.is_geographic:
                raise InputError(
                    f"--like {like}: is not in degrees; expected a grid of latitudes and longitudes"
                )
            west, north, width, height = transform.c, transform.f, transform.a, -transform.e
        else:
            west, width, columns = _axis(lon, "lon", output)
            south, height, rows = _axis(lat, "lat", output)
            shape, north, crs = (rows, columns), south + height * rows, "EPSG:4326"
            transform = rasterio.Affine(width, 0.0, west, 0.0, -height, north)
        column = np.floor((lon - west) / width).astype(np.int64)
        row = np.floor((north - lat) / height).astype(np.int64)
        inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
        cell = row * shape[1] + column
        if not inside.all() or np.unique(cell).size < cell.size:
            raise InputError(
                f"{output}: reaches lie outside of the grid, or several in a cell; expected each in one of its own "
                "(--as geopackage takes any network)"
            )
        bands = {name: values for name, values in columns_of(estimate).items() if name not in ("lat", "lon")}
        units = units_of(estimate)
        profile = {"driver": "GTiff", "height": shape[0], "width": shape[1], "count": len(bands), "crs": crs}
        with rasterio.open(
            output, "w", dtype="float64", nodata=np.nan, transform=transform, compress="deflate", **profile
        ) as file:
            for band, (name, values) in enumerate(bands.items(), 1):
                grid = np.full(shape[0] * shape[1], np.nan)
                grid[cell] = values
                file.write(grid.reshape(shape), band)
                file.set_band_description(band, name)
                if (unit := units[name]) is not None:
                    file.set_band_unit(band, unit)
            file.update_tags(rivergrad=json.dumps(plain(estimate.provenance), sort_keys=True))
        return []


def _axis(values: Float, name: str, output: Path) -> tuple[float, float, int]:
    """Lower edge, width of cells and number of cells of an axis of centres."""
    levels = np.unique(np.round(values, 9))
    gaps = np.diff(levels)
    gaps = gaps[gaps > 1e-7]
    if not gaps.size:
        raise InputError(
            f"{output}: all reaches have one {name}; expected cells of a regular grid (or --like a GeoTIFF)"
        )
    step = float(gaps.min())
    place = (values - levels[0]) / step
    if (np.abs(place - np.round(place)) > _OFF * max(1.0, float(place.max()))).any() or place.max() > MOST:
        raise InputError(
            f"{output}: {name} of reaches is not on a regular grid; expected cells of one, or --as geopackage"
        )
    return float(levels[0]) - step / 2, step, round(float(place.max())) + 1
