"""Runoff as an estimate is given it: the true one, with errors of volume that a land surface model would make."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.world.spec import DAY, WorldSpec
from rivergrad.world.streams import stream

Float = NDArray[np.float64]

CORRELATION_REACHES = 5.0
"""Reaches along the river after which the correlation of the slow error has fallen to 1/e."""
KNOT_DAYS = 90.0
"""Days from one independent state of the slow error to the next; it turns smoothly from each into the next one."""
REGION_REACHES = 30.0
"""Reaches of a region of constant bias, about: a reach is the lowest of one with one over this as its chance."""
CHUNK_VALUES = 1 << 22


@dataclass(frozen=True, eq=False)
class RunoffFactor:
    """Given over true runoff, a product of three parts; any stretch of time can be had by itself.

    Attributes:
        bias: (reach,) the constant part.
        knots: (knot, reach) ln of the slow part at states `KNOT_DAYS` apart, before its mean is made 1; none for none.
        phase: days from the first knot to the start of the record.
        error, noise: standard deviations of ln of the slow part and of the daily part.
        seed: of the daily part.
        step: forcing step, s.
        size, reaches: of the network that the daily part is drawn for, and which of its reaches are meant.
    """

    bias: Float
    knots: Float
    phase: float
    error: float
    noise: float
    seed: int
    step: float
    size: int
    reaches: NDArray[np.int64]

    def __call__(self, start: int, stop: int) -> Float:
        """Given over true runoff in forcing steps start..stop, (time, reach)."""
        factor = np.tile(self.bias, (stop - start, 1))
        middle = (np.arange(start, stop) + 0.5) * self.step / DAY
        if self.knots.size:
            knot, between = np.divmod((middle + self.phase) / KNOT_DAYS, 1.0)
            at, turn = knot.astype(np.int64), between[:, None] * (np.pi / 2)
            # a turn from one state to the next keeps the variance of both
            slow = np.cos(turn) * self.knots[at] + np.sin(turn) * self.knots[at + 1]
            factor *= np.exp(slow - 0.5 * self.error**2)
        if self.noise > 0:
            days, which = np.unique(np.floor(middle).astype(np.int64), return_inverse=True)
            daily = (
                np.stack([self._day(int(day)) for day in days])
                if days.size
                else np.zeros((0, self.bias.size))
            )
            factor *= np.exp(self.noise * daily[which] - 0.5 * self.noise**2)
        return factor

    def _day(self, day: int) -> Float:
        """Standard normal numbers of a day of the record, (reach,)."""
        return stream(self.seed, "runoff_noise", day).standard_normal(self.size)[self.reaches]

    def select(self, reaches: NDArray[np.int64]) -> RunoffFactor:
        """The same of some reaches."""
        return replace(
            self, bias=self.bias[reaches], knots=self.knots[:, reaches], reaches=self.reaches[reaches]
        )


def draw_runoff_factor(
    network: RiverNetwork,
    n_steps: int,
    step: float,
    *,
    seed: int,
    error: float = 0.0,
    bias: float = 0.0,
    noise: float = 0.0,
) -> RunoffFactor:
    """Draw the errors of a record of runoff. All parts have mean 1, and those of different seeds are independent.

    Args:
        network: the river network.
        n_steps, step: forcing steps of the record, and their length in s.
        seed: of everything drawn.
        error: standard deviation of ln of a part that varies slowly in time (months) and smoothly along the
            river: its correlation is exp(−d/`CORRELATION_REACHES`) between reaches d apart, none between basins.
        bias: share by which the runoff is too large in some regions and too small in all others, all the time;
            below 1. Regions are connected parts of basins of about `REGION_REACHES` reaches.
        noise: standard deviation of ln of a part that is independent from day to day and from reach to reach.
    """
    n = network.n_reaches
    knots = np.zeros((0, n))
    phase = 0.0
    if error > 0:
        rng = stream(seed, "runoff_error")
        phase = KNOT_DAYS * rng.random()
        count = int(np.floor((n_steps * step / DAY + phase) / KNOT_DAYS)) + 2
        knots = error * _along_rivers(network, rng.standard_normal((count, n)))
    factor = np.ones(n)
    if bias > 0:
        rng = stream(seed, "runoff_bias")
        begins = (rng.random(n) < 1 / REGION_REACHES) | (network.downstream < 0)
        sign = rng.choice(np.array([-1.0, 1.0]), n)
        factor = 1 + bias * _of_region(network, begins, sign)
    return RunoffFactor(
        bias=factor,
        knots=knots,
        phase=phase,
        error=error,
        noise=noise,
        seed=seed,
        step=step,
        size=n,
        reaches=np.arange(n),
    )


def given_runoff(spec: WorldSpec, network: RiverNetwork, runoff: Float) -> Float:
    """The runoff that the estimate is given of the true one, (time, reach) m³/s; the very same without errors."""
    if not spec.has_runoff_errors:
        return runoff
    factor = draw_runoff_factor(
        network,
        runoff.shape[0],
        spec.step,
        seed=spec.seed,
        error=spec.runoff_error,
        bias=spec.runoff_bias,
        noise=spec.runoff_noise,
    )
    given = np.empty_like(runoff)
    size = max(1, CHUNK_VALUES // max(1, network.n_reaches))
    for at in range(0, runoff.shape[0], size):
        steps = slice(at, min(at + size, runoff.shape[0]))
        given[steps] = runoff[steps] * factor(steps.start, steps.stop)
    return given


def _along_rivers(network: RiverNetwork, drawn: Float) -> Float:
    """Independent standard normal numbers (any, reach) made to correlate along rivers, still of variance 1.

    An autoregression from the outlet upstream, e_i = ρ e_down(i) + √(1 − ρ²) w_i: on a tree, the correlation of two
    reaches is then ρ to the number of reaches between them, through their confluence. Overwrites `drawn`.
    """
    keep = float(np.exp(-1 / CORRELATION_REACHES))
    for at in _from_outlets(network):
        drawn[:, at] = keep * drawn[:, network.downstream[at]] + np.sqrt(1 - keep**2) * drawn[:, at]
    return drawn


def _of_region(network: RiverNetwork, begins: NDArray[np.bool_], value: Float) -> Float:
    """(reach,) the value of the lowest reach of each reach's region; a region goes up to where others begin."""
    result = np.where(begins, value, 0.0)
    for at in _from_outlets(network):
        inside = at[~begins[at]]
        result[inside] = result[network.downstream[inside]]
    return result


def _from_outlets(network: RiverNetwork) -> list[NDArray[np.int64]]:
    """Reaches that flow into another one, in groups whose downstream reaches are all in groups before (or outlets)."""
    order = np.argsort(-network.level, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(network.level[order])) + 1)
    return [group[network.downstream[group] >= 0] for group in groups]
