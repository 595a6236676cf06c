"""What an embedded world is made from: a seed and a handful of sizes."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from rivergrad.errors import InputError

DAY = 86_400.0


MOST_VALUES = 10**10
"""Reaches times forcing steps of a world: 40 GB in single precision."""


class WorldSpec(BaseModel):
    """The recipe of an embedded world; equal specs give equal worlds, to the byte.

    The planet is as small as its rivers need: its radius follows from the number of reaches and their mean
    length, so that travel times of reaches stay comparable with the forcing step for any world size.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(
        default=1, ge=0, lt=2**32, description="Seed of everything random: terrain, storms, gauges, noise."
    )
    reaches: int = Field(
        default=3000,
        ge=50,
        le=200_000,
        description="Number of reaches aimed at; met within 15 %.",
    )
    reach_length: float = Field(
        default=25_000.0, ge=1_000.0, le=200_000.0, description="Mean length of a reach in metres."
    )
    land_fraction: float = Field(
        default=0.36, ge=0.15, le=0.7, description="Share of the map, 60°S to 80°N, that is land."
    )
    relief: float = Field(
        default=2_000.0,
        ge=200.0,
        le=9_000.0,
        description="Elevation in metres that 0.5 % of the land lies above.",
    )
    celerity: float = Field(
        default=1.0,
        ge=0.2,
        le=3.0,
        description="Median of the true celerities in m/s.",
    )
    celerity_reference: float | None = Field(
        default=None,
        ge=0.05,
        le=10.0,
        description="True celerity in m/s at a slope of 0.002 and an upstream area of 5e9 m2, in place of the median: "
        "worlds of any seed that share it share one law of slope and area.",
    )
    celerity_slope_exponent: float = Field(
        default=0.55, ge=0.0, le=1.0, description="Power of the slope that the true celerity grows with."
    )
    celerity_area_exponent: float = Field(
        default=0.35,
        ge=0.0,
        le=1.0,
        description="Power of the upstream area that the true celerity grows with.",
    )
    celerity_noise: float = Field(
        default=0.22,
        ge=0.0,
        le=1.0,
        description="Standard deviation of ln(celerity) that neither slope nor area explains.",
    )
    muskingum_x: float = Field(default=0.2, ge=0.0, le=0.45, description="Mean of the true Muskingum x.")
    muskingum_x_noise: float = Field(
        default=0.02,
        ge=0.0,
        le=0.1,
        description="Standard deviation of the true Muskingum x over the reaches.",
    )
    start: str = Field(default="2001-01-01", description="Date of the first forcing step.")
    years: float = Field(
        default=4.0, gt=0.0, le=100.0, description="Length of the record in years of 365.25 days."
    )
    forcing_step: str = Field(
        default="1D", description="Forcing step as a duration such as 1D or 6h; a day is a multiple of it."
    )
    runoff_depth: float = Field(
        default=0.6,
        ge=0.01,
        le=5.0,
        description="Expected runoff in metres of water a year, mean over the area of all reaches.",
    )
    baseflow_fraction: float = Field(
        default=0.35, ge=0.0, le=0.95, description="Share of the rain that leaves through the slow reservoir."
    )
    weather: bool = Field(
        default=False,
        description="Generate rain, temperature and potential evapotranspiration too, and make the true runoff of them "
        "by hidden buckets whose parameters follow from soil_depth_mm, clay_fraction, slope and elevation_m of each "
        "catchment; runoff_depth and baseflow_fraction do not count then.",
    )
    precipitation_depth: float = Field(
        default=1.1,
        ge=0.05,
        le=10.0,
        description="Expected precipitation in metres of water a year, mean over the area of all reaches.",
    )
    lapse_rate: float = Field(
        default=6.5, ge=0.0, le=12.0, description="Fall of the temperature with elevation in K per km."
    )
    temperature_noise: float = Field(
        default=2.5,
        ge=0.0,
        le=10.0,
        description="Standard deviation of the temperature in K about what the season and the place say.",
    )
    bucket_noise: float = Field(
        default=0.1,
        ge=0.0,
        le=1.0,
        description="Standard deviation of ln of the hidden buckets' parameters that no attribute explains.",
    )
    gauge_fraction: float = Field(
        default=0.05,
        gt=0.0,
        le=1.0,
        description="Share of the reaches that carry a gauge; 1 for all of them.",
    )
    gauge_min_upstream: int = Field(
        default=8,
        ge=1,
        description="Fewest reaches, itself included, that a gauged reach drains; fewer in a small world.",
    )
    holdout_fraction: float = Field(
        default=0.2, ge=0.0, lt=1.0, description="Share of the gauges that is held out from the estimation."
    )
    noise: float = Field(
        default=0.05, ge=0.0, le=1.0, description="Standard deviation of ln(observed/true discharge)."
    )
    gap_fraction: float = Field(
        default=0.15, ge=0.0, le=0.9, description="Share of the observations that is missing, in stretches."
    )
    gap_days: float = Field(default=20.0, ge=1.0, le=1_000.0, description="Mean length of a gap in days.")
    runoff_error: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="Standard deviation of ln(given/true runoff) of an error that varies over months and along rivers.",
    )
    runoff_bias: float = Field(
        default=0.0,
        ge=0.0,
        lt=1.0,
        description="Share by which the given runoff is too large or too small, region by region, all the time.",
    )
    runoff_noise: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="Standard deviation of ln(given/true runoff) of an error that is independent by day and reach.",
    )

    @model_validator(mode="before")
    @classmethod
    def _true_is_no_number(cls, data: Any) -> Any:
        if isinstance(data, dict):
            for name, field in cls.model_fields.items():
                if isinstance(data.get(name), bool) and field.annotation is not bool:
                    raise InputError(f"found {name} {str(data[name]).lower()}; expected a number or a text")
        return data

    @field_validator("forcing_step")
    @classmethod
    def _step_divides_a_day(cls, text: str) -> str:
        try:
            seconds = pd.Timedelta(text).total_seconds()
        except ValueError as error:
            raise ValueError(f"forcing_step must be a duration such as 1D or 6h, got {text!r}") from error
        if not (60.0 <= seconds <= DAY and DAY % seconds == 0.0):
            raise ValueError(f"forcing_step must divide a day and last at least a minute, got {text!r}")
        return text

    @field_validator("start")
    @classmethod
    def _start_is_a_date(cls, text: str) -> str:
        try:
            date = pd.Timestamp(text)
        except ValueError as error:
            raise ValueError(f"start must be a date such as 2001-01-01, got {text!r}") from error
        if pd.isna(date) or date.tzinfo is not None:
            raise ValueError(f"start must be a date without a time zone, got {text!r}")
        return text

    @model_validator(mode="after")
    def _record_fits(self) -> Self:
        if self.reaches * self.n_steps > MOST_VALUES:
            raise ValueError(
                f"reaches times steps must be at most {MOST_VALUES:.0e}, got {self.reaches:,} reaches and "
                f"{self.n_steps:,} steps: give fewer reaches, fewer years or a longer forcing_step"
            )
        first = pd.Timestamp(self.start).year
        if not (first >= 1678 and first + self.years < 2262):
            raise ValueError(
                f"the record must lie within 1678..2262, got start {self.start} and {self.years:g} years"
            )
        return self

    @model_validator(mode="after")
    def _gaps_fit(self) -> Self:
        # Between two gaps lies at least one observation.
        longest = self.gap_days * DAY / (self.gap_days * DAY + self.step)
        if self.gap_fraction > longest:
            raise ValueError(
                f"gap_fraction must be at most {longest:.3g} with gaps of {self.gap_days:g} days, "
                f"got {self.gap_fraction:g}: give longer gaps or fewer"
            )
        return self

    @property
    def step(self) -> float:
        """Forcing step in seconds."""
        return float(pd.Timedelta(self.forcing_step).total_seconds())

    @property
    def has_runoff_errors(self) -> bool:
        """Whether the given runoff differs from the true one."""
        return self.runoff_error > 0 or self.runoff_bias > 0 or self.runoff_noise > 0

    @property
    def n_steps(self) -> int:
        """Number of forcing steps of the record, at least one."""
        return max(1, round(self.years * 365.25 * DAY / self.step))

    @property
    def start_time(self) -> np.datetime64:
        """Start of the first forcing step, datetime64[ns]."""
        return pd.Timestamp(self.start).as_unit("ns").to_datetime64()
