"""Fractal gradient noise on the unit sphere: it has no seam and no poles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LATTICE = 32  # period of the lattice of gradients; every octave has its own rotation, so that none shows


def sphere_points(lat: NDArray[np.float64], lon: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors (..., 3) of latitudes and longitudes in degrees."""
    phi, lam = np.deg2rad(lat), np.deg2rad(lon)
    return np.stack(
        np.broadcast_arrays(np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)), -1
    )


def gradient_noise(points: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Perlin's gradient noise at `points` (n, 3), in lattice units: (n,), mean near 0, within ±1.

    Source: K. Perlin, Improving noise, SIGGRAPH 2002 (quintic fade), with random unit gradients.
    """
    gradient = rng.standard_normal((LATTICE**3, 3))
    gradient /= np.linalg.norm(gradient, axis=-1, keepdims=True)
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    shifted = points @ rotation.T + rng.uniform(0.0, LATTICE, 3)
    cell = np.floor(shifted)
    inside = (shifted - cell).T
    fade = inside**3 * (inside * (inside * 6.0 - 15.0) + 10.0)
    corner = cell.astype(np.int64).T
    stride = (LATTICE**2, LATTICE, 1)
    # Per axis, for its lower and its upper corner: index, distance from the corner, weight.
    index = [[(corner[a] + o) % LATTICE * stride[a] for o in (0, 1)] for a in range(3)]
    away = [[inside[a], inside[a] - 1.0] for a in range(3)]
    weight = [[1.0 - fade[a], fade[a]] for a in range(3)]
    value = np.zeros(len(points))
    for i, j, k in np.ndindex(2, 2, 2):
        at_corner = gradient[index[0][i] + index[1][j] + index[2][k]].T
        height = at_corner[0] * away[0][i] + at_corner[1] * away[1][j] + at_corner[2] * away[2][k]
        value += weight[0][i] * weight[1][j] * weight[2][k] * height
    return value


def fractal_noise(
    points: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    frequency: float,
    octaves: int,
    gain: float = 0.5,
) -> NDArray[np.float64]:
    """Sum `octaves` of gradient noise, each twice as fine and `gain` times as high as the one before.

    Args:
        points: (n, 3) unit vectors.
        rng: where the lattices come from.
        frequency: waves of the first octave per planet radius.

    Returns:
        (n,) noise scaled to a standard deviation of 1.
    """
    total = np.zeros(len(points))
    for octave in range(octaves):
        total += gain**octave * gradient_noise(points * (frequency * 2.0**octave), rng)
    return total / total.std()
