"""Discharge of every reach under the estimate, as it is scored at gauges."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from rivergrad.io import DischargeWriter, RunoffReader, open_runoff
from rivergrad.io.discharge import DISCHARGE_ATTRIBUTES, END_ATTRIBUTES
from rivergrad.io.readers import FactoredRunoff
from rivergrad.model.layout import VOLUME, Coefficients
from rivergrad.model.volume import VolumeModel
from rivergrad.pieces.direct import simulate
from rivergrad.routing.flow.names import EXPONENT, REFERENCE
from rivergrad.routing.hillslope import NAMES
from rivergrad.routing.outside import Outside, effective, outside, watched
from rivergrad.run.evaluation import estimated
from rivergrad.run.flowlaw import rounds_of
from rivergrad.run.problem import Problem
from rivergrad.run.routing import routing_of
from rivergrad.rundir.contents import DISCHARGE, RUNOFF

Float = NDArray[np.float64]


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
    """Write discharge.nc: every reach, from the runoff that the estimate takes (given, corrected or learned).

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
    elif given.volume:
        assert work.volume is not None
        assert work.increment_area is not None
        runoff = FactoredRunoff(runoff, VolumeFactor(work.volume, shared[VOLUME], work.increment_area))
    ends = inputs.report.kind == "end"
    times = inputs.runoff.time + ends * np.timedelta64(round(inputs.runoff.step * 1e9), "ns")
    of = END_ATTRIBUTES if ends else DISCHARGE_ATTRIBUTES
    path = work.run_dir / DISCHARGE
    names = (*work.choice.model.scheme.parameter_names, *NAMES, EXPONENT, REFERENCE)
    with DischargeWriter(path, inputs.network.reach_id, variable_attributes=of) as writer:
        simulate(
            network=inputs.network,
            runoff=runoff,
            parameters={name: values[name] for name in names if name in values},
            how=replace(routing_of(config, work.choice.model.scheme), rounds=rounds_of(config)),
            cut=work.cut,
            cluster=config.compute.cluster(work.run_dir),
            executor=work.executor,
            sink=watched(writer.along(times), beyond, inputs.network.reach_id),
        )
