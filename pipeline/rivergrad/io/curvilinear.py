"""Reaches on a curvilinear grid: each takes the cell whose centre is nearest over the ground."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError, ids_text

Float = NDArray[np.float64]
Int = NDArray[np.int64]


def unit_vectors(lat: Float, lon: Float) -> Float:
    """(..., 3) points on the unit sphere of degrees."""
    phi, lam = np.radians(lat), np.radians(lon)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)


def curvilinear_weights(
    latitude: Float,
    longitude: Float,
    lat: Float,
    lon: Float,
    *,
    reach_id: Int | None = None,
    source: str = "grid",
) -> tuple[Int, Float]:
    """Weights of a curvilinear grid for reaches: 1 for the cell whose centre is nearest.

    Args:
        latitude, longitude: (rows, columns) of the cells' centres, degrees; NaN where there is no cell.
        lat, lon: (n,) of the reaches, degrees.
        reach_id: (n,) for the error.
        source: for the error.

    Returns:
        index (n, 1), positions in the flattened grid, and weight (n, 1).

    Raises:
        InputError: reaches farther from every centre than the size of the nearest cell.
    """
    ids = np.arange(len(lat)) if reach_id is None else reach_id
    points = unit_vectors(latitude, longitude)
    size = _sizes(points).ravel()
    cells = np.flatnonzero(np.isfinite(points).all(axis=-1))
    if not cells.size:
        raise InputError(f"{source}: no cell of the grid has a latitude and a longitude")
    from scipy.spatial import cKDTree  # here: it takes long to import

    distance, at = cKDTree(points.reshape(-1, 3)[cells]).query(unit_vectors(lat, lon))
    index = cells[at].astype(np.int64)
    outside = distance > size[index]
    if outside.any():
        raise InputError(
            f"{source}: reaches {ids_text(ids[outside])} lie outside of the grid, farther from its nearest cell "
            "than its size"
        )
    return index[:, None], np.ones((len(index), 1))


def _sizes(points: Float) -> Float:
    """(rows, columns) half the sum of a cell's height and width, as chords: no point of it is farther away."""
    size = np.zeros(points.shape[:2])
    for axis in (0, 1):
        if points.shape[axis] < 2:
            continue
        chord = np.nan_to_num(np.linalg.norm(np.diff(points, axis=axis), axis=-1))
        ahead = [(0, 0), (0, 0)]
        behind = [(0, 0), (0, 0)]
        ahead[axis], behind[axis] = (0, 1), (1, 0)
        size += np.maximum(np.pad(chord, ahead), np.pad(chord, behind)) / 2
    return size
