"""Simulated and observed discharge, paired value by value, with missing values set to 0 in both."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rivergrad.inference.loss.statistics import GaugeStatistics


@dataclass(frozen=True, eq=False)
class Pairs:
    """What a loss compares: all windows of a step, one after the other on one axis.

    A loss is a function of `Pairs` that returns a float64 tensor (gauge,), differentiable in `simulated`. 0 is a
    perfect simulation. Missing values are the loss's own concern: `mean` leaves them out, or use `present`. A gauge
    with too few values, or of weight 0, is left out after the loss returns. The loss need not check for it, but its
    value and its gradient must be finite there too: no division by 0, no square root of 0.

    Attributes:
        simulated, observed: (value, gauge) tensors, m³/s, float64; both are 0 where no value was observed.
        present: (value, gauge) bool, whether there is an observation.
        count: (gauge,) number of observations.
        error: standard deviation of the observation error, m³/s, that broadcasts to (value, gauge); None for none.
        statistics: `GaugeStatistics` of the whole training record, (gauge,) each: `mean` m³/s, `variance` (m³/s)², and
            others. Divide by these and not by those of the window: a dry window would outweigh all others.
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
        """The weight of an observation relative to one without error: σ²/(σ² + error²).

        It is the inverse variance, times σ², of the residual that a model with residual standard deviation σ leaves
        against an observation with that error.

        Args:
            sigma: (gauge,) standard deviation of the model's residuals, m³/s.
            error: standard deviation of the observation error, m³/s, that broadcasts to (value, gauge), or None.

        Returns:
            Weights between 0 and 1, or None where `error` is None: then all observations count alike.
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
