"""A physical prior of celerity: what Manning's equation and regime relations say of every reach before any gauge.

A flood wave in a wide channel travels at c = 5/3 v (kinematic wave; Chow 1959). What is known of a reach decides how v
is found. The prior enters a parameter model as a fixed offset of each reach (`AboutPrior`). All coefficients are then
departures from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from rivergrad.errors import InputError
from rivergrad.model.layout import LEVEL, TREND, Coefficients, Shape
from rivergrad.model.parametermodel import ParameterModel

Float = NDArray[np.float64]

KEY = "parameters.prior"
PHYSICAL = "physical"

SLOPE, ROUGHNESS, WIDTH, AREA = "slope", "manning_n", "width_m", "upstream_area_m2"
BANKFULL, MEAN_FLOW = "bankfull_flow", "mean_flow"
"""Attributes, m³/s. Every workflow with given runoff has the second: its mean over the training period, added up."""
FLOW = "flow"
"""What relations call the flow: `bankfull_flow` of the network, or else its mean flow."""

MANNING_N = 0.04
"""s m^-1/3, where the network gives none: natural streams have 0.025 to 0.06 (Chow 1959, table 5-6)."""
LEAST_SLOPE = 1e-5
"""A slope of 0 in a terrain model is one that it does not resolve."""
LEVEL_SD = 0.5
"""Standard deviation of ln of the factor on all celerities: what is not known of roughness, our own choice."""
TREND_SD = 0.3
"""Of ln celerity for a standard deviation of an attribute: how far its exponent may be another, our own choice."""
INSIDE = 0.02
"""How far within the bounds of celerity the prior stays, as a share of their distance in the logarithm."""


@dataclass(frozen=True)
class Relation:
    """A way to the celerity of a reach.

    Attributes:
        name: as run.json has it.
        needs: attributes in SI, or `flow`.
        log_celerity: ln c (reach,) of these, each positive, NaN where one is missing.
        sd: standard deviation of ln c of single reaches about it.
        formula, source: in words.
    """

    name: str
    needs: tuple[str, ...]
    log_celerity: Callable[[Mapping[str, Float]], Float]
    sd: float
    formula: str
    source: str


def _manning_width(of: Mapping[str, Float]) -> Float:
    q = np.log(of[FLOW]) - np.log(of[WIDTH])
    return np.log(5 / 3) + 0.3 * np.log(of[SLOPE]) - 0.6 * np.log(of[ROUGHNESS]) + 0.4 * q


def _manning_regime(of: Mapping[str, Float]) -> Float:
    return _manning_width({**of, WIDTH: 7.2 * of[FLOW] ** 0.5})


def _manning_area(of: Mapping[str, Float]) -> Float:
    depth = np.log(0.30) + 0.213 * np.log(of[AREA] / 1e6)
    return np.log(5 / 3) + 0.5 * np.log(of[SLOPE]) - np.log(of[ROUGHNESS]) + 2 / 3 * depth


def _regime(of: Mapping[str, Float]) -> Float:
    return np.log(5 / 3) + 0.2 * np.log(of[FLOW]) - np.log(7.2 * 0.27)


_MANNING = (
    "Manning's equation in a wide rectangular channel, kinematic wave (Chow 1959, Open-Channel Hydraulics)"
)
_ANDREADIS = "Andreadis et al. 2013, doi:10.1002/wrcr.20440"

RELATIONS = (
    Relation(
        "manning_width", (SLOPE, WIDTH, FLOW), _manning_width, 0.4,
        "c = 5/3 S^0.3 n^-0.6 (Q/w)^0.4", _MANNING,
    ),
    Relation(
        "manning_regime", (SLOPE, FLOW), _manning_regime, 0.4,
        "c = 5/3 S^0.3 n^-0.6 (Q/w)^0.4 with w = 7.2 Q^0.5", f"{_MANNING}; width: {_ANDREADIS}",
    ),
    Relation(
        "manning_area", (SLOPE, AREA), _manning_area, 0.5,
        "c = 5/3 S^0.5 n^-1 h^(2/3) with h = 0.30 A^0.213, A in km2",
        f"{_MANNING}; depth: Bieger et al. 2015, doi:10.1111/jawr.12282",
    ),
    Relation(
        "regime", (FLOW,), _regime, 0.6,
        "c = 5/3 Q/(w h) with w = 7.2 Q^0.5, h = 0.27 Q^0.3", f"kinematic wave; width and depth: {_ANDREADIS}",
    ),
)  # fmt: skip
"""The first of which a network has what it needs is taken. Spreads are our own choice, which the evidence replaces."""


@dataclass(frozen=True, eq=False)
class PhysicalPrior:
    """What a relation says of a network.

    Attributes:
        relation: the one that was taken.
        celerity: (reach,) m/s; the median where a reach lacks an attribute.
        flow: the attribute that is its flow; None where it takes none.
    """

    relation: Relation
    celerity: Float
    flow: str | None = None

    @property
    def middle(self) -> float:
        """Its median, m/s: where the level of a parameter model stands when all reaches are at the prior."""
        return float(np.median(self.celerity))

    def text(self) -> str:
        """`manning_regime by mean_flow`."""
        return self.relation.name if self.flow is None else f"{self.relation.name} by {self.flow}"

    def as_dict(self) -> dict[str, Any]:
        """For run.json: enough to have the same prior elsewhere."""
        return {
            "relation": self.relation.name,
            "flow": self.flow,
            "reference": self.middle,
            "text": self.text(),
            "formula": self.relation.formula,
            "sd": self.relation.sd,
        }


def physical_prior(attributes: Mapping[str, NDArray[np.generic]], n_reaches: int) -> PhysicalPrior:
    """The physical prior of a network's reaches.

    Args:
        attributes: (reach,) by name, SI; values that are not positive and finite are missing.
        n_reaches: of the network.

    Raises:
        InputError: the network has what none of the relations needs.
    """
    known = {name: _positive(attributes[name]) for name in (WIDTH, AREA) if name in attributes}
    if SLOPE in attributes:
        slope = np.asarray(attributes[SLOPE], np.float64)
        if (slope > 0).any():
            known[SLOPE] = np.where(np.isfinite(slope) & (slope >= 0), np.maximum(slope, LEAST_SLOPE), np.nan)
    flow = next((name for name in (BANKFULL, MEAN_FLOW) if name in attributes), None)
    if flow is not None:
        known[FLOW] = _positive(attributes[flow])
    n = _positive(attributes[ROUGHNESS]) if ROUGHNESS in attributes else np.full(n_reaches, np.nan)
    known[ROUGHNESS] = np.where(np.isnan(n), MANNING_N, n)
    for relation in RELATIONS:
        if not all(name in known and np.isfinite(known[name]).any() for name in relation.needs):
            continue
        log = relation.log_celerity(known)
        if np.isfinite(log).any():
            filled = np.where(np.isfinite(log), log, np.median(log[np.isfinite(log)]))
            return PhysicalPrior(relation, np.exp(filled), flow if FLOW in relation.needs else None)
    needed = "; ".join(" and ".join(one.needs) for one in RELATIONS)
    raise InputError(
        f"found attributes {', '.join(list(attributes)[:8]) or 'none'}; expected a set of these, with values above 0: "
        f"{needed} (flow: {BANKFULL} of the network, or runoff that is given)",
        key=KEY,
    )


def _positive(values: ArrayLike) -> Float:
    numbers = np.asarray(values, np.float64)
    return np.where(np.isfinite(numbers) & (numbers > 0), numbers, np.nan)


@dataclass(frozen=True)
class AboutPrior(ParameterModel):
    """A parameter model of which each reach stands off by what the physical prior says, in the curve's argument.

    The last feature of a reach is its offset, which has no coefficient. Without deviations, trend and classes, and with
    the level at `reference`, every reach has its prior celerity.

    Attributes:
        inner: the model, whose coefficients these are.
        reference: the celerity of the prior (m/s) that offsets are from.
        spread: standard deviation of ln(celerity) of single reaches about the relation.
    """

    inner: ParameterModel | None = None
    reference: float = 1.0
    spread: float = 0.4

    @property
    def _inner(self) -> ParameterModel:
        assert self.inner is not None
        return self.inner

    @property
    def log_celerity_sd(self) -> float:
        return self.spread

    def segments(self) -> dict[str, Shape]:
        return self._inner.segments()

    def common(self, shared: Coefficients[Tensor], features: Tensor, region: Tensor | None = None) -> Tensor:
        found = self._inner.common(shared, features[:, :-1], region)
        return torch.cat([found[:1] + features[:, -1], found[1:]])

    def regressors(
        self, shared: Coefficients[Float], features: Float, region: NDArray[np.int64] | None = None
    ) -> Float:
        return self._inner.regressors(shared, np.ascontiguousarray(features[:, :-1]), region)

    def start_values(self, celerity: float, spreading: float | None, seed: int) -> dict[str, ArrayLike]:
        return self._inner.start_values(celerity, spreading, seed)

    def prior_sd(self) -> dict[str, float]:
        """As the model has it, but for how far level and exponents of the prior may be off."""
        scale = 1 / self.celerity.log_slope(self.reference)
        own = {LEVEL: LEVEL_SD * scale, TREND: TREND_SD * scale}
        return {name: own.get(name, sd) for name, sd in self._inner.prior_sd().items()}

    def middle(self, shared: Coefficients[Float]) -> float:
        return self._inner.middle(shared)


@dataclass(frozen=True)
class AboutPriorDeviating(AboutPrior):
    """The same for a model whose reaches deviate."""

    deviates: ClassVar[bool] = True


def about_prior(model: ParameterModel, reference: float, spread: float) -> AboutPrior:
    """A parameter model about the physical prior: with one more feature, from `offsets`.

    Args:
        model: whose coefficients are departures.
        reference: as for `offsets`, m/s; spread: of the relation.
    """
    made = AboutPriorDeviating if model.deviates else AboutPrior
    return made(
        model.scheme,
        model.celerity,
        model.spreading,
        model.n_features + 1,
        model.hidden,
        model.n_regions,
        model,
        within(model, reference),
        spread,
    )


def within(model: ParameterModel, celerity: float) -> float:
    """A celerity (m/s), or the nearest that is `INSIDE` the model's bounds."""
    low, high = np.log(model.celerity.lower), np.log(model.celerity.upper)
    edge = INSIDE * (high - low)
    return float(np.exp(np.clip(np.log(celerity), low + edge, high - edge)))


def offsets(model: ParameterModel, celerity: Float, reference: float) -> Float:
    """(reach,) by how much the argument of the bounded curve is above that of `reference`, for prior celerities."""
    low, high = np.log(model.celerity.lower), np.log(model.celerity.upper)

    def free(value: ArrayLike) -> Float:
        share = np.clip((np.log(value) - low) / (high - low), INSIDE, 1 - INSIDE)
        return np.asarray(np.log(share / (1 - share)))

    found: Float = free(celerity) - free(reference)
    return found


def prior_celerity(model: ParameterModel, values: Float) -> Float | None:
    """(reach,) m/s that the physical prior says, within the bounds; None where the model has no such prior.

    Args:
        model: the parameter model; values: (reach, n_features) its features.
    """
    if not isinstance(model, AboutPrior):
        return None
    at = model.celerity.free(model.reference) + values[:, -1]
    found: Float = model.celerity.value(torch.from_numpy(at)).numpy()
    return found
