"""What a run writes besides parameters and scores."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from rivergrad import registry
from rivergrad.config.fields import (
    Count,
    Switch,
)
from rivergrad.config.sections.base import Section
from rivergrad.errors import InputError


class ReportSection(Section):
    """What the run writes beside parameters and scores."""

    hydrographs: Count = Field(default=6, description="The number of gauges whose hydrographs are drawn.")
    discharge: Switch = Field(
        default=False, description="Whether the estimate's discharge of every reach is written too (large)."
    )
    state: Switch = Field(
        default=False,
        description="Whether the state at the end of the record is written, for route --state-in to go on from.",
    )
    panels: tuple[str, ...] = Field(
        default=(),
        description="Panels of your own for the report: registered names, or import paths package.module:Object.",
    )

    fields: tuple[str, ...] = Field(
        default=(),
        description="Fields of your own to colour the report's map by: registered names, or import paths.",
    )

    @model_validator(mode="after")
    def _parts_are_known(self) -> Self:
        for kind, named in (("panel", self.panels), ("field", self.fields)):
            for name in named:
                found = registry.entry(kind, name)
                if not found.outside:
                    raise InputError(
                        f"found {kind} {name}, which every report has; expected {kind}s of your own"
                    )
                found.load()
            names = [name.rpartition(":")[2] for name in named]
            if len(set(names)) < len(names):
                raise InputError(f"found {kind}s {', '.join(named)}; expected each name once")
        return self
