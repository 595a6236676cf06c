"""How late discharge is after the runoff upstream, and how much of that no channel explains.

Water that takes long to reach the channel (hillslopes, soils) is late at every gauge by about as much, however short
the river. Water that travels in the channel is the later, the longer its way. A line through the delays of gauges over
the mean distance of their water, to a power, tells the two apart: its value at distance zero is what no channel
explains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivercut import graph
from rivercut.network import RiverNetwork

Float = NDArray[np.float64]

TRIED = np.geomspace(0.25, 64.0, 25)
"""Residence times that are tried, in forcing steps."""
LEAST_VALUES = 60
"""Pairs of values that a delay is made from at least."""
POWER = 0.7
"""Travel time grows with distance to this power: waves get faster downstream. With celerity as area to the power
0.1 to 0.2 (hydraulic geometry: Leopold & Maddock 1953) and area as distance to the power 1.7 (Hack 1957) it is 0.66 to
0.83. A straight line would take slow headwaters for hillslopes."""
LEAST_GAUGES = 6
MOST_GAUGES = 300
DRAWS = 200
LOW, HIGH = 5.0, 95.0


def storage_delays(observed: Float, unrouted: Float) -> Float:
    """The residence time of the linear storage through which runoff becomes most like discharge.

    Args:
        observed: (time, gauge) m³/s, NaN where missing.
        unrouted: (time, gauge) runoff upstream summed in the same step, m³/s, without gaps.

    Returns:
        (gauge,) in forcing steps; 0 where no storage is best, NaN where there are too few values or no variation.
    """
    times = np.append(0.0, TRIED)
    fit = np.stack([_correlation(observed, _stored(unrouted, time)) for time in times])
    best = np.where(np.isfinite(fit), fit, -np.inf).argmax(axis=0)
    return np.where(np.isfinite(fit).any(axis=0), times[best], np.nan)


def _stored(runoff: Float, time: float) -> Float:
    """Mean outflow of a linear storage over each step, from the steady state of the first inflow."""
    if time == 0:
        return runoff
    keep = np.exp(-1 / time)
    out, stored = np.empty_like(runoff), time * runoff[0]
    for t, inflow in enumerate(runoff):
        after = stored * keep + time * inflow * (1 - keep)
        out[t] = inflow + stored - after
        stored = after
    return out


def _correlation(a: Float, b: Float) -> Float:
    """(gauge,) over the pairs that are there; NaN with fewer than LEAST_VALUES or without variation."""
    there = np.isfinite(a) & np.isfinite(b)
    count = there.sum(axis=0)
    a, b = (np.where(there, values, 0.0) for values in (a, b))
    many = np.maximum(count, 1)
    a, b = (np.where(there, values - values.sum(axis=0) / many, 0.0) for values in (a, b))
    scale = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    known = (count >= LEAST_VALUES) & (scale > 0)
    return np.where(known, (a * b).sum(axis=0) / np.where(known, scale, 1.0), np.nan)


def mean_distance(network: RiverNetwork, runoff: Float) -> Float:
    """The mean distance that the runoff upstream travels to the end of each reach, (reach,) m.

    Args:
        network: with lengths.
        runoff: (reach,) mean runoff or another weight that is not negative; equal ones where all are 0.
    """
    weight = runoff if runoff.sum() > 0 else np.ones(network.n_reaches)
    length = np.asarray(network.length, dtype=np.float64)
    below = graph.sum_below(network.downstream, network.order, length)  # from each reach on, itself included
    both = graph.accumulate(network.downstream, network.order, np.stack([weight, weight * below], axis=1))
    return np.where(both[:, 0] > 0, both[:, 1] / np.where(both[:, 0] > 0, both[:, 0], 1.0), below) - (
        below - length
    )


@dataclass(frozen=True)
class Unexplained:
    """Delay at distance zero, s, with its 90 % interval."""

    delay: float
    low: float
    high: float


def unexplained_delay(delay: Float, distance: Float, seed: int) -> Unexplained | None:
    """The delay (s) that gauges have at distance zero, by a line through medians of slopes (Theil 1950, Sen 1968).

    Args:
        delay: (gauge,) s, NaN where unknown; distance: (gauge,) m.
        seed: of the bootstrap over gauges.

    Returns:
        None with fewer than `LEAST_GAUGES` gauges, or where all lie at one distance.
    """
    known = np.flatnonzero(np.isfinite(delay) & np.isfinite(distance))
    rng = np.random.default_rng([seed, 405])
    if known.size > MOST_GAUGES:
        known = np.sort(rng.permutation(known)[:MOST_GAUGES])
    y, x = delay[known], distance[known] ** POWER
    if known.size < LEAST_GAUGES or np.ptp(x) == 0:
        return None
    drawn = [rng.integers(0, known.size, known.size) for _ in range(DRAWS)]
    values = [one for at in drawn if np.isfinite(one := _at_zero(y[at], x[at]))]
    low, high = np.percentile(values, [LOW, HIGH])
    return Unexplained(_at_zero(y, x), float(low), float(high))


def _at_zero(y: Float, x: Float) -> float:
    first, second = np.triu_indices(x.size, 1)
    apart = x[second] - x[first]
    there = apart != 0
    if not there.any():
        return float("nan")
    slope = max(float(np.median((y[second] - y[first])[there] / apart[there])), 0.0)
    return float(np.median(y - slope * x))
