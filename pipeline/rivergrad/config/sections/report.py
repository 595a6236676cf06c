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
    panels: tuple[str, ...] = Field(
        default=(),
        description="Panels of your own for the report: registered names, or import paths package.module:Object.",
    )

    @model_validator(mode="after")
    def _panels_are_known(self) -> Self:
        for name in self.panels:
            found = registry.entry("panel", name)
            if not found.outside:
                raise InputError(f"found panel {name}, which every report has; expected panels of your own")
            found.load()
        names = [name.rpartition(":")[2] for name in self.panels]
        if len(set(names)) < len(names):
            raise InputError(f"found panels {', '.join(self.panels)}; expected each name once")
        return self
