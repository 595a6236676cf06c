"""What of a gauge's training record the losses measure errors by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.inference.loss.logarithm import log_flow

OFFSET_SHARE = 0.01
"""What is added to discharge before its logarithm is taken, as a share of its mean (Pushpalatha et al. 2012,
doi:10.1016/j.jhydrol.2011.11.055): zero flow has a logarithm, and the smallest flows do not outweigh all others."""

RESIDUAL_SHARE = 0.5
"""The residual that a routing model with right parameters leaves, as a share of the flow's standard deviation: that of
an NSE of 0.75. Only how large a residual counts as large depends on it (`huber`, `student_t`), and how large an
observation error has to be before it counts less."""

LEAST_OWN = 0.1
"""The flow's own variance is at least this share of the observed one, whatever the errors are said to be."""


@dataclass(frozen=True, eq=False)
class GaugeStatistics:
    """Statistics of each gauge's training record, (gauge,) float64 tensors. Gauges of weight 0 have harmless ones.

    The record's, not the window's: a dry window would otherwise outweigh all others.

    Attributes:
        mean: m³/s.
        variance: (m³/s)².
        log_mean, log_variance: of ln(discharge + offset).
        offset: `OFFSET_SHARE` of the mean, m³/s.
        weight: of the gauge in the loss; 0 where it does not train, all together 1.
        sigma: residual scale, m³/s: `RESIDUAL_SHARE` of the standard deviation of the flow itself, without that of
            its observation errors.
    """

    mean: Tensor
    variance: Tensor
    log_mean: Tensor
    log_variance: Tensor
    offset: Tensor
    weight: Tensor
    sigma: Tensor

    def select(self, columns: NDArray[np.int64]) -> GaugeStatistics:
        """The same of some gauges; weights stay as they are."""
        at = torch.from_numpy(np.asarray(columns, np.int64))
        return self._each(lambda values: values[at.to(values.device)])

    def to(self, device: torch.device | str) -> GaugeStatistics:
        """The same on a device."""
        return self._each(lambda values: values.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> GaugeStatistics:
        return replace(self, **{field.name: change(getattr(self, field.name)) for field in fields(self)})


def gauge_statistics(
    observed: NDArray[np.floating],
    weight: NDArray[np.floating],
    error: NDArray[np.floating] | None = None,
) -> GaugeStatistics:
    """Statistics of the training record.

    Args:
        observed: (time, gauge) m³/s, NaN where missing or not for training.
        weight: (gauge,) weights of gauges, 0 for those that do not train; only their ratios matter. A gauge without
            two different values gets weight 0.
        error: standard deviation of the observation error, m³/s, (gauge,) or (time, gauge); NaN where not known,
            which counts as 0.

    Returns:
        Tensors on the CPU.
    """
    values = np.asarray(observed, np.float64)
    present = ~np.isnan(values)
    count = np.maximum(present.sum(axis=0), 1)
    mean = np.nansum(values, axis=0) / count
    variance = np.nansum((values - mean) ** 2, axis=0) / count
    trains = (np.asarray(weight) > 0) & (variance > 0)
    variance = np.where(trains, variance, 1.0)
    # the largest flow stands in where floods and tides cancel in the mean
    flow = np.where(mean > 0, mean, np.where(present, np.abs(values), 0.0).max(axis=0, initial=0.0))
    offset = np.where(trains, OFFSET_SHARE * flow, 1.0)
    logs = log_flow(torch.from_numpy(np.where(present, values, 0.0)), torch.from_numpy(offset)).numpy()
    log_mean = np.where(present, logs, 0.0).sum(axis=0) / count
    log_variance = (np.where(present, logs - log_mean, 0.0) ** 2).sum(axis=0) / count
    own = variance
    if error is not None:
        squares = np.nan_to_num(np.broadcast_to(np.asarray(error, np.float64) ** 2, values.shape), nan=0.0)
        own = np.maximum(variance - np.where(present, squares, 0.0).sum(axis=0) / count, LEAST_OWN * variance)
    shares = np.where(trains, weight, 0.0)
    statistics = (
        np.where(trains, mean, 1.0),
        variance,
        np.where(trains, log_mean, 0.0),
        np.where(trains, log_variance, 1.0),
        offset,
        shares / shares.sum() if trains.any() else shares,
        RESIDUAL_SHARE * np.sqrt(own),
    )
    return GaugeStatistics(*(torch.from_numpy(np.asarray(values, np.float64)) for values in statistics))
