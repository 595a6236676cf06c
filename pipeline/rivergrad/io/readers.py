"""What routing takes for runoff: a file's, one in memory, or another one times a factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rivergrad.io.times import TimeArray

Float = NDArray[np.float64]


class RunoffReader(Protocol):
    """Runoff that a worker reads for itself: small to pickle. `rivergrad.io.RunoffSource` is one from a file."""

    @property
    def time(self) -> TimeArray:
        """(T,) start of each forcing step."""
        ...

    @property
    def step(self) -> float:
        """Length of a forcing step, s."""
        ...

    def read(self, reach_positions: ArrayLike | None, start: int, stop: int) -> Float:
        """Runoff (stop - start, len(reach_positions)) in m3/s; None for every reach."""
        ...

    def select(self, reach_positions: ArrayLike) -> Self:
        """The runoff of some reaches only, with its own positions 0..m-1."""
        ...


class Factor(Protocol):
    """Factors on the runoff of some reaches."""

    def __call__(self, start: int, stop: int) -> Float:
        """(stop - start, reach)."""
        ...

    def select(self, reaches: NDArray[np.int64]) -> Self:
        """The factors of some reaches only."""
        ...


@dataclass(frozen=True, eq=False)
class FactoredRunoff:
    """A `RunoffReader`: another one times a factor, or over it.

    Attributes:
        given: the other one; factor: of its reaches.
        over: divide by the factor instead.
    """

    given: RunoffReader
    factor: Factor
    over: bool = False

    @property
    def time(self) -> TimeArray:
        return self.given.time

    @property
    def step(self) -> float:
        return self.given.step

    def read(self, reach_positions: ArrayLike | None, start: int, stop: int) -> Float:
        values = self.given.read(reach_positions, start, stop)
        if reach_positions is None:
            factor = self.factor(start, stop)
        else:
            factor = self.factor.select(np.asarray(reach_positions, np.int64))(start, stop)
        return values / factor if self.over else values * factor

    def select(self, reach_positions: ArrayLike) -> FactoredRunoff:
        at = np.asarray(reach_positions, np.int64)
        return FactoredRunoff(self.given.select(at), self.factor.select(at), self.over)


@dataclass(frozen=True, eq=False)
class HeldRunoff:
    """A `RunoffReader` in memory: values (time, reach) m³/s at the starts `time` of forcing steps of `step` s."""

    time: TimeArray
    step: float
    values: NDArray[Any]

    def read(self, reach_positions: ArrayLike | None, start: int, stop: int) -> Float:
        some = self.values[start:stop]
        if reach_positions is not None:
            some = some[:, np.asarray(reach_positions, np.int64)]
        return np.asarray(some, np.float64)

    def select(self, reach_positions: ArrayLike) -> HeldRunoff:
        return HeldRunoff(self.time, self.step, self.values[:, np.asarray(reach_positions, np.int64)])
