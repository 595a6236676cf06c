"""The files that a workflow names, opened as it says: without torch, so that they can be looked at in a second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.config.schema import Workflow
from rivergrad.config.sections import ObservationsSection, RunoffSection
from rivergrad.errors import InputError
from rivergrad.files import Paths
from rivergrad.io import (
    ForcingSource,
    Observations,
    PlacementSettings,
    Quality,
    RunoffSource,
    Steps,
    open_forcings,
    open_runoff,
    overlap,
    read_observations,
)
from rivergrad.io.stamps import Stamp
from rivergrad.io.times import step_text
from rivergrad.weather import FORCINGS


def runoff_of(section: RunoffSection, network: RiverNetwork, path: Path | None = None) -> RunoffSource:
    """The runoff of a workflow that names its file; or of another file that is read as that one is.

    Its format is that of the workflow, and told by the file itself where that is another one.

    Raises:
        InputError: see `open_runoff`.
    """
    given = section.path if path is None else path
    assert given is not None
    return open_runoff(
        given,
        network,
        variable=section.variable,
        grid=section.grid,
        start=section.start if path is None else None,
        step=section.step if path is None else None,
        stamp=section.stamp,
        accumulated=section.accumulated,
        format=section.format if path is None else "auto",
        weights=section.weights,
        absent=section.absent,
    )


def variables_of(section: RunoffSection) -> dict[str, str]:
    """The forcings that a runoff model takes from a file, in order, each with its name there."""
    if section.variables or section.model == "correction":
        return dict(section.variables)
    return {name: name for name in FORCINGS}


def forcings_of(section: RunoffSection, network: RiverNetwork, path: Path | None) -> ForcingSource | None:
    """The forcings of a runoff model; None where it has none.

    Raises:
        InputError: the model needs forcings and there is no file, or see `open_forcings`.
    """
    named = variables_of(section)
    if path is None or not named:
        if named:
            raise InputError(
                f"found {', '.join(named)} without forcings; expected their file", key="runoff.variables"
            )
        return None
    return open_forcings(
        path,
        network,
        tuple(named.values()),
        stamp=section.forcings_stamp,
        accumulated=section.forcings_accumulated,
    )


def observations_of(
    config: Workflow, network: RiverNetwork, first: RunoffSource | ForcingSource | None
) -> Observations:
    """The observations of a workflow that names their file; `first` is what their times are compared with.

    Raises:
        InputError: see `read_observations`.
    """
    section = config.observations
    assert section is not None
    return read_observations(
        section.path,
        network,
        variable=section.variable,
        placement=PlacementSettings(**dict(config.gauges.placement)),
        negative=config.gauges.negative,
        stamp=stamp_of(section),
        format=section.format,
        like=None if first is None else Steps(first.time[0], first.step),
        stations=section.stations,
        quality=Quality.of(section.quality.drop, section.quality.keep),
        utc_offset=section.utc_offset,
    )


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


@dataclass(frozen=True, eq=False)
class Placed:
    """Where observations lie among the steps of the runoff.

    Attributes:
        step: (value,) the step at whose end the interval of each ends; row: (value,) its row in the file.
        every: steps of the runoff in one interval.
    """

    step: NDArray[np.int64]
    row: NDArray[np.int64]
    every: int


def on_runoff_steps(runoff: RunoffSource, observations: Observations, kind: str) -> Placed:
    """Put observations on the steps of the runoff (see `rivergrad.run.observed.on_steps`).

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
        return Placed(step, row, 1)
    if own % length and not (kind == "end" and length % own == 0):
        raise InputError(
            f"{observations.path}: observations have steps of {step_text(observations.step)} and the runoff "
            f"{runoff.path} of {step_text(runoff.step)}; expected as long ones, whole multiples of them, or "
            "observations.kind: end for snapshots"
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
    return Placed(step[row], row, max(1, own // length))
