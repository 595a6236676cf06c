"""One large basin: where travel times are long beside floods, which the many small basins of a planet do not have.

Reaches stand on a grid whose rows widen upstream from the outlet. Each drains to one of the nearest three of the row
below, at random: Scheidegger's (1967) network of directions, whose rivers join as natural ones do. Slopes fall with
drainage area as those of graded rivers (Flint 1974), about a random departure.

Sources: Scheidegger (1967), IASH Bull. 12(1), 15-20, doi:10.1080/02626666709493507; Flint (1974), Water Resour. Res.
10(5), 969-973, doi:10.1029/WR010i005p00969.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rivercut import graph
from rivercut.network import RiverNetwork

Index = NDArray[np.int64]

CONCAVITY, STEEPEST = 0.35, 0.015
"""Slope falls with drainage area to the power of minus the first, from the second (1) at a headwater."""
DEGREE = 111_000.0
"""m, of latitude."""


def one_basin(reaches: int, seed: int, reach_length: float = 6000.0) -> RiverNetwork:
    """A basin of so many reaches with one outlet; equal arguments give equal networks.

    Args:
        reaches: 2 or more.
        seed: of all that is random.
        reach_length: mean, m; a reach drains about its square.

    Returns:
        The network, with the attributes slope (1), area_m2, upstream_area_m2, lat and lon.
    """
    rng = np.random.default_rng([seed, 11])
    row, place = _grid(reaches)
    downstream = np.full(reaches, -1, np.int64)
    begin = np.searchsorted(row, np.arange(row[-1] + 2))
    for r in range(1, int(row[-1]) + 1):
        here, below = slice(begin[r], begin[r + 1]), place[begin[r - 1] : begin[r]]
        wanted = place[here] + rng.integers(-1, 2, begin[r + 1] - begin[r])
        downstream[here] = begin[r - 1] + np.clip(wanted, below[0], below[-1]) - below[0]
    area = reach_length**2 * np.exp(0.2 * rng.standard_normal(reaches))
    upstream = graph.accumulate(downstream, graph.topological_order(downstream), area)
    slope = STEEPEST * (upstream / reach_length**2) ** -CONCAVITY * np.exp(0.3 * rng.standard_normal(reaches))
    return RiverNetwork(
        reach_id=np.arange(1, reaches + 1),
        downstream=downstream,
        length=reach_length * np.exp(0.2 * rng.standard_normal(reaches)),
        attributes={
            "slope": slope,
            "area_m2": area,
            "upstream_area_m2": upstream,
            "lat": row * reach_length / DEGREE,
            "lon": place * reach_length / DEGREE,
        },
    )


def _grid(reaches: int) -> tuple[Index, Index]:
    """(reach,) row and place in it, rows of 1, 3, 5 … up to a width that makes the basin a little longer than wide."""
    widest = max(1, round(0.8 * reaches**0.5)) | 1
    widths = np.minimum(1 + 2 * np.arange(reaches), widest)
    rows = int(np.searchsorted(np.cumsum(widths), reaches)) + 1
    row = np.repeat(np.arange(rows), widths[:rows])
    place = np.concatenate([np.arange(width) - width // 2 for width in widths[:rows]])
    return row[:reaches], place[:reaches]
