"""A delay of all runoff: one more coefficient, shared by all gauges.

Routing is linear and does not change with time. So a delay of all runoff is the same delay of all discharge. A runoff
model works in forcing steps and cannot time runoff within a step. A model that learned from discharge may also delay
water in place of the rivers, or the reverse. Residuals do not show this, because all celerities together compensate for
it. So the level of celerity is known only as well as the delay, and the delay only as well as gauges near headwaters
differ from gauges far downstream.

A series delayed by t steps is interpolated by the parabola through three neighbours,
(1 − t²) q₀ + ½(t² + t) q₋₁ + ½(t² − t) q₊₁. It is smooth in t. The first and last values of a window do not change.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rivergrad.inference.gaussnewton import Problem
from rivergrad.model.layout import DELAY, Coefficients, Layout

Float = NDArray[np.float64]

DELAY_SD = 0.5
"""Prior standard deviation of the delay, in forcing steps: nothing determines it within a step."""


def delayed(discharge: Float, delay: float) -> Float:
    """Delay discharge (window, time, gauge) by `delay` forcing steps (negative: earlier)."""
    out = discharge.copy()
    before, here, after = discharge[:, :-2], discharge[:, 1:-1], discharge[:, 2:]
    square = delay * delay
    out[:, 1:-1] = (1 - square) * here + 0.5 * (square + delay) * before + 0.5 * (square - delay) * after
    return out


def delayed_transposed(seed: Float, delay: float) -> Float:
    """The transpose (VJP) of `delayed`, which is linear in discharge; `seed` and result are (window, time, gauge)."""
    out = seed.copy()
    inner, square = seed[:, 1:-1], delay * delay
    out[:, 1:-1] -= square * inner
    out[:, :-2] += 0.5 * (square + delay) * inner
    out[:, 2:] += 0.5 * (square - delay) * inner
    return out


def delay_slope(discharge: Float, delay: float) -> Float:
    """The derivative of `delayed` with respect to the delay, (window, time, gauge), m³/s per forcing step."""
    out = np.zeros_like(discharge)
    before, here, after = discharge[:, :-2], discharge[:, 1:-1], discharge[:, 2:]
    out[:, 1:-1] = -2 * delay * here + (delay + 0.5) * before + (delay - 0.5) * after
    return out


class TangentProblem(Problem, Protocol):
    """A least-squares problem that also gives the JVP."""

    def tangent(self, free: Float, shared: Float | None = None) -> Float:
        """JVP: J times a direction in deviations (n_free, reach) and shared coefficients; (window, time, gauge)."""


class Delayed:
    """A least-squares problem with one more coefficient: the delay of all runoff, in forcing steps.

    Args:
        problem: the problem without the delay.
        layout: the layout of the coefficients of `problem`.

    Attributes:
        layout: the layout with the further segment `delay`.
        slope: (window, time, gauge) derivative of discharge with respect to the delay, m³/s per forcing step.
    """

    def __init__(self, problem: TangentProblem, layout: Layout) -> None:
        self.problem, self.delay = problem, 0.0
        self._inner, self.layout = layout, layout.join(Layout.of({DELAY: ()}))
        self._weight: Float | None = None
        self.slope = np.zeros(0)

    def linearise(self, shared: Float, free: Float) -> Float:
        """Linearise at a point; returns discharge (window, time, gauge) m³/s there."""
        self.delay = float(self.layout.view(shared, DELAY))
        discharge = self.problem.linearise(self._without_delay(shared), free)
        self.slope = delay_slope(discharge, self.delay)
        return delayed(discharge, self.delay)

    def weigh(self, weight: Float) -> None:
        """Set the weights W (window, time, gauge) of `information`."""
        self._weight = weight

    def tangent(self, free: Float, shared: Float | None = None) -> Float:
        """JVP: J times a direction, (window, time, gauge)."""
        if shared is None:
            return delayed(self.problem.tangent(free), self.delay)
        toward = delayed(self.problem.tangent(free, self._without_delay(shared)), self.delay)
        return toward + self.layout.view(shared, DELAY) * self.slope

    def pull(self, seed: Float) -> tuple[Float, Float]:
        """VJP: Jᵀ times `seed` (window, time, gauge), for shared coefficients and for deviations (n_free, reach)."""
        shared, free = self.problem.pull(delayed_transposed(seed, self.delay))
        return self._inner.coefficients(shared).join(self._of_delay((self.slope * seed).sum())).values, free

    def _of_delay(self, value: float) -> Coefficients[Float]:
        layout = self.layout.only(DELAY)
        return layout.coefficients(layout.fill({DELAY: value}))

    def _without_delay(self, shared: Float) -> Float:
        return self.layout.coefficients(shared).part(self._inner).values

    def information(self, shared: Float, free: Float) -> tuple[Float, Float]:
        """Jᵀ W J times a direction, for shared coefficients and for deviations."""
        assert self._weight is not None
        return self.pull(self._weight * self.tangent(free, shared))
