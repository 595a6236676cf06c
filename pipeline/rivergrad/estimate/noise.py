"""How far a gauge's values lie from what the best parameters give, and how much each value is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

FLOOR = 1e-4
"""Least standard deviation of a residual, as a share of that of the observations: the routing's own precision."""
MOST_CORRELATED = 0.98
"""Lag-one correlation of residuals beyond which no more is believed."""


@dataclass(frozen=True, eq=False)
class Noise:
    """Residuals as a Gaussian first-order autoregression, by gauge.

    Errors of runoff last for days: n residuals with lag-one correlation ρ say as much about a slow signal as
    n (1 − ρ)/(1 + ρ) independent ones (Bayley & Hammersley 1946, doi:10.2307/2983560), so each value counts that much.

    Attributes:
        variance: (gauge,) of a residual, m⁶/s².
        worth: (gauge,) share of an independent value that each is worth, 0..1.
    """

    variance: Float
    worth: Float

    def weights(self, present: NDArray[np.bool_], trains: Float, error: Float | None = None) -> Float:
        """1/variance of the values (window, time, gauge) that count, times what they are worth; else 0.

        Args:
            present: which values there are.
            trains: (gauge,) weight of each gauge, 0 for those that do not train.
            error: (window, time, gauge) standard deviation of the observations' own error, m³/s.
        """
        variance = np.broadcast_to(self.variance, present.shape)
        if error is not None:
            # the residuals hold this error already: it tells the bad values from the good ones
            known = present & np.isfinite(error)
            square = np.where(known, error, 0.0) ** 2
            mean = square.sum(axis=(0, 1)) / np.maximum(known.sum(axis=(0, 1)), 1)
            share = np.clip(mean / np.where(self.variance > 0, self.variance, 1.0), 0.0, 1.0)
            relative = np.where(known & (mean > 0), square / np.where(mean > 0, mean, 1.0), 1.0)
            variance = self.variance * ((1 - share) + share * relative)
        counts = present & (trains > 0) & (variance > 0)
        result: Float = np.where(counts, trains * self.worth / np.where(counts, variance, 1.0), 0.0)
        return result


def measure(residual: Float, present: NDArray[np.bool_], spread: Float) -> Noise:
    """The noise of residuals.

    Args:
        residual: (window, time, gauge); present: which of them there are.
        spread: (gauge,) standard deviation of the observations, m³/s.
    """
    count = present.sum(axis=(0, 1))
    square = np.where(present, residual**2, 0.0).sum(axis=(0, 1))
    variance = np.maximum(square / np.maximum(count, 1), (FLOOR * spread) ** 2)
    both = present[:, 1:] & present[:, :-1]
    product = np.where(both, residual[:, 1:] * residual[:, :-1], 0.0).sum(axis=(0, 1))
    norm = np.where(both, (residual[:, 1:] ** 2 + residual[:, :-1] ** 2) / 2, 0.0).sum(axis=(0, 1))
    correlation = np.clip(product / np.where(norm > 0, norm, 1.0), 0.0, MOST_CORRELATED)
    return Noise(variance, (1 - correlation) / (1 + correlation))
