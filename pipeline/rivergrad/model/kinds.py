"""rivergrad's own kinds of parameter models: uniform, free, regional, attributes and hybrid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from rivergrad.model.layout import LEVEL, REGIONS, SPREADING, SPREADING_REGIONS, Coefficients, Shape
from rivergrad.model.parametermodel import ParameterModel
from rivergrad.model.trend import Trend

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Uniform(ParameterModel):
    """One celerity and one spreading for all reaches."""

    facts: ClassVar[Mapping[str, Any]] = {"trend": "none", "regions": "none", "travels": True}

    def segments(self) -> dict[str, Shape]:
        return {LEVEL: ()} if self.spreading is None else {LEVEL: (), SPREADING: ()}

    def common(self, shared: Coefficients[Tensor], features: Tensor, region: Tensor | None = None) -> Tensor:
        names = self.segments()
        return torch.stack([shared[name].expand(features.shape[0]) for name in names])

    def regressors(
        self, shared: Coefficients[Float], features: Float, region: NDArray[np.int64] | None = None
    ) -> Float:
        found = np.zeros((self.n_free, features.shape[0], self.layout.size))
        for field, name in enumerate(self.segments()):
            found[field, :, self.layout.positions(name)] = 1.0
        return found


@dataclass(frozen=True)
class Free(Uniform):
    """One level for all reaches, and deviations of every reach."""

    facts: ClassVar[Mapping[str, Any]] = {"trend": "none", "regions": "none"}
    deviates: ClassVar[bool] = True


@dataclass(frozen=True)
class Regional(ParameterModel):
    """One level for all reaches, and offsets of every class of reaches."""

    facts: ClassVar[Mapping[str, Any]] = {"trend": "none", "regions": "must"}

    def segments(self) -> dict[str, Shape]:
        classes = (self.n_regions,)
        found: dict[str, Shape] = {LEVEL: (), REGIONS: classes}
        return found if self.spreading is None else {**found, SPREADING: (), SPREADING_REGIONS: classes}

    def _fields(self) -> list[tuple[str, str]]:
        """Level and offsets of celerity, and of spreading where there is one."""
        return [(LEVEL, REGIONS), (SPREADING, SPREADING_REGIONS)][: self.n_free]

    def common(self, shared: Coefficients[Tensor], features: Tensor, region: Tensor | None = None) -> Tensor:
        assert region is not None
        return torch.stack([shared[level] + shared[offsets][region] for level, offsets in self._fields()])

    def regressors(
        self, shared: Coefficients[Float], features: Float, region: NDArray[np.int64] | None = None
    ) -> Float:
        assert region is not None
        at = self.layout.positions
        found = np.zeros((self.n_free, features.shape[0], self.layout.size))
        for field, (level, offsets) in enumerate(self._fields()):
            found[field, :, at(level)] = 1.0
            found[field, :, at(offsets)] = region[:, None] == np.arange(self.n_regions)
        return found


@dataclass(frozen=True)
class Attributes(ParameterModel):
    """A level and a trend in the attributes of a reach, the same function for all; one spreading for all reaches."""

    facts: ClassVar[Mapping[str, Any]] = {"trend": "must", "regions": "none", "travels": True}

    @property
    def trend(self) -> Trend:
        """The trend of celerity."""
        return Trend(self.n_features, self.hidden)

    def segments(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {LEVEL: (), **self.trend.segments()}
        return found if self.spreading is None else {**found, SPREADING: ()}

    def start_values(self, celerity: float, spreading: float | None, seed: int) -> dict[str, ArrayLike]:
        return {**super().start_values(celerity, spreading, seed), **self.trend.start_values(seed)}

    def common(self, shared: Coefficients[Tensor], features: Tensor, region: Tensor | None = None) -> Tensor:
        found = [shared[LEVEL] + self.trend.value(shared, features)]
        if self.spreading is not None:
            found.append(shared[SPREADING].expand(features.shape[0]))
        return torch.stack(found)

    def regressors(
        self, shared: Coefficients[Float], features: Float, region: NDArray[np.int64] | None = None
    ) -> Float:
        at = self.layout.positions
        found = np.zeros((self.n_free, features.shape[0], self.layout.size))
        found[0, :, at(LEVEL)] = 1.0
        for name, slope in self.trend.slopes(shared, features).items():
            found[0, :, at(name)] = slope
        if self.spreading is not None:
            found[1, :, at(SPREADING)] = 1.0
        return found


@dataclass(frozen=True)
class Hybrid(Attributes):
    """A level, a trend in the attributes, and deviations of every reach from it."""

    facts: ClassVar[Mapping[str, Any]] = {"trend": "may", "regions": "none", "travels": True}
    deviates: ClassVar[bool] = True
