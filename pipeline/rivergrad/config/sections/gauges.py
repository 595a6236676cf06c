"""Where gauges lie, which are left out and which are held out."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rivergrad.config.fields import (
    Distance,
    Factor,
    GaugeName,
    NonNegativeSmallCount,
    PositiveDuration,
    Share,
    Switch,
)
from rivergrad.config.sections.base import Section
from rivergrad.errors import InputError


class PlacementSection(Section):
    """How gauges are put on reaches; gauges.csv says what became of each."""

    distance: Distance = Field(
        default=5000.0,
        description="How far from its position, or along the river from its reach, a gauge may be put, such as 5km.",
    )
    area_tolerance: Annotated[float, Field(ge=1.0, strict=True, allow_inf_nan=False)] = Field(
        default=1.5,
        description="How many times larger or smaller than its reach's a gauge's drainage area may be.",
    )
    unknown: Literal["error", "drop"] = Field(
        default="error",
        description="What becomes of gauges with no position and no reach that the network has: an error, or dropped.",
    )
    scale_by_area: Switch = Field(
        default=False,
        description="Whether observations are multiplied by the reach's drainage area over the gauge's.",
    )


class ScreeningSection(Section):
    """Which gauges and values are left out as wrong, judged by time.train; screening.csv says why.

    Gauges without enough different values never train and always stand in that table.
    """

    enabled: Switch = Field(default=True, description="Whether gauges are screened.")
    flat_run: PositiveDuration = Field(
        default=30 * 86400.0,
        description="A value well above zero that stays the same for longer than this is left out.",
    )
    volume_factor: Factor = Field(
        default=10.0,
        description="A gauge with so many times more or less water than expected of its runoff is dropped; so is one "
        "with an error of unit (35.3 times).",
    )
    correlation: Share = Field(
        default=0.2,
        description="A gauge whose discharge correlates less with its upstream runoff at any travel time up to 30 "
        "days, and less than half as much as is usual, is dropped as on the wrong river.",
    )
    rating_factor: Factor = Field(
        default=2.0,
        description="Where discharge steps to so many times more or less of the runoff, the shorter side is left out.",
    )


class GaugesSection(Section):
    """Where gauges lie, which are left out, and which are held out, to score the estimate where it saw nothing."""

    holdout: Annotated[Share, Field(lt=1.0)] = Field(
        default=0.0, description="The share of gauges drawn (from the seed) to be held out."
    )
    holdout_ids: tuple[GaugeName, ...] = Field(
        default=(), description="Names of gauges to hold out in any case; they count towards the share."
    )
    validation: Annotated[Share, Field(lt=1.0)] = Field(
        default=0.0,
        description="The share of the other gauges, drawn from the seed, that decide when to stop in place of the "
        "validation days: they do not train, and all of time.train does.",
    )
    placement: PlacementSection = Field(
        default_factory=PlacementSection, description="How gauges are put on reaches."
    )
    screening: ScreeningSection = Field(
        default_factory=ScreeningSection, description="Which gauges and values are left out as wrong."
    )
    negative: Literal["missing", "error", "keep"] = Field(
        default="missing",
        description="What negative observed discharge is: a missing value, which is counted and said, an error, or (at "
        "tidal gauges) a value.",
    )
    holdout_by: Literal["gauge", "basin"] = Field(
        default="gauge",
        description="What is drawn: single gauges, or whole basins, of which the estimate then sees nothing. "
        "It goes for the share held out and for the folds.",
    )
    folds: NonNegativeSmallCount = Field(
        default=0,
        description="The number of folds of a cross-validation before the estimate: each fold is held out once, "
        "of an estimate of its own; 0 for none.",
    )

    @model_validator(mode="after")
    def _folds_hold_out_all(self) -> Self:
        if self.folds == 1:
            raise InputError("found folds 1; expected 2 or more, or 0 for no cross-validation")
        if self.folds and self.holdout:
            raise InputError(
                f"found folds {self.folds} and holdout {self.holdout}; expected no share held out besides the folds "
                "(holdout_ids names gauges that no estimate sees)"
            )
        return self
