"""What every estimate is judged against: unrouted, default parameters, the best uniform celerity."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

log = logging.getLogger("rivergrad")

WORSE_IN_A_ROW = 3
"""Slower celerities that have to be worse, one after the other, before the search ends: travel times that no
river has are the dearest to compute."""
REFINEMENTS = 8
_GOLDEN = (5**0.5 - 1) / 2


def best_uniform(score: Callable[[float], float], bounds: tuple[float, float], grid: int) -> float:
    """The celerity with the least loss: a grid even in the logarithm, then a golden-section search about its best.

    Args:
        score: the training loss of one celerity (m/s) for all reaches.
        bounds: of the celerity, m/s.
        grid: celerities on the grid, tried from the fastest on.
    """
    celerities = np.geomspace(bounds[0] * 1.02, bounds[1] * 0.98, grid)[::-1]
    losses: list[float] = []
    for celerity in celerities:
        losses.append(score(float(celerity)))
        log.info("uniform celerity %.3f m/s: training loss %.5f", celerity, losses[-1])
        best = int(np.argmin(losses))
        if len(losses) - 1 - best >= WORSE_IN_A_ROW:
            break
    best = int(np.argmin(losses))
    slow = float(np.log(celerities[min(best + 1, grid - 1)]))
    fast = float(np.log(celerities[max(best - 1, 0)]))
    a, b = fast - _GOLDEN * (fast - slow), slow + _GOLDEN * (fast - slow)
    loss_a, loss_b = score(float(np.exp(a))), score(float(np.exp(b)))
    for _ in range(REFINEMENTS):
        if loss_a < loss_b:
            fast, b, loss_b = b, a, loss_a
            a = fast - _GOLDEN * (fast - slow)
            loss_a = score(float(np.exp(a)))
        else:
            slow, a, loss_a = a, b, loss_b
            b = slow + _GOLDEN * (fast - slow)
            loss_b = score(float(np.exp(b)))
    candidates = [
        (losses[best], float(celerities[best])),
        (loss_a, float(np.exp(a))),
        (loss_b, float(np.exp(b))),
    ]
    return min(candidates)[1]
