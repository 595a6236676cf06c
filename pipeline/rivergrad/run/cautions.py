"""What a hydrologist would want to be told of an estimate before its map is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivercut import graph
from rivergrad.errors import ids_text
from rivergrad.gauges.delays import mean_distance, storage_delays, unexplained_delay
from rivergrad.run.inputs import Inputs

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

FEW_GAUGES = 10
AT_BOUND = 0.01
"""A celerity is at a bound within this much of it, in the logarithm."""
LIKELY = (0.1, 6.0)
"""Celerities of flood waves, m/s: medians of large rivers lie between 0.3 and 3 (Allen et al. 2018,
doi:10.1029/2018GL077914); three standard deviations of a factor of two about 0.8 m/s end at 0.1 and 6."""
UNLIKELY_SHARE = 0.05
NEGATIVE_SHARE = 0.01
"""Of a gauge's mean flow: discharge below minus this is told."""
VOLUME_FACTOR = 1.5
UNEXPLAINED = 6 * 3600.0
"""s; a shorter delay at distance zero may come of small streams that are slower still than is usual."""


@dataclass(frozen=True, eq=False)
class Estimated:
    """What cautions are told from.

    Attributes:
        inputs: network, runoff and observations, screened.
        trains: (gauge,) those that trained.
        informed: (reach,) whether a gauge that trained lies downstream.
        celerity: (reach,) m/s; bounds: its bounds.
        discharge: `estimate` and `unrouted`, (time, gauge) m³/s.
        start: first step that counts, after the warm-up.
        hillslope, lakes: whether the estimate has a hillslope stage, and lakes as reaches of their own.
        seed: of the bootstrap.
    """

    inputs: Inputs
    trains: Bool
    informed: Bool
    celerity: Float
    bounds: tuple[float, float]
    discharge: Mapping[str, Float]
    start: int
    hillslope: bool
    lakes: bool
    seed: int


def cautions(found: Estimated) -> list[str]:
    """What is to be said of an estimate, a sentence or two each, the gravest first; nothing where there is nothing."""
    return [text for caution in CAUTIONS for text in caution(found)]


def _few_gauges(found: Estimated) -> Iterator[str]:
    count = int(found.trains.sum())
    if count < FEW_GAUGES:
        reaches = int(found.informed.sum())
        yield (
            f"Few gauges: {count} for {reaches:,} reaches upstream of them. The map shows what these gauges need; "
            "between them it is mostly prior. Score it at gauges that were held out (gauges.folds)."
        )


def _at_bounds(found: Estimated) -> Iterator[str]:
    log, n = np.log(found.celerity[found.informed]), max(1, int(found.informed.sum()))
    low, high = (np.log(one) for one in found.bounds)
    for bound, at in ((low, log <= low + AT_BOUND), (high, log >= high - AT_BOUND)):
        if count := int(at.sum()):
            yield (
                f"{count:,} of {n:,} celerities ({100 * count / n:.2g} %) lie at the bound of {np.exp(bound):.3g} m/s: "
                "they stand for something that the scheme lacks (lakes, hillslopes, runoff's errors), not for waves."
            )


def _unlikely(found: Estimated) -> Iterator[str]:
    celerity = found.celerity[found.informed]
    out = (celerity < LIKELY[0]) | (celerity > LIKELY[1])
    if out.sum() > UNLIKELY_SHARE * max(celerity.size, 1):
        yield (
            f"{int(out.sum()):,} of {celerity.size:,} celerities are below {LIKELY[0]:g} or above {LIKELY[1]:g} m/s, "
            "more than three standard deviations from those of flood waves."
        )


def _negative(found: Estimated) -> Iterator[str]:
    flow, observed = found.discharge["estimate"][found.start :], found.inputs.observed[found.start :]
    mean = np.nansum(np.abs(observed), axis=0) / np.maximum((~np.isnan(observed)).sum(axis=0), 1)
    least = flow.min(axis=0, initial=np.inf)
    bad = np.flatnonzero((mean > 0) & (least < -NEGATIVE_SHARE * mean))
    if bad.size:
        names = ids_text([str(found.inputs.observations.gauge[g]) for g in bad])
        yield (
            f"Discharge is negative by more than {100 * NEGATIVE_SHARE:g} % of the mean flow at {bad.size} gauges "
            f"({names}), down to {least[bad].min():.4g} m³/s: the scheme is outside its range (scheme.cap_x, another "
            "routing step)."
        )


def _absorbed(found: Estimated) -> Iterator[str]:
    inputs = found.inputs
    if found.hillslope or not inputs.runoff_is_given:
        return
    steps, at = inputs.compared(found.start, inputs.runoff.time.size), np.flatnonzero(found.trains)
    unrouted = found.discharge["unrouted"][steps][:, at]
    step, network = inputs.runoff.step * inputs.report.every, inputs.network
    delay = storage_delays(inputs.observed[steps][:, at], unrouted) * step
    distance = mean_distance(network, _weights(inputs))[inputs.observations.reach[at]]
    rest = unexplained_delay(delay, distance, found.seed)
    if rest is not None and rest.low > max(UNEXPLAINED, step / 4):
        yield (
            f"Gauges are late by {_days(rest.delay)} (90 % interval {_days(rest.low)} to {_days(rest.high)}) however "
            "short their rivers: water takes that long before it reaches a channel, and the map takes that for slow "
            "channels. Try a hillslope stage (scheme.hillslope, parameters.hillslope)."
        )


def _volumes(found: Estimated) -> Iterator[str]:
    if not found.inputs.runoff_is_given:
        return
    observed, runoff = found.inputs.observed[found.start :], found.discharge["unrouted"][found.start :]
    pairs = ~np.isnan(observed) & ~np.isnan(runoff)
    seen, given = (np.where(pairs, one, 0.0).sum(axis=0) for one in (observed, runoff))
    known = found.trains & (seen > 0) & (given > 0)
    if not known.any():
        return
    ratio = np.exp(np.median(np.log(given[known] / seen[known])))
    off = np.abs(np.log(given[known] / seen[known])) > np.log(VOLUME_FACTOR)
    if 2 * off.sum() > known.sum():
        yield (
            f"Runoff has {ratio:.3g} times the observed volume in the median, and is off by more than a factor of "
            f"{VOLUME_FACTOR:g} at {int(off.sum())} of {int(known.sum())} gauges. Routing can't mend that; celerities "
            "may try to (parameters.nuisance: volume)."
        )


def _below_lakes(found: Estimated) -> Iterator[str]:
    network = found.inputs.network
    lake = network.attributes.get("is_lake")
    if found.lakes or lake is None or not (np.asarray(lake) > 0).any():
        return
    above = graph.accumulate(network.downstream, network.order, (np.asarray(lake) > 0).astype(np.int64))
    gauges = np.flatnonzero(found.trains & (above[found.inputs.observations.reach] > 0))
    if gauges.size:
        yield (
            f"{gauges.size} of {int(found.trains.sum())} training gauges lie below lakes (is_lake), which are routed "
            "as channels: the reaches about them take the lakes' delay."
        )


CAUTIONS: tuple[Callable[[Estimated], Iterator[str]], ...] = (
    _negative,
    _absorbed,
    _at_bounds,
    _below_lakes,
    _unlikely,
    _volumes,
    _few_gauges,
)


def _weights(inputs: Inputs) -> Float:
    area = inputs.network.attributes.get("area_m2")
    good = area is not None and bool(np.isfinite(area).all() and (np.asarray(area) >= 0).all())
    return np.asarray(area, dtype=np.float64) if good else np.ones(inputs.network.n_reaches)


def _days(seconds: float) -> str:
    days = seconds / 86400
    return f"{days:.2g} days" if abs(days) >= 1 else f"{24 * days:.2g} hours"
