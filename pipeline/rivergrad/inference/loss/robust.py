"""Losses that large residuals do not dominate: `huber` and `student_t`.

Both take residuals in units of their scale, z = residual/√(σ² + error²), and are multiplied so that a gauge whose
residuals are all small counts what it counts in `nse` (1 − NSE; with errors, 1 − NSE of its weighted values); large
residuals count less than there, so that either is at most `nse`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rivergrad.inference.loss.pairs import Pairs

HUBER_DELTA = 1.345
"""Residual, in units of its scale, from which on it counts linearly: 95 % as efficient as least squares where errors
are normal (Huber 1981, Robust Statistics)."""


def huber(pairs: Pairs) -> Tensor:
    """2σ²/variance · mean of ρ(z), (gauge,); ρ(z) = z²/2 up to `HUBER_DELTA`, linear beyond.

    Source: Huber (1964), doi:10.1214/aoms/1177703732.
    """
    z = _standardised(pairs).abs()
    near = z.clamp_max(HUBER_DELTA)
    return _to_nse(pairs) * pairs.mean(near * (2 * z - near))


def student_t(pairs: Pairs, nu: float) -> Tensor:
    """2σ²/variance · ν/(ν + 1) · mean of −ln(t_ν(z)/t_ν(0)), (gauge,), with t_ν the density of Student's t.

    That is σ²/variance · ν · mean of ln(1 + z²/ν).

    Source: Lange, Little & Taylor (1989), doi:10.1080/01621459.1989.10478852.
    """
    z = _standardised(pairs)
    return _to_nse(pairs) * nu * pairs.mean(torch.log1p(z * z / nu))


def _standardised(pairs: Pairs) -> Tensor:
    """Residuals in units of their scale, (value, gauge)."""
    sigma = pairs.statistics.sigma
    scale = sigma if pairs.error is None else torch.sqrt(sigma**2 + pairs.error**2)
    return (pairs.simulated - pairs.observed) / scale


def _to_nse(pairs: Pairs) -> Tensor:
    """What turns a mean of z² into 1 − NSE, (gauge,)."""
    return pairs.statistics.sigma**2 / pairs.statistics.variance
