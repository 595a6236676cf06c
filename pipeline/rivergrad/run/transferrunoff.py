"""A run's learned runoff on another network: its model, with the forcings and attributes of other catchments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from rivercut.network import RiverNetwork
from rivergrad.config.quantities import format_duration
from rivergrad.config.schema import Workflow
from rivergrad.config.sections import RunoffSection
from rivergrad.errors import InputError
from rivergrad.io import ForcingSource, RunoffSource, open_forcings
from rivergrad.io.datasets import MissingError
from rivergrad.io.readers import HeldRunoff
from rivergrad.pieces.learned import PieceRunoffModel
from rivergrad.run.givenfiles import runoff_of, variables_of
from rivergrad.run.learnedrunoff import (
    LearnedRunoff,
    PieceForcings,
    days_of_year,
    runoff_areas,
    runoff_attributes,
)
from rivergrad.run.runoffmodel import saved_runoff_model
from rivergrad.run.transfer import FAR
from rivergrad.runoff import FlatModule

COPIES = 4
"""How often forcings are in memory at most while the runoff of some reaches is computed, in double precision."""


class RunoffElsewhere:
    """The runoff model of a finished run and the input that it takes, of another network; all of it checked.

    Args:
        run_dir: of the run; config: its workflow.
        network: the other network; network_path: its file, for messages.
        forcings: file of its forcings, None where there is none.
        names: what forcings are called in that file, where it is not as in the workflow.
        given: file of its given runoff, for a model that corrects one.

    Attributes:
        model: the model's name; time: (T,) start of each step; step: s.

    Raises:
        InputError: no such input, or one that the model does not take; other names, units, steps or times; an
            attribute or area that the network lacks.
    """

    def __init__(
        self,
        run_dir: Path,
        config: Workflow,
        network: RiverNetwork,
        network_path: Path,
        *,
        forcings: Path | None = None,
        names: Mapping[str, str] | None = None,
        given: Path | None = None,
    ) -> None:
        section = config.runoff
        assert section is not None
        module, spec, self._scaling = saved_runoff_model(run_dir)
        spec = replace(spec, seed=config.seed)  # of what a model draws and does not train
        self.model, self._config, self._network = spec.model, config, network
        which = f"the runoff model {spec.model} of {run_dir}"
        in_file = variables_of(section)
        if unknown := next((name for name in names or {} if name not in in_file), None):
            raise InputError(
                f"--forcing: found {unknown}; expected one of {', '.join(in_file) or 'none'}, which {which} takes"
            )
        in_file |= names or {}
        if (forcings is None) == bool(in_file):
            wanted = f"a NetCDF or Zarr file of {', '.join(in_file)}" if in_file else "none"
            raise InputError(f"--forcings: found {forcings or 'none'}; expected {wanted}, for {which}")
        if (given is None) == spec.needs_given:
            wanted = "the runoff that it corrects" if spec.needs_given else "none"
            raise InputError(f"--runoff: found {given or 'none'}; expected {wanted}, for {which}")
        source = None if forcings is None else _open_forcings(forcings, network, in_file, section)
        self._given: RunoffSource | None = None
        if given is not None:
            self._given = runoff_of(section, network, given)
            if source is not None and not np.array_equal(source.time, self._given.time):
                raise InputError(f"{forcings}: has other times than the runoff {given}; expected the same")
        first = source or self._given
        if first is None:
            raise InputError(f"{run_dir}: {which} takes nothing that has times; expected forcings")
        self.time, self.step = first.time, float(first.step)
        if self.step != spec.step:
            raise InputError(
                f"{forcings or given}: found steps of {format_duration(self.step)}; expected "
                f"{format_duration(spec.step)}, those that {which} was trained on"
            )
        try:
            attributes = runoff_attributes(spec.attributes, network)
            area = runoff_areas(network, self._given, spec.needs_given)
        except InputError as error:
            raise error.at(network_path) from None
        flat = FlatModule(module)
        days = days_of_year(self.time, self.step) if section.season else None
        self._learned = LearnedRunoff(
            spec=spec,
            scaling=self._scaling,
            start=flat.vector(),
            decays=flat.decays(),
            read=PieceForcings(source, network.n_reaches, days),
            attributes=attributes,
            area=area,
            reach_id=network.reach_id,
        )

    def strange_reaches(self) -> int:
        """How many reaches have an attribute more than `FAR` standard deviations from the mean of the training."""
        spread = np.where(self._scaling.attribute_sd > 0, self._scaling.attribute_sd, np.inf)
        off = np.abs(self._learned.attributes - self._scaling.attribute_mean) / spread
        return int((off > FAR).any(axis=1).sum())

    def compute(self, device: str, on_reaches: Callable[[int], None] = lambda done: None) -> HeldRunoff:
        """The runoff of every reach over the whole record, some reaches after the other.

        Args:
            device: cpu or cuda; on_reaches: told how many reaches are done.

        Raises:
            InputError: a value of the forcings that is missing, or runoff that is no number.
        """
        compute, n, steps = self._config.compute, self._network.n_reaches, self.time.size
        dtype = getattr(torch, compute.dtype)
        each = 8 * COPIES * steps * max(1, len(self._learned.spec.forcings))
        size = max(1, min(n, compute.memory_budget // each))
        values = np.empty((steps, n), compute.dtype)
        for start in range(0, n, size):
            some = np.arange(start, min(start + size, n))
            model = PieceRunoffModel(self._learned.setup(some), steps, dtype, torch.device(device), 0)
            given = None
            if self._given is not None:
                read = self._given.select(some).read(None, 0, steps)
                given = torch.from_numpy(np.array(read)).to(device, dtype)
            values[:, some] = model.record(self._learned.start, steps, given).cpu().numpy()
            on_reaches(int(some[-1]) + 1)
        return HeldRunoff(self.time, self.step, values)


def _open_forcings(
    path: Path, network: RiverNetwork, in_file: Mapping[str, str], section: RunoffSection
) -> ForcingSource:
    try:
        return open_forcings(
            path,
            network,
            tuple(in_file.values()),
            stamp=section.forcings_stamp,
            accumulated=section.forcings_accumulated,
        )
    except MissingError as error:
        absent = next((name for name in in_file if f"'{in_file[name]}'" in str(error)), "NAME")
        raise InputError(f"{error}; --forcing {absent}=... tells what it is called there") from None
