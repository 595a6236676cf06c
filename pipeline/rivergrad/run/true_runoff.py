"""The true runoff behind a given one, for twins on real networks: what was given, less errors drawn from the seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.config.sections import TwinSection
from rivergrad.world import RunoffFactor, draw_runoff_factor


@dataclass(frozen=True, eq=False)
class TrueRunoff:
    """A runoff source whose values are those of another one over its errors (see `rivergrad.io.RunoffSource`)."""

    given: Any
    factor: RunoffFactor

    @property
    def time(self) -> NDArray[np.datetime64]:
        times: NDArray[np.datetime64] = self.given.time
        return times

    @property
    def step(self) -> float:
        return float(self.given.step)

    def read(self, reach_positions: NDArray[np.int64] | None, start: int, stop: int) -> NDArray[np.float64]:
        """(time, reach) m³/s."""
        factor = self.factor if reach_positions is None else self.factor.select(reach_positions)
        values: NDArray[np.float64] = self.given.read(reach_positions, start, stop) / factor(start, stop)
        return values

    def select(self, reach_positions: NDArray[np.int64]) -> TrueRunoff:
        """The source for some reaches only."""
        return TrueRunoff(self.given.select(reach_positions), self.factor.select(reach_positions))


def true_runoff(given: Any, network: RiverNetwork, twin: TwinSection, seed: int) -> Any:
    """The runoff that a twin's gauges saw; the given one itself where the twin has no runoff errors."""
    if not twin.has_runoff_errors:
        return given
    factor = draw_runoff_factor(
        network,
        given.time.size,
        given.step,
        seed=seed,
        error=twin.runoff_error,
        bias=twin.runoff_bias,
        noise=twin.runoff_noise,
    )
    return TrueRunoff(given, factor)
