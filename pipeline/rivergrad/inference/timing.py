"""Runoff that comes too early or too late, by as much everywhere: one number more, which all gauges share.

Routing is linear and does not change with time, so that a delay of all runoff is a delay of all discharge. A runoff
model that makes water step by step cannot place it within a step, and one that learned from discharge may hold water
back where rivers do, or the other way round; no residual shows that, as celerities make up for it, all of them alike.
So the level of celerity is only as well known as the delay is, and that only as well as gauges near to headwaters
differ from those far down.

A series delayed by t steps is read off the parabola through three neighbours, (1 − t²) q₀ + ½(t² + t) q₋₁ + ½(t² − t)
q₊₁, smooth in t; the first and last values of a window stay as they are.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rivergrad.inference.gaussnewton import Problem
from rivergrad.model.layout import DELAY, Coefficients, Layout

Float = NDArray[np.float64]

DELAY_SD = 0.5
"""Standard deviation of the delay before any observation, in forcing steps: nothing tells it within a step."""


def delayed(discharge: Float, delay: float) -> Float:
    """Discharge (window, time, gauge) that comes `delay` forcing steps later."""
    out = discharge.copy()
    before, here, after = discharge[:, :-2], discharge[:, 1:-1], discharge[:, 2:]
    square = delay * delay
    out[:, 1:-1] = (1 - square) * here + 0.5 * (square + delay) * before + 0.5 * (square - delay) * after
    return out


def delayed_transposed(seed: Float, delay: float) -> Float:
    """The transpose of `delayed`, which is linear in discharge."""
    out = seed.copy()
    inner, square = seed[:, 1:-1], delay * delay
    out[:, 1:-1] -= square * inner
    out[:, :-2] += 0.5 * (square + delay) * inner
    out[:, 2:] += 0.5 * (square - delay) * inner
    return out


def delay_slope(discharge: Float, delay: float) -> Float:
    """Derivative of `delayed` with respect to the delay, per forcing step."""
    out = np.zeros_like(discharge)
    before, here, after = discharge[:, :-2], discharge[:, 1:-1], discharge[:, 2:]
    out[:, 1:-1] = -2 * delay * here + (delay + 0.5) * before + (delay - 0.5) * after
    return out


class TangentProblem(Problem, Protocol):
    """A problem that also tells J of a direction."""

    def tangent(self, free: Float, shared: Float | None = None) -> Float:
        """J of a direction of the deviations, and of the shared coefficients, (window, time, gauge)."""


class Delayed:
    """A least-squares problem with one more coefficient: the delay of all runoff, in forcing steps.

    Args:
        problem: without it.
        layout: of the coefficients of `problem`; here `layout` is that with the segment `delay`.

    Attributes:
        slope: (window, time, gauge) derivative of discharge with respect to the delay.
    """

    def __init__(self, problem: TangentProblem, layout: Layout) -> None:
        self.problem, self.delay = problem, 0.0
        self._inner, self.layout = layout, layout.join(Layout.of({DELAY: ()}))
        self._weight: Float | None = None
        self.slope = np.zeros(0)

    def linearise(self, shared: Float, free: Float) -> Float:
        """Discharge (window, time, gauge) there."""
        self.delay = float(self.layout.view(shared, DELAY))
        discharge = self.problem.linearise(self._without_delay(shared), free)
        self.slope = delay_slope(discharge, self.delay)
        return delayed(discharge, self.delay)

    def weigh(self, weight: Float) -> None:
        """The weights (window, time, gauge) of `information`."""
        self._weight = weight

    def tangent(self, free: Float, shared: Float | None = None) -> Float:
        """J of a direction, (window, time, gauge)."""
        if shared is None:
            return delayed(self.problem.tangent(free), self.delay)
        toward = delayed(self.problem.tangent(free, self._without_delay(shared)), self.delay)
        return toward + self.layout.view(shared, DELAY) * self.slope

    def pull(self, seed: Float) -> tuple[Float, Float]:
        """Jᵀ seed, of shared coefficients and deviations."""
        shared, free = self.problem.pull(delayed_transposed(seed, self.delay))
        return self._inner.coefficients(shared).join(self._of_delay((self.slope * seed).sum())).values, free

    def _of_delay(self, value: float) -> Coefficients[Float]:
        layout = self.layout.only(DELAY)
        return layout.coefficients(layout.fill({DELAY: value}))

    def _without_delay(self, shared: Float) -> Float:
        return self.layout.coefficients(shared).part(self._inner).values

    def information(self, shared: Float, free: Float) -> tuple[Float, Float]:
        """Jᵀ W J of a direction."""
        assert self._weight is not None
        return self.pull(self._weight * self.tangent(free, shared))
