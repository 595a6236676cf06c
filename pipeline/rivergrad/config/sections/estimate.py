"""How the parameters are fitted, and how sure they are."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from rivergrad import registry
from rivergrad.config.fields import (
    Count,
    LossTerms,
    NonNegativeCount,
    OptimiserName,
    PositiveDuration,
    PositiveNumber,
    SmallCount,
    Switch,
)
from rivergrad.config.sections.base import Section
from rivergrad.errors import InputError
from rivergrad.inference.loss_spec import DEFAULT_NU

SCRATCH = "scratch"
"""Where a stage starts that takes nothing over from an earlier one."""


class StageSection(Section):
    """One stage of a training in stages: what it moves, from where, and for how long."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$",
        description="The stage's name; lumped and two_step are also scored, as baselines of the end-to-end estimate.",
    )
    train: tuple[Literal["runoff", "routing"], ...] = Field(
        min_length=1, description="What is trained: runoff, routing, or both; the rest is frozen."
    )
    steps: Count = Field(description="The most optimiser steps of the stage.")
    method: OptimiserName = Field(
        default="adam",
        description="What takes the steps, see estimate.method; gauss_newton is for train [routing] alone, and few "
        "steps of it bring every reach to where the gauges and the prior have it.",
    )
    unrouted: Switch = Field(
        default=False,
        description="Whether the stage sums runoff without routing it (lumped): for train [runoff] alone.",
    )
    start: str | None = Field(
        default=None,
        description="The earlier stage whose best step this one starts from, by default the one before; or scratch: "
        "weights drawn from the seed and the initial celerity.",
    )
    learning_rate: PositiveNumber | None = Field(
        default=None, description="The learning rate of the routing in this stage; by default estimate's."
    )
    runoff_learning_rate: PositiveNumber | None = Field(
        default=None, description="The learning rate of the runoff model in this stage; by default runoff's."
    )

    @property
    def least_squares(self) -> bool:
        """Whether the method takes squared errors, weighted by noise, and a Gaussian prior."""
        return bool(registry.entry("optimiser", self.method).facts.get("least_squares"))

    @model_validator(mode="after")
    def _unrouted_trains_runoff(self) -> Self:
        if self.unrouted and "routing" in self.train:
            raise InputError(
                f"found stage {self.name} unrouted with routing to train; expected train [runoff] alone"
            )
        return self

    @model_validator(mode="after")
    def _gauss_newton_trains_routing(self) -> Self:
        optimiser = registry.entry("optimiser", self.method)
        learns = optimiser.unseen or optimiser.facts.get("learns_runoff")
        if not learns and self.train != ("routing",):
            raise InputError(
                f"found stage {self.name} with method {self.method} and train [{', '.join(self.train)}]; expected "
                "train [routing], or method adam, which alone can learn a runoff model"
            )
        return self


class EstimateSection(Section):
    """How the parameters are fitted."""

    method: OptimiserName = Field(
        default="adam",
        description="adam draws windows for every step, for any size; gauss_newton goes over all of the training time, "
        "with squared errors weighted by each gauge's own noise, a Gaussian prior and few steps.",
    )

    @field_validator("method", mode="before")
    @classmethod
    def _lbfgs_is_gone(cls, value: object) -> object:
        if value == "lbfgs":
            raise InputError(
                "found lbfgs, which rivergrad no longer has; expected gauss_newton, which is as exact in fewer steps, "
                "or adam, which takes any loss"
            )
        return value

    steps: Count = Field(default=150, description="The most optimiser steps.")
    learning_rate: PositiveNumber = Field(default=0.05, description="Adam's learning rate.")
    schedule: Literal["constant", "cosine"] = Field(
        default="constant",
        description="How adam's learning rate goes over the steps: constant, or down to a tenth along a cosine.",
    )
    shared_steps: NonNegativeCount = Field(
        default=0,
        description="How many first steps of adam move level, trend and regions alone, before deviations of single "
        "reaches move too: adam moves every number by about its rate, so that deviations take what the trend explains.",
    )
    deviation_rate: PositiveNumber = Field(
        default=1.0, description="Adam's learning rate of the deviations, as a multiple of learning_rate."
    )
    clip: PositiveNumber | None = Field(
        default=None,
        description="The longest gradient (Euclidean norm) that adam takes as it is; longer are cut.",
    )
    restarts: NonNegativeCount = Field(
        default=0,
        description="How often a fit that is stuck goes back to its best step, with half the learning rate.",
    )
    inner: Count = Field(
        default=40, description="The most conjugate-gradient products in a step of gauss_newton."
    )
    window: PositiveDuration = Field(
        default=180 * 86400.0,
        description="The length of a training window, counted after its warm-up.",
    )
    windows_per_step: SmallCount = Field(
        default=1,
        description="The number of training windows drawn (from the seed) for one optimiser step.",
    )
    evaluate_every: Count = Field(
        default=10, description="The number of steps from one look at the validation period to the next."
    )
    patience: Count = Field(
        default=5, description="The number of such looks without progress after which the fit stops."
    )
    checkpoint_every: Count = Field(
        default=10,
        description="The number of steps from one checkpoint to the next; a killed run resumes there.",
    )
    checkpoints: Count = Field(
        default=2,
        description="The number of newest checkpoints that are kept; if one is damaged, the one before is taken.",
    )
    uniform_grid: SmallCount = Field(
        default=12,
        description="The number of celerities tried for the uniform baseline, even in their logarithm.",
    )
    loss: LossTerms = Field(
        default="nse",
        description="What is minimised, averaged over the training gauges, by name or as weights by name such as "
        "{nse: 0.7, log_nse: 0.3}: nse is 1 - NSE; nnse is 1 - 1/(2 - NSE), which no gauge with wrong runoff can "
        "dominate; log_nse is 1 - NSE of logarithms; kge is 1 - KGE; huber and student_t are 1 - NSE but for large "
        "residuals, which count less; timing is 1 - correlation, blind to volume and scale.",
    )
    stages: tuple[StageSection, ...] = Field(
        default=(),
        description="The stages of a fit with learned runoff, one after the other; the last is the estimate. By "
        "default lumped (runoff, unrouted), two_step (routing) and joint (both; from scratch, but for corrections); "
        "where runoff is all learned and loss is nse, the routing of two_step and a last stage, rivers, is by "
        "gauss_newton.",
    )
    student_t_nu: PositiveNumber = Field(
        default=DEFAULT_NU,
        description="The degrees of freedom of the loss student_t: the fewer, the less large residuals count.",
    )

    @property
    def least_squares(self) -> bool:
        """Whether the method takes squared errors, weighted by noise, and a Gaussian prior."""
        return bool(registry.entry("optimiser", self.method).facts.get("least_squares"))

    @model_validator(mode="after")
    def _stages_follow_each_other(self) -> Self:
        before: list[str] = []
        for stage in self.stages:
            if stage.name in before:
                raise InputError(f"found two stages {stage.name}; expected a name of its own for each")
            if stage.start not in (None, SCRATCH, *before):
                raise InputError(
                    f"found stage {stage.name} with start {stage.start}; expected {SCRATCH}, or an earlier stage"
                    + (f" ({', '.join(before)})" if before else "")
                )
            before.append(stage.name)
        if self.stages and self.stages[-1].unrouted:
            raise InputError(
                f"found {self.stages[-1].name} as the last stage, unrouted; expected the last one to route"
            )
        return self

    @model_validator(mode="after")
    def _least_squares_move_all_at_once(self) -> Self:
        for key, usual in (("shared_steps", 0), ("deviation_rate", 1.0)):
            if self.least_squares and getattr(self, key) != usual:
                raise InputError(
                    f"found {key} with method {self.method}, which moves trend and deviations by their prior; "
                    f"expected no {key}, or method adam"
                )
        return self

    @model_validator(mode="after")
    def _least_squares_have_their_own_loss(self) -> Self:
        methods = (self.method, *(stage.method for stage in self.stages))
        squares = [one for one in methods if registry.entry("optimiser", one).facts.get("least_squares")]
        if squares and self.loss != "nse":
            raise InputError(
                f"found loss {self.loss} with method {squares[0]}, which minimises squared errors weighted by each "
                "gauge's noise; expected no loss, or method adam"
            )
        return self


class UncertaintySection(Section):
    """How sure the parameters of every reach are, by the curvature of the fit at its end."""

    enabled: Switch = Field(default=True, description="Whether it is computed.")
    method: Literal["laplace", "ensemble"] = Field(
        default="laplace",
        description="laplace takes the curvature, with the runoff's volume error held as it was estimated; ensemble "
        "fits members to draws of noise and prior, volume error included, for any model.",
    )
    members: Annotated[Count, Field(ge=2)] = Field(
        default=24, description="The number of members of an ensemble, each as dear as a Gauss-Newton step."
    )
    bootstrap: Switch = Field(
        default=False,
        description="Whether every member of an ensemble also draws the training gauges, with replacement.",
    )
    products: Count = Field(
        default=40,
        description="The number of products with the Jacobian and its transpose, each a routing forward and one "
        "backward: one direction more for the gauges along a river, and for those along each of its tributaries.",
    )
    budget: PositiveNumber = Field(
        default=1.0,
        description="The most work that laplace takes, as a multiple of that of the fit, beyond a minute or so: fewer "
        "products are taken where more would cost more, and run.json says how much they left out.",
    )
    checks: NonNegativeCount = Field(
        default=2, description="The number of further products by which what was left out is told."
    )
    rounds: NonNegativeCount = Field(
        default=4,
        description="How often the prior's scale is measured anew from the evidence (deviation_sd auto).",
    )
