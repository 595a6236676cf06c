"""The physical prior: its relations by hand, which of them is taken, and parameter models about it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rivergrad import registry
from rivergrad.errors import InputError
from rivergrad.model.bounds import Bounded
from rivergrad.model.layout import LEVEL, TREND
from rivergrad.model.parametermodel import ParameterModel
from rivergrad.model.physical import (
    MANNING_N,
    RELATIONS,
    about_prior,
    offsets,
    physical_prior,
    prior_celerity,
)
from rivergrad.model.prior import deviation_sd
from rivergrad.routing import schemes

Float = NDArray[np.float64]
N = 5
SLOPE, FLOW, WIDTH = np.geomspace(1e-4, 1e-2, N), np.geomspace(200, 1, N), np.geomspace(90, 4, N)
AREA = np.geomspace(1e10, 1e7, N)
EVERYTHING = {"slope": SLOPE, "mean_flow": FLOW, "width_m": WIDTH, "upstream_area_m2": AREA}
NEEDS = {
    "manning_width": ("slope", "mean_flow", "width_m"),
    "manning_regime": ("slope", "mean_flow"),
    "manning_area": ("slope", "upstream_area_m2"),
    "regime": ("mean_flow",),
}
KINDS = {
    "uniform": {},
    "free": {},
    "regional": {"n_regions": 2},
    "attributes": {"n_features": 2},
    "hybrid": {"n_features": 2, "hidden": 3},
}
REGION = np.array([0, 0, 1, 1, 0])


def model(kind: str, **more: int) -> ParameterModel:
    made: ParameterModel = registry.load("parameter_model", kind)(
        schemes.get("muskingum"), Bounded(0.05, 5.0, True), Bounded(0.0, 0.5, False), **(more or KINDS[kind])
    )
    return made


def test_every_relation_has_its_source() -> None:
    assert set(NEEDS) == {one.name for one in RELATIONS}
    assert all(one.source and one.formula and one.sd > 0 for one in RELATIONS)


@pytest.mark.parametrize("name", NEEDS)
def test_the_first_relation_with_what_it_needs_is_taken(name: str) -> None:
    found = physical_prior({key: EVERYTHING[key] for key in NEEDS[name]}, N)
    assert found.relation.name == name
    assert found.flow == ("mean_flow" if "mean_flow" in NEEDS[name] else None)


@pytest.mark.parametrize("n", [None, 0.03])
def test_mannings_equation_of_the_depth_at_which_the_channel_carries_the_flow(n: float | None) -> None:
    """The celerity is dQ/dA of a wide rectangular channel, by finite differences of Manning's equation itself."""
    more = {} if n is None else {"manning_n": np.full(N, n)}
    rough = MANNING_N if n is None else n
    depth = (FLOW * rough / (WIDTH * SLOPE**0.5)) ** 0.6

    def flow(h: Float) -> Float:
        return np.asarray(WIDTH * h * h ** (2 / 3) * SLOPE**0.5 / rough)

    np.testing.assert_allclose(flow(depth), FLOW, rtol=1e-12)
    wave = (flow(depth * 1.0001) - flow(depth / 1.0001)) / (WIDTH * depth * (1.0001 - 1 / 1.0001))
    found = physical_prior({**EVERYTHING, **more}, N).celerity
    np.testing.assert_allclose(found, wave, rtol=1e-6)


def test_relations_without_width_take_one_from_the_flow() -> None:
    width = 7.2 * FLOW**0.5
    regime = physical_prior({"slope": SLOPE, "mean_flow": FLOW}, N).celerity
    np.testing.assert_allclose(
        regime, physical_prior({**EVERYTHING, "width_m": width}, N).celerity, rtol=1e-12
    )
    alone = physical_prior({"mean_flow": FLOW}, N).celerity
    np.testing.assert_allclose(alone, 5 / 3 * FLOW / (width * 0.27 * FLOW**0.3), rtol=1e-12)
    depth = 0.30 * (AREA / 1e6) ** 0.213
    by_area = physical_prior({"slope": SLOPE, "upstream_area_m2": AREA}, N).celerity
    np.testing.assert_allclose(by_area, 5 / 3 * depth ** (2 / 3) * SLOPE**0.5 / MANNING_N, rtol=1e-12)


def test_bankfull_flow_goes_before_mean_flow() -> None:
    found = physical_prior({**EVERYTHING, "bankfull_flow": 5 * FLOW}, N)
    assert found.flow == "bankfull_flow"
    np.testing.assert_allclose(found.celerity / physical_prior(EVERYTHING, N).celerity, 5**0.4, rtol=1e-12)


def test_reaches_without_values_are_at_the_median() -> None:
    slope, width = SLOPE.copy(), WIDTH.copy()
    slope[0], width[1], width[4] = np.nan, 0.0, -3.0
    found = physical_prior({**EVERYTHING, "slope": slope, "width_m": width}, N).celerity
    whole = physical_prior(EVERYTHING, N).celerity
    np.testing.assert_allclose(found[[2, 3]], whole[[2, 3]], rtol=1e-12)
    np.testing.assert_allclose(found[[0, 1, 4]], np.sqrt(whole[2] * whole[3]), rtol=1e-12)


def test_a_slope_of_zero_is_the_least_one() -> None:
    slope = np.array([0.0, 1e-7, 1e-5, 1e-3, 1e-2])
    found = physical_prior({"slope": slope, "mean_flow": np.ones(N)}, N).celerity
    assert found[0] == found[1] == found[2] < found[3]


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"slope": SLOPE},
        {"upstream_area_m2": AREA},
        {"slope": np.zeros(N), "upstream_area_m2": AREA},
        {"slope": np.array([np.nan, 1, 1, 1, 1]), "upstream_area_m2": np.array([1e9, *[np.nan] * 4])},
    ],
)
def test_what_is_missing_is_one_line(attributes: dict[str, Float]) -> None:
    with pytest.raises(InputError, match="expected a set of these") as error:
        physical_prior(attributes, N)
    assert len(str(error.value)) <= 300
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
class TestAboutPrior:
    def pair(self, kind: str) -> tuple[ParameterModel, ParameterModel, Float, Float]:
        inner = model(kind)
        prior = physical_prior(EVERYTHING, N)
        made = about_prior(inner, prior.middle, 0.4)
        own = np.random.default_rng(1).standard_normal((N, inner.n_features))
        return inner, made, own, np.column_stack([own, offsets(inner, prior.celerity, prior.middle)])

    def region(self, one: ParameterModel) -> NDArray[np.int64] | None:
        return REGION if one.n_regions else None

    def test_coefficients_at_the_start_are_the_prior(self, kind: str) -> None:
        _, made, _, features = self.pair(kind)
        prior = physical_prior(EVERYTHING, N)
        shared = made.start(prior.middle, 0.2)
        region = self.region(made)
        celerity, spreading = made.physical(
            shared.layout.coefficients(torch.from_numpy(shared.values)),
            torch.zeros(2, N, dtype=torch.float64),
            torch.from_numpy(features),
            None if region is None else torch.from_numpy(region),
        )
        np.testing.assert_allclose(celerity.numpy(), prior.celerity, rtol=1e-9)
        np.testing.assert_allclose(prior_celerity(made, features), prior.celerity, rtol=1e-9)
        assert spreading is not None
        np.testing.assert_allclose(spreading.numpy(), 0.2, rtol=1e-9)

    def test_it_has_the_coefficients_and_the_jacobian_of_the_model(self, kind: str) -> None:
        inner, made, own, features = self.pair(kind)
        assert made.layout == inner.layout
        assert made.deviates == inner.deviates
        assert made.n_free == inner.n_free
        assert made.n_features == features.shape[1]
        shared = made.start(0.9, 0.2, 3)
        at = shared.layout.coefficients(shared.values + 0.2)
        found = made.regressors(at, features, self.region(made))
        np.testing.assert_array_equal(found, inner.regressors(at, own, self.region(inner)))
        by_default = ParameterModel.regressors(made, at, features, self.region(made))
        np.testing.assert_allclose(by_default, found, atol=1e-12)

    def test_spreads_are_those_of_the_relation(self, kind: str) -> None:
        inner, made, _, _ = self.pair(kind)
        slope = made.celerity.log_slope(physical_prior(EVERYTHING, N).middle)
        sd = made.prior_sd()
        assert sd[LEVEL] * slope == pytest.approx(0.5)
        assert TREND not in sd or sd[TREND] * slope == pytest.approx(0.3)
        assert {name: one for name, one in sd.items() if name not in (LEVEL, TREND)} == {
            name: one for name, one in inner.prior_sd().items() if name not in (LEVEL, TREND)
        }
        about = made.start(0.9, 0.2)
        tau = [deviation_sd(about_prior(inner, 0.9, sd), about, 0.2, None)[0] for sd in (0.4, 0.8)]
        assert tau[1] == pytest.approx(2 * tau[0])


def test_celerities_beyond_the_bounds_stay_inside() -> None:
    inner = model("uniform")
    celerity = np.array([1e-3, 0.05, 0.8, 5.0, 900.0])
    made = about_prior(inner, 0.8, 0.4)
    found = prior_celerity(made, offsets(inner, celerity, 0.8)[:, None])
    assert found is not None
    assert ((found > 0.05) & (found < 5.0)).all()
    assert found[0] == found[1] < found[2] < found[3] == found[4]
    assert prior_celerity(inner, np.zeros((N, 0))) is None
