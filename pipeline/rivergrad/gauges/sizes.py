"""Scores by the size of the river: a median over all gauges says little of large rivers, as most are small.

In a small headwater most of the water arrives within the step in which it ran off, so that no routing at all scores
well there. What routing does shows on the large rivers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivercut import graph
from rivercut.network import RiverNetwork

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

LEAST_FOR_THIRDS, LEAST_FOR_TENTH = 9, 30
"""With fewer gauges a class would have fewer than three."""
WORST = -1.0
"""A lower score counts as this one in the mean weighted by flow: a single gauge would decide it otherwise."""


def river_size(network: RiverNetwork) -> Float:
    """The size of the river at each reach, (reach,): upstream area (m²), or the number of reaches upstream."""
    area = network.attributes.get("upstream_area_m2")
    if has_area(network):
        return np.asarray(area, dtype=np.float64)
    return graph.accumulate(network.downstream, network.order, np.ones(network.n_reaches))


def has_area(network: RiverNetwork) -> bool:
    """Whether every reach of the network has an upstream area above 0, which `river_size` then is."""
    area = network.attributes.get("upstream_area_m2")
    return area is not None and bool(np.isfinite(area).all() and (np.asarray(area) > 0).all())


def size_classes(size: Float) -> dict[str, Bool]:
    """The gauges (gauge,) of each class of size: thirds, and the largest tenth; none where there are too few gauges.

    Args:
        size: (gauge,) such as upstream area. Gauges of one size are in one class.
    """
    found: dict[str, Bool] = {}
    if size.size >= LEAST_FOR_THIRDS:
        low, high = np.quantile(size, [1 / 3, 2 / 3])
        found["smallest third"] = size <= low
        found["middle third"] = (size > low) & (size <= high)
        found["largest third"] = size > high
    if size.size >= LEAST_FOR_TENTH:
        found["largest tenth"] = size > np.quantile(size, 0.9)
    return {name: here for name, here in found.items() if here.any()}


def scores_by_size(scores: Mapping[str, Float], size: Float, flow: Float) -> dict[str, Any]:
    """Median scores in each class of size, and the mean weighted by flow.

    Args:
        scores: (gauge,) by name, such as `nse_estimate`; NaN where there is none.
        size: (gauge,) of the river; flow: (gauge,) mean observed discharge, m³/s.

    Returns:
        `classes`: a dictionary a class with `name`, `gauges`, `from` and `to` (sizes), and the medians by name;
        `by_flow`: by name, the mean weighted by flow, in which a score below `WORST` counts as `WORST`.
    """
    known = np.isfinite(size)
    for values in scores.values():
        known &= np.isfinite(values)
    classes = []
    for name, here in size_classes(size[known]).items():
        at = np.flatnonzero(known)[here]
        medians = {score: float(np.median(values[at])) for score, values in scores.items()}
        ends = {"from": float(size[at].min()), "to": float(size[at].max())}
        classes.append({"name": name, "gauges": int(at.size), **ends, **medians})
    weight = np.where(known & np.isfinite(flow), np.maximum(flow, 0.0), 0.0)
    if not weight.sum() > 0:
        return {"classes": classes, "by_flow": {}}
    by_flow = {
        score: float(np.sum(weight[known] * np.maximum(values[known], WORST)) / weight.sum())
        for score, values in scores.items()
    }
    return {"classes": classes, "by_flow": by_flow}
