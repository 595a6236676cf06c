"""The parameter model: celerity and spreading of every reach from shared coefficients and free deviations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.errors import InputError
from rivergrad.estimate.bounds import Bounded
from rivergrad.routing.schemes.base import Scheme

Float = NDArray[np.float64]


@dataclass(frozen=True)
class ParameterModel:
    """celerity_i = bounded(a₀ + Σ aₖ fₖᵢ + uᵢ), spreading_i = bounded(b₀ + vᵢ).

    u and v are free for every reach; a and b are shared by all reaches, so that reaches which no gauge informs
    follow what the others have in common. f are the standardised logarithms of reach attributes.
    """

    scheme: Scheme
    celerity: Bounded
    spreading: Bounded | None
    n_features: int

    @property
    def n_shared(self) -> int:
        return 1 + self.n_features + (self.spreading is not None)

    @property
    def n_free(self) -> int:
        """Free numbers a reach."""
        return 1 if self.spreading is None else 2

    def start(self, celerity: float, spreading: float | None) -> Float:
        """Shared coefficients at which every reach has these values while its deviations are 0."""
        shared = np.zeros(self.n_shared)
        shared[0] = self.celerity.free(celerity)
        if self.spreading is not None:
            assert spreading is not None
            shared[-1] = self.spreading.free(spreading)
        return shared

    def physical(self, shared: Tensor, free: Tensor, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Celerity (m/s) and spreading of each reach.

        Args:
            shared: (n_shared,); free: (n_free, reach); features: (reach, n_features).
        """
        latent = shared[0] + features @ shared[1 : 1 + self.n_features] + free[0]
        celerity = self.celerity.value(latent)
        if self.spreading is None:
            return celerity, None
        return celerity, self.spreading.value(shared[-1] + free[1])

    def parameters(self, shared: Tensor, free: Tensor, features: Tensor, length: Tensor) -> dict[str, Tensor]:
        """The scheme's parameters of each reach."""
        celerity, spreading = self.physical(shared, free, features)
        return self.scheme.from_celerity(celerity, spreading, length)


def log_features(attributes: Mapping[str, NDArray[np.generic]], names: tuple[str, ...]) -> Float:
    """Standardised logarithms of reach attributes, (reach, len(names)).

    Zero and negative values (a slope of 0) count as the smallest positive one; missing ones as the mean.

    Raises:
        InputError: the network lacks an attribute, or it has no two positive values.
    """
    columns = []
    for name in names:
        if name not in attributes:
            known = ", ".join(attributes) or "none"
            raise InputError(f"parameters.trend: the network has no attribute {name}; it has {known}")
        values = np.asarray(attributes[name], dtype=np.float64)
        positive = values[values > 0]
        if positive.size < 2 or positive.min() == positive.max():
            raise InputError(f"parameters.trend: attribute {name} has no two different positive values")
        logs = np.log(np.where(np.isnan(values), np.nan, np.maximum(values, positive.min())))
        scaled = (logs - np.nanmean(logs)) / np.nanstd(logs)
        columns.append(np.nan_to_num(scaled, nan=0.0))
    n = next(iter(attributes.values())).shape[0] if attributes else 0
    return np.stack(columns, axis=1) if columns else np.zeros((n, 0))
