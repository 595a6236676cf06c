"""Discharge at the gauges of a workflow's pieces as a least-squares problem over a fixed set of windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rivergrad.cluster.totals import Total
from rivergrad.pieces.linearisation import image, jvp, linearise, vjp, weigh
from rivergrad.pieces.series import Series
from rivergrad.pieces.setup import Window
from rivergrad.pieces.sweep import Sweep

Float = NDArray[np.float64]

DIFFERENCE = 1e-4
"""Step of the difference quotient, in the units of the coefficients (see `rivergrad.pieces.linearisation`)."""


class LeastSquares:
    """`rivergrad.inference.gaussnewton.Problem` on the pieces of a network.

    J is the Jacobian of discharge at the gauges at the point of the last `linearise`. W are the weights of the last
    `weigh`.

    Args:
        sweep: the pieces, ready for estimation.
        windows: the windows that are routed, each from rest.
        n_reaches: number of reaches of the network.
        n_coefficients: number of shared coefficients.
        split, join: turn an array (…, gauge) into a list of arrays by piece, and back.

    Attributes:
        products: VJPs that were taken, each with a JVP or a linearisation.
    """

    def __init__(
        self,
        sweep: Sweep,
        windows: Sequence[Window],
        n_reaches: int,
        n_coefficients: int,
        split: Callable[[Float], list[Float]],
        join: Callable[[list[Float]], Float],
    ) -> None:
        self._sweep, self._placed = sweep, sweep.placed
        self.windows, self._n = list(windows), n_reaches
        self._n_coefficients, self._split, self._join = n_coefficients, split, join
        self.products = 0

    def linearise(self, shared: Float, free: Float) -> Float:
        """Move the pieces to a point, linearise there, and return discharge (window, time, gauge) m³/s."""
        self._sweep.place(free)
        function = partial(linearise, shared=shared, windows=self.windows)
        return self._join(self._placed.downstream([function] * len(self._placed.pieces)))

    def weigh(self, weight: Float) -> None:
        """Set the weights W (window, time, gauge) of `information`."""
        self._placed.each([partial(weigh, weight=one) for one in self._split(weight)])

    def pull(self, seed: Float) -> tuple[Float, Float]:
        """VJP: Jᵀ `seed` (window, time, gauge), for coefficients (coefficient,) and deviations (n_free, reach)."""
        return self._vjp(self._split(seed))

    def information(self, shared: Float, free: Float, step: float | None = None) -> tuple[Float, Float]:
        """Jᵀ W J times a direction.

        Args:
            shared: (coefficient,) the direction in shared coefficients.
            free: (n_free, reach) the direction in deviations.
            step: step of the finite difference; by default it changes the largest entry by `DIFFERENCE`.

        Returns:
            Arrays like `shared` and `free`.
        """
        size = _largest(shared, free)
        if size == 0.0:
            return np.zeros_like(shared), np.zeros_like(free)
        self._placed.downstream(self._along(shared, free, DIFFERENCE / size if step is None else step))
        return self._vjp([None] * len(self._placed.pieces))

    def tangent(self, free: Float, shared: Float | None = None, step: float | None = None) -> Float:
        """JVP: J times a direction, (window, time, gauge). Arguments as for `information`; `shared` is 0 by default."""
        along = np.zeros(self._n_coefficients) if shared is None else shared
        if step is None:
            size = _largest(along, free)
            step = DIFFERENCE / size if size > 0.0 else 1.0
        self._placed.downstream(self._along(along, free, step))
        return self._join(self._placed.everywhere(image))

    def tangent_of_exponents(self, exponent: Float) -> Float:
        """JVP in exponents of flow, each reach its own: a direction (reach,) to (window, time, gauge)."""
        step, nothing = DIFFERENCE / _largest(exponent, exponent), np.zeros(self._n_coefficients)
        functions = [
            partial(
                jvp,
                shared=nothing,
                free=np.zeros((1, piece.reaches.size)),
                step=step,
                exponent=exponent[piece.reaches],
            )
            for piece in self._placed.pieces
        ]
        self._placed.downstream(functions)
        return self._join(self._placed.everywhere(image))

    def _along(self, shared: Float, free: Float, step: float) -> list[partial[tuple[None, list[Series]]]]:
        return [
            partial(jvp, shared=shared, free=free[:, piece.reaches], step=step)
            for piece in self._placed.pieces
        ]

    def _vjp(self, seeds: Sequence[Float | None]) -> tuple[Float, Float]:
        self.products += 1
        total = Total(("shared",), len(self._placed.pieces))
        answer = self._placed.upstream([partial(vjp, seed=seed) for seed in seeds], total)
        free = self._placed.assembled(self._placed.in_order(answer.results), self._n)["free"]
        return answer.sums["shared"], free

    def observed(self, record: Float) -> Float:
        """Cut the steps that count out of a record (time, …): (window, time, …)."""
        return np.stack([record[b:c] for _, b, c in self.windows])


def _largest(shared: Float, free: Float) -> float:
    return max(float(np.abs(shared).max(initial=0.0)), float(np.abs(free).max(initial=0.0)))


def covering_windows(fit: tuple[int, int], warmup: int, length: int, most: int) -> list[Window]:
    """Windows that cover a period, or as much of it as fits into memory.

    Args:
        fit: first step and end of the period.
        warmup: number of steps before a window that do not count.
        length: steps of a window, if one window for the whole period is too long.
        most: the largest number of steps, with warm-ups, that are kept at once.

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
