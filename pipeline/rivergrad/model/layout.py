"""Named coefficients: which numbers of the coefficient vector are the level, the trend, the runoff model's weights.

Optimisers, the prior and the pieces' workers exchange one vector of shared coefficients. A `Layout` says which segment
of it is what. Nothing outside of this folder counts positions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

Float = NDArray[np.float64]
Numbers = TypeVar("Numbers", Float, Tensor)
Shape = tuple[int, ...]

LEVEL = "level"
"""Of celerity, one for all reaches."""
TREND = "trend"
"""Of celerity, (feature,), where the trend is linear."""
TREND_WEIGHT, TREND_BIAS, TREND_OUTPUT = "trend_weight", "trend_bias", "trend_output"
"""Of a trend with a hidden layer: (unit, feature), (unit,) and (unit,)."""
REGIONS = "regions"
"""Offsets of celerity, (class,)."""
SPREADING = "spreading"
"""Level of spreading, one for all reaches."""
SPREADING_REGIONS = "spreading_regions"
"""Offsets of spreading, (class,)."""
VOLUME = "volume"
"""Volume error of the runoff, (increment area, knot)."""
TIMING = "timing"
"""Delay of the runoff, (increment area,), in standard deviations of its prior."""
FLOW = "flow"
"""Exponent of celerity by flow, one for all reaches or (class,)."""
RUNOFF = "runoff"
"""Weights of the runoff model, (weight,)."""
HILLSLOPE = "hillslope"
"""Level of the delay of runoff on hillslopes, one for all reaches."""
HILLSLOPE_TREND = "hillslope_trend"
"""Of that delay, (feature,)."""
HILLSLOPE_REGIONS = "hillslope_regions"
"""Offsets of that delay, (class,)."""
DELAY = "delay"
"""Delay of all runoff, in forcing steps."""


@dataclass(frozen=True)
class Layout:
    """The segments of a coefficient vector, in order.

    Attributes:
        segments: name and shape of each; the shape () is a single number.

    Raises:
        ValueError: two segments of one name.
    """

    segments: tuple[tuple[str, Shape], ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.names)) < len(self.segments):
            raise ValueError(f"Must have segments of different names, we instead got {self.names}")

    @classmethod
    def of(cls, shapes: Mapping[str, Shape]) -> Layout:
        """A layout from shapes by name, in their order."""
        return cls(tuple(shapes.items()))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the segments, in order."""
        return tuple(name for name, _ in self.segments)

    @cached_property
    def size(self) -> int:
        """Coefficients in all."""
        return sum(math.prod(shape) for _, shape in self.segments)

    @cached_property
    def _places(self) -> dict[str, tuple[slice, Shape]]:
        places, start = {}, 0
        for name, shape in self.segments:
            stop = start + math.prod(shape)
            places[name] = slice(start, stop), shape
            start = stop
        return places

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def positions(self, name: str) -> slice:
        """Where a segment lies in the vector."""
        return self._places[name][0]

    def view(self, values: Numbers, name: str) -> Numbers:
        """The numbers of a segment, in its shape, as a view of the vector: an array, or a tensor with its graph.

        Args:
            values: (size,), the whole vector.
            name: of the segment.
        """
        where, shape = self._places[name]
        if not shape:
            return values[where.start]
        return values[where] if len(shape) == 1 else values[where].reshape(shape)

    def coefficients(self, values: Numbers) -> Coefficients[Numbers]:
        """These numbers, (size,), by name."""
        return Coefficients(self, values)

    def fill(self, by_name: Mapping[str, ArrayLike], default: float = 0.0) -> Float:
        """A number for each coefficient: prior standard deviations, learning rates, weight decay.

        Args:
            by_name: of segments, one number or an array of the segment's shape. Names of other segments are ignored.
            default: of the other segments.

        Returns:
            (size,).
        """
        found = np.full(self.size, default)
        for name, number in by_name.items():
            if name in self:
                where, shape = self._places[name]
                found[where] = np.broadcast_to(np.asarray(number, np.float64), shape).ravel()
        return found

    def mask(self, *names: str) -> NDArray[np.bool_]:
        """(size,) which coefficients belong to the named segments."""
        return self.fill(dict.fromkeys(names, 1.0)) > 0

    def join(self, other: Layout) -> Layout:
        """These segments, then those of another layout."""
        return Layout(self.segments + other.segments)

    def only(self, *names: str) -> Layout:
        """Some of the segments, in the order that they have here."""
        return Layout(tuple(one for one in self.segments if one[0] in names))

    def without(self, *names: str) -> Layout:
        """The other segments."""
        return Layout(tuple(one for one in self.segments if one[0] not in names))


EMPTY = Layout()
"""No coefficients."""


@dataclass(frozen=True, eq=False)
class Coefficients(Generic[Numbers]):
    """A coefficient vector and its layout.

    Attributes:
        layout: its segments.
        values: (layout.size,), an array or a tensor.

    Raises:
        ValueError: as many numbers as the layout does not have.
    """

    layout: Layout
    values: Numbers

    def __post_init__(self) -> None:
        if tuple(self.values.shape) != (self.layout.size,):
            raise ValueError(
                f"Must have {self.layout.size} coefficients, we instead got an array of shape {self.values.shape}"
            )

    def __getitem__(self, name: str) -> Numbers:
        """The numbers of a segment, see `Layout.view`."""
        return self.layout.view(self.values, name)

    def __contains__(self, name: object) -> bool:
        return name in self.layout

    def get(self, name: str) -> Numbers | None:
        """The numbers of a segment; None where there is no such segment."""
        if name not in self:
            return None
        return self[name]

    def replace(self: Coefficients[Float], by_name: Mapping[str, ArrayLike]) -> Coefficients[Float]:
        """The same coefficients but for some segments, a copy.

        Raises:
            KeyError: no such segment.
        """
        values = self.values.copy()
        for name, number in by_name.items():
            where = self.layout.positions(name)
            values[where] = np.asarray(number, np.float64).reshape(-1)
        return Coefficients(self.layout, values)

    def join(self: Coefficients[Float], other: Coefficients[Float]) -> Coefficients[Float]:
        """These coefficients, then others."""
        return Coefficients(self.layout.join(other.layout), np.concatenate([self.values, other.values]))

    def part(self: Coefficients[Float], layout: Layout) -> Coefficients[Float]:
        """The coefficients of another layout's segments, all of which are here, in its order."""
        parts = [np.zeros(0)] + [self.values[self.layout.positions(name)] for name in layout.names]
        return Coefficients(layout, np.concatenate(parts))
