"""From unbounded numbers to parameters within bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Bounded:
    """A parameter kept within bounds by a logistic curve, in its logarithm where it spans decades.

    Attributes:
        lower, upper: the bounds; never reached.
        logarithmic: the curve runs in log(value).
    """

    lower: float
    upper: float
    logarithmic: bool

    def _ends(self) -> tuple[float, float]:
        return (math.log(self.lower), math.log(self.upper)) if self.logarithmic else (self.lower, self.upper)

    def value(self, free: Tensor) -> Tensor:
        """The parameter at unbounded `free`, in float64."""
        low, high = self._ends()
        inner = low + (high - low) * torch.sigmoid(free.to(torch.float64))
        return torch.exp(inner) if self.logarithmic else inner

    def free(self, value: float) -> float:
        """The unbounded number at which the parameter has `value`."""
        share = self._share(value)
        return math.log(share / (1 - share))

    def _share(self, value: float) -> float:
        low, high = self._ends()
        share = ((math.log(value) if self.logarithmic else value) - low) / (high - low)
        return min(max(share, 1e-6), 1 - 1e-6)

    def value_of(self, free: float) -> float:
        """The parameter at one unbounded number."""
        return float(self.value(torch.tensor(free, dtype=torch.float64)))

    def slope(self, value: float) -> float:
        """d value / d free where the parameter has `value`."""
        low, high = self._ends()
        share = self._share(value)
        inner = (high - low) * share * (1 - share)
        return inner * value if self.logarithmic else inner

    def log_slope(self, value: float) -> float:
        """d ln(value) / d free there."""
        return self.slope(value) / value
