"""The parameter model that a workflow asks for, and its prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.config.schema import Workflow
from rivergrad.config.sections import ParametersSection
from rivergrad.errors import InputError
from rivergrad.io.missing import exact_integers
from rivergrad.model.bounds import Bounded
from rivergrad.model.features import Features
from rivergrad.model.layout import RUNOFF, VOLUME, Coefficients
from rivergrad.model.parametermodel import ParameterModel
from rivergrad.model.prior import Prior, deviation_sd, make_prior
from rivergrad.routing import schemes

Float = NDArray[np.float64]

BASIN = "basin"


@dataclass(frozen=True, eq=False)
class ModelChoice:
    """The parameter model that a workflow asks for, on its network.

    Attributes:
        model: the parameter model.
        spreading: where it starts, and stays in the baselines; None for a scheme without.
        features: how attributes become features; values: (reach, feature), standardised.
        regions: (reach,) class of each reach, where the model has classes.
    """

    model: ParameterModel
    spreading: float | None
    features: Features
    values: Float
    regions: NDArray[np.int64] | None


def reach_regions(config: Workflow, network: RiverNetwork) -> tuple[Features, NDArray[np.int64] | None]:
    """How attributes become features, and the class (reach,) of each reach where the model has classes.

    Raises:
        InputError: the network lacks an attribute, or the classes are not whole numbers.
    """
    section = config.parameters
    features = Features.of(network.attributes, section.trend)
    if section.regions is None:
        return features, None
    if section.regions == BASIN:
        classes = np.asarray(network.basin)
    elif section.regions in network.attributes:
        values = np.asarray(network.attributes[section.regions])
        classes, bad = exact_integers(values.astype(np.int8) if values.dtype.kind == "b" else values)
        if bad.any():
            raise InputError(
                f"attribute {section.regions} is {values[bad][0]:g} at reach "
                f"{network.reach_id[bad][0]}; expected a whole number for every reach",
                key="parameters.regions",
            )
    else:
        known = ", ".join(network.attributes) or "none"
        raise InputError(
            f"the network has no attribute {section.regions}; expected {BASIN}, or one of {known}",
            key="parameters.regions",
        )
    _, region = np.unique(classes, return_inverse=True)
    return features, region.reshape(-1).astype(np.int64)


def make_model(
    config: Workflow, features: Features, regions: NDArray[np.int64] | None
) -> tuple[ParameterModel, float | None]:
    """The parameter model of a workflow, and the spreading every reach starts from."""
    scheme = schemes.of(config.scheme)
    section = config.parameters
    spreading: Bounded | None = None
    initial: float | None = None
    if scheme.spreading is not None:
        lower, upper, initial = scheme.spreading.lower, scheme.spreading.upper, scheme.spreading.default
        if section.spreading is not None:
            (lower, upper), initial = section.spreading.bounds, section.spreading.initial
        spreading = Bounded(lower, upper, logarithmic=lower > 0 and upper / lower > 20)
    return (
        ParameterModel(
            scheme,
            Bounded(*section.celerity.bounds, logarithmic=True),
            spreading,
            len(features.each),
            section.model,
            section.hidden,
            0 if regions is None else int(regions.max(initial=-1)) + 1,
        ),
        initial,
    )


def choose_model(config: Workflow, network: RiverNetwork) -> ModelChoice:
    """The parameter model of a workflow, for a network.

    Raises:
        InputError: see `reach_regions`.
    """
    features, regions = reach_regions(config, network)
    model, spreading = make_model(config, features, regions)
    return ModelChoice(
        model, spreading, features, features.apply(network.attributes, network.n_reaches), regions
    )


def prior_about(
    section: ParametersSection,
    choice: ModelChoice,
    network: RiverNetwork,
    about: Coefficients[Float],
    volume_sd: float,
) -> Prior:
    """The Gaussian prior of all coefficients of a workflow.

    Args:
        section: `parameters` of the workflow.
        choice: the parameter model.
        network: the river network.
        about: the mean, where the fit starts, with the layout of all coefficients.
        volume_sd: standard deviation of the logarithm of the volume error, where that is estimated.
    """
    given = None if section.deviation_sd == "auto" else float(section.deviation_sd)
    tau = deviation_sd(choice.model, about, choice.spreading, given)
    # Gauss-Newton alone goes by the prior, and it does not train a runoff model: its weights have no prior to speak of
    sd = {VOLUME: volume_sd, RUNOFF: 1.0}
    return make_prior(choice.model, about, sd, tau, section.smoothing, network.downstream, network.order)
