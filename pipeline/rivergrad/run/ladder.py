"""The ladder of models that `parameters.model: auto` climbs: what each rung makes of a workflow, simplest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from rivercut.network import RiverNetwork
from rivergrad.config.schema import Workflow
from rivergrad.config.sections import ParametersSection
from rivergrad.config.sections.parameters import FlowExponentSection, HillslopeDelaySection, NuisanceSection
from rivergrad.config.sections.routing import HillslopeSection
from rivergrad.model.physical import MEAN_FLOW, PHYSICAL, SLOPE
from rivergrad.routing import schemes
from rivergrad.routing.flow.law import refuse

AUTO = "auto"
"""The parameter model that stands for a choice among those of the ladder."""
UNIFORM = "uniform"
TREND = "attributes"
HYBRID = "hybrid"
TRENDS = (SLOPE, "upstream_area_m2")
"""Attributes of the trend where the workflow names none, as far as the network has them; else the mean flow."""
NAMES = {UNIFORM: "uniform", TREND: "trend", HYBRID: "hybrid"}
STRONGER = 10.0
"""Factor of the shrinkage of deviations that is tried besides that of the workflow."""


@dataclass(frozen=True)
class Rung:
    """A model of the ladder.

    Attributes:
        model: kind of parameter model; trend: its attributes.
        stage: whether the delay on hillslopes is estimated; flow: the exponent of flow; volume: the runoff's volume
            error; prior: whether celerity is about the physical prior.
        shrinkage: factor on the workflow's shrinkage of deviations.
    """

    model: str
    trend: tuple[str, ...] = ()
    stage: bool = False
    flow: bool = False
    volume: bool = False
    prior: bool = False
    shrinkage: float = 1.0

    @property
    def fitted(self) -> bool:
        """Whether it is fitted. The best parameters for all reaches are looked for, and then are the estimate."""
        return self.model != UNIFORM or self.prior

    @property
    def name(self) -> str:
        """In words, such as `hybrid + hillslope`."""
        alone = self.model == UNIFORM and self.prior
        more = {
            "trend": self.model == HYBRID and bool(self.trend),
            "prior": self.prior and not alone,
            "hillslope": self.stage,
            "flow": self.flow,
            "volume": self.volume,
            f"shrinkage x {self.shrinkage:g}": self.shrinkage != 1.0,
        }
        first = "prior scaled" if alone else NAMES[self.model]
        return " + ".join([first, *(name for name, has in more.items() if has)])

    def as_dict(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return asdict(self) | {"trend": list(self.trend)}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Rung:
        """What `as_dict` made."""
        return cls(
            str(data["model"]),
            tuple(str(one) for one in data["trend"]),
            bool(data["stage"]),
            bool(data["flow"]),
            bool(data["volume"]),
            bool(data.get("prior", False)),
            float(data.get("shrinkage", 1.0)),
        )


@dataclass(frozen=True)
class Extras:
    """What a workflow's ladder may switch on.

    Attributes:
        stage: a delay on hillslopes; flow: an exponent of flow; trend: attributes of the trend, none without it.
        prior: a physical prior of celerity.
    """

    stage: bool
    flow: bool
    trend: tuple[str, ...]
    prior: bool = False


def extras_of(config: Workflow, network: RiverNetwork, lakes: bool) -> Extras:
    """What the ladder of a workflow may switch on.

    Args:
        config: the workflow, with the model `auto`.
        network: its network; lakes: whether some of its reaches are lakes.
    """
    parameters, scheme = config.parameters, config.scheme
    stage = parameters.hillslope is not None or scheme.hillslope is None
    flow = config.compute.device == "cpu" and config.compute.engine != "closure" and not lakes
    flow = parameters.flow_exponent is not None or (flow and refuse(schemes.of(scheme)) is None)
    return Extras(stage, flow, parameters.trend or _trend(network), _varies(network.attributes.get(SLOPE)))


def _trend(network: RiverNetwork) -> tuple[str, ...]:
    if network.n_reaches < 2:
        return ()
    found = tuple(name for name in TRENDS if _varies(network.attributes.get(name)))
    return found if "upstream_area_m2" in found else (*found, MEAN_FLOW)


def _varies(values: Any) -> bool:
    """Whether an attribute is there for most reaches, with two different positive values."""
    if values is None:
        return False
    numbers = np.asarray(values, np.float64)
    known = numbers[np.isfinite(numbers) & (numbers > 0)]
    return 2 * known.size > numbers.size and bool(known.max() > known.min())


def uniform_rungs(extras: Extras) -> list[Rung]:
    """Rungs on which all reaches share their parameters, the simplest first."""
    found = [Rung(UNIFORM)]
    if extras.stage:
        found.append(Rung(UNIFORM, stage=True))
    if extras.flow:
        found += [replace(one, flow=True) for one in list(found)]
    return found


def varied_rungs(config: Workflow, extras: Extras, base: Rung) -> list[Rung]:
    """Rungs on which reaches differ, each with what helped when they shared all; hybrid plain and with a hillslope too.

    Deviations of reaches next to a delay are not what either is alone.

    Args:
        config: the workflow; extras: of its ladder.
        base: the best of `uniform_rungs`.
    """
    found, helped = [], replace(base, volume=config.parameters.nuisance is not None)
    if extras.prior:
        found.append(replace(helped, prior=True))
    if extras.trend:
        found.append(replace(helped, model=TREND, trend=extras.trend))
    plain = Rung(HYBRID, config.parameters.trend, volume=helped.volume)
    found += [plain, replace(plain, stage=base.stage, flow=base.flow)]
    if extras.stage:
        found.append(replace(plain, stage=True))
    return list(dict.fromkeys(found))


def variations(config: Workflow, extras: Extras, best: Rung) -> list[Rung]:
    """The best of `varied_rungs` with one thing another way: volume error, prior, trend, stronger shrinkage."""
    found = [replace(best, volume=not best.volume)]
    if extras.prior and not best.prior:
        found.append(replace(best, prior=True))
    if best.model == HYBRID:
        if extras.trend and not best.trend:
            found.append(replace(best, trend=extras.trend))
        if config.parameters.shrinkage > 0:
            found.append(replace(best, shrinkage=STRONGER))
    return found


def simplicity(rung: Rung) -> tuple[float | bool, ...]:
    """What rungs are sorted by, the simplest first."""
    model, trend = list(NAMES).index(rung.model), bool(rung.trend)
    return model, trend, rung.prior, rung.flow, rung.stage, rung.volume, -rung.shrinkage


def resolved_by(config: Workflow, rung: Rung) -> Workflow:
    """The workflow that a rung makes of one with the model `auto`."""
    parameters, scheme, estimate = config.parameters, config.scheme, config.estimate
    estimated = parameters.hillslope is not None or scheme.hillslope is None
    if estimated:
        stage = scheme.hillslope or HillslopeSection()
        scheme = scheme.model_copy(update={"hillslope": stage if rung.stage else None})
    section = parameters.model_copy(update=_parameters(parameters, rung))
    if not rung.fitted:
        estimate = estimate.model_copy(update={"steps": 0})
    return config.model_copy(update={"parameters": section, "scheme": scheme, "estimate": estimate})


def _parameters(section: ParametersSection, rung: Rung) -> dict[str, Any]:
    return {
        "model": rung.model,
        "trend": rung.trend,
        "prior": PHYSICAL if rung.prior else "none",
        "shrinkage": section.shrinkage * rung.shrinkage,
        "hidden": 0 if not rung.trend else section.hidden,
        "hillslope": (section.hillslope or HillslopeDelaySection()) if rung.stage else None,
        "flow_exponent": (section.flow_exponent or FlowExponentSection()) if rung.flow else None,
        "nuisance": (section.nuisance or NuisanceSection()) if rung.volume else None,
        "timing": section.timing if rung.fitted else None,
    }


def widest(config: Workflow, extras: Extras) -> Workflow:
    """The workflow with everything switched on that the ladder may switch on: what all rungs are routed in."""
    return resolved_by(config, Rung(UNIFORM, (), extras.stage, extras.flow, volume=True))
