"""Observations on the steps of the runoff: means over their interval, or snapshots at its end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rivergrad.config.sections import ObservationsSection
from rivergrad.errors import InputError
from rivergrad.files import Paths
from rivergrad.io import Observations, RunoffSource, overlap
from rivergrad.io.stamps import Stamp
from rivergrad.io.times import step_text
from rivergrad.routing.reported import MEAN, Report

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


def stamp_of(section: ObservationsSection) -> Stamp:
    """What the times of observations label: those of snapshots label their moment, the end of an interval.

    Raises:
        InputError: snapshots in a table whose times are dates alone.
    """
    if section.kind == "mean" or section.stamp != "auto":
        return section.stamp
    if (date := _date_alone(section.path)) is not None:
        raise InputError(
            f"{section.path}: snapshots without their times, the first is {date}; expected times such as {date}T00:00, "
            "or observations.stamp: end (the day begins with it) or start (the day ends with it)"
        )
    return "end"


def _date_alone(path: Paths) -> str | None:
    """The first time of a CSV, if it has no time of day."""
    if not isinstance(path, str | Path) or not Path(path).name.endswith((".csv", ".csv.gz")):
        return None
    import pandas as pd

    try:
        table = pd.read_csv(path, nrows=8, dtype=str, usecols=["time"])
    except (OSError, ValueError):  # which reading the file says better
        return None
    texts = [text.strip() for text in table["time"].dropna()]
    return texts[0] if texts and not any(":" in text or "T" in text for text in texts) else None


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
    length = round(runoff.step * 1e9)
    own = round(observations.step * 1e9)
    if own == length:
        common = overlap(
            runoff.time,
            observations.time,
            what_a=f"runoff {runoff.path}",
            what_b=f"observations {observations.path}",
        )
        step, row = np.arange(runoff.time.size)[common.a], np.arange(observations.time.size)[common.b]
        return OnSteps(MEAN if kind == "mean" else Report("end"), step, row, runoff.time.size)
    if own % length and not (kind == "end" and length % own == 0):
        raise InputError(
            f"{observations.path}: observations have steps of {step_text(observations.step)} and the runoff "
            f"{runoff.path} of {step_text(runoff.step)}; expected as long ones, or whole multiples of them"
        )
    first = observations.time.astype("datetime64[ns]").astype(np.int64) - int(
        runoff.time[0].astype("datetime64[ns]").astype(np.int64)
    )
    end = first + own
    whole = end % length == 0
    if not whole.any():
        raise InputError(
            f"{observations.path}: intervals of observations end {step_text(float(end[0] % length) / 1e9)} after those "
            f"of the runoff {runoff.path}; expected intervals that end with a step of it"
        )
    step = end // length - 1
    begins = 0 if kind == "mean" else -own
    row = np.flatnonzero(whole & (step >= 0) & (step < runoff.time.size) & (first >= begins))
    if not row.size:
        raise InputError(
            f"observations {observations.path} and runoff {runoff.path} have no common period; expected one"
        )
    every = max(1, own // length)
    return OnSteps(Report("mean" if kind == "mean" else "end", every), step[row], row, runoff.time.size)
