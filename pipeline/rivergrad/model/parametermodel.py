"""The parameter model: celerity and spreading of every reach from shared coefficients and free deviations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from rivergrad.model.bounds import Bounded
from rivergrad.model.features import log_features
from rivergrad.model.layout import (
    LEVEL,
    REGIONS,
    SPREADING,
    SPREADING_REGIONS,
    TREND,
    TREND_BIAS,
    TREND_OUTPUT,
    TREND_WEIGHT,
    Coefficients,
    Layout,
    Shape,
)
from rivergrad.routing.schemes.base import Scheme

Float = NDArray[np.float64]

KINDS = ("uniform", "free", "regional", "attributes", "hybrid")
WITH_DEVIATIONS = ("free", "hybrid")


@dataclass(frozen=True)
class ParameterModel:
    """celerity_i = bounded(a + t(f_i) + r_{class(i)} + u_i), spreading_i = bounded(b + s_{class(i)} + v_i).

    What is there depends on the kind:

    - `uniform`: a and b alone, one celerity and one spreading for all reaches;
    - `free`: and the deviations u and v of every reach;
    - `regional`: and the offsets r and s of every class of reaches;
    - `attributes`: and the trend t, the same function of the features f of every reach;
    - `hybrid`: trend and deviations.

    a, b, r, s and the trend's coefficients are shared by all reaches, so that reaches which no gauge informs follow
    what the others have in common; u and v belong to one reach. The trend is linear in f (standardised logarithms
    of attributes, so celerity is about a product of powers, monotone in each), or with `hidden` a network with one
    hidden layer, w · tanh(W f + c).

    Attributes:
        n_features: features a reach; hidden: units of the hidden layer, 0 for a linear trend; n_regions: classes.
    """

    scheme: Scheme
    celerity: Bounded
    spreading: Bounded | None
    n_features: int = 0
    kind: str = "hybrid"
    hidden: int = 0
    n_regions: int = 0

    @cached_property
    def layout(self) -> Layout:
        """The shared coefficients."""
        units, features = (self.hidden,), (self.n_features,)
        trend: dict[str, Shape] = {TREND: features}
        if self.hidden:
            trend = {TREND_WEIGHT: (*units, *features), TREND_BIAS: units, TREND_OUTPUT: units}
        shapes: dict[str, Shape] = {LEVEL: (), **trend, REGIONS: (self.n_regions,)}
        if self.spreading is not None:
            shapes |= {SPREADING: (), SPREADING_REGIONS: (self.n_regions,)}
        return Layout.of(shapes)

    @property
    def n_free(self) -> int:
        """Free numbers a reach."""
        return 1 if self.spreading is None else 2

    @property
    def deviates(self) -> bool:
        """Whether reaches have deviations of their own."""
        return self.kind in WITH_DEVIATIONS

    def start(self, celerity: float, spreading: float | None, seed: int = 0) -> Coefficients[Float]:
        """Shared coefficients at which every reach has these values while its deviations are 0.

        Args:
            celerity: m/s.
            spreading: of the scheme; None for a scheme without.
            seed: of the hidden layer, which starts at random (its output at zero).
        """
        found: dict[str, ArrayLike] = {LEVEL: self.celerity.free(celerity)}
        if self.hidden:
            rng = np.random.default_rng([seed, 404])
            count = self.hidden * self.n_features
            weight = rng.standard_normal(count) / max(1, self.n_features) ** 0.5
            found[TREND_WEIGHT] = weight.reshape(self.hidden, self.n_features)
        if self.spreading is not None:
            assert spreading is not None
            found[SPREADING] = self.spreading.free(spreading)
        return self.layout.coefficients(self.layout.fill(found))

    def prior_sd(self) -> dict[str, float]:
        """Standard deviation of the Gaussian prior of each segment of `layout`, about where it starts.

        Coefficients are in units of the bounded curve's argument, in which the whole admissible range is about ±4. 2
        says little about the level. 1 lets a standard deviation of an attribute, or a class, change celerity by a
        factor of about e.
        """
        known = {LEVEL: 2.0, SPREADING: 0.5, SPREADING_REGIONS: 0.5}
        return {name: known.get(name, 1.0) for name in self.layout.names}

    def _trend(self, shared: Coefficients[Tensor], features: Tensor) -> Tensor:
        if not self.hidden:
            return features @ shared[TREND]
        return torch.tanh(features @ shared[TREND_WEIGHT].T + shared[TREND_BIAS]) @ shared[TREND_OUTPUT]

    def physical(
        self, shared: Coefficients[Tensor], free: Tensor, features: Tensor, region: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Celerity (m/s) and spreading of each reach, (reach,) each.

        Args:
            shared: with the segments of `layout`; it may have others.
            free: (n_free, reach) deviations.
            features: (reach, n_features).
            region: (reach,) class, with `n_regions`.
        """
        latent = self.common(shared, features, region) + free
        celerity = self.celerity.value(latent[0])
        return celerity, None if self.spreading is None else self.spreading.value(latent[1])

    def common(self, shared: Coefficients[Tensor], features: Tensor, region: Tensor | None = None) -> Tensor:
        """(n_free, reach) arguments of the bounded curves before deviations are added; arguments as for `physical`."""
        found = [shared[LEVEL] + self._trend(shared, features)]
        if self.spreading is not None:
            found.append(shared[SPREADING].expand(features.shape[0]))
        if region is not None and self.n_regions:
            names = (REGIONS, SPREADING_REGIONS)
            found = [one + shared[name][region] for one, name in zip(found, names, strict=False)]
        return torch.stack(found)

    def regressors(
        self, shared: Coefficients[Float], features: Float, region: NDArray[np.int64] | None = None
    ) -> Float:
        """d common / d shared at some coefficients, dense.

        Args:
            shared, features, region: as for `physical`.

        Returns:
            (n_free, reach, coefficient of `layout`).
        """
        at, n = self.layout.positions, features.shape[0]
        found = np.zeros((self.n_free, n, self.layout.size))
        found[0, :, at(LEVEL)] = 1.0
        if not self.hidden:
            found[0, :, at(TREND)] = features
        else:
            unit = np.tanh(features @ shared[TREND_WEIGHT].T + shared[TREND_BIAS])
            inner = shared[TREND_OUTPUT] * (1 - unit**2)
            found[0, :, at(TREND_WEIGHT)] = (inner[:, :, None] * features[:, None, :]).reshape(n, -1)
            found[0, :, at(TREND_BIAS)] = inner
            found[0, :, at(TREND_OUTPUT)] = unit
        if self.spreading is not None:
            found[1, :, at(SPREADING)] = 1.0
        if region is not None and self.n_regions:
            for field, name in enumerate((REGIONS, SPREADING_REGIONS)[: self.n_free]):
                found[field, :, at(name)] = region[:, None] == np.arange(self.n_regions)
        return found

    def parameters(
        self,
        shared: Coefficients[Tensor],
        free: Tensor,
        features: Tensor,
        length: Tensor,
        region: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The scheme's parameters of each reach; `length` (reach,) in m, other arguments as for `physical`."""
        celerity, spreading = self.physical(shared, free, features, region)
        return self.scheme.from_celerity(celerity, spreading, length)


__all__ = ("KINDS", "ParameterModel", "log_features")
