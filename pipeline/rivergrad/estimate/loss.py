"""Masked Nash-Sutcliffe loss over gauges."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_VALUES = 10
"""A gauge with fewer observed values in the windows of a step contributes nothing to it."""


def nse_loss(discharge: Tensor, observed: Tensor, scale: Tensor) -> Tensor:
    """Σ over gauges of 1 − NSE, each as mean squared error over the gauge's variance.

    Dividing by the variance over the whole training period, not over the window, keeps a dry window from
    outweighing all others; a gauge with fewer than `MIN_VALUES` values contributes nothing, never 0/0.

    Args:
        discharge, observed: (window, time, gauge) m³/s; NaN in `observed` where missing.
        scale: (gauge,) weight over variance; 0 for gauges that do not count.

    Returns:
        Scalar, float64.
    """
    present = ~torch.isnan(observed)
    error = torch.where(present, discharge.to(torch.float64) - observed.to(torch.float64), 0.0)
    count = present.sum(dim=(0, 1))
    per_gauge = (error * error).sum(dim=(0, 1)) / count.clamp_min(1) * scale
    return torch.where(count >= MIN_VALUES, per_gauge, 0.0).sum()
