"""Adam (Kingma & Ba 2015, arXiv:1412.6980) on plain arrays or tensors, whose state travels in checkpoints as such."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Float = NDArray[np.float64]
Numbers = TypeVar("Numbers", Float, Tensor)


@dataclass
class Adam(Generic[Numbers]):
    """State of the optimiser for one array of parameters, or one tensor on any device."""

    mean: Numbers
    square: Numbers
    steps: int = 0

    @classmethod
    def at_rest(cls, parameters: Numbers) -> Adam[Numbers]:
        """The state before the first step."""
        nothing = 0.0 * abs(parameters)
        return cls(nothing, nothing)

    def update(
        self,
        gradient: Numbers,
        rate: float | Numbers,
        beta1: float = 0.9,
        beta2: float = 0.99,
        floor: float = 1e-8,
    ) -> Numbers:
        """The step to add to the parameters; the rate may be one for each."""
        self.steps += 1
        self.mean = beta1 * self.mean + (1 - beta1) * gradient
        self.square = beta2 * self.square + (1 - beta2) * gradient**2
        mean = self.mean / (1 - beta1**self.steps)
        square = self.square / (1 - beta2**self.steps)
        root = square**0.5
        return -rate * mean / (root + floor)
