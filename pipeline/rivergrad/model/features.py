"""Reach attributes as standardised features, with the statistics kept so that another network is read the same way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Feature:
    """How one attribute becomes a feature: (ln max(value, floor) − mean) / deviation; 0 where it is missing.

    Attributes:
        name: of the attribute.
        floor: its smallest positive value, which zero and negative values (a slope of 0) count as.
        mean, deviation: of its logarithm over the reaches that have it.
    """

    name: str
    floor: float
    mean: float
    deviation: float


@dataclass(frozen=True)
class Features:
    """The features of a parameter model, in order."""

    each: tuple[Feature, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.each)

    @classmethod
    def of(cls, attributes: Mapping[str, NDArray[np.generic]], names: tuple[str, ...]) -> Features:
        """Statistics of the named attributes of a network.

        Raises:
            InputError: the network lacks an attribute, or it has no two different positive values.
        """
        found = []
        for name in names:
            values = _column(attributes, name)
            positive = values[values > 0]
            if positive.size < 2 or positive.min() == positive.max():
                raise InputError(
                    f"attribute {name} has no two different positive values", key="parameters.trend"
                )
            floor = float(positive.min())
            logs = _logs(values, floor)
            found.append(Feature(name, floor, float(np.nanmean(logs)), float(np.nanstd(logs))))
        return cls(tuple(found))

    def apply(self, attributes: Mapping[str, NDArray[np.generic]], n_reaches: int) -> Float:
        """Features of a network's reaches, (reach, feature); a missing value is that of the mean.

        Raises:
            InputError: the network lacks an attribute.
        """
        columns = [
            np.nan_to_num((_logs(_column(attributes, f.name), f.floor) - f.mean) / f.deviation, nan=0.0)
            for f in self.each
        ]
        return np.stack(columns, axis=1) if columns else np.zeros((n_reaches, 0))

    def as_list(self) -> list[dict[str, Any]]:
        """For JSON."""
        return [asdict(feature) for feature in self.each]

    @classmethod
    def from_list(cls, items: list[dict[str, Any]]) -> Features:
        """From what `as_list` gave."""
        return cls(tuple(Feature(**item) for item in items))


def log_features(attributes: Mapping[str, NDArray[np.generic]], names: tuple[str, ...]) -> Float:
    """Standardised logarithms of reach attributes by their own statistics, (reach, len(names)).

    Raises:
        InputError: see `Features.of`.
    """
    n = next(iter(attributes.values())).shape[0] if attributes else 0
    return Features.of(attributes, names).apply(attributes, n)


def _column(attributes: Mapping[str, NDArray[np.generic]], name: str) -> Float:
    if name not in attributes:
        known = ", ".join(attributes) or "none"
        raise InputError(f"the network has no attribute {name}; it has {known}", key="parameters.trend")
    values = np.asarray(attributes[name], dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)  # an infinite value is no value


def _logs(values: Float, floor: float) -> Float:
    return np.log(np.where(np.isnan(values), np.nan, np.maximum(values, floor)))
