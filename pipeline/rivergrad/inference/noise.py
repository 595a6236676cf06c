"""How far a gauge's values lie from what the best parameters give, and how much each value is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivergrad.inference.evidence import noise_scale
from rivergrad.inference.loss.enough import values_needed

Float = NDArray[np.float64]

FLOOR = 1e-4
"""Least standard deviation of a residual, as a share of that of the observations: the routing's own precision."""
LEAST_SHARE = 0.02
"""No value's variance is below this share of the gauge's mean one: low flow does not count without limit."""
ROUNDS = 4


@dataclass(frozen=True, eq=False)
class Noise:
    """Residuals of a gauge: variance α + β q², and a lag-one correlation.

    Errors of rating curves and of runoff grow with discharge q (simulated, so that a wrong observation does not set
    its own weight). They also last for days: n residuals with lag-one correlation ρ say as much about a slow signal
    as n (1 − ρ)/(1 + ρ) independent ones, so each value counts that much (see `noise_scale`).

    Attributes:
        variance: (window, time, gauge) of each value, m⁶/s²; infinite at gauges with too few values.
        worth: (gauge,) share of an independent value that each is worth, 0..1.
    """

    variance: Float
    worth: Float

    def weights(self, present: NDArray[np.bool_], trains: Float, error: Float | None = None) -> Float:
        """1/variance of the values (window, time, gauge) that count, times what they are worth; else 0.

        Args:
            present: which values there are.
            trains: (gauge,) weight of each gauge, 0 for those that do not train.
            error: (window, time, gauge) standard deviation of the observations' own error, m³/s, NaN where not
                known: values whose error exceeds what the residuals show anyway count by their own error.
        """
        variance = self.variance
        if error is not None:
            variance = np.maximum(variance, np.where(np.isfinite(error), error, 0.0) ** 2)
        counts = present & (trains > 0) & (variance > 0) & np.isfinite(variance)
        result: Float = np.where(counts, trains * self.worth / np.where(counts, variance, 1.0), 0.0)
        return result


def measure(residual: Float, discharge: Float, present: NDArray[np.bool_], spread: Float) -> Noise:
    """The noise of residuals.

    Args:
        residual: (window, time, gauge), simulated − observed; present: which of them there are.
        discharge: (window, time, gauge), simulated, m³/s.
        spread: (gauge,) standard deviation of the observations, m³/s.
    """
    least = values_needed(present.shape[0] * present.shape[1])
    sigma, _ = noise_scale(_joined(residual, present), floor=FLOOR * spread, least=least)
    known = np.isfinite(sigma) & (spread > 0)
    share = sigma[known] / spread[known]
    # A gauge fitted better than most counts as those: else it would be fitted better still, and no other heard.
    usual = np.where(known, spread, 1.0) * (np.median(share) if share.size else 0.0)
    variance = np.maximum(_growing(residual, discharge, present, sigma), (FLOOR * spread) ** 2)
    variance = variance * np.where(known, np.maximum(usual / np.where(known, sigma, 1.0), 1.0), 1.0) ** 2
    _, worth = noise_scale(
        _joined(residual / np.sqrt(np.where(np.isfinite(variance), variance, 1.0)), present), least=least
    )
    return Noise(variance, worth)


def _joined(series: Float, present: NDArray[np.bool_]) -> Float:
    """Windows one after the other, (time, gauge), with a gap between them: they do not follow one another."""
    apart = np.full((series.shape[0], 1, series.shape[2]), np.nan)
    joined = np.concatenate([np.where(present, series, np.nan), apart], axis=1)
    return joined.reshape(-1, series.shape[2])


def _growing(residual: Float, discharge: Float, present: NDArray[np.bool_], sigma: Float) -> Float:
    """Variances α + β q² by least squares on the squared residuals, each over its own variance, α and β ≥ 0."""
    known = np.isfinite(sigma) & (sigma > 0)  # a flat line met exactly has no scale
    mean = np.where(known, sigma, 1.0) ** 2
    square = np.where(
        present, np.minimum(residual**2, 25.0 * mean * (1 + _relative(discharge, present))), 0.0
    )
    flow = np.where(present, discharge**2, 0.0)
    variance = np.broadcast_to(mean, residual.shape)
    for _ in range(ROUNDS):
        w = np.where(present, 1 / variance**2, 0.0)
        s, sx, sxx = w.sum(axis=(0, 1)), (w * flow).sum(axis=(0, 1)), (w * flow**2).sum(axis=(0, 1))
        sy, sxy = (w * square).sum(axis=(0, 1)), (w * flow * square).sum(axis=(0, 1))
        det = s * sxx - sx**2
        fine = det > 1e-12 * s * sxx
        safe = np.where(fine, det, 1.0)
        constant, factor = (sxx * sy - sx * sxy) / safe, (s * sxy - sx * sy) / safe
        only_constant = sy / np.where(s > 0, s, 1.0)
        only_factor = sxy / np.where(sxx > 0, sxx, 1.0)
        factor = np.where(fine, np.where(constant < 0, only_factor, np.maximum(factor, 0.0)), 0.0)
        constant = np.where(fine & (factor > 0), np.maximum(constant, 0.0), only_constant)
        found = np.maximum(constant + factor * discharge**2, LEAST_SHARE * mean)
        variance = np.where(present, found, mean)
    return np.where(known, variance, np.inf)


def _relative(discharge: Float, present: NDArray[np.bool_]) -> Float:
    """q² over its mean."""
    count = np.maximum(present.sum(axis=(0, 1)), 1)
    mean = np.where(present, discharge**2, 0.0).sum(axis=(0, 1)) / count
    return discharge**2 / np.where(mean > 0, mean, 1.0)
