"""Observations on the steps of the runoff: means over their interval, or snapshots at its end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivergrad.io import Observations, RunoffSource
from rivergrad.routing.reported import MEAN, Report
from rivergrad.run.givenfiles import on_runoff_steps

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OnSteps:
    """Where observations lie among the steps of the runoff.

    Attributes:
        report: what discharge they are compared with.
        step: (value,) the step at whose end the interval of each ends; row: (value,) its row in the file.
        steps: of the runoff.
    """

    report: Report
    step: NDArray[np.int64]
    row: NDArray[np.int64]
    steps: int

    def aligned(self, values: Float) -> Float:
        """What belongs to the observations, (time of the file, gauge), on the steps of the runoff."""
        found = np.full((self.steps, values.shape[1]), np.nan)
        found[self.step] = values[self.row]
        return found

    def compared(self, start: int, stop: int) -> slice:
        """The steps of start..stop that observations may end at."""
        every = self.report.every
        if every == 1:
            return slice(start, stop)
        return slice(start + (int(self.step[0]) - start) % every, stop, every)


def on_steps(runoff: RunoffSource, observations: Observations, kind: str) -> OnSteps:
    """Put observations on the steps of the runoff.

    Means over several steps are compared with means over as many. Snapshots are taken where a step ends.

    Args:
        runoff: of regular steps.
        observations: with the starts of their steps.
        kind: `mean` or `end`.

    Raises:
        InputError: no common period, or intervals that are not whole steps.
    """
    placed = on_runoff_steps(runoff, observations, kind)
    report = (
        MEAN
        if kind == "mean" and placed.every == 1
        else Report("mean" if kind == "mean" else "end", placed.every)
    )
    return OnSteps(report, placed.step, placed.row, runoff.time.size)
