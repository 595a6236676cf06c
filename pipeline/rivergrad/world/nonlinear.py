"""A truth that is no estimate's own model: Muskingum-Cunge routing with parameters that follow the flow.

A reach is cut into segments about as long as a wave travels in a step. Of each segment, with the rating A = α Q^p
(wet area by flow), wave celerity is c = dQ/dA = Q^(1−p) / (α p) and the hydraulic diffusivity Q / (2 W S₀). With
the Courant number C = c Δt / (β Δx), the cell Reynolds number D = Q / (β W S₀ c Δx) and β = c A / Q = 1/p, at the
mean of inflow and outflow at both ends of a step,

    O' = [(−1 + C' + D') I' + (1 + C − D) (C'/C) I + (1 − C + D) (C'/C) O] / (1 + C' + D')

which keeps water to a thousandth of a flood: storage is β Δx / c times flow at both ends. Runoff enters all segments
of a reach alike, linear in time from the middle of a step to that of the next: as the step's own at its end it would
come half a step late. Before that it may pass a storage on the hillslope; a reach may be a lake that spills over a
weir.

Sources: Cunge (1969), doi:10.1080/00221686909500264; Ponce & Yevjevich (1978), J. Hydraul. Div. ASCE 104, 1663-1667;
Todini (2007), doi:10.5194/hess-11-1645-2007.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivercut import graph
from rivercut.compiling import njit
from rivercut.network import RiverNetwork

Float = NDArray[np.float64]

LEAST = 1e-6
"""m³/s: flow that ratings are read at least at."""
ITERATIONS, EXACT = 30, 1e-9
"""Times at most that the outflow's own celerity is made of it in a step, until it changes by no more than a share."""


@dataclass(frozen=True, eq=False)
class Channels:
    """What the reaches are, (reach,) each.

    Attributes:
        length: m; slope: 1; width: m.
        area_factor, area_exponent: α and p of A = α Q^p, m² and m³/s.
        hillslope: s, residence time of the storage that runoff passes first; 0 for none.
        lake: m² of water surface; 0 for a channel.
    """

    length: Float
    slope: Float
    width: Float
    area_factor: Float
    area_exponent: Float
    hillslope: Float
    lake: Float

    def celerity(self, flow: Float) -> Float:
        """m/s at a flow (..., reach), m³/s."""
        q = np.maximum(flow, LEAST)
        found: Float = q ** (1 - self.area_exponent) / (self.area_factor * self.area_exponent)
        return found

    def segments(self, flow: Float, step: float) -> NDArray[np.int64]:
        """(reach,) how many, so that a wave at a flow (reach,) takes about a step through each."""
        return np.maximum(1, np.round(self.length / (self.celerity(flow) * step))).astype(np.int64)


def rectangular(
    length: Float, slope: Float, width: Float, roughness: Float, exponent: Float | float = 0.6
) -> Channels:
    """Wide channels by Manning's equation, whose wet area grows with Q^0.6.

    Args:
        length, width: m; slope: 1; roughness: Manning's n, s m^(-1/3).
        exponent: p; another than 0.6 keeps the area at 1 m³/s for each 10 m of width.
    """
    factor = width * (roughness / (width * np.sqrt(slope))) ** 0.6
    pivot = np.maximum(width / 10.0, 1e-3)
    p = np.broadcast_to(np.asarray(exponent, np.float64), length.shape).copy()
    nothing = np.zeros(length.shape)
    return Channels(length, slope, width, factor * pivot ** (0.6 - p), p, nothing, nothing)


def route_nonlinear(network: RiverNetwork, channels: Channels, runoff: Float, step: float) -> Float:
    """Discharge of every reach, (time, reach) m³/s, mean of each step; from the steady state of the first step.

    Args:
        network: the river network.
        channels: of its reaches.
        runoff: (time, reach) m³/s, mean of each step.
        step: s.
    """
    order = np.asarray(network.order, np.int64)
    start = graph.accumulate(network.downstream, order, runoff[0])
    mean = graph.accumulate(network.downstream, order, np.maximum(runoff.mean(axis=0), LEAST))
    count = channels.segments(mean, step)
    c = channels
    # one at a time: all series of a step of the network would be many times the record
    return _route(
        np.asarray(network.downstream, np.int64), order, np.ascontiguousarray(runoff, np.float64), start, count,
        c.length, c.slope, c.width, c.area_factor, c.area_exponent, c.hillslope, c.lake, float(step),
    )  # fmt: skip


@njit(cache=True)
def _numbers(
    q: float, length: float, slope: float, width: float, alpha: float, p: float, step: float
) -> tuple[float, float]:  # pragma: no cover - compiled
    q = max(q, LEAST)
    c = q ** (1 - p) / (alpha * p)
    return p * c * step / length, p * q / (width * slope * c * length)


@njit(cache=True)
def weights(c0: float, d0: float, c1: float, d1: float) -> tuple[float, float, float]:  # pragma: no cover
    """What I', I and O count in O', by the numbers C and D at the beginning and at the end of a step."""
    ratio = c1 / c0
    total = 1 + c1 + d1
    return (-1 + c1 + d1) / total, (1 + c0 - d0) * ratio / total, (1 - c0 + d0) * ratio / total


@njit(cache=True)
def _outflow(
    now: float, before: float, out: float, length: float, slope: float, width: float, alpha: float, p: float,
    step: float,
) -> float:  # fmt: skip  # pragma: no cover - compiled
    """The outflow of a segment at the end of a step from inflow then and before, and outflow before."""
    c0, d0 = _numbers(0.5 * (before + out), length, slope, width, alpha, p, step)
    found = out + (now - before)
    for _ in range(ITERATIONS):
        c1, d1 = _numbers(0.5 * (now + max(found, 0.0)), length, slope, width, alpha, p, step)
        a, b, c = weights(c0, d0, c1, d1)
        last, found = found, a * now + b * before + c * out
        if abs(found - last) <= EXACT * abs(found):
            break
    return max(found, 0.0)


@njit(cache=True)
def _route(
    down: NDArray[np.int64], order: NDArray[np.int64], runoff: Float, start: Float, count: NDArray[np.int64],
    length: Float, slope: Float, width: Float, alpha: Float, p: Float, hillslope: Float, lake: Float, step: float,
) -> Float:  # fmt: skip  # pragma: no cover - compiled
    time, n = runoff.shape
    inflow = np.zeros((n, time + 1))  # of upstream, at the ends of steps
    mean = np.empty((time, n))
    for i in order:
        share = 1.0 if hillslope[i] <= 0 else 1 - np.exp(-step / hillslope[i])
        entering = np.empty(time)
        stored = runoff[0, i]
        for t in range(time):
            stored += share * (runoff[t, i] - stored)
            entering[t] = stored
        if hillslope[i] <= 0 and lake[i] <= 0:  # at the ends of steps, between the means of both sides
            for t in range(time - 1):
                entering[t] = 0.5 * (entering[t] + entering[t + 1])
        series = np.empty(time + 1)
        if lake[i] > 0:
            level = _level(start[i], lake[i])
            series[0] = start[i]
            for t in range(time):
                gain = (0.5 * (inflow[i, t] + inflow[i, t + 1]) + entering[t]) * step / lake[i]
                level = _spilled(level + gain, lake[i], step)
                series[t + 1] = _spill(level, lake[i])
        else:
            parts = count[i]
            series[:] = inflow[i]
            each = length[i] / parts
            first = start[i] - runoff[0, i]
            for s in range(parts):
                side = runoff[0, i] / parts
                before = series[0] + side if s > 0 else first + side
                out = before
                series[0] = out
                for t in range(time):
                    now = series[t + 1] + entering[t] / parts
                    out = _outflow(now, before, out, each, slope[i], width[i], alpha[i], p[i], step)
                    before = now
                    series[t + 1] = out
        for t in range(time):
            mean[t, i] = 0.5 * (series[t] + series[t + 1])
        if down[i] >= 0:
            inflow[down[i]] += series
    return mean


WEIR = 1.7
"""Of a broad-crested weir: Q = 1.7 B h^1.5, m and s (Chow 1959)."""


@njit(cache=True)
def _crest(area: float) -> float:  # pragma: no cover - compiled
    return WEIR * 0.02 * np.sqrt(area)  # a crest of 2 % of a side of the lake


@njit(cache=True)
def _spill(level: float, area: float) -> float:  # pragma: no cover - compiled
    return _crest(area) * max(level, 0.0) ** 1.5


@njit(cache=True)
def _level(flow: float, area: float) -> float:  # pragma: no cover - compiled
    return (max(flow, 0.0) / _crest(area)) ** (2.0 / 3.0)


@njit(cache=True)
def _spilled(level: float, area: float, step: float) -> float:  # pragma: no cover - compiled
    """The level h after a step of spilling, implicit: h + Q(h) Δt / area = level before, by Newton's method."""
    h = max(level, 0.0)
    if h == 0.0:
        return level
    for _ in range(30):
        q = _spill(h, area)
        f = h + q * step / area - level
        h = max(h - f / (1 + 1.5 * q / max(h, 1e-12) * step / area), 0.0)
    return h


def with_errors(
    runoff: Float, region: NDArray[np.int64], step: float, *, volume: float, late: float, seed: int
) -> Float:
    """Runoff as a model might give it: too much or too little, too early or too late, region by region.

    Args:
        runoff: (time, reach); region: (reach,) that share an error.
        step: s.
        volume: standard deviation of ln of the factor; late: of the shift, s.
        seed: of the draws.

    Returns:
        (time, reach), linear between steps; the first and last values stand in beyond the ends.
    """
    rng = np.random.default_rng([seed, 77])
    regions = int(region.max(initial=-1)) + 1
    factor = np.exp(volume * rng.standard_normal(regions))[region]
    shift = late * rng.standard_normal(regions)[region] / step
    time = np.arange(runoff.shape[0], dtype=np.float64)
    found = np.empty_like(runoff)
    for i in range(runoff.shape[1]):
        found[:, i] = np.interp(time - shift[i], time, runoff[:, i])
    return found * factor
