"""The parameter model: celerity and spreading of every reach from shared coefficients and free deviations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.model.bounds import Bounded
from rivergrad.model.features import log_features
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

    @property
    def n_trend(self) -> int:
        """Coefficients of the trend."""
        return self.hidden * (self.n_features + 2) if self.hidden else self.n_features

    @property
    def n_shared(self) -> int:
        one = 1 + self.n_regions
        return one + self.n_trend + (0 if self.spreading is None else one)

    @property
    def n_free(self) -> int:
        """Free numbers a reach."""
        return 1 if self.spreading is None else 2

    @property
    def deviates(self) -> bool:
        """Whether reaches have deviations of their own."""
        return self.kind in WITH_DEVIATIONS

    def start(self, celerity: float, spreading: float | None, seed: int = 0) -> Float:
        """Shared coefficients at which every reach has these values while its deviations are 0.

        Args:
            celerity: m/s; spreading: of the scheme.
            seed: of the hidden layer, which starts at random (its output at zero).
        """
        shared = np.zeros(self.n_shared)
        shared[0] = self.celerity.free(celerity)
        if self.hidden:
            rng = np.random.default_rng([seed, 404])
            count = self.hidden * self.n_features
            shared[1 : 1 + count] = rng.standard_normal(count) / max(1, self.n_features) ** 0.5
        if self.spreading is not None:
            assert spreading is not None
            shared[self._spreading_at] = self.spreading.free(spreading)
        return shared

    @property
    def _spreading_at(self) -> int:
        return 1 + self.n_trend + self.n_regions

    def prior_sd(self) -> Float:
        """(n_shared,) standard deviation of each coefficient's Gaussian prior about where it starts.

        Coefficients are in units of the bounded curve's argument, in which the whole admissible range is about ±4:
        2 says little about the level, 1 lets a standard deviation of an attribute or a class change celerity by
        a factor of about e.
        """
        sd = np.ones(self.n_shared)
        sd[0] = 2.0
        if self.spreading is not None:
            sd[self._spreading_at :] = 0.5
        return sd

    def _trend(self, shared: Tensor, features: Tensor) -> Tensor:
        given = shared[1 : 1 + self.n_trend]
        if not self.hidden:
            return features @ given
        weight = given[: self.hidden * self.n_features].reshape(self.hidden, self.n_features)
        bias, output = given[self.hidden * self.n_features :].reshape(2, self.hidden)
        return torch.tanh(features @ weight.T + bias) @ output

    def physical(
        self, shared: Tensor, free: Tensor, features: Tensor, region: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Celerity (m/s) and spreading of each reach.

        Args:
            shared: (n_shared,); more at its end are left alone.
            free: (n_free, reach); features: (reach, n_features); region: (reach,) class, with `n_regions`.
        """
        latent = self.common(shared, features, region) + free
        celerity = self.celerity.value(latent[0])
        return celerity, None if self.spreading is None else self.spreading.value(latent[1])

    def common(self, shared: Tensor, features: Tensor, region: Tensor | None = None) -> Tensor:
        """(n_free, reach) what the bounded curves take, but for the deviations."""
        at = self._spreading_at
        found = [shared[0] + self._trend(shared, features)]
        if self.spreading is not None:
            found.append(shared[at].expand(features.shape[0]))
        if region is not None and self.n_regions:
            starts = (1 + self.n_trend, at + 1)
            found = [
                one + shared[start : start + self.n_regions][region]
                for one, start in zip(found, starts, strict=False)
            ]
        return torch.stack(found)

    def regressors(self, shared: Float, features: Float, region: NDArray[np.int64] | None = None) -> Float:
        """d common / d shared at some coefficients, (n_free, reach, n_shared), dense."""
        found = np.zeros((self.n_free, features.shape[0], self.n_shared))
        found[0, :, 0] = 1.0
        trend = slice(1, 1 + self.n_trend)
        if not self.hidden:
            found[0, :, trend] = features
        else:
            count = self.hidden * self.n_features
            weight = shared[1 : 1 + count].reshape(self.hidden, self.n_features)
            bias, output = shared[1 + count : 1 + self.n_trend].reshape(2, self.hidden)
            unit = np.tanh(features @ weight.T + bias)
            inner = output * (1 - unit**2)
            by_weight = (inner[:, :, None] * features[:, None, :]).reshape(features.shape[0], count)
            found[0, :, trend] = np.concatenate([by_weight, inner, unit], axis=1)
        starts = [1 + self.n_trend]
        if self.spreading is not None:
            found[1, :, self._spreading_at] = 1.0
            starts.append(self._spreading_at + 1)
        if region is not None and self.n_regions:
            rows = np.arange(features.shape[0])
            for field, start in enumerate(starts):
                found[field, rows, start + region] = 1.0
        return found

    def parameters(
        self, shared: Tensor, free: Tensor, features: Tensor, length: Tensor, region: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The scheme's parameters of each reach."""
        celerity, spreading = self.physical(shared, free, features, region)
        return self.scheme.from_celerity(celerity, spreading, length)


__all__ = ("KINDS", "ParameterModel", "log_features")
