"""Where the world is gauged, and what the gauges report."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rivercut import graph
from rivercut.network import RiverNetwork
from rivergrad.world.spec import DAY, WorldSpec
from rivergrad.world.streams import stream

SIZE_POWER = 1.0  # chance of a gauge grows with this power of the number of upstream reaches


class Gauges(NamedTuple):
    """G gauges, upstream area descending.

    Attributes:
        reach: (G,) positions of the gauged reaches, each once.
        name: (G,) names.
        held_out: (G,) whether the estimation must not see it.
    """

    reach: NDArray[np.int64]
    name: NDArray[np.str_]
    held_out: NDArray[np.bool_]


def place_gauges(spec: WorldSpec, network: RiverNetwork) -> Gauges:
    """Put gauges on rivers, more on large ones, never on neighbouring reaches while others are free."""
    rng = stream(spec.seed, "gauges")
    downstream = network.downstream
    upstream = graph.upstream_count(downstream, network.order)
    wanted = max(1, round(spec.gauge_fraction * network.n_reaches))
    # A small world, or one with many gauges, makes do with smaller rivers: it needs a choice of them.
    least = min(spec.gauge_min_upstream, int(np.sort(upstream)[-min(2 * wanted, len(upstream))]))
    eligible = np.flatnonzero(upstream >= least)
    # A weighted draw without replacement is the order of exponential waiting times.
    waiting = rng.exponential(1.0, len(eligible)) / upstream[eligible] ** SIZE_POWER
    drawn = eligible[np.argsort(waiting, kind="stable")]

    taken = np.zeros(network.n_reaches, dtype=bool)
    gauged_above = np.zeros(network.n_reaches, dtype=bool)  # gauged just upstream
    chosen: list[int] = []
    for allow_neighbours in (False, True):
        for candidate in drawn.tolist():
            if len(chosen) == wanted:
                break
            after = int(downstream[candidate])
            neighbour = gauged_above[candidate] or (after >= 0 and taken[after])
            if taken[candidate] or (neighbour and not allow_neighbours):
                continue
            chosen.append(candidate)
            taken[candidate] = True
            if after >= 0:
                gauged_above[after] = True
    area = network.attributes["upstream_area_m2"]
    reach = np.array(sorted(chosen, key=lambda position: (-area[position], position)), dtype=np.int64)
    name = np.array([f"gauge-{i + 1:04d}" for i in range(len(reach))])
    return Gauges(reach=reach, name=name, held_out=_hold_out(spec, network.basin[reach]))


def _hold_out(spec: WorldSpec, basin: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Choose held-out gauges, (G,), in basins with other gauges and in basins with one gauge alike.

    A basin with several gauges keeps at least one of them for the estimation, and so does the world.
    """
    rng = stream(spec.seed, "holdout")
    held_out = np.zeros(len(basin), dtype=bool)
    left = np.bincount(basin)
    alone = left[basin] == 1
    wanted = min(round(spec.holdout_fraction * len(basin)), len(basin) - 1)
    from_alone = round(wanted * alone.mean())
    order = rng.permutation(len(basin))
    held_out[order[alone[order]][:from_alone]] = True
    missing = wanted - int(held_out.sum())
    for gauge in order[~alone[order]]:
        if missing <= 0:
            break
        if left[basin[gauge]] > 1:
            left[basin[gauge]] -= 1
            held_out[gauge] = True
            missing -= 1
    return held_out


def observe(spec: WorldSpec, discharge: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the gauges report of the true discharge.

    Args:
        spec: the world's recipe.
        discharge: (time, gauge) m³/s, true, per forcing step.

    Returns:
        (time, gauge) m³/s with multiplicative log-normal noise of mean 1, NaN in gaps.
    """
    shape = discharge.shape
    noise = stream(spec.seed, "noise").standard_normal(shape)
    observed = discharge * np.exp(spec.noise * noise - 0.5 * spec.noise**2)
    observed[missing_stretches(spec, shape)] = np.nan
    return observed


def missing_stretches(spec: WorldSpec, shape: tuple[int, ...], *part: int) -> NDArray[np.bool_]:
    """Missing observations, (time, gauge): a two-state Markov chain a gauge, from its steady state.

    `part` numbers the stream of random numbers.
    """
    rng = stream(spec.seed, "gaps", *part)
    share = spec.gap_fraction
    stop = min(1.0, spec.step / (spec.gap_days * DAY))
    start = stop * share / (1.0 - share)
    draw = rng.random(shape)
    missing = np.zeros(shape, dtype=bool)
    if shape[0] == 0:
        return missing
    missing[0] = draw[0] < share
    for t in range(1, shape[0]):
        missing[t] = np.where(missing[t - 1], draw[t] >= stop, draw[t] < start)
    return missing
