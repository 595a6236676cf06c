"""Simulated and observed discharge side by side, without a trace of what is missing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rivergrad.inference.loss.statistics import GaugeStatistics


@dataclass(frozen=True, eq=False)
class Pairs:
    """What the terms compare. Values of all windows are one axis.

    Attributes:
        simulated, observed: (value, gauge) m³/s, float64; 0 in both where nothing was observed.
        present: (value, gauge) whether there is an observation.
        count: (gauge,) observations.
        error: standard deviation of the observation error, m³/s, that broadcasts to (value, gauge); None for none.
        statistics: of the gauges' records.
    """

    simulated: Tensor
    observed: Tensor
    present: Tensor
    count: Tensor
    error: Tensor | None
    statistics: GaugeStatistics

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the observations of each gauge, (value, gauge) -> (gauge,); 0 where there are none."""
        return torch.where(self.present, values, 0.0).sum(dim=0) / self.count.clamp_min(1)

    def precision(self, sigma: Tensor, error: Tensor | None) -> Tensor | None:
        """σ²/(σ² + error²): what an observation counts relative to one without error, None where all count alike.

        The inverse variance of a residual that a model with residuals of standard deviation σ leaves against an
        observation with that error.
        """
        return None if error is None else sigma**2 / (sigma**2 + error**2)


def compare(
    discharge: Tensor, observed: Tensor, statistics: GaugeStatistics, error: Tensor | None = None
) -> Pairs:
    """Pairs of (window, time, gauge) discharge; see `rivergrad.inference.loss.gauge_loss`."""
    observed = observed.flatten(0, 1).to(torch.float64)
    present = ~torch.isnan(observed)
    # Replaced before anything is computed: a NaN in a branch not taken would still be one in the gradient.
    simulated = torch.where(present, discharge.flatten(0, 1).to(torch.float64), 0.0)
    if error is not None:
        error = torch.nan_to_num(error.to(simulated), nan=0.0)
        error = error if error.ndim == 1 else error.flatten(0, 1)
    return Pairs(
        simulated=simulated,
        observed=torch.where(present, observed, 0.0),
        present=present,
        count=present.sum(dim=0),
        error=error,
        statistics=statistics,
    )
