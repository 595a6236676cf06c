"""Models scored on cells of gauges and time that they did not see, and the simplest of those as good as the best.

A cell is a gauge in a block of time. A model is scored in every cell by a fit that did not see it. Its score is the
mean NSE of the middle half of the gauges: no very bad gauge decides it, as for the median that estimates are judged by,
and it is less noisy. Two models share all gauges and times, so that what counts is the standard error of their
difference, by a bootstrap that draws the same gauges (or, with few gauges, blocks) for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivergrad.gauges.scores import middle_mean

Float = NDArray[np.float64]

FEW_GAUGES = 6
"""With fewer gauges, blocks of time are drawn: a bootstrap of a few gauges says little."""
DRAWS = 1000
WORST = -1.0
"""A lower NSE of a gauge counts as this one."""


@dataclass(frozen=True)
class Standing:
    """How a model stands.

    Attributes:
        score: its mean NSE over the middle half of the gauges, in cells that it did not see.
        behind: the score of the best model less its own.
        error: standard error of that difference; 0 for the best.
    """

    score: float
    behind: float
    error: float

    @property
    def as_good(self) -> bool:
        """Whether it is within one standard error of the best."""
        return self.behind <= self.error


def cell_nse(error: Float, spread: Float) -> Float:
    """NSE of each gauge, (gauge,), over its blocks; NaN where it has no values.

    Args:
        error: (…, gauge, block) sum of squared errors, NaN in cells that are not scored.
        spread: (…, gauge, block) sum of squares about the gauge's mean, alike.
    """
    lost = np.nansum(error, axis=-1)
    all_of_it = np.nansum(np.where(np.isnan(error), np.nan, spread), axis=-1)
    known = all_of_it > 0
    return np.where(known, np.maximum(1 - lost / np.where(known, all_of_it, 1.0), WORST), np.nan)


def standings(errors: Sequence[Float], spread: Float, seed: int) -> list[Standing]:
    """How models stand, in the order in which they are given.

    Args:
        errors: of each model, (gauge, block) sum of squared errors, NaN in cells without a score. Cells that any model
            lacks count for none.
        spread: (gauge, block) sum of squares about the gauge's mean.
        seed: of the bootstrap.
    """
    cells = np.stack(errors)
    cells = np.where(np.isnan(cells).any(axis=0), np.nan, cells)
    whole = _middle(cell_nse(cells, spread))
    drawn = np.stack([_middle(one) for one in _draws(cells, spread, seed)])
    best = int(np.argmax(whole))
    error = (drawn[:, best, None] - drawn).std(axis=0)
    return [
        Standing(float(score), float(whole[best] - score), float(one))
        for score, one in zip(whole, error, strict=True)
    ]


def simplest(found: Sequence[Standing]) -> int:
    """The first, which is the simplest, of those within one standard error of the best."""
    return next(at for at, one in enumerate(found) if one.as_good)


def _draws(cells: Float, spread: Float, seed: int) -> list[Float]:
    """NSE (model, gauge) in each draw of gauges, or of blocks."""
    rng = np.random.default_rng([seed, 106])
    blocks = cells.shape[-1]
    nse = cell_nse(cells, spread)
    known = np.flatnonzero(~np.isnan(nse).any(axis=0))
    if known.size >= FEW_GAUGES:
        return [nse[:, rng.choice(known, known.size)] for _ in range(DRAWS)]
    found = []
    for _ in range(DRAWS):
        at = rng.integers(0, blocks, blocks)
        found.append(cell_nse(cells[..., at], spread[:, at]))
    return found


def _middle(nse: Float) -> Float:
    """(model,) the mean over the middle half of the gauges (model, gauge) with a score; the worst where none has."""
    known = ~np.isnan(nse).any(axis=0)
    if not known.any():
        return np.full(len(nse), WORST)
    return middle_mean(nse[:, known])
