"""Gauged discharge of a workflow's pieces as a least-squares problem over a fixed set of windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from rivergrad.pieces.sweep import Sweep

Float = NDArray[np.float64]
Window = tuple[int, int, int]

DIFFERENCE = 1e-4
"""Step of the difference quotient, in the units of the coefficients (see `rivergrad.pieces.information`)."""


class LeastSquares:
    """`rivergrad.inference.gaussnewton.Problem` on a sweep.

    Args:
        sweep: the pieces, ready for estimation.
        windows: what is routed, each from rest.
        n_reaches: of the network; n_shared: shared coefficients.
        split, join: between arrays (…, gauge) and lists of them by piece.
    """

    def __init__(
        self,
        sweep: Sweep,
        windows: Sequence[Window],
        n_reaches: int,
        n_shared: int,
        split: Callable[[Float], list[Float]],
        join: Callable[[list[Float]], Float],
    ) -> None:
        self._sweep, self.windows, self._n = sweep, list(windows), n_reaches
        self.n_shared, self._split, self._join = n_shared, split, join

    def linearise(self, shared: Float, free: Float) -> Float:
        """Discharge (window, time, gauge) at this point, where the pieces are now."""
        self._sweep.place(free)
        return self._join(self._sweep.linearise(shared, self.windows))

    def weigh(self, weight: Float) -> None:
        """The weights (window, time, gauge) of `information`."""
        self._sweep.weigh(self._split(weight))

    def pull(self, seed: Float) -> tuple[Float, Float]:
        """Jᵀ seed, of shared coefficients and deviations."""
        return self._sweep.pull(self._split(seed), self._n)

    def information(self, shared: Float, free: Float) -> tuple[Float, Float]:
        """Jᵀ W J of a direction."""
        size = max(float(np.abs(shared).max(initial=0.0)), float(np.abs(free).max(initial=0.0)))
        if size == 0.0:
            return np.zeros_like(shared), np.zeros_like(free)
        return self._sweep.information(shared, free, DIFFERENCE / size)

    def tangent(self, free: Float, shared: Float | None = None) -> Float:
        """J of a direction of the deviations, and of the shared coefficients, (window, time, gauge)."""
        along = np.zeros(self.n_shared) if shared is None else shared
        size = max(float(np.abs(along).max(initial=0.0)), float(np.abs(free).max(initial=0.0)))
        return self._join(self._sweep.tangent(along, free, DIFFERENCE / size if size > 0.0 else 1.0))

    def observed(self, record: Float) -> Float:
        """The windows of a record (time, …) that count, (window, time, …)."""
        return np.stack([record[b:c] for _, b, c in self.windows])


def covering_windows(fit: tuple[int, int], warmup: int, length: int, most: int) -> list[Window]:
    """Windows that cover a period, or as much of it as may be routed at once.

    Args:
        fit: first step and end of the period; warmup: steps before a window that do not count.
        length: steps of a window, where one window for all is too long.
        most: steps, warm-ups included, that may be kept at once.

    Returns:
        (first step of the warm-up, first step that counts, end), of equal lengths, spread evenly over the period.
    """
    first, last = fit
    if warmup + last - first <= most:
        return [(first - warmup, first, last)]
    length = min(length, last - first)
    count = min((last - first) // length, max(1, most // (warmup + length)))
    spare = (last - first - count * length) // max(1, count)
    starts = [first + k * (length + spare) for k in range(count)]
    return [(s - warmup, s, s + length) for s in starts]
