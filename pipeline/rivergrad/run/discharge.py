"""Discharge of every reach under the estimate, as it is scored at gauges."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from rivergrad.io import DischargeWriter, RunoffReader, open_runoff
from rivergrad.io.discharge import DISCHARGE_ATTRIBUTES, END_ATTRIBUTES
from rivergrad.io.readers import FactoredRunoff
from rivergrad.io.state import routed_at, write_state
from rivergrad.model.layout import TIMING, VOLUME, Coefficients
from rivergrad.model.timing import TimingModel
from rivergrad.model.volume import VolumeModel
from rivergrad.pieces.direct import simulate
from rivergrad.pieces.parameters import Given
from rivergrad.routing.flow.names import EXPONENT, REFERENCE
from rivergrad.routing.hillslope import NAMES
from rivergrad.routing.outside import Outside, Sink, effective, outside, watched
from rivergrad.run.evaluation import estimated
from rivergrad.run.flowlaw import rounds_of
from rivergrad.run.hillslope import response_of
from rivergrad.run.inputs import Inputs
from rivergrad.run.problem import Problem
from rivergrad.run.routing import routing_of
from rivergrad.rundir.contents import DISCHARGE, RUNOFF, STATE

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DelayedRunoff:
    """A `RunoffReader`: another one, as much later as is estimated.

    Attributes:
        given: the other one; timing: the model; values: (area,) its coefficients.
        area: (reach,) increment area of each reach, −1 for none.
    """

    given: RunoffReader
    timing: TimingModel
    values: Float
    area: NDArray[np.int64]

    @property
    def time(self) -> NDArray[np.datetime64]:
        return self.given.time

    @property
    def step(self) -> float:
        return self.given.step

    def read(self, reach_positions: ArrayLike | None, start: int, stop: int) -> Float:
        before, after, rows = self.timing.around(start, stop, self.time.size)
        given = torch.from_numpy(np.asarray(self.given.read(reach_positions, before, after)))[rows]
        area = self.area if reach_positions is None else self.area[np.asarray(reach_positions, np.int64)]
        found = self.timing.delayed(given, torch.from_numpy(self.values), torch.from_numpy(area))
        values: Float = found.numpy()
        return values

    def select(self, reach_positions: ArrayLike) -> DelayedRunoff:
        at = np.asarray(reach_positions, np.int64)
        return DelayedRunoff(self.given.select(at), self.timing, self.values, self.area[at])


@dataclass(frozen=True, eq=False)
class VolumeFactor:
    """The estimated volume error as a factor on runoff (see `rivergrad.io.readers.Factor`).

    Attributes:
        volume: the model; beta: (area, knot) its coefficients.
        area: (reach,) increment area of each reach, −1 for none.
    """

    volume: VolumeModel
    beta: Float
    area: NDArray[np.int64]

    def __call__(self, start: int, stop: int) -> Float:
        factor: Float = self.volume.factor(
            torch.from_numpy(self.beta), torch.from_numpy(self.area), start, stop
        ).numpy()
        return factor

    def select(self, reaches: NDArray[np.int64]) -> VolumeFactor:
        return VolumeFactor(self.volume, self.beta, self.area[reaches])


def within_range(work: Problem, values: dict[str, Float]) -> tuple[dict[str, Float], Outside | None]:
    """Parameters (reach,) as the scheme computes with them, and what is to be said where it is outside its range."""
    scheme, step, network = work.choice.model.scheme, work.config.time.routing_step, work.case.inputs.network
    found = effective(scheme, values, step)
    own = {name: found[name] for name in scheme.parameter_names}
    if work.config.scheme.cap_x:
        celerity, spreading, length = (
            torch.from_numpy(np.array(one)) for one in (found["celerity"], found["x"], network.length)
        )
        found["diffusivity"] = scheme.diffusivity(celerity, spreading, length).numpy()
    return found, outside(scheme, own, step, network.reach_id)


def write_every_discharge(
    work: Problem, shared: Coefficients[Float], values: dict[str, Float], beyond: Outside | None = None
) -> None:
    """Write discharge.nc of every reach and state.nc, as wanted.

    Runoff is what the estimate takes: given, corrected or learned.

    Args:
        work: whose workers route; what they hold is replaced.
        shared: shared coefficients of the estimate; values: the scheme's parameters, (reach,) each.
        beyond: has the least discharge noted.
    """
    config, inputs = work.config, work.case.inputs
    runoff: RunoffReader = inputs.runoff
    given = estimated(work, shared)
    if work.learned is not None:
        runoff = open_runoff(work.run_dir / RUNOFF, inputs.network)
    else:
        runoff = _corrected(work, given, shared, runoff)
    network, scheme = inputs.network, work.choice.model.scheme
    names = (*scheme.parameter_names, *NAMES, EXPONENT, REFERENCE)
    with ExitStack() as stack:
        after = simulate(
            network=network,
            runoff=runoff,
            parameters={name: values[name] for name in names if name in values},
            how=replace(routing_of(config, scheme), rounds=rounds_of(config)),
            cut=work.cut,
            cluster=config.compute.cluster(work.run_dir),
            executor=work.executor,
            sink=watched(_sink(work, stack), beyond, network.reach_id),
            keep=config.report.state,
        )
        if after is not None:
            end = inputs.runoff.time[-1] + _length(inputs)
            steps, response = (inputs.runoff.step, config.time.routing_step), response_of(config)
            belongs = routed_at(end, scheme, config.scheme.convention, work.engine, steps, response)
            write_state(work.run_dir / STATE, network, after, belongs)


def _corrected(
    work: Problem, given: Given, shared: Coefficients[Float], runoff: RunoffReader
) -> RunoffReader:
    """Runoff without its estimated errors, as far as the estimate is scored without them."""
    area = work.increment_area
    if given.timing and work.timing is not None and area is not None:
        runoff = DelayedRunoff(runoff, work.timing, shared[TIMING], area)
    if given.volume and work.volume is not None and area is not None:
        runoff = FactoredRunoff(runoff, VolumeFactor(work.volume, shared[VOLUME], area))
    return runoff


def _sink(work: Problem, stack: ExitStack) -> Sink:
    """What writes discharge.nc, where it is wanted."""
    inputs = work.case.inputs
    if not work.config.report.discharge:
        return lambda start, discharge: None
    ends = inputs.report.kind == "end"
    of = END_ATTRIBUTES if ends else DISCHARGE_ATTRIBUTES
    path = work.run_dir / DISCHARGE
    writer = stack.enter_context(DischargeWriter(path, inputs.network.reach_id, variable_attributes=of))
    return writer.along(inputs.runoff.time + ends * _length(inputs))


def _length(inputs: Inputs) -> np.timedelta64:
    return np.timedelta64(round(inputs.runoff.step * 1e9), "ns")
