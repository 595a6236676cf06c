"""The delay of runoff on hillslopes as a function of shared coefficients: given, or estimated within bounds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from rivergrad.model.bounds import Bounded
from rivergrad.model.layout import EMPTY, HILLSLOPE, HILLSLOPE_REGIONS, HILLSLOPE_TREND, Coefficients, Layout
from rivergrad.model.prior import LEAST_SLOPE
from rivergrad.routing.hillslope import DELAY, SHAPE, Hillslope


@dataclass(frozen=True)
class HillslopeModel:
    """delay_i = bounded(level + trend · features_i + offset of the class of i), or the same given delay everywhere.

    Attributes:
        response: what runoff passes.
        delay: s, where it starts, or stays if it is not estimated.
        shape: of the response, given.
        bounds: of an estimated delay; None where it is given.
        sd: prior standard deviation of ln(delay).
        n_features: features of the trend; n_regions: classes of reaches.
    """

    response: Hillslope
    delay: float
    shape: float | None = None
    bounds: Bounded | None = None
    sd: float = 1.0
    n_features: int = 0
    n_regions: int = 0

    @property
    def estimated(self) -> bool:
        """Whether the delay is estimated."""
        return self.bounds is not None

    @property
    def layout(self) -> Layout:
        """The shared coefficients."""
        if self.bounds is None:
            return EMPTY
        found: dict[str, tuple[int, ...]] = {HILLSLOPE: ()}
        if self.n_features:
            found[HILLSLOPE_TREND] = (self.n_features,)
        if self.n_regions:
            found[HILLSLOPE_REGIONS] = (self.n_regions,)
        return Layout.of(found)

    def start(self, delay: float | None = None) -> dict[str, ArrayLike]:
        """Coefficients, by segment, at which every reach has a delay (s)."""
        if self.bounds is None:
            return {}
        return {HILLSLOPE: self.bounds.free(self.delay if delay is None else delay)}

    def prior_sd(self, level: float) -> dict[str, float]:
        """Standard deviation of the prior of each segment, about `level`, the mean of the level's coefficient.

        A feature's standard deviation, or a class, may change the delay by half as much in its logarithm.
        """
        if self.bounds is None:
            return {}
        inner = (self.bounds.lower * self.bounds.upper) ** 0.5
        slope = self.bounds.log_slope(self.bounds.value_of(level))
        scale = self.sd / max(slope, LEAST_SLOPE * self.bounds.log_slope(inner))
        return {HILLSLOPE: scale, HILLSLOPE_TREND: 0.5 * scale, HILLSLOPE_REGIONS: 0.5 * scale}

    def latent(self, shared: Coefficients[Tensor], features: Tensor, region: Tensor | None) -> Tensor:
        """(reach,) arguments of the bounded curve, differentiable."""
        found = shared[HILLSLOPE].expand(features.shape[0])
        if self.n_features:
            found = found + features @ shared[HILLSLOPE_TREND]
        if self.n_regions:
            assert region is not None
            found = found + shared[HILLSLOPE_REGIONS][region]
        return found

    def parameters(
        self, shared: Coefficients[Tensor] | None, features: Tensor, region: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Parameters of the response (reach,), s and 1, differentiable in the coefficients.

        Args:
            shared: with the segments of `layout`; it may have others. None where the delay is given.
            features: (reach, n_features), standardised; region: (reach,) class.
        """
        if self.bounds is None:
            return self.uniform(self.delay, features)
        assert shared is not None
        delay = self.bounds.value(self.latent(shared, features, region))
        return {**self.uniform(self.delay, features), DELAY: delay}

    def uniform(self, delay: float, like: Tensor) -> dict[str, Tensor]:
        """The same parameters for every reach; `like` (reach, …) says of how many and where."""
        whole = {DELAY: delay, **({} if self.shape is None else {SHAPE: self.shape})}
        size = (like.shape[0],)
        return {
            name: torch.full(size, value, dtype=torch.float64, device=like.device)
            for name, value in whole.items()
        }


def regressors(model: HillslopeModel, features: Tensor, region: Tensor | None) -> Tensor:
    """d latent / d coefficient, (reach, coefficient of `model.layout`): the same everywhere, as it is linear."""
    columns = [torch.ones(features.shape[0], 1, dtype=torch.float64)]
    if model.n_features:
        columns.append(features.to(torch.float64))
    if model.n_regions:
        assert region is not None
        columns.append((region[:, None] == torch.arange(model.n_regions)).to(torch.float64))
    return torch.cat(columns, dim=1)
