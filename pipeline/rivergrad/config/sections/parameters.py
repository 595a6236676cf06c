"""What is estimated, and what keeps it from fitting noise."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from rivergrad import registry
from rivergrad.config.fields import (
    AutoCount,
    Bounds,
    NonNegativeCount,
    NonNegativeNumber,
    ParameterModelName,
    PositiveDuration,
    PositiveNumber,
    PositiveShare,
    SmallCount,
    Switch,
)
from rivergrad.config.sections.base import Section
from rivergrad.errors import InputError
from rivergrad.routing.hillslope.names import MOST_DELAY


class ParameterSection(Section):
    """One estimated parameter: where it starts and what it may become."""

    initial: PositiveNumber = Field(
        description="The default value: that of the baselines, and where the fit starts."
    )
    bounds: Bounds = Field(description="The lower and upper end of what the estimate may become.")

    @model_validator(mode="after")
    def _initial_within(self) -> Self:
        if not self.bounds[0] < self.initial < self.bounds[1]:
            raise InputError(
                f"found initial {self.initial} with bounds [{self.bounds[0]}, {self.bounds[1]}]; "
                "expected an initial value between them"
            )
        return self


class CeleritySection(ParameterSection):
    """The speed of a flood wave, m/s; with the reach's length it gives the scheme's travel time."""

    initial: PositiveNumber = Field(
        default=0.6,
        description="The default celerity, m/s: one of the baselines (the fit starts from the best uniform one).",
    )
    bounds: Bounds = Field(default=(0.05, 5.0), description="The least and greatest celerity, m/s.")

    @model_validator(mode="after")
    def _lower_positive(self) -> Self:
        if self.bounds[0] <= 0:
            raise InputError(
                f"found bounds [{self.bounds[0]}, {self.bounds[1]}]; expected a lower end above 0"
            )
        return self


class SpreadingSection(ParameterSection):
    """What spreads a wave: x of muskingum (no unit), diffusivity of hayami (m2/s)."""


class ResidenceTimeSection(Section):
    """The residence time of lakes: where the network gives no volume or area, and how sure that is."""

    default: PositiveDuration = Field(
        default=456 * 86400.0,
        description="The prior residence time of a lake whose volume and area the network does not give.",
    )
    sd: PositiveNumber | Literal["auto"] = Field(
        default="auto",
        description="Prior standard deviation of ln(residence time); auto: 1 from a volume, 1.5 from an area, else 2.",
    )


class FlowExponentSection(Section):
    """The exponent m of celerity by flow, c = c0 (Q/Q0)^m; Q0 is mean runoff added up along the river.

    The prior is about what Manning's equation (0.4 in wide channels) and hydraulic geometry (0.34, Leopold & Maddock
    1953) say.
    """

    prior: PositiveNumber = Field(default=0.3, description="The mean of the prior, and where the fit starts.")
    sd: PositiveNumber = Field(default=0.1, description="The standard deviation of the prior.")
    bounds: Bounds = Field(default=(0.0, 0.8), description="The least and greatest exponent, within 0 to 1.")
    estimate: Literal["shared", "regional", "none"] = Field(
        default="shared",
        description="One exponent for all reaches, one a class (parameters.regions), or the prior as it is.",
    )
    rounds: AutoCount = Field(
        default="auto",
        description="Rounds of routing after the linear one, in training and afterwards; auto: as many as bring "
        "discharge within 1 % of where they converge to, measured on a part of the network.",
    )
    interval: PositiveDuration | None = Field(
        default=None,
        description="How long coefficients stay as they are: some forcing steps; by default a day, or a longer step.",
    )
    damping: PositiveShare = Field(
        default=1.0,
        description="How far a round goes from the flow that the last one took to the one it gave; less than 1 where "
        "rounds wander.",
    )
    gradient_rounds: SmallCount = Field(
        default=1,
        description="Of the last rounds, how many the gradient goes through; rounds + 1 is all of it.",
    )

    @model_validator(mode="after")
    def _within(self) -> Self:
        low, high = self.bounds
        if not 0 <= low < self.prior < high <= 1:
            raise InputError(
                f"found prior {self.prior:g} with bounds [{low:g}, {high:g}]; expected 0 <= lower < prior < upper <= 1"
            )
        if self.rounds != "auto" and self.gradient_rounds > self.rounds + 1:
            raise InputError(
                f"found gradient_rounds {self.gradient_rounds} with {self.rounds} rounds; expected at most "
                f"{self.rounds + 1}"
            )
        return self


class NuisanceSection(Section):
    """Volume error of the runoff: a factor on the runoff of each training gauge's own increment area.

    Its logarithm is a broken line in time. It takes part in the fit, in scores if `predict` says so, and never in
    exported parameters.
    """

    knots: PositiveDuration = Field(
        default=180 * 86400.0, description="How far apart the knots of the broken line are, about."
    )
    sd: PositiveNumber = Field(
        default=0.3, description="Prior standard deviation of the logarithm of the factor."
    )
    shrinkage: NonNegativeNumber = Field(
        default=0.01,
        description="Weight of the penalty on the mean of (logarithm/sd)^2, for the optimiser adam.",
    )
    predict: Switch = Field(
        default=False,
        description="Whether the estimate is validated and scored with the factor: a correction of the given runoff "
        "that training gauges teach, for all reaches upstream of them, gauges held out among these.",
    )


class TimingSection(Section):
    """Error of the runoff in time: a delay of the runoff of each training gauge's own increment area.

    It takes part in the fit and in intervals, in scores if `predict` says so, and never in exported parameters.
    """

    sd: PositiveDuration = Field(
        default=43200.0, description="Prior standard deviation of the delay, which may be negative."
    )
    shrinkage: NonNegativeNumber = Field(
        default=0.01, description="Weight of the penalty on the mean of (delay/sd)^2, for the optimiser adam."
    )
    predict: Switch = Field(
        default=False,
        description="Whether the estimate is scored with the delays: a correction of the given runoff that training "
        "gauges teach, for all reaches upstream of them.",
    )


class HillslopeDelaySection(Section):
    """The mean delay of runoff on its way to the reach, estimated with the celerities."""

    bounds: tuple[PositiveDuration, PositiveDuration] = Field(
        default=(0.1 * 86400.0, 30 * 86400.0), description="The least and greatest delay."
    )
    trend: tuple[str, ...] = Field(
        default=(),
        description="Reach attributes whose logarithm enters the logarithm of the delay, such as upstream_area_m2 or "
        "slope; by default it is the same for all reaches.",
    )
    regions: str | None = Field(
        default=None,
        description="An integer reach attribute, or basin, each class of which has a delay of its own; reach for one "
        "of every reach (of up to 1,000).",
    )
    sd: PositiveNumber = Field(
        default=1.0,
        description="Prior standard deviation of ln(delay), about the best uniform delay.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.bounds[0] < self.bounds[1] <= MOST_DELAY:
            low, high = (bound / 86400 for bound in self.bounds)
            raise InputError(
                f"found bounds of {low:g} and {high:g} days; expected a lower and a greater one, "
                f"up to {MOST_DELAY / 86400:g}"
            )
        return self


class ParametersSection(Section):
    """What is estimated, and what keeps it from fitting noise."""

    celerity: CeleritySection = Field(
        default_factory=CeleritySection, description="The celerity of every reach, m/s."
    )
    spreading: SpreadingSection | None = Field(
        default=None, description="How much a wave spreads in a reach; by default as the scheme defines it."
    )
    model: ParameterModelName = Field(
        default="hybrid",
        description="What varies over the reaches: uniform nothing; free every reach on its own; regional one value "
        "a class of reaches; attributes a function of reach attributes; hybrid that function and a deviation a reach; "
        "auto the simplest of uniform, attributes and hybrid, each with and without a delay on hillslopes, an exponent "
        "of flow and a volume error, that cross-validation finds as good as the best; "
        "or the import path package.module:Class of a model of your own.",
    )
    trend: tuple[str, ...] = Field(
        default=(),
        description="Reach attributes whose logarithm enters the trend of celerity (models attributes and hybrid).",
    )
    prior: Literal["none", "physical"] = Field(
        default="none",
        description="What celerity is about before any gauge: none, the same for all reaches; physical, what Manning's "
        "equation and regime relations say of each reach's slope, flow, width, roughness or drainage area, so that "
        "levels, trends and deviations are departures from that.",
    )
    hidden: NonNegativeCount = Field(
        default=0,
        description="The number of units in the hidden layer of the trend; 0 makes it log-linear, monotone in each.",
    )
    regions: str | None = Field(
        default=None,
        description="The classes of the model regional: an integer reach attribute, or basin for one class a basin.",
    )
    shrinkage: NonNegativeNumber = Field(
        default=0.0, description="Weight of the penalty on how far single reaches leave the shared trend."
    )
    smoothing: NonNegativeNumber = Field(
        default=0.0,
        description="How strongly deviations of neighbours along the river are tied, relative to shrinkage.",
    )
    deviation_sd: PositiveNumber | Literal["auto"] = Field(
        default="auto",
        description="Prior standard deviation of a reach's deviation, for gauss_newton and for uncertainty, about that "
        "of ln(celerity); auto starts from the table of priors and follows the evidence.",
    )
    residence_time: ResidenceTimeSection = Field(
        default_factory=ResidenceTimeSection, description="The residence time of lakes, s."
    )
    hillslope: HillslopeDelaySection | None = Field(
        default=None,
        description="The delay of scheme.hillslope, estimated with the celerities; by default it stays as given.",
    )
    flow_exponent: FlowExponentSection | None = Field(
        default=None, description="How celerity depends on flow; by default it does not."
    )
    nuisance: NuisanceSection | None = Field(
        default=None,
        description="Volume error of the runoff, estimated with the parameters; by default runoff is taken as it is.",
    )
    timing: TimingSection | None = Field(
        default=None,
        description="Error of the runoff in time, estimated with the parameters; by default runoff is in time.",
    )

    @model_validator(mode="after")
    def _model_has_what_it_needs(self) -> Self:
        model = registry.entry("parameter_model", self.model)
        if not model.unseen and model.facts.get("trend") == "none" and (self.trend or self.hidden):
            key = "trend" if self.trend else "hidden"
            others = " or ".join(_with_fact("trend", "may", "must"))
            raise InputError(f"found {key} with model {self.model}; expected none, or model {others}")
        if model.facts.get("trend") == "must" and not self.trend:
            raise InputError(
                f"found model {self.model} without trend; expected names of reach attributes in it"
            )
        if self.hidden and not self.trend:
            raise InputError("found hidden without trend; expected names of reach attributes in it")
        if self.prior == "physical" and self.model == "auto":
            raise InputError("found prior physical with model auto; expected a model, or prior none")
        flow = self.flow_exponent
        if flow is not None and flow.estimate == "regional" and self.regions is None:
            raise InputError(
                "found flow_exponent.estimate regional without regions; expected regions, or shared"
            )
        regions = model.facts.get("regions")
        if (regions == "must" and self.regions is None) or (regions == "none" and self.regions is not None):
            found = f"{self.model} without regions" if self.regions is None else f"{self.model} with regions"
            only = " or ".join(_with_fact("regions", "must"))
            raise InputError(f"found model {found}; expected regions with model {only}, and only there")
        return self


def _with_fact(fact: str, *values: str) -> list[str]:
    """rivergrad's own kinds of models of which a fact is one of these."""
    return [one.name for one in registry.entries("parameter_model") if one.facts.get(fact) in values]
