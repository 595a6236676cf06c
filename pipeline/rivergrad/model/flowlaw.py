"""How celerity depends on flow, as it is estimated: the exponent m of c = c₀ (Q/Q₀)^m, of all or a class of reaches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.model.bounds import Bounded
from rivergrad.model.layout import FLOW, Coefficients, Layout

Float = NDArray[np.float64]


@dataclass(frozen=True)
class FlowLaw:
    """The exponent of all reaches.

    Attributes:
        exponent: its bounds.
        prior, sd: mean and standard deviation of the Gaussian prior, of m.
        estimated: whether it is estimated; else it is `prior`.
        classes: of reaches, each with its own m; 0 for one of all.
    """

    exponent: Bounded
    prior: float
    sd: float
    estimated: bool = True
    classes: int = 0

    @property
    def layout(self) -> Layout:
        """The numbers, arguments of the bounded curve."""
        if not self.estimated:
            return Layout()
        return Layout.of({FLOW: (self.classes,) if self.classes else ()})

    @property
    def start(self) -> float:
        """Where each number starts, which is the mean of its prior."""
        return self.exponent.free(self.prior)

    @property
    def free_sd(self) -> float:
        """Prior standard deviation of each number."""
        return self.sd / self.exponent.slope(self.prior)

    def value(self, shared: Coefficients[Tensor], like: Tensor, region: Tensor | None) -> Tensor:
        """(reach,) m, differentiable.

        Args:
            shared: with the segment `flow`, where it is estimated; like: (reach,); region: (reach,) class.
        """
        free = shared.get(FLOW)
        if free is None:
            return like.new_full(like.shape, self.prior)
        m = self.exponent.value(free)
        return m.expand(like.shape) if region is None or not self.classes else m[region]
