"""The trend: what the attributes of a reach say of its celerity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.model.layout import TREND, TREND_BIAS, TREND_OUTPUT, TREND_WEIGHT, Coefficients, Shape

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Trend:
    """A function of the features f of a reach: linear, or with `hidden` units w · tanh(W f + c).

    Features are standardised logarithms of attributes, so with a linear trend celerity is about a product of powers,
    monotone in each attribute.
    """

    n_features: int
    hidden: int

    def segments(self) -> dict[str, Shape]:
        """Its coefficients."""
        units, features = (self.hidden,), (self.n_features,)
        if not self.hidden:
            return {TREND: features}
        return {TREND_WEIGHT: (*units, *features), TREND_BIAS: units, TREND_OUTPUT: units}

    def start_values(self, seed: int) -> dict[str, Float]:
        """A hidden layer starts at random, its output at 0."""
        if not self.hidden:
            return {}
        rng = np.random.default_rng([seed, 404])
        weight = rng.standard_normal(self.hidden * self.n_features) / max(1, self.n_features) ** 0.5
        return {TREND_WEIGHT: weight.reshape(self.hidden, self.n_features)}

    def value(self, shared: Coefficients[Tensor], features: Tensor) -> Tensor:
        """(reach,) from `features` (reach, n_features)."""
        if not self.hidden:
            return features @ shared[TREND]
        return torch.tanh(features @ shared[TREND_WEIGHT].T + shared[TREND_BIAS]) @ shared[TREND_OUTPUT]

    def slopes(self, shared: Coefficients[Float], features: Float) -> dict[str, Float]:
        """Derivatives (reach, coefficient) by each segment."""
        if not self.hidden:
            return {TREND: features}
        unit = np.tanh(features @ shared[TREND_WEIGHT].T + shared[TREND_BIAS])
        inner = shared[TREND_OUTPUT] * (1 - unit**2)
        by_weight = (inner[:, :, None] * features[:, None, :]).reshape(features.shape[0], -1)
        return {TREND_WEIGHT: by_weight, TREND_BIAS: inner, TREND_OUTPUT: unit}
