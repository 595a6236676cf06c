"""The parameter model that a workflow asks for, and its prior."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.config.schema import Workflow
from rivergrad.errors import InputError
from rivergrad.inference.gaussnewton import Prior
from rivergrad.model.bounds import Bounded
from rivergrad.model.features import Features
from rivergrad.model.parametermodel import ParameterModel
from rivergrad.model.priors import CELERITY, PRIORS
from rivergrad.model.treeprior import TreePrior
from rivergrad.routing import schemes

if TYPE_CHECKING:
    from rivergrad.run.estimation import Estimation

Float = NDArray[np.float64]

BASIN = "basin"
LEAST_SLOPE = 0.4
"""Slope of a bounded curve, as a share of that in its middle, that the prior's scale goes by at least."""


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
        values = np.asarray(network.attributes[section.regions], dtype=np.float64)
        bad = ~np.isfinite(values) | (values != np.round(values))
        if bad.any():
            raise InputError(
                f"attribute {section.regions} is {values[bad][0]:g} at reach "
                f"{network.reach_id[bad][0]}; expected a whole number for every reach",
                key="parameters.regions",
            )
        classes = values.astype(np.int64)
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


def deviation_sd(config: Workflow, model: ParameterModel, celerity: float, spreading: float | None) -> Float:
    """(n_free,) prior standard deviation of deviations, in the units of the bounded curves' arguments.

    `parameters.deviation_sd` speaks of ln(celerity); how far the curve's argument has to move for that depends on
    where it is.
    """
    given = config.parameters.deviation_sd
    # near a bound the curve is flat, and any movement there would be "probable"
    inner = math.exp(0.5 * (math.log(model.celerity.lower) + math.log(model.celerity.upper)))
    slope = max(model.celerity.log_slope(celerity), LEAST_SLOPE * model.celerity.log_slope(inner))
    found = [(CELERITY.sd if given == "auto" else float(given)) / slope]
    if model.spreading is not None:
        assert spreading is not None
        assert model.scheme.spreading is not None
        known = PRIORS.get(model.scheme.spreading.name)
        sd = 0.25 * (model.spreading.upper - model.spreading.lower) if known is None else known.sd
        slope = (
            model.spreading.log_slope(spreading)
            if model.spreading.logarithmic
            else model.spreading.slope(spreading)
        )
        found.append(sd / slope)
    return np.array(found)


def make_prior(work: Estimation, start: Float) -> Prior:
    """The Gaussian prior of all coefficients of a workflow, about where the fit starts."""
    model, network = work.model, work.inputs.network
    volume_sd = np.zeros(0) if work.volume is None else np.full(work.volume.size, work.volume.sd)
    celerity = float(model.celerity.value_of(start[0]))
    tau = deviation_sd(work.config, model, celerity, work.spreading)
    tree = None
    if model.deviates:
        tree = TreePrior(network.downstream, network.order, tau, work.config.parameters.smoothing)
    # Gauss-Newton alone goes by the prior, and it does not train a runoff model: its weights have no prior to speak of
    weights_sd = np.ones(0 if work.learned is None else work.learned.size)
    sd = np.concatenate([model.prior_sd(), volume_sd, weights_sd])
    return Prior(start.copy(), sd, tree, network.n_reaches, model.n_free)
