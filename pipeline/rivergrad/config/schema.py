"""A workflow: everything that one run depends on, checked as a whole before anything is computed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field, model_validator

from rivergrad import registry
from rivergrad.config.fields import FilePath, Seed
from rivergrad.config.quantities import format_duration
from rivergrad.config.sections import (
    ComputeSection,
    EstimateSection,
    GaugesSection,
    NetworkSection,
    ObservationsSection,
    ParametersSection,
    PartitionSection,
    ReportSection,
    RunoffSection,
    SchemeSection,
    Section,
    TimeSection,
    TwinSection,
    UncertaintySection,
    WorldSection,
    days,
)
from rivergrad.errors import InputError

SECONDS_PER_DAY = 86400.0


class Workflow(Section):
    """One experiment: its input, its scheme and periods, how it is cut, computed, estimated and reported.

    The input is either `world`, or `network` and `runoff` with `observations` or a `twin`. Durations are
    seconds and sizes bytes once loaded; every period names its first and last day, both included.

    Example:
        >>> import rivergrad as rg
        >>> workflow = rg.load_workflow("workflow.yaml")
        >>> workflow.scheme.name, workflow.estimate.steps
    """

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="The run's name: letters, digits, dots, dashes, underscores.",
    )
    seed: Seed = Field(default=0, description="The seed of everything that is drawn at random.")
    output: FilePath = Field(
        default=Path("runs"),  # the name is appended before validation
        description="The run directory; runs/<name> by default.",
    )
    world: WorldSection | None = Field(default=None, description="A generated world, in place of files.")
    network: NetworkSection | None = Field(default=None, description="The river network to read.")
    runoff: RunoffSection | None = Field(default=None, description="The runoff to read.")
    observations: ObservationsSection | None = Field(
        default=None, description="The observed discharge to read."
    )
    twin: TwinSection | None = Field(
        default=None, description="Synthetic observations of the given runoff, where none are given."
    )
    scheme: SchemeSection = Field(default_factory=SchemeSection, description="The routing scheme.")
    time: TimeSection = Field(description="Routing step, warm-up and periods.")
    gauges: GaugesSection = Field(
        default_factory=GaugesSection, description="Where gauges lie, and which are left out or held out."
    )
    parameters: ParametersSection = Field(
        default_factory=ParametersSection, description="What is estimated, from where and within what."
    )
    partition: PartitionSection = Field(
        default_factory=PartitionSection, description="How the network is cut."
    )
    compute: ComputeSection = Field(
        default_factory=ComputeSection, description="Where and how it is computed."
    )
    estimate: EstimateSection = Field(
        default_factory=EstimateSection, description="How the parameters are fitted."
    )
    uncertainty: UncertaintySection = Field(
        default_factory=UncertaintySection, description="How sure the parameters are."
    )
    report: ReportSection = Field(default_factory=ReportSection, description="What is reported.")

    @model_validator(mode="before")
    @classmethod
    def _output_from_name(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("output") is None and isinstance(data.get("name"), str):
            return {**data, "output": f"runs/{data['name']}"}
        return data

    @model_validator(mode="before")
    @classmethod
    def _world_holds_out_as_asked(cls, data: Any) -> Any:
        """The share of gauges held out stands once, in `gauges`; a world that does not say otherwise follows it."""
        match data:
            case {"world": {"spec": dict(spec)}} if "holdout_fraction" not in spec:
                gauges = data.get("gauges")
                share = gauges.get("holdout", 0.0) if isinstance(gauges, dict) else 0.0
                return {**data, "world": {**data["world"], "spec": {**spec, "holdout_fraction": share}}}
        return data

    @model_validator(mode="after")
    def _one_source_of_input(self) -> Self:
        files = {"network": self.network, "runoff": self.runoff}
        optional = {"observations": self.observations, "twin": self.twin}
        given = [key for key, section in {**files, **optional}.items() if section is not None]
        learned = self.runoff is not None and self.runoff.learned
        if self.world is not None:
            if learned and given == ["runoff"]:
                return self
            if given:
                raise InputError(f"found world and {', '.join(given)}; expected world alone, or files alone")
            return self
        missing = [key for key, section in files.items() if section is None]
        if missing:
            raise InputError(
                f"found {', '.join(given) or 'no world'} without {' and '.join(missing)}; expected world, or "
                "network, runoff and observations (or twin)"
            )
        if (self.observations is None) == (self.twin is None):
            found = "observations and twin" if self.twin else "neither observations nor twin"
            raise InputError(f"found {found}; expected one of observations, twin")
        return self

    @model_validator(mode="after")
    def _runoff_comes_from_somewhere(self) -> Self:
        """Given runoff has a path; learned runoff an optimiser that can learn it, and forcings or a path."""
        runoff = self.runoff
        if runoff is None or not runoff.learned:
            if self.estimate.stages:
                raise InputError(
                    "found estimate.stages with given runoff; expected none, or runoff.kind learned"
                )
            if runoff is not None and runoff.path is None:
                raise InputError(
                    "found runoff without path; expected the file of the runoff, or kind learned"
                )
            return self
        optimiser = registry.entry("optimiser", self.estimate.method)
        if not optimiser.unseen and not optimiser.facts.get("learns_runoff"):
            raise InputError(
                f"found estimate.method {self.estimate.method} with learned runoff; expected adam, which alone can "
                "train a runoff model"
            )
        if self.parameters.model == "auto":
            raise InputError(
                "found parameters.model auto with learned runoff; expected a model, or runoff that is given"
            )
        for key in ("nuisance", "timing"):
            if getattr(self.parameters, key) is not None:
                raise InputError(f"found parameters.{key} with learned runoff; expected one of the two")
        if self.world is not None:
            if runoff.path is not None or runoff.forcings is not None:
                raise InputError(
                    "found world with files of runoff; expected neither path nor forcings with it"
                )
            if not self.world.spec.weather and (runoff.variables or runoff.model in ("lstm", "hbv")):
                raise InputError(
                    "found learned runoff in a world without weather; expected world.spec.weather true"
                )
        elif runoff.path is None and runoff.forcings is None:
            raise InputError("found learned runoff without forcings; expected the file of the forcings")
        elif runoff.path is None and self.twin is not None:
            raise InputError(
                "found twin with runoff that is only learned; expected runoff.path, or observations"
            )
        elif runoff.model == "correction" and runoff.path is None:
            raise InputError(
                "found runoff.model correction without path; expected the runoff that it corrects"
            )
        return self

    @model_validator(mode="after")
    def _spreading_belongs_to_scheme(self) -> Self:
        spreading = self.parameters.spreading
        if spreading is None:
            return self
        scheme = registry.entry("scheme", self.scheme.name)
        if scheme.unseen:
            return self
        if "spreading" not in scheme.facts:
            raise InputError(f"found parameters.spreading with scheme {scheme.name}; expected none with it")
        limit = scheme.facts.get("spreading_limit", math.inf)
        if spreading.bounds[1] > limit:
            raise InputError(
                f"found parameters.spreading.bounds up to {spreading.bounds[1]}; "
                f"expected {scheme.name}'s {scheme.facts['spreading']} within 0..{limit:g}"
            )
        return self

    @model_validator(mode="after")
    def _hillslope_to_estimate(self) -> Self:
        section, given = self.parameters.hillslope, self.scheme.hillslope
        if section is None:
            return self
        if given is None or given.name == "none":
            raise InputError(
                "found parameters.hillslope without scheme.hillslope; expected scheme.hillslope.name linear_storage, "
                "nash or gamma with it"
            )
        if "delay" in given.model_fields_set and not section.bounds[0] < given.delay < section.bounds[1]:
            raise InputError(
                f"found scheme.hillslope.delay {format_duration(given.delay)} outside parameters.hillslope.bounds "
                f"{format_duration(section.bounds[0])}..{format_duration(section.bounds[1])}; expected it within"
            )
        return self

    @model_validator(mode="after")
    def _one_share_held_out(self) -> Self:
        if self.world is not None and self.world.spec.holdout_fraction != self.gauges.holdout:
            raise InputError(
                f"found world.spec.holdout_fraction {self.world.spec.holdout_fraction} and gauges.holdout "
                f"{self.gauges.holdout}; expected the share in gauges.holdout alone"
            )
        return self

    @model_validator(mode="after")
    def _world_covers_periods(self) -> Self:
        if self.world is None:
            return self
        spec = self.world.spec
        ratio = spec.step / self.time.routing_step
        if ratio < 1 or ratio != round(ratio):
            raise InputError(
                f"found world.spec.forcing_step {format_duration(spec.step)} and time.routing_step "
                f"{format_duration(self.time.routing_step)}; expected the first a multiple of the second"
            )
        start = spec.start_time
        end = start + np.timedelta64(round(spec.n_steps * spec.step), "s")
        for key in ("train", "validation", "test"):
            period = getattr(self.time, key)
            if period is not None and not (
                start <= np.datetime64(period[0]) and np.datetime64(period[1]) + np.timedelta64(1, "D") <= end
            ):
                raise InputError(
                    f"found time.{key} {period[0]}..{period[1]} and a world from {_date(start)} to "
                    f"{_date(end - np.timedelta64(1, 's'))}; expected a period within it"
                )
        return self

    @model_validator(mode="after")
    def _window_fits(self) -> Self:
        length = days(self.time.fit_period) * SECONDS_PER_DAY
        if self.estimate.window > length:
            raise InputError(
                f"found estimate.window {format_duration(self.estimate.window)} and "
                f"{days(self.time.fit_period)}d of time.train outside validation; expected a shorter window"
            )
        return self


def _date(time: np.datetime64) -> str:
    return str(time.astype("datetime64[D]"))
