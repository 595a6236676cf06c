"""The hillslope stage of a workflow: its model, where its delay starts, and how sure the delay is."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.config.schema import Workflow
from rivergrad.errors import InputError
from rivergrad.model.bounds import Bounded
from rivergrad.model.features import Features
from rivergrad.model.hillslope import HillslopeModel
from rivergrad.model.regions import delay_classes
from rivergrad.routing import hillslope as hillslopes
from rivergrad.routing.hillslope import Hillslope

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]

WARMUP_DELAYS = 3.0
"""Mean delays after which a storage has forgotten 95 % of what it held."""


@dataclass(frozen=True, eq=False)
class HillslopeChoice:
    """The hillslope stage that a workflow asks for, on its network.

    Attributes:
        model: of the delay.
        features: how attributes become features; values: (reach, feature), standardised.
        regions: (reach,) class of each reach, where the delay has classes.
    """

    model: HillslopeModel
    features: Features
    values: Float
    regions: NDArray[np.int64] | None


def response_of(config: Workflow) -> Hillslope | None:
    """What runoff passes in a workflow before it enters a reach."""
    section = config.scheme.hillslope
    return None if section is None else hillslopes.get(section.name)


def make_hillslope_model(config: Workflow, n_features: int, n_regions: int) -> HillslopeModel | None:
    """The model of the delay that a workflow asks for; None without a hillslope."""
    response, section, given = response_of(config), config.parameters.hillslope, config.scheme.hillslope
    if response is None or given is None:
        return None
    if section is None:
        return HillslopeModel(response, given.delay, given.shape)
    low, high = section.bounds
    initial = given.delay if low < given.delay < high else (low * high) ** 0.5
    bounds = Bounded(low, high, logarithmic=True)
    return HillslopeModel(response, initial, given.shape, bounds, section.sd, n_features, n_regions)


def choose_hillslope(config: Workflow, network: RiverNetwork) -> HillslopeChoice | None:
    """The hillslope stage of a workflow, for a network.

    Raises:
        InputError: the network lacks an attribute, or classes are not whole numbers.
    """
    section = config.parameters.hillslope
    try:
        features = Features.of(network.attributes, () if section is None else section.trend)
        regions = None
        if section is not None and section.regions is not None:
            regions = delay_classes(network, section.regions)
    except InputError as error:
        raise InputError(
            error.what,
            key="parameters.hillslope",
            found=error.found,
            expected=error.expected,
            advice=error.advice,
        ) from None
    n_regions = 0 if regions is None else int(regions.max(initial=-1)) + 1
    model = make_hillslope_model(config, len(features.each), n_regions)
    if model is None:
        return None
    _look_at_warmup(config, model)
    return HillslopeChoice(model, features, features.apply(network.attributes, network.n_reaches), regions)


def _look_at_warmup(config: Workflow, model: HillslopeModel) -> None:
    """Windows and records start at rest, storages of hillslopes too: say where the warm-up is too short for that."""
    wanted = WARMUP_DELAYS * model.delay
    if config.time.warmup < wanted:
        log.warning(
            "time.warmup of %g days is short for a hillslope delay of %g days: storages start empty; expected %g days "
            "or more, or discharge that starts at rest",
            config.time.warmup / 86400,
            model.delay / 86400,
            wanted / 86400,
        )


def given_delay(config: Workflow, n_reaches: int) -> dict[str, Float]:
    """Parameters of the stage as the workflow gives them, (reach,) each: those of generated truths."""
    section, response = config.scheme.hillslope, response_of(config)
    if section is None or response is None:
        return {}
    found = {hillslopes.DELAY: np.full(n_reaches, section.delay)}
    return found if section.shape is None else {**found, hillslopes.SHAPE: np.full(n_reaches, section.shape)}


def described(choice: HillslopeChoice | None, shared: Any) -> dict[str, Any] | None:
    """The stage for run.json: enough to apply it to other reaches. `shared` are the coefficients of the estimate."""
    if choice is None:
        return None
    model = choice.model
    found: dict[str, Any] = {"name": model.response.name, "delay_s": model.delay, "shape": model.shape}
    if model.estimated:
        found |= {
            "features": choice.features.as_list(),
            "regions": model.n_regions,
            "shared": shared.part(model.layout).values.tolist(),
        }
    return found
