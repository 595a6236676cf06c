"""Every kind of parameter model: coefficients, where it starts, its gradients, and what moves which reach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rivergrad import registry
from rivergrad.errors import InputError
from rivergrad.model.bounds import Bounded
from rivergrad.model.features import Features
from rivergrad.model.layout import (
    LEVEL,
    TREND,
    TREND_BIAS,
    TREND_OUTPUT,
    TREND_WEIGHT,
    VOLUME,
    Coefficients,
    Layout,
)
from rivergrad.model.parametermodel import ParameterModel
from rivergrad.routing import schemes

Float = NDArray[np.float64]
N, REGIONS = 9, 3
REGION = np.array([0, 0, 1, 1, 2, 2, 2, 0, 1])
SETTINGS = {
    "uniform": {},
    "free": {},
    "regional": {"n_regions": REGIONS},
    "attributes": {"n_features": 2},
    "attributes, hidden": {"n_features": 2, "hidden": 4},
    "hybrid": {"n_features": 2},
    "hybrid, hidden": {"n_features": 2, "hidden": 3},
}


def model(setting: str, scheme: str = "muskingum") -> ParameterModel:
    chosen = schemes.get(scheme)
    spreading = None
    if chosen.spreading is not None:
        spreading = Bounded(chosen.spreading.lower, chosen.spreading.upper, chosen.spreading.lower > 0)
    kind = registry.load("parameter_model", setting.split(",")[0])
    made: ParameterModel = kind(chosen, Bounded(0.05, 5.0, True), spreading, **SETTINGS[setting])
    return made


def features(one: ParameterModel, n: int = N) -> Float:
    return np.random.default_rng(1).standard_normal((n, one.n_features))


def region(one: ParameterModel) -> NDArray[np.int64] | None:
    return REGION if one.n_regions else None


def somewhere(one: ParameterModel) -> Float:
    start = one.start(0.9, 0.2 if one.spreading else None, seed=3)
    return start.values + 0.3 * np.random.default_rng(2).standard_normal(start.layout.size)


def tensors(one: ParameterModel, values: Float | torch.Tensor) -> Coefficients[torch.Tensor]:
    return one.layout.coefficients(torch.as_tensor(values))


def physical(one: ParameterModel, shared: Float, free: Float | None = None) -> tuple[Float, Float | None]:
    own = np.zeros((one.n_free, N)) if free is None else free
    where = region(one)
    celerity, spreading = one.physical(
        tensors(one, shared),
        torch.from_numpy(own),
        torch.from_numpy(features(one)),
        None if where is None else torch.from_numpy(where),
    )
    return celerity.numpy(), None if spreading is None else spreading.numpy()


def test_all_kinds_are_here() -> None:
    assert {name.split(",")[0] for name in SETTINGS} == set(registry.names("parameter_model")) - {"auto"}


@pytest.mark.parametrize("scheme", ["muskingum", "linear_storage"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_sizes_and_start(setting: str, scheme: str) -> None:
    one = model(setting, scheme)
    fields = 1 if scheme == "linear_storage" else 2
    assert one.n_free == fields
    trend = {"attributes": 2, "attributes, hidden": 4 * 2 + 4 + 4, "hybrid": 2, "hybrid, hidden": 3 * 4}
    assert one.layout.size == fields * (1 + one.n_regions) + trend.get(setting, 0)
    assert tuple(one.prior_sd()) == one.layout.names
    assert min(one.prior_sd().values()) > 0
    assert one.deviates == (setting.split(",")[0] in ("free", "hybrid"))
    shared = one.start(0.83, 0.31 if one.spreading else None, seed=5)
    assert shared.layout == one.layout
    celerity, spreading = physical(one, shared.values)
    np.testing.assert_allclose(celerity, 0.83, rtol=1e-12)
    if spreading is not None:
        np.testing.assert_allclose(spreading, 0.31, rtol=1e-9)


def test_a_hidden_layer_starts_at_random_from_the_seed() -> None:
    """At zero it would never move: all its units would have the same gradient, which is zero."""
    one = model("attributes, hidden")
    first, again, other = (one.start(0.8, 0.2, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.values, again.values)
    assert np.abs(first.values - other.values).max() > 0.1
    regressors = one.regressors(first, features(one))[0]
    assert (
        np.abs(regressors[:, one.layout.positions(TREND_OUTPUT)]).max() > 0
    )  # the output's weights see the layer


@pytest.mark.parametrize("scheme", ["muskingum", "linear_storage", "hayami"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_regressors_are_the_jacobian(setting: str, scheme: str) -> None:
    one = model(setting, scheme)
    shared = one.start(0.9, None if one.spreading is None else 0.3 * one.spreading.upper, 3).values
    shared += 0.3 * np.random.default_rng(2).standard_normal(one.layout.size)
    by, where = torch.from_numpy(features(one)), region(one)
    at = None if where is None else torch.from_numpy(where)
    expected = torch.autograd.functional.jacobian(
        lambda s: one.common(tensors(one, s), by, at), torch.from_numpy(shared), vectorize=True
    )
    found = one.regressors(one.layout.coefficients(shared), features(one), where)
    assert found.shape == (one.n_free, N, one.layout.size)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-12)
    # what a kind gets that does not say them itself
    by_default = ParameterModel.regressors(one, one.layout.coefficients(shared), features(one), where)
    np.testing.assert_allclose(by_default, found, atol=1e-12)


@pytest.mark.parametrize("setting", SETTINGS)
def test_gradients_of_the_schemes_parameters(setting: str) -> None:
    one = model(setting)
    shared = torch.from_numpy(somewhere(one)).requires_grad_()
    free = torch.from_numpy(0.3 * np.random.default_rng(4).standard_normal((2, N))).requires_grad_()
    length = torch.linspace(1.0, 9.0, N, dtype=torch.float64)
    by, where = torch.from_numpy(features(one)), region(one)
    at = None if where is None else torch.from_numpy(where)
    assert torch.autograd.gradcheck(
        lambda s, u: tuple(one.parameters(tensors(one, s), u, by, length, at).values()), (shared, free)
    )


@pytest.mark.parametrize("setting", SETTINGS)
def test_further_segments_before_and_after_are_left_alone(setting: str) -> None:
    one = model(setting)
    layout = Layout.of({"first": (3,)}).join(one.layout).join(Layout.of({VOLUME: (1, 2)}))
    values = np.concatenate([[5.0, 6.0, 7.0], somewhere(one), [7.0, -3.0]])
    by, where = torch.from_numpy(features(one)), region(one)
    at = None if where is None else torch.from_numpy(where)
    found = one.common(layout.coefficients(torch.from_numpy(values)), by, at)
    torch.testing.assert_close(found, one.common(tensors(one, somewhere(one)), by, at), rtol=0, atol=0)
    more = one.regressors(layout.coefficients(values), features(one), where)
    np.testing.assert_array_equal(
        more, one.regressors(one.layout.coefficients(somewhere(one)), features(one), where)
    )


def test_reaches_without_deviations_follow_what_they_share() -> None:
    uniform, _ = physical(model("uniform"), somewhere(model("uniform")))
    assert np.ptp(uniform) == 0
    regional, spreading = physical(model("regional"), somewhere(model("regional")))
    assert spreading is not None
    for value in (regional, spreading):
        assert len(np.unique(value)) == REGIONS
        for k in range(REGIONS):
            assert np.ptp(value[k == REGION]) == 0
    for setting in ("attributes", "hybrid", "attributes, hidden"):
        one = model(setting)
        shared = somewhere(one)
        celerity, spreading = physical(one, shared)
        assert spreading is not None
        assert len(np.unique(celerity)) == N
        assert np.ptp(spreading) == 0  # the trend is of celerity alone
        deviation = np.zeros((2, N))
        deviation[0, 4] = 0.5
        moved, _ = physical(one, shared, deviation)
        assert (moved != celerity).tolist() == [i == 4 for i in range(N)]


def test_a_linear_trend_is_monotone_in_every_attribute() -> None:
    one = model("attributes")
    shared = one.start(0.9, 0.2).replace({TREND: [0.8, -0.5]})
    grid = np.linspace(-2, 2, 9)
    for column, sign in ((0, 1), (1, -1)):
        by = np.zeros((9, 2))
        by[:, column] = grid
        celerity, _ = one.physical(
            tensors(one, shared.values), torch.zeros(2, 9, dtype=torch.float64), torch.from_numpy(by)
        )
        assert bool((sign * celerity.diff() > 0).all())


def test_a_hidden_layer_can_bend() -> None:
    """w · tanh(W f + c), by its definition."""
    one = replace(model("attributes, hidden"), n_features=1, hidden=2)
    bump = {TREND_WEIGHT: [[2.0], [2.0]], TREND_BIAS: [1.0, -1.0], TREND_OUTPUT: [1.0, -1.0]}
    shared = one.start(0.9, 0.2).replace(bump)
    grid = np.linspace(-4, 4, 17)[:, None]
    level, _ = one.common(tensors(one, shared.values), torch.from_numpy(grid)).numpy()
    expected = shared[LEVEL] + np.tanh(2 * grid[:, 0] + 1) - np.tanh(2 * grid[:, 0] - 1)
    np.testing.assert_allclose(level, expected, rtol=1e-12)
    assert level.argmax() == 8


class TestFeatures:
    attributes = {  # noqa: RUF012
        "slope": np.array([1e-4, 1e-3, 1e-2, 0.0, np.nan]),
        "area": np.array([1e8, 1e9, 1e10, 1e9, 1e9]),
    }

    def test_another_network_is_read_by_the_stored_statistics(self) -> None:
        made = Features.of(self.attributes, ("area", "slope"))
        again = Features.from_list(made.as_list())
        assert again == made
        assert again.names == ("area", "slope")
        other = {"area": np.array([1e9, 1e12]), "slope": np.array([1e-3, np.nan]), "more": np.ones(2)}
        found = again.apply(other, 2)
        logs = np.log(self.attributes["area"])
        np.testing.assert_allclose(
            found[:, 0], (np.log(other["area"]) - logs.mean()) / logs.std(), rtol=1e-12
        )
        alone = Features.of(other, ("area",)).apply(other, 2)
        assert np.abs(found[:, 0] - alone[:, 0]).max() > 0.1  # its own statistics would say something else
        assert found[1, 1] == 0.0  # missing there: the mean here

    def test_what_is_missing_counts_as_the_mean_and_zero_as_the_least(self) -> None:
        made = Features.of(self.attributes, ("slope",))
        found = made.apply(self.attributes, 5)[:, 0]
        known = found[:4]
        assert known.mean() == pytest.approx(0.0, abs=1e-12)
        assert known.std() == pytest.approx(1.0)
        assert found[3] == found[0] == found.min()
        assert found[4] == 0.0
        level = made.each[0]
        as_mean = made.apply({"slope": np.array([np.exp(level.mean)])}, 1)
        assert as_mean[0, 0] == pytest.approx(0.0, abs=1e-12)

    def test_an_infinite_value_is_missing(self) -> None:
        values = np.array([1e-4, 1e-3, 1e-2, np.inf])
        made = Features.of({"slope": values}, ("slope",))
        assert made == Features.of({"slope": values[:3]}, ("slope",))
        assert made.apply({"slope": values}, 4)[3, 0] == 0.0

    def test_values_below_those_seen_count_as_the_least_seen(self) -> None:
        made = Features.of(self.attributes, ("slope",))
        found = made.apply({"slope": np.array([1e-9, -1.0, 0.0, 1e-4])}, 4)[:, 0]
        assert len(np.unique(found)) == 1

    def test_a_network_without_the_attribute(self) -> None:
        made = Features.of(self.attributes, ("slope",))
        with pytest.raises(InputError, match="the network has no attribute slope; it has area"):
            made.apply({"area": np.ones(2)}, 2)

    def test_none(self) -> None:
        assert Features().apply({}, 6).shape == (6, 0)
        assert Features.from_list([]) == Features() == Features.of(self.attributes, ())
