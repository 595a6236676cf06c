"""Networks of cells: what D8, LDD and CaMa-Flood rasters have in common."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

_EQUATOR, _ECCENTRICITY = 6378137.0, 6.69437999014e-3
"""m, and the squared eccentricity, of WGS 84."""


@dataclass(frozen=True, eq=False)
class Raster:
    """Flow directions, in rows from north to south.

    Attributes:
        path: for messages.
        directions: (rows, columns), or (2, rows, columns) of next x and y.
        kind: pyflwdir's name of the directions.
        transform: from columns and rows to coordinates; latlon: whether these are degrees, else metres.
        layers: (rows, columns) of what replaces the lengths and areas of cells, in SI, NaN where missing.
    """

    path: Path
    directions: NDArray[Any]
    kind: str
    transform: Any
    latlon: bool
    layers: Mapping[str, Float]


def network_of_cells(
    raster: Raster, *, channels: NDArray[np.bool_] | None = None, channel_area: float | None = None
) -> RiverNetwork:
    """A reach for each cell, or for each cell that is a channel; the area of other cells goes to the channel below.

    The id of a reach is 1 plus the cell's number, counted along rows from the north-western corner.

    Args:
        raster: the directions.
        channels: (rows, columns) which cells are channels.
        channel_area: m2 of upstream area from which on a cell is a channel.

    Raises:
        InputError: no valid directions, a loop, or no channel.
    """
    flow = _flow(raster)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyflwdir multiplies transforms as affine no longer likes it
        total = np.asarray(flow.upstream_area("m2"), np.float64)
        size = np.sqrt(np.broadcast_to(flow.area, flow.shape).ravel())
    below = np.asarray(flow.idxs_ds, np.int64)
    inside = np.flatnonzero(np.asarray(flow.mask))
    total = np.where(total.ravel() > 0, total.ravel(), np.nan)
    if "upstream_area_m2" in raster.layers:
        total = np.where(np.isfinite(given := raster.layers["upstream_area_m2"].ravel()), given, total)
    keep = np.zeros(below.size, dtype=bool)
    keep[inside] = True
    if channels is not None:
        keep &= channels.ravel()
    if channel_area is not None:
        with np.errstate(invalid="ignore"):
            keep &= total >= channel_area
    cells = np.flatnonzero(keep)
    if not cells.size:
        raise InputError(f"{raster.path}: has no channel; expected one cell at least (network.channel_area)")
    to = np.where(below[cells] == cells, -1, below[cells])
    to = np.where((to >= 0) & keep[to], to, -1)
    place = np.full(below.size + 1, -1, np.int64)
    place[cells] = np.arange(cells.size)
    row, column = (one + 0.5 for one in np.divmod(cells, flow.shape[1]))
    t = raster.transform
    x, y = t.c + column * t.a + row * t.b, t.f + column * t.d + row * t.e
    length = _lengths(x, y, place[to], size[cells], raster.latlon)
    if "length_m" in raster.layers:
        given = raster.layers["length_m"].ravel()[cells]
        length = np.where(np.isfinite(given) & (given > 0), given, length)
    attributes: dict[str, NDArray[Any]] = {"upstream_area_m2": total[cells]}
    attributes["area_m2"] = _own_area(total[cells], place[to], cells.size)
    if raster.latlon:
        attributes |= {"lat": y, "lon": x}
    for name, values in raster.layers.items():
        if name not in ("length_m", "upstream_area_m2"):
            attributes[name] = values.ravel()[cells]
    log.info("%s: %d of %d cells are reaches", raster.path, cells.size, inside.size)
    return RiverNetwork(cells + 1, place[to], length, attributes)


def refuse_options(path: Path, options: Mapping[str, Any]) -> None:
    """Raise an InputError for options of tables: a raster has neither columns nor layers."""
    given = [name for name, one in options.items() if one]
    if given:
        raise InputError(f"{path}: is a raster; expected no {', '.join(given)}")


def _lengths(x: Float, y: Float, below: NDArray[np.int64], size: Float, latlon: bool) -> Float:
    """m from each cell to the one below, centre to centre; the size of the cell at an outlet."""
    to = np.where(below >= 0, below, np.arange(below.size))
    length = ground_distance(y, x, y[to], x[to]) if latlon else np.hypot(x - x[to], y - y[to])
    return np.where(below >= 0, length, size)


def ground_distance(lat: Float, lon: Float, to_lat: Float, to_lon: Float) -> Float:
    """m over the ellipsoid WGS 84 between near places (degrees): by its radii of curvature at the middle latitude."""
    middle = np.radians(0.5 * (lat + to_lat))
    squeezed = 1.0 - _ECCENTRICITY * np.sin(middle) ** 2
    along = np.radians(to_lat - lat) * _EQUATOR * (1.0 - _ECCENTRICITY) / squeezed**1.5
    turn = (to_lon - lon + 180.0) % 360.0 - 180.0
    across = np.radians(turn) * np.cos(middle) * _EQUATOR / np.sqrt(squeezed)
    return np.hypot(along, across)


def _own_area(total: Float, below: NDArray[np.int64], count: int) -> Float:
    """m2 that drain into a channel not by another one."""
    inflow = np.bincount(below[below >= 0], weights=total[below >= 0], minlength=count)
    return np.maximum(total - inflow, 0.0)


def _flow(raster: Raster) -> Any:
    import pyflwdir

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            flow = pyflwdir.from_array(
                raster.directions,
                ftype=raster.kind,
                transform=raster.transform,
                latlon=raster.latlon,
                cache=True,
            )
    except (ValueError, TypeError, IndexError) as error:
        raise InputError(
            f"{raster.path}: can't be read as directions of kind {raster.kind} ({' '.join(str(error).split())[:80]})"
        ) from error
    rank = np.asarray(flow.rank).ravel()
    if (loops := np.flatnonzero((rank < 0) & np.asarray(flow.mask))).size:
        raise InputError(
            f"{raster.path}: {loops.size} cells drain in a loop, the first in row {loops[0] // flow.shape[1] + 1} and "
            f"column {loops[0] % flow.shape[1] + 1}; expected none"
        )
    return flow
