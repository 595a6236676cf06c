"""The mean flow of every reach: its mean runoff and that of all reaches above it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rivercut import graph
from rivercut.network import RiverNetwork
from rivergrad.io import RunoffReader

Float = NDArray[np.float64]

AT_ONCE = 1 << 24
"""Values of runoff that are read at a time."""
SHARE = 1e-3
"""Of the mean runoff of a reach: what a mean flow is at least."""


def mean_flow(network: RiverNetwork, runoff: RunoffReader, start: int = 0, stop: int | None = None) -> Float:
    """(reach,) m³/s over steps start..stop of the record: mean runoff, added up along the river.

    A reach without water gets a small flow above 0, so that Q/Q₀ is a number.

    Args:
        network: the river network; runoff: of its reaches, m³/s.
    """
    last = runoff.time.size if stop is None else stop
    size = max(1, AT_ONCE // max(1, network.n_reaches))
    total = np.zeros(network.n_reaches)
    for a in range(start, last, size):
        total += runoff.read(None, a, min(a + size, last)).sum(axis=0)
    return accumulated(network, total / max(1, last - start))


def accumulated(network: RiverNetwork, mean: Float) -> Float:
    """Mean runoff (reach,) added up along the river, kept above 0."""
    flow = graph.accumulate(network.downstream, network.order, mean)
    least = max(SHARE * float(np.abs(mean).mean()), 1e-9)
    return np.maximum(flow, least)
