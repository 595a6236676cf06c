"""Masked Nash-Sutcliffe loss over gauges, plain or normalised, in a few lines: what the terms are held to.

Plain, a gauge counts 1 − NSE, which is unbounded: a few gauges whose runoff is wrong outweigh all others.
Normalised, it counts 1 − NNSE with NNSE = 1/(2 − NSE), which lies between 0 and 1 and equals 1 − NSE where that is
small (Nossent & Bauwens 2012, EGU General Assembly, abstract 237).
"""

from __future__ import annotations

import torch
from torch import Tensor

from rivergrad.inference.loss.enough import values_needed


def nse_loss(discharge: Tensor, observed: Tensor, scale: Tensor, share: float | None = None) -> Tensor:
    """Σ over gauges of 1 − NSE, each as mean squared error over the gauge's variance.

    Dividing by the variance over the whole training period, not over the window, keeps a dry window from
    outweighing all others; a gauge with too few values (`values_needed`) contributes nothing, never 0/0.

    Args:
        discharge, observed: (window, time, gauge) m³/s; NaN in `observed` where missing.
        scale: (gauge,) weight over variance; 0 for gauges that do not count.
        share: with it, the weight of one gauge, and the loss is the normalised one.

    Returns:
        Scalar, float64.
    """
    present = ~torch.isnan(observed)
    error = torch.where(present, discharge.to(torch.float64) - observed.to(torch.float64), 0.0)
    count = present.sum(dim=(0, 1))
    per_gauge = (error * error).sum(dim=(0, 1)) / count.clamp_min(1) * scale
    if share is not None:
        per_gauge = per_gauge / (1 + per_gauge / share)
    return torch.where(count >= values_needed(observed.shape[0] * observed.shape[1]), per_gauge, 0.0).sum()
