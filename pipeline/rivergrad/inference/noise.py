"""The noise of each gauge, measured from its residuals, and the weight that each value gets in the fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivergrad.inference.evidence import noise_scale
from rivergrad.inference.loss.enough import values_needed

Float = NDArray[np.float64]

FLOOR = 1e-4
"""Least standard deviation of residuals, as a share of that of the observations: the precision of the routing."""
LEAST_SHARE = 0.02
"""Least variance of a value, as a share of the gauge's mean variance. It limits the weight of low flow."""
ROUNDS = 4
"""Iterations of the weighted least squares for α and β."""


@dataclass(frozen=True, eq=False)
class Noise:
    """The noise of each gauge: variance α + β q² of its residuals, and their lag-one correlation ρ.

    Errors of rating curves and of runoff grow with discharge q. Here q is simulated discharge, so that a wrong
    observation does not set its own weight. Errors also persist for days. For a slow signal, n correlated residuals
    hold as much information as n (1 − ρ)/(1 + ρ) independent ones (see `noise_scale`).

    Attributes:
        variance: (window, time, gauge) variance of each residual, m⁶/s²; infinite at gauges with too few values.
        worth: (gauge,) (1 − ρ)/(1 + ρ), between 0 and 1: the weight of a value relative to an independent one.
    """

    variance: Float
    worth: Float

    def weights(self, present: NDArray[np.bool_], trains: Float, error: Float | None = None) -> Float:
        """The weights of the squared residuals.

        Args:
            present: (window, time, gauge) whether there is an observation.
            trains: (gauge,) weight of each gauge, 0 for gauges that do not train.
            error: (window, time, gauge) standard deviation of the observation error, m³/s, NaN where not known. It
                replaces the residuals' standard deviation where it is larger.

        Returns:
            (window, time, gauge) `trains` × `worth` / variance, in s²/m⁶; 0 for values that do not count.
        """
        variance = self.variance
        if error is not None:
            variance = np.maximum(variance, np.where(np.isfinite(error), error, 0.0) ** 2)
        counts = present & (trains > 0) & (variance > 0) & np.isfinite(variance)
        result: Float = np.where(counts, trains * self.worth / np.where(counts, variance, 1.0), 0.0)
        return result


def measure(residual: Float, discharge: Float, present: NDArray[np.bool_], spread: Float) -> Noise:
    """Measure the noise of each gauge from its residuals.

    Args:
        residual: (window, time, gauge) simulated − observed, m³/s.
        discharge: (window, time, gauge) simulated, m³/s.
        present: (window, time, gauge) whether there is an observation.
        spread: (gauge,) standard deviation of the observations, m³/s.

    Returns:
        The variance of each residual and the weight of its gauge's values.
    """
    least = values_needed(present.shape[0] * present.shape[1])
    sigma, _ = noise_scale(_joined(residual, present), floor=FLOOR * spread, least=least)
    known = np.isfinite(sigma) & (spread > 0)
    share = sigma[known] / spread[known]
    # Cap each gauge's weight: raise residuals smaller than the network's median to that median. Otherwise a
    # well-fitted gauge gains weight at every step and dominates the fit.
    usual = np.where(known, spread, 1.0) * (np.median(share) if share.size else 0.0)
    variance = np.maximum(_growing(residual, discharge, present, sigma), (FLOOR * spread) ** 2)
    variance = variance * np.where(known, np.maximum(usual / np.where(known, sigma, 1.0), 1.0), 1.0) ** 2
    _, worth = noise_scale(
        _joined(residual / np.sqrt(np.where(np.isfinite(variance), variance, 1.0)), present), least=least
    )
    return Noise(variance, worth)


def _joined(series: Float, present: NDArray[np.bool_]) -> Float:
    """All windows on one time axis, (time, gauge), with a NaN between them: a window does not continue the last one.

    Observations may be several steps apart, always as many. Then those are the steps of this axis, so that values
    follow each other.
    """
    apart = np.full((1, series.shape[2]), np.nan)
    kept = np.where(present, series, np.nan)
    rows: list[Float] = []
    for window in kept:
        at = np.flatnonzero((~np.isnan(window)).any(axis=1))
        stride = int(np.gcd.reduce(np.diff(at))) if at.size > 1 else 1
        rows += [window[at[0] % stride :: stride] if stride > 1 else window, apart]
    return np.concatenate(rows)


def _growing(residual: Float, discharge: Float, present: NDArray[np.bool_], sigma: Float) -> Float:
    """Variances α + β q² with α, β ≥ 0, by iteratively reweighted least squares on the squared residuals."""
    known = np.isfinite(sigma) & (sigma > 0)  # a flat line that is simulated exactly has no scale
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
    """q² divided by its mean over the observed values of the gauge."""
    count = np.maximum(present.sum(axis=(0, 1)), 1)
    mean = np.where(present, discharge**2, 0.0).sum(axis=(0, 1)) / count
    return discharge**2 / np.where(mean > 0, mean, 1.0)
