"""The parameter model that a workflow asks for, and its prior."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad import registry
from rivergrad.config.schema import Workflow
from rivergrad.config.sections import ParametersSection
from rivergrad.model.features import Features
from rivergrad.model.flowlaw import FlowLaw
from rivergrad.model.lakes import Lakes, without_lakes
from rivergrad.model.layout import FLOW, RUNOFF, TIMING, VOLUME, Coefficients
from rivergrad.model.making import make_model, try_model
from rivergrad.model.parametermodel import ParameterModel
from rivergrad.model.physical import PHYSICAL, PhysicalPrior, about_prior, offsets, physical_prior
from rivergrad.model.prior import Prior, deviation_sd, make_prior
from rivergrad.model.regions import reach_classes
from rivergrad.routing import schemes

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ModelChoice:
    """The parameter model that a workflow asks for, on its network.

    Attributes:
        model: the parameter model.
        spreading: where it starts, and stays in the baselines; None for a scheme without.
        features: how attributes become features; values: (reach, feature), standardised.
        regions: (reach,) class of each reach, where the model has classes.
        lakes: of the network; None where all reaches are channels.
        physical: the physical prior; None without one. With it, the last feature is each reach's offset.
    """

    model: ParameterModel
    spreading: float | None
    features: Features
    values: Float
    regions: NDArray[np.int64] | None
    lakes: Lakes | None = None
    physical: PhysicalPrior | None = None


def make_choice_model(
    config: Workflow, n_features: int, n_regions: int, scheme: schemes.Scheme | None = None
) -> tuple[ParameterModel, float | None]:
    """The parameter model that a workflow asks for, and the spreading that every reach starts from.

    `scheme` stands in for that of the workflow.
    """
    section = config.parameters
    spreading = section.spreading
    return make_model(
        section.model,
        schemes.of(config.scheme) if scheme is None else scheme,
        section.celerity.bounds,
        None if spreading is None else (spreading.bounds, spreading.initial),
        n_features=n_features,
        hidden=section.hidden,
        n_regions=n_regions,
    )


def choose_model(
    config: Workflow,
    network: RiverNetwork,
    lakes: Lakes | None = None,
    more: Mapping[str, Float] | None = None,
) -> ModelChoice:
    """The parameter model of a workflow, for a network.

    Args:
        more: further attributes (reach,), by name, that the trend may have.

    Raises:
        InputError: the network lacks an attribute, classes are not whole numbers, or a model of the user's own does
            not do what a parameter model does.
    """
    section = config.parameters
    attributes = without_lakes({**(more or {}), **network.attributes}, lakes)
    features = Features.of(attributes, section.trend)
    regions = None if section.regions is None else reach_classes(network, section.regions)
    n_regions = 0 if regions is None else int(regions.max(initial=-1)) + 1
    scheme = schemes.of(config.scheme)
    if lakes is not None:
        scheme = schemes.WithLakes(scheme)
    model, spreading = make_choice_model(config, len(features.each), n_regions, scheme)
    values = features.apply(attributes, network.n_reaches)
    if registry.entry("parameter_model", section.model).outside:
        try_model(section.model, model, spreading, values, regions)
    physical = None
    if section.prior == PHYSICAL:
        physical = physical_prior(attributes, network.n_reaches)
        offset = offsets(model, physical.celerity, physical.middle)
        model = about_prior(model, physical.middle, physical.relation.sd)
        values = np.column_stack([values, offset])
        log.info("physical prior %s: median celerity %.3g m/s", physical.relation.name, physical.middle)
    return ModelChoice(model, spreading, features, values, regions, lakes, physical)


def prior_about(
    section: ParametersSection,
    choice: ModelChoice,
    network: RiverNetwork,
    about: Coefficients[Float],
    volume_sd: float,
    hillslope_sd: Mapping[str, float],
    flow: FlowLaw | None = None,
) -> Prior:
    """The Gaussian prior of all coefficients of a workflow.

    Args:
        section: `parameters` of the workflow.
        choice: the parameter model.
        network: the river network.
        about: the mean, where the fit starts, with the layout of all coefficients.
        volume_sd: standard deviation of the logarithm of the volume error, where that is estimated.
        hillslope_sd: of the coefficients of the delay on hillslopes, by segment, where that is estimated.
        flow: how celerity depends on flow.
    """
    given = None if section.deviation_sd == "auto" else float(section.deviation_sd)
    tau = deviation_sd(choice.model, about, choice.spreading, given)
    # Gauss-Newton alone goes by the prior, and it does not train a runoff model: its weights have no prior to speak of
    flow_sd = 1.0 if flow is None else flow.free_sd
    sd = {VOLUME: volume_sd, TIMING: 1.0, RUNOFF: 1.0, FLOW: flow_sd, **hillslope_sd}
    own = None if choice.lakes is None else choice.lakes.own_sd()
    return make_prior(choice.model, about, sd, tau, section.smoothing, network.downstream, network.order, own)
