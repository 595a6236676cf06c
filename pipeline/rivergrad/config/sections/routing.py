"""The routing scheme, its step, and the periods of a run."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal, Self

from pydantic import Field, model_validator

from rivergrad import registry
from rivergrad.config.fields import (
    Duration,
    Options,
    Period,
    PositiveDuration,
    PositiveNumber,
    Switch,
    listed,
)
from rivergrad.config.sections.base import Section, days
from rivergrad.errors import InputError
from rivergrad.routing.hillslope.names import MOST_DELAY

DAY = timedelta(days=1)


class HillslopeSection(Section):
    """What runoff passes before it enters a reach, at the forcing step."""

    name: Literal["none", "linear_storage", "nash", "gamma"] = Field(
        default="linear_storage", description="none, linear_storage, nash (storages in series) or gamma."
    )
    delay: Duration = Field(
        default=86400.0,
        description="Its mean delay, the same for all reaches; where parameters.hillslope estimates it, one that every "
        "reach may have before anything is known.",
    )
    shape: PositiveNumber | None = Field(
        default=None,
        description="The number of storages of nash (1 to 12, 2 by default), or the shape of gamma (1 to 100, 2.5 by "
        "default).",
    )

    @model_validator(mode="after")
    def _admissible(self) -> Self:
        if self.delay > MOST_DELAY:
            raise InputError(
                f"found a delay of {self.delay / 86400:g} days; expected 0 to {MOST_DELAY / 86400:g}"
            )
        limits = {"nash": (1, 12), "gamma": (1, 100)}.get(self.name)
        if self.shape is None:
            return self
        if limits is None:
            raise InputError(f"found shape with {self.name}; expected none, or nash or gamma with it")
        whole = self.name == "gamma" or self.shape == round(self.shape)
        if not (limits[0] <= self.shape <= limits[1] and whole):
            what = "a whole number of storages" if self.name == "nash" else "a number"
            raise InputError(
                f"found shape {self.shape:g} with {self.name}; expected {what}, {limits[0]} to {limits[1]}"
            )
        return self


class SchemeSection(Section):
    """The routing scheme: the impulse response of one reach."""

    name: str = Field(
        default="muskingum",
        description=f"{listed('scheme')}, a registered scheme, or the import path package.module:Object of one.",
    )
    options: Options = Field(
        default=(), description="Further arguments of the scheme, such as {n: 5} of nash_cascade."
    )
    convention: Literal["standard", "rapid"] = Field(
        default="standard",
        description="standard follows the definition; rapid does as RAPID does (muskingum only).",
    )
    lakes: Literal["auto", "terminal", "none"] = Field(
        default="auto",
        description="auto: reaches that is_lake, a lake area or a lake volume of the network marks are linear "
        "storages; terminal: also those that end a river; none: all reaches are channels.",
    )
    cap_x: Switch = Field(
        default=False,
        description="Lower x of muskingum at reaches whose response would be negative: 2kx above the routing step, or "
        "2k(1-x) below it.",
    )

    hillslope: HillslopeSection | None = Field(
        default=None,
        description="What runoff passes before it enters a reach; by default nothing. parameters.hillslope estimates "
        "its delay.",
    )

    @model_validator(mode="after")
    def _known_with_its_options(self) -> Self:
        found = registry.entry("scheme", self.name)
        if found.unseen:
            return self
        for key, said in (("convention", f"convention {self.convention}"), ("cap_x", "cap_x")):
            if getattr(self, key) != type(self).model_fields[key].default and key not in found.option_names:
                having = [one.name for one in registry.entries("scheme") if key in one.option_names]
                raise InputError(
                    f"found {said} with {self.name}; expected scheme {' or '.join(having)} with it"
                )
        unknown = [name for name, _ in self.options if name not in found.option_names]
        if unknown:
            known = ", ".join(found.option_names) or "none"
            raise InputError(f"found options {', '.join(unknown)} with {self.name}; expected one of: {known}")
        if found.outside:
            found.load()
        return self


class TimeSection(Section):
    """Routing step, warm-up, and the periods; every period names its first and last day, both included."""

    routing_step: PositiveDuration = Field(
        description="The step the routing is computed at; the runoff's own step must be a multiple of it."
    )
    warmup: Duration = Field(
        default=0.0, description="How long discharge is computed before it counts in a loss or a score."
    )
    train: Period = Field(description="The days the estimate is made from, those for validation included.")
    validation: Period | None = Field(
        default=None,
        description="The days that decide when to stop; by default the last 20 % of train, else outside it.",
    )
    test: Period | None = Field(
        default=None, description="The held-out days that the estimate is finally scored on."
    )

    @model_validator(mode="after")
    def _periods_apart(self) -> Self:
        if self.validation is None and days(self.train) < 5:
            raise InputError(
                f"found {days(self.train)} days in train; expected 5 or more, or a validation period"
            )
        named = [("train", self.train), ("validation", self.validation), ("test", self.test)]
        given = [(name, period) for name, period in named if period is not None]
        for i, (name, period) in enumerate(given):
            for other_name, other in given[i + 1 :]:
                if period[0] <= other[1] and other[0] <= period[1]:
                    raise InputError(
                        f"found {name} {_text(period)} and {other_name} {_text(other)} with days in common; "
                        "expected periods apart"
                    )
        return self

    @property
    def fit_period(self) -> tuple[date, date]:
        """The days whose observations enter the loss: train without the days kept for validation."""
        if self.validation is not None:
            return self.train
        return self.train[0], self.validation_period[0] - DAY

    @property
    def validation_period(self) -> tuple[date, date]:
        """The days that decide when to stop: those given, or the last 20 % of train (at least one)."""
        if self.validation is not None:
            return self.validation
        return self.train[1] - (days(self.train) // 5 - 1) * DAY, self.train[1]


def _text(period: tuple[date, date]) -> str:
    return f"{period[0]}..{period[1]}"
