"""Adam (Kingma & Ba 2015, arXiv:1412.6980) on plain arrays, so that its state travels in checkpoints as such."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass
class Adam:
    """State of the optimiser for one array of parameters."""

    mean: Float
    square: Float
    steps: int = 0

    @classmethod
    def zeros(cls, shape: tuple[int, ...]) -> Adam:
        return cls(np.zeros(shape), np.zeros(shape))

    def update(
        self,
        gradient: Float,
        rate: float | Float,
        beta1: float = 0.9,
        beta2: float = 0.99,
        floor: float = 1e-8,
    ) -> Float:
        """The step to add to the parameters; the rate may be one for each."""
        self.steps += 1
        self.mean = beta1 * self.mean + (1 - beta1) * gradient
        self.square = beta2 * self.square + (1 - beta2) * gradient**2
        mean = self.mean / (1 - beta1**self.steps)
        square = self.square / (1 - beta2**self.steps)
        step: Float = -rate * mean / (np.sqrt(square) + floor)
        return step
