"""The runoff model that a workflow asks for: its forcings, attributes, areas and first weights."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.config.schema import Workflow
from rivergrad.errors import InputError, ids_text
from rivergrad.io import ForcingSource, RunoffReader
from rivergrad.model.layout import RUNOFF, Layout
from rivergrad.pieces.learned import RunoffSetup, Scaling
from rivergrad.run.givenfiles import variables_of
from rivergrad.run.inputs import Inputs
from rivergrad.runoff import FlatModule, RunoffSpec

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

SEASON = ("season_sine", "season_cosine")
YEAR_DAYS = 365.25
SCALING_VALUES = 1 << 25
"""Values of forcings that means and standard deviations are taken of, at most; they are spread over the record."""
SCALING_BLOCK = 32
NOMINAL_DEPTH = 1.0
"""Mean runoff, mm per step, that reaches without areas are taken to have where a given runoff is corrected."""


@dataclass(frozen=True)
class PieceForcings:
    """Reads the forcings of one piece: what a worker is given.

    Attributes:
        source: of the piece's reaches; None where only the season is a forcing, or nothing.
        reaches: how many there are.
        days: (T,) day of the year of each step, in years of 365.25 days; None without a season.
    """

    source: ForcingSource | None
    reaches: int
    days: Float | None

    def __call__(self, start: int, stop: int) -> Float:
        """(time, reach, variable)."""
        found = [np.zeros((stop - start, self.reaches, 0))]
        if self.source is not None:
            found.append(self.source.read(None, start, stop))
        if self.days is not None:
            angle = 2 * np.pi * self.days[start:stop] / YEAR_DAYS
            season = np.stack([np.sin(angle), np.cos(angle)], axis=-1)[:, None]
            found.append(np.broadcast_to(season, (stop - start, self.reaches, 2)))
        return np.concatenate(found, axis=-1)


@dataclass(frozen=True)
class LearnedRunoff:
    """Everything about the runoff model but its weights, for the whole network.

    Attributes:
        spec: the model; scaling: of what it takes; start: its first weights (size,).
        decays: (size,) whether weight decay is for a weight.
        read: of the whole network; attributes: (reach, attribute); area: (reach,) m².
    """

    spec: RunoffSpec
    scaling: Scaling
    start: Float
    decays: NDArray[np.bool_]
    read: PieceForcings
    attributes: Float
    area: Float
    reach_id: NDArray[np.int64]

    @property
    def layout(self) -> Layout:
        """The weights."""
        return Layout.of({RUNOFF: self.start.shape})

    def setup(self, reaches: NDArray[np.int64]) -> RunoffSetup:
        """What a piece of these reaches needs."""
        source = self.read.source
        return RunoffSetup(
            spec=self.spec,
            scaling=self.scaling,
            read=replace(
                self.read,
                source=None if source is None else source.select(reaches),
                reaches=reaches.size,
            ),
            attributes=self.attributes[reaches],
            area=self.area[reaches],
            reach_id=self.reach_id[reaches],
        )


def make_learned(config: Workflow, inputs: Inputs, last: int) -> LearnedRunoff | None:
    """The runoff model of a workflow; None where runoff is given. Forcings are standardised over steps 0..`last`.

    Raises:
        InputError: no such model, attributes or areas missing, forcings that are no numbers.
    """
    section = config.runoff
    if section is None or not section.learned:
        return None
    assert section.model is not None
    network = inputs.network
    names = tuple(variables_of(section)) + (SEASON if section.season else ())
    spec = RunoffSpec(
        model=section.model,
        forcings=names,
        attributes=section.attributes,
        step=inputs.runoff.step,
        options=dict(section.options),
        seed=config.seed,
    )
    if spec.needs_given and not inputs.runoff_is_given:
        raise InputError(
            "corrects given runoff; expected runoff.path with it", key="runoff.model", found=section.model
        )
    read = PieceForcings(
        inputs.forcings,
        network.n_reaches,
        days_of_year(inputs.runoff.time, inputs.runoff.step) if section.season else None,
    )
    attributes = runoff_attributes(section.attributes, network)
    area = runoff_areas(network, inputs.runoff, spec.needs_given)
    mean, sd = _moments(read, last)
    scaling = Scaling(mean, sd, attributes.mean(axis=0), attributes.std(axis=0))
    flat = FlatModule(spec.build())
    if not flat.size:
        raise InputError("has no parameters to train; expected some", key="runoff.model", found=section.model)
    log.info(
        "runoff model %s: %d weights, forcings %s, attributes %s",
        section.model, flat.size, ", ".join(names) or "none", ", ".join(section.attributes) or "none",
    )  # fmt: skip
    return LearnedRunoff(
        spec=spec,
        scaling=scaling,
        start=flat.vector(),
        decays=flat.decays(),
        read=read,
        attributes=attributes,
        area=area,
        reach_id=network.reach_id,
    )


def days_of_year(time: NDArray[np.datetime64], step: float) -> Float:
    """(T,) days from the beginning of the year to the middle of each step."""
    middle = time + np.timedelta64(round(step * 5e8), "ns")
    found: Float = (middle - middle.astype("datetime64[Y]")) / np.timedelta64(1, "D")
    return found


def runoff_attributes(names: tuple[str, ...], network: RiverNetwork) -> Float:
    """(reach, attribute) as a runoff model takes them.

    Raises:
        InputError: the network lacks an attribute, or one is missing for some reaches.
    """
    columns = [np.zeros((network.n_reaches, 0))]
    for name in names:
        if name not in network.attributes:
            known = ", ".join(network.attributes) or "none"
            raise InputError(
                f"the network has no attribute {name}; expected one of {known}", key="runoff.attributes"
            )
        values = np.asarray(network.attributes[name], np.float64)
        if (bad := ~np.isfinite(values)).any():
            raise InputError(
                f"{name} is missing for the reaches {ids_text(network.reach_id[bad])}; "
                "expected a number for every reach",
                key="runoff.attributes",
            )
        columns.append(values[:, None])
    return np.concatenate(columns, axis=1)


def runoff_areas(network: RiverNetwork, runoff: RunoffReader | None, corrects: bool) -> Float:
    """(reach,) m²: `area_m2`, or where the given `runoff` is corrected areas that give all the same mean depth."""
    if "area_m2" in network.attributes:
        area = np.asarray(network.attributes["area_m2"], np.float64)
        if (bad := ~(np.isfinite(area) & (area >= 0))).any():
            raise InputError(
                f"area_m2 is missing for the reaches {ids_text(network.reach_id[bad])}; expected an area "
                "for every reach, as learned runoff is a depth",
                key="runoff",
            )
        return np.maximum(area, 1.0)
    if not corrects:
        raise InputError(
            "the network has no attribute area_m2; expected it, as learned runoff is a depth", key="runoff"
        )
    assert runoff is not None
    log.info("the network has no area_m2: given runoff is corrected relative to the mean of each reach")
    steps = runoff.time.size
    size = max(1, SCALING_VALUES // network.n_reaches)
    total = np.zeros(network.n_reaches)
    for at in range(0, steps, size):
        total += runoff.read(None, at, min(at + size, steps)).sum(axis=0)
    nominal: Float = np.maximum(total / steps * runoff.step * 1e3 / NOMINAL_DEPTH, 1.0)
    return nominal


def _moments(read: PieceForcings, steps: int) -> tuple[Float, Float]:
    """Mean and standard deviation (variable,) of forcings, over reaches and blocks of steps all over 0..steps."""
    count = read.reaches * SCALING_BLOCK
    blocks = np.arange(0, steps, SCALING_BLOCK)
    most = max(1, SCALING_VALUES // count)
    if blocks.size > most:
        blocks = blocks[np.linspace(0, blocks.size - 1, most).astype(int)]
    number, total, square = 0, 0.0 * read(0, 1)[0, 0], 0.0 * read(0, 1)[0, 0]
    for at in blocks:
        values = read(int(at), min(int(at) + SCALING_BLOCK, steps))
        number += values.shape[0] * values.shape[1]
        total, square = total + values.sum(axis=(0, 1)), square + (values**2).sum(axis=(0, 1))
    mean = total / number
    return mean, np.sqrt(np.maximum(square / number - mean**2, 0.0))
