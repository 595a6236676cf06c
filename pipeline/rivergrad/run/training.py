"""What a fit trains, and how: all coefficients alike, or in a stage some of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivergrad.config.schema import Workflow
from rivergrad.config.sections import EstimateSection, StageSection
from rivergrad.model.layout import RUNOFF, Layout
from rivergrad.run.learnedrunoff import LearnedRunoff

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Training:
    """What a fit trains, and how.

    Attributes:
        settings: method, steps and rates.
        routed: discharge takes time; else the upstream runoff of a step is summed in the same step.
        scale: (coefficient,) learning rates as multiples of `settings.learning_rate`, 0 for what is frozen.
        decay: (coefficient,) weight decay per unit of learning rate.
        deviations: that multiple for the deviations.
    """

    settings: EstimateSection
    routed: bool = True
    scale: Float | float = 1.0
    decay: Float | float = 0.0
    deviations: float = 1.0


def stage_training(config: Workflow, stage: StageSection, layout: Layout, learned: LearnedRunoff) -> Training:
    """How a stage trains: what is not in `stage.train` is frozen.

    Args:
        config: the workflow, with learned runoff.
        stage: the stage; its learning rates replace those of the workflow.
        layout: of the shared coefficients.
        learned: the runoff model.
    """
    assert config.runoff is not None
    settings = settings_of(config, stage)
    rate = config.runoff.learning_rate if stage.runoff_learning_rate is None else stage.runoff_learning_rate
    routing = float("routing" in stage.train)
    weights = rate / settings.learning_rate if "runoff" in stage.train else 0.0
    return Training(
        settings=settings,
        routed=not stage.unrouted,
        scale=layout.fill({RUNOFF: weights}, default=routing),
        decay=layout.fill({RUNOFF: config.runoff.weight_decay * learned.decays}),
        deviations=routing,
    )


def settings_of(config: Workflow, stage: StageSection) -> EstimateSection:
    """The settings of a stage: those of the workflow, but for what the stage says."""
    own: dict[str, object] = {"steps": stage.steps, "method": stage.method}
    if stage.learning_rate is not None:
        own["learning_rate"] = stage.learning_rate
    return config.estimate.model_copy(update=own)
