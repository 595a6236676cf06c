"""The sections of a workflow, one frozen class each; `rivergrad.config.schema.Workflow` puts them together."""

from __future__ import annotations

from rivergrad.config.sections.base import Section, days
from rivergrad.config.sections.compute import ComputeSection, PartitionSection, SlurmSection, TlsSection
from rivergrad.config.sections.estimate import SCRATCH, EstimateSection, StageSection, UncertaintySection
from rivergrad.config.sections.gauges import GaugesSection, PlacementSection, ScreeningSection
from rivergrad.config.sections.inputs import (
    NetworkSection,
    ObservationsSection,
    RunoffSection,
    TwinSection,
    WorldSection,
)
from rivergrad.config.sections.parameters import (
    CeleritySection,
    HillslopeDelaySection,
    NuisanceSection,
    ParameterSection,
    ParametersSection,
    SpreadingSection,
)
from rivergrad.config.sections.report import ReportSection
from rivergrad.config.sections.routing import HillslopeSection, SchemeSection, TimeSection

__all__ = [
    "SCRATCH",
    "CeleritySection",
    "ComputeSection",
    "EstimateSection",
    "GaugesSection",
    "HillslopeDelaySection",
    "HillslopeSection",
    "NetworkSection",
    "NuisanceSection",
    "ObservationsSection",
    "ParameterSection",
    "ParametersSection",
    "PartitionSection",
    "PlacementSection",
    "ReportSection",
    "RunoffSection",
    "SchemeSection",
    "ScreeningSection",
    "Section",
    "SlurmSection",
    "SpreadingSection",
    "StageSection",
    "TimeSection",
    "TlsSection",
    "TwinSection",
    "UncertaintySection",
    "WorldSection",
    "days",
]
