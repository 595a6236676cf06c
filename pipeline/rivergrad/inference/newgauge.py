"""Where one more gauge would take away most uncertainty.

A gauge tells how late the water upstream is: τ = Σ (L_j / c_j) s_j over the reaches j upstream, where s_j is the share
of its water that passes through j. So it observes one combination of ln c, dτ = −Σ (L_j / c_j) s_j d ln c_j, with a
noise that the present gauges show. Where ln c has the posterior covariance Σ and a is that combination, one more gauge
takes |Σ a|² / (aᵀ Σ a + σ²) off the sum of the variances. Draws from the posterior stand for Σ, so that all reaches are
looked at with a few sums down the network.

Source: expected reduction of posterior variance as a criterion of design (A-optimality): Chaloner & Verdinelli (1995),
doi:10.1214/ss/1177009939.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivercut import graph
from rivercut.compiling import njit

Float = NDArray[np.float64]
Int = NDArray[np.int64]

DRAWS, LEAST_DRAWS = 200, 16
NUMBERS = 1 << 25
"""Numbers that all draws have together at most, unless `LEAST_DRAWS` have more."""
LARGE_BASIN = 2000
"""Reaches of a basin from which it is worked on by itself; there may be many thousands of smaller ones."""
LEAST_BASIN = 5
"""Reaches of a basin in which a gauge is looked for; in smaller ones it would tell of those few only."""


@dataclass(frozen=True, eq=False)
class NewGauges:
    """What one more gauge would bring.

    Attributes:
        value: (reach,) share of the sum of posterior variances of ln c that a gauge there takes away, 0 to 1.
        best: positions of the best reaches, each chosen after the gauges before it are there.
        gain: of each of them, the share that it takes away besides those before it.
    """

    value: Float
    best: Int
    gain: Float


def draws_for(n: int) -> int:
    """How many draws of n reaches fit."""
    return int(np.clip(NUMBERS // max(n, 1), LEAST_DRAWS, DRAWS))


def delay_noise(weight: Float, discharge: Float, step: float) -> Float:
    """The standard deviation with which each gauge tells a delay, s: 1 / √Σ w (dQ/dt)².

    Args:
        weight: (window, time, gauge) one over the noise's variance, 0 where nothing was observed.
        discharge: (window, time, gauge) m³/s.
        step: forcing step, s.

    Returns:
        (gauge,); infinite at a gauge that tells nothing.
    """
    slope = np.gradient(discharge, step, axis=1) if discharge.shape[1] > 1 else np.zeros_like(discharge)
    told = (weight * slope**2).sum(axis=(0, 1))
    return np.where(told > 0, 1 / np.sqrt(np.where(told > 0, told, 1.0)), np.inf)


def new_gauges(
    draws: Float,
    travel: Float,
    flow: Float,
    downstream: Int,
    order: Int,
    basin: Int,
    noise: float,
    rng: np.random.Generator,
    count: int = 10,
) -> NewGauges:
    """Look for the reaches where a gauge would take away most of the variance of ln c.

    Args:
        draws: (draw, reach) of ln c about its mean, from the posterior.
        travel: (reach,) travel time L / c, s.
        flow: (reach,) mean flow, or another measure of the water that passes through, above 0.
        downstream, order, basin: of the network.
        noise: standard deviation with which a gauge tells a delay, s.
        rng: for the noise of gauges that are taken to be there.
        count: how many to choose.
    """
    n = draws.shape[1]
    total = float(draws.var(axis=0).sum())
    every = _Basins.of(travel, flow, downstream, order, basin)
    value = every.reductions(draws, noise)
    best, gain = [], []
    basins: dict[int, _Basin] = {}  # those that have a new gauge
    left: dict[int, Float] = {}  # their draws, with all it tells
    later = value.copy()
    for _ in range(min(count, n)):
        at = int(np.argmax(later))
        if not later[at] > 0:
            break
        best.append(at)
        gain.append(later[at])
        label = int(basin[at])
        one = basins.setdefault(label, every.basin(label))
        there = left.get(label, draws[:, one.members])
        left[label] = one.told(there, int(np.searchsorted(one.members, at)), noise, rng)
        later[one.members] = one.reductions(left[label], noise)
    share = 1 / total if total > 0 else 0.0
    return NewGauges(np.clip(value * share, 0.0, 1.0), np.array(best, np.int64), np.array(gain) * share)


@dataclass(frozen=True, eq=False)
class _Basin:
    """A basin by itself.

    Attributes:
        members: (reach,) its positions in the network, rising.
        downstream, order: (reach,) as those of a network, by position among the members.
        travel: (reach,) s; flow: (reach,).
    """

    members: Int
    downstream: Int
    order: Int
    travel: Float
    flow: Float

    def delays(self, draws: Float) -> Float:
        """(draw, reach) how late the water upstream of each reach is, s, by ln c (draw, reach)."""
        own = np.ascontiguousarray((draws * self.travel * self.flow).T)
        found: Float = graph.accumulate(self.downstream, self.order, own).T / self.flow
        return found

    def reductions(self, draws: Float, noise: float) -> Float:
        """(reach,) what a gauge at each reach takes off the sum of variances."""
        return _reductions(draws, self.delays(draws), noise)

    def told(self, draws: Float, at: int, noise: float, rng: np.random.Generator) -> Float:
        """Draws (draw, reach) with what a gauge at one reach tells: each with a noise of its own (Evensen 1994)."""
        delay = self.delays(draws)[:, at]
        seen = delay + noise * rng.standard_normal(len(draws))
        about = draws - draws.mean(axis=0)
        slope = about.T @ (delay - delay.mean()) / (len(draws) - 1)
        return draws - np.outer(seen, slope / (delay.var(ddof=1) + noise**2))


@dataclass(frozen=True, eq=False)
class _Basins:
    """All basins, side by side.

    Attributes:
        members: (reach,) positions in the network, by basin.
        pointer: (basins + 1,) where the members of each begin.
        downstream: (reach,) position downstream among the members, -1 at an outlet; order: (reach,) positions among the
            members, by basin, upstream before downstream.
        travel, flow: (reach,) of the members.
    """

    members: Int
    pointer: Int
    downstream: Int
    order: Int
    travel: Float
    flow: Float

    @classmethod
    def of(cls, travel: Float, flow: Float, downstream: Int, order: Int, basin: Int) -> _Basins:
        """Put the reaches of each basin side by side."""
        members = np.argsort(basin, kind="stable")
        place = np.empty(basin.size, np.int64)
        place[members] = np.arange(basin.size)
        down = downstream[members]
        return cls(
            members,
            np.append(0, np.cumsum(np.bincount(basin))),
            np.where(down >= 0, place[down], -1),
            place[order[np.argsort(basin[order], kind="stable")]],
            travel[members],
            flow[members],
        )

    def basin(self, label: int) -> _Basin:
        """One of them by itself."""
        first, last = self.pointer[label : label + 2]
        mine = slice(first, last)
        down = self.downstream[mine]
        return _Basin(
            self.members[mine],
            np.where(down >= 0, down - first, -1),
            self.order[mine] - first,
            self.travel[mine],
            self.flow[mine],
        )

    def reductions(self, draws: Float, noise: float) -> Float:
        """(reach,) what a gauge at each reach takes off the sum of variances; 0 in basins that are too small."""
        found = np.zeros(draws.shape[1])
        size = np.diff(self.pointer)
        for label in np.flatnonzero(size >= LARGE_BASIN).tolist():
            one = self.basin(label)
            found[one.members] = one.reductions(draws[:, one.members], noise)
        small = np.flatnonzero((size >= LEAST_BASIN) & (size < LARGE_BASIN))
        _of_small(
            draws, self.members, self.pointer, small, self.downstream, self.order, self.travel, self.flow,
            noise, found,
        )  # fmt: skip
        return found


@njit(cache=True)
def _of_small(
    draws: Float,
    members: Int,
    pointer: Int,
    chosen: Int,
    downstream: Int,
    order: Int,
    travel: Float,
    flow: Float,
    noise: float,
    found: Float,
) -> None:  # pragma: no cover - compiled
    """`_Basin.reductions` of many small basins, to `found`."""
    count = draws.shape[0]
    for g in chosen:
        first, last = pointer[g], pointer[g + 1]
        size = last - first
        z, t = np.empty((count, size)), np.empty((count, size))
        for d in range(count):
            for i in range(size):
                z[d, i] = draws[d, members[first + i]]
                t[d, i] = z[d, i] * travel[first + i] * flow[first + i]
            for a in order[first:last]:
                if downstream[a] >= 0:
                    t[d, downstream[a] - first] += t[d, a - first]
            for i in range(size):
                t[d, i] /= flow[first + i]
        total = 0.0
        for i in range(size):
            z[:, i] -= z[:, i].mean()
            t[:, i] -= t[:, i].mean()
            total += (z[:, i] ** 2).sum() / (count - 1)
        turned = np.dot(np.dot(z, np.ascontiguousarray(z.T)), t)
        for i in range(size):
            spread = (t[:, i] ** 2).sum() / (count - 1)
            shared = (t[:, i] * turned[:, i]).sum()
            left = shared / (count - 1) ** 2 - total * spread / (count - 1)
            if spread > 0:
                found[members[first + i]] = max(left, 0.0) / (spread + noise**2)


def _reductions(draws: Float, delays: Float, noise: float) -> Float:
    """(reach,) what a gauge at each reach takes off the sum of variances; draws' own correlations are taken off."""
    count = len(draws)
    z, t = draws - draws.mean(axis=0), delays - delays.mean(axis=0)
    spread = t.var(axis=0, ddof=1)
    shared = np.einsum("sg,sg->g", t, (z @ z.T) @ t) / (count - 1) ** 2  # Σ_j cov(z_j, τ_g)²
    by_chance = z.var(axis=0, ddof=1).sum() * spread / (count - 1)
    found = np.maximum(shared - by_chance, 0.0) / (spread + noise**2)
    return np.where(spread > 0, found, 0.0)
