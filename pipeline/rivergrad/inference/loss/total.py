"""The weighted sum of loss terms of each gauge."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rivergrad.inference.loss.enough import values_needed
from rivergrad.inference.loss.pairs import Pairs, compare
from rivergrad.inference.loss.robust import huber, student_t
from rivergrad.inference.loss.shape import kge, timing
from rivergrad.inference.loss.squared import log_nse, nnse, nse
from rivergrad.inference.loss.statistics import GaugeStatistics
from rivergrad.inference.loss_spec import LossSpec


def term(name: str, spec: LossSpec) -> Callable[[Pairs], Tensor]:
    """The function of a term, pairs -> (gauge,); `spec` has the settings of terms."""
    if name == "student_t":
        return lambda pairs: student_t(pairs, spec.student_t_nu)
    simple = {"nse": nse, "nnse": nnse, "log_nse": log_nse, "kge": kge, "huber": huber, "timing": timing}
    return simple[name]


def gauge_loss(
    spec: LossSpec,
    discharge: Tensor,
    observed: Tensor,
    statistics: GaugeStatistics,
    error: Tensor | None = None,
) -> Tensor:
    """The loss of each gauge; its sum is the loss.

    With observation errors, residuals are taken to have variance σ² + error², with σ the gauge's residual scale
    (`GaugeStatistics.sigma`): a value counts σ²/(σ² + error²) of one without error, in every term. That an error
    as large as what the model misses anyway halves a value's weight is the usual weighted least squares.

    Args:
        spec: the terms and their weights.
        discharge: (window, time, gauge) m³/s, simulated, of any float type; read only where something was observed.
        observed: (window, time, gauge) m³/s, NaN where missing.
        statistics: of the gauges' training records, with their weights, on the same device.
        error: standard deviation of the observation error, m³/s, (window, time, gauge) or (gauge,); NaN where not
            known, which counts as 0.

    Returns:
        (gauge,) float64. Exactly 0, with a gradient of exactly 0, for a gauge of weight 0 or with fewer than
        `values_needed` values in the windows.
    """
    pairs = compare(discharge, observed, statistics, error)
    total = torch.zeros_like(statistics.weight)
    for name, weight in spec.terms:
        total = total + weight * term(name, spec)(pairs)
    needed = values_needed(observed.shape[0] * observed.shape[1])
    counts = (pairs.count >= needed) & (statistics.weight > 0)
    return torch.where(counts, statistics.weight * total, 0.0)
