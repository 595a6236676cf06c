"""Weights that bring a regular latitude-longitude grid onto reaches.

A grid value stands for the box around its point, half a spacing to each side. A reach stands for a box too
(a cell of its own regular grid) or for a point. The weight of a grid value is the share of the reach's box
that its box covers, in degrees; for a point it is 1 for the box that holds it. So a 0.5° cell whose centre
is a point of a 0.25° grid takes 1/4, 1/2, 1/4 along each axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError, ids_text

Float = NDArray[np.float64]
Int = NDArray[np.int64]

LATITUDES, LONGITUDES = (-90.0, 90.0), (-540.0, 720.0)
"""Degrees that are read. Longitudes are a circle: an axis may begin at -190 or -360, or go on to 370 or 720."""
EXPECTED = "degrees, -90..90 and -540..720"

_ALIGNED = 1e-6  # of a spacing: closer than this to an edge is on it
_DECIMALS = 9  # of degrees: what 360 more or less leaves of a longitude
_REGULAR = 1e-2  # of a spacing: float32 coordinates are off by up to 1e-4 of 0.1°


@dataclass(frozen=True)
class Axis:
    """An axis of a regular grid: `size` boxes of `spacing` > 0 degrees from `edge` up."""

    edge: float
    spacing: float
    size: int
    descending: bool  # in the file

    @property
    def around(self) -> int:
        """How many boxes go round the Earth, where the axis does (its end may repeat its start); else 0."""
        count = round(360.0 / self.spacing)
        whole = abs(count * self.spacing - 360.0) < 0.01 * self.spacing
        return count if whole and self.size >= count else 0


def regular_axis(values: NDArray[np.floating], source: str, name: str, *, circle: bool = False) -> Axis:
    """Describe a coordinate of a regular grid.

    Args:
        values: (size,) coordinates, degrees, up or down.
        source, name: for the error.
        circle: whether they are longitudes, which may go on from 180 to -180 or from 360 to 0.

    Raises:
        InputError: fewer than two values, or a spacing that changes.
    """
    points = np.asarray(values, dtype=np.float64)
    if points.ndim != 1 or points.size < 2 or not np.isfinite(points).all():
        raise InputError(
            f"{source}: '{name}' has the shape {points.shape}; expected two or more degrees along a line"
        )
    if circle:
        points = _unwrapped(points)
    spacing = (points[-1] - points[0]) / (points.size - 1)
    regular = points[0] + spacing * np.arange(points.size)
    if spacing == 0 or np.abs(points - regular).max() > _REGULAR * abs(spacing):
        raise InputError(f"{source}: '{name}' has no constant spacing; expected a regular grid")
    first = min(points[0], points[-1])
    size = abs(float(spacing))
    return Axis(float(first) - size / 2, size, points.size, bool(spacing < 0))


def _unwrapped(points: Float) -> Float:
    """Longitudes without the jump of 360 degrees where they cross the edge of their range, if there is one."""
    steps = np.diff(points)
    jumps = np.abs(steps) > 180.0
    if jumps.sum() != 1:
        return points
    after = np.append(False, np.cumsum(jumps) > 0)
    return points - np.where(after, np.sign(steps[jumps][0]) * 360.0, 0.0)


def cell_size(lat: Float, lon: Float) -> tuple[float, float]:
    """Size of the reaches' cells (degrees) when they lie on a regular grid; else (0, 0): points."""
    sizes = (_spacing(lat), _spacing(lon) or _spacing(_in_one_stretch(lon)))
    # cells are about as high as wide; a few scattered points may look regular along one axis
    return sizes if all(sizes) and max(sizes) <= 2 * min(sizes) else (0.0, 0.0)


def _in_one_stretch(lon: Float) -> Float:
    """Longitudes counted from the end of the widest gap between them on, and each meridian the same."""
    levels = np.unique(np.round(np.mod(lon, 360.0), _DECIMALS) % 360.0)
    gaps = np.diff(levels, append=levels[0] + 360.0)
    start = levels[(int(gaps.argmax()) + 1) % levels.size]
    return np.round(np.mod(levels - start, 360.0), _DECIMALS)


def _spacing(values: Float) -> float:
    levels = np.unique(values)
    if levels.size < 3:
        return 0.0  # two values are always regular: they tell nothing
    gaps = np.diff(levels)
    smallest = float(gaps.min())
    steps = gaps / smallest
    on_grid = np.abs(steps - np.round(steps)).max() <= _REGULAR
    # Scattered points rounded to a few decimals lie on a very fine grid: too sparse to be cells of it.
    dense = levels.size >= 0.2 * (round(float((levels[-1] - levels[0]) / smallest)) + 1)
    return smallest if on_grid and dense else 0.0


def check_positions(lat: Float, lon: Float, ids: Int, source: str) -> None:
    """Every reach has a latitude and a longitude in degrees (see `impossible`); else an InputError."""
    if (bad := ~(np.isfinite(lat) & np.isfinite(lon))).any():
        raise InputError(f"{source}: reaches {ids_text(ids[bad])} have no lat or lon; expected degrees")
    if (bad := impossible(lat, lon)).any():
        at = int(bad.argmax())
        raise InputError(
            f"{source}: reaches {ids_text(ids[bad])} of the network lie at impossible positions, the first at lat "
            f"{lat[at]:g}, lon {lon[at]:g}; expected {EXPECTED}"
        )


def impossible(lat: Float, lon: Float) -> NDArray[np.bool_]:
    """Where positions are no degrees of latitude and longitude; NaN is not asked about."""
    return (np.abs(lat) > LATITUDES[1]) | (lon < LONGITUDES[0]) | (lon > LONGITUDES[1])


def _axis_weights(axis: Axis, centre: Float, width: float, around: int = 0) -> tuple[Int, Float]:
    """Boxes (n, k) that overlap `centre ± width/2`, counted up the axis, and their share or 0.

    `around` boxes make a circle; 0 for an axis that is none.
    """
    at = (centre - axis.edge) / axis.spacing
    half = width / axis.spacing / 2
    low, high = at - half, at + half
    low = np.where(np.abs(low - np.round(low)) < _ALIGNED, np.round(low), low)
    high = np.where(np.abs(high - np.round(high)) < _ALIGNED, np.round(high), high)
    count = 1 if width == 0 else int(np.ceil(2 * half - _ALIGNED)) + 1
    index = np.floor(low).astype(np.int64)[:, None] + np.arange(count)
    if width == 0:
        weight = np.ones(index.shape)
        # a point on the upper end of the grid belongs to the last box
        index = np.where((index == axis.size) & (at[:, None] == axis.size), axis.size - 1, index)
    else:
        weight = np.minimum(high[:, None], index + 1) - np.maximum(low[:, None], index)
        weight = np.where(weight > _ALIGNED, weight, 0.0)
    if around:
        index %= around
    weight = np.where((index >= 0) & (index < axis.size), weight, 0.0)
    return np.clip(index, 0, axis.size - 1), weight


def regular_grid_weights(
    latitude: NDArray[np.floating],
    longitude: NDArray[np.floating],
    lat: Float,
    lon: Float,
    *,
    cell: tuple[float, float] | None = None,
    valid: NDArray[np.bool_] | None = None,
    reach_id: Int | None = None,
    source: str = "grid",
) -> tuple[Int, Float]:
    """Sparse weights of a regular grid for reaches.

    Args:
        latitude: (rows,) of the grid, degrees, up or down.
        longitude: (columns,) of the grid, degrees, within -540..720; a whole circle wraps around.
        lat, lon: (n,) of the reaches, degrees.
        cell: size (lat, lon) of the reaches' cells, degrees; (0, 0) for points; None: told from lat and lon.
        valid: (rows, columns), False where the grid never has a value (the sea); the rest of a reach's box
            then stands for all of it.
        reach_id: (n,) for the error.
        source: for the error.

    Returns:
        index (n, k), positions in the flattened (rows, columns) grid, and weight (n, k), which sums to 1 over
        k; unused entries repeat a used index with the weight 0.

    Raises:
        InputError: the grid is not regular, or reaches lie outside of it or where it never has a value.
    """
    ids = np.arange(len(lat)) if reach_id is None else reach_id
    index, weight = covers(latitude, longitude, lat, lon, cell=cell, reach_id=ids, source=source)
    return shares(index, weight, valid, ids, source)


def covers(
    latitude: NDArray[np.floating],
    longitude: NDArray[np.floating],
    lat: Float,
    lon: Float,
    *,
    cell: tuple[float, float] | None,
    reach_id: Int,
    source: str,
) -> tuple[Int, Float]:
    """Which boxes of a grid lie over each reach, and how much of it they cover.

    Args:
        latitude, longitude, lat, lon, cell, reach_id, source: see `regular_grid_weights`.

    Returns:
        index (n, k), positions in the flattened grid, and weight (n, k), 0 where a box covers nothing.

    Raises:
        InputError: the grid is not regular, or reaches lie outside of it.
    """
    ids = reach_id
    check_positions(lat, lon, ids, source)
    rows = regular_axis(latitude, source, "latitude")
    columns = regular_axis(longitude, source, "longitude", circle=True)
    height, width = cell_size(lat, lon) if cell is None else cell
    # bring the reaches' longitudes into the grid's own range
    around = columns.edge + np.mod(lon - columns.edge, 360.0)
    if not columns.around:
        # a little outside to the left is nearer than nearly a whole circle to the right
        right = columns.edge + columns.size * columns.spacing
        nearer = columns.edge - (around - 360.0) < around - right
        around = np.where((around > right) & nearer, around - 360.0, around)
    row, row_weight = _axis_weights(rows, lat, height)
    column, column_weight = _axis_weights(columns, around, width, columns.around)
    outside = (row_weight.sum(axis=1) < 0.5 * _full(height, rows)) | (
        column_weight.sum(axis=1) < 0.5 * _full(width, columns)
    )
    if outside.any():
        raise InputError(
            f"{source}: reaches {ids_text(ids[outside])} lie outside of the grid "
            f"(latitude {_range(rows)}, longitude {_range(columns)})"
        )
    if rows.descending:
        row = rows.size - 1 - row
    if columns.descending:
        column = columns.size - 1 - column
    count = row.shape[1] * column.shape[1]
    index = (row[:, :, None] * columns.size + column[:, None, :]).reshape(len(lat), count)
    weight = (row_weight[:, :, None] * column_weight[:, None, :]).reshape(len(lat), count)
    return index, weight


def shares(
    index: Int, weight: Float, valid: NDArray[np.bool_] | None, reach_id: Int, source: str
) -> tuple[Int, Float]:
    """Weights that sum to 1 out of what boxes cover of reaches (see `covers`), without boxes that have no value.

    Raises:
        InputError: a reach whose boxes never have a value.
    """
    if valid is not None:
        weight = np.where(valid.ravel()[index], weight, 0.0)
    total = weight.sum(axis=1, keepdims=True)
    if (bad := total[:, 0] <= 0).any():
        raise InputError(
            f"{source}: reaches {ids_text(reach_id[bad])} lie where the grid has no values (NaN)"
        )
    used = weight.argmax(axis=1)[:, None]
    index = np.where(weight > 0, index, np.take_along_axis(index, used, axis=1))
    return index, weight / total


def _full(width: float, axis: Axis) -> float:
    return 1.0 if width == 0 else width / axis.spacing


def _range(axis: Axis) -> str:
    return f"{axis.edge:g}..{axis.edge + axis.size * axis.spacing:g}"
