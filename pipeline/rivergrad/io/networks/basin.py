"""A part of a network: all that drains to a reach, or all that drains to reaches in a box."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rivercut import graph
from rivercut.network import RiverNetwork
from rivergrad.errors import InputError

log = logging.getLogger("rivergrad")

Basin = int | Sequence[float]
"""The id of a reach, or a box: west, south, east, north, in degrees."""


def subnetwork(network: RiverNetwork, basin: Basin, path: Path) -> RiverNetwork:
    """The reaches of a basin, in the order of the network.

    Args:
        network: the whole.
        basin: the id of the basin's lowest reach; or a box, of which all reaches count and all upstream of them.
        path: the file, for messages.

    Raises:
        InputError: no such reach, a box that is none or holds no reach, or a network without positions.
    """
    if isinstance(basin, int | np.integer):
        if not (network.reach_id == basin).any():
            raise InputError(f"{path}: basin: found {basin}; expected the id of a reach of the network")
        chosen = network.reach_id == basin
        kept = upstream_of(network, chosen)
        log.info("%s: basin %d: %d of %d reaches", path, basin, int(kept.sum()), network.n_reaches)
    else:
        chosen = _in_box(network, basin, path)
        kept = upstream_of(network, chosen)
        log.info(
            "%s: box %s: %d reaches lie in it, and %d outside of it drain into them",
            *(path, list(basin), int(chosen.sum()), int((kept & ~chosen).sum())),
        )
    return network.subset(np.flatnonzero(kept))


def upstream_of(network: RiverNetwork, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,) whether a reach is one of those chosen, or drains into one of them."""
    return graph.sum_below(network.downstream, network.order, chosen) > 0


def _in_box(network: RiverNetwork, box: Sequence[float], path: Path) -> NDArray[np.bool_]:
    if len(box) != 4 or not (box[1] < box[3] and box[0] != box[2]):
        raise InputError(
            f"{path}: basin: found {list(box)}; expected an id, or [west, south, east, north] in degrees"
        )
    if not {"lat", "lon"} <= set(network.attributes):
        raise InputError(f"{path}: basin is a box, which needs lat and lon of reaches; expected an id")
    west, south, east, north = (float(one) for one in box)
    lat, lon = (np.asarray(network.attributes[one], np.float64) for one in ("lat", "lon"))
    width = (east - west) % 360.0 or 360.0
    found: NDArray[np.bool_] = (lat >= south) & (lat <= north) & ((lon - west) % 360.0 <= width)
    if not found.any():
        raise InputError(f"{path}: no reach lies in the box {list(box)}; expected one that holds some")
    return found
