"""The parameter model: bounds, where an estimate starts, features from reach attributes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rivergrad.errors import InputError
from rivergrad.model.bounds import Bounded
from rivergrad.model.features import log_features
from rivergrad.model.kinds import Hybrid
from rivergrad.model.layout import TREND
from rivergrad.routing import schemes

BOUNDS = (
    Bounded(0.05, 5.0, logarithmic=True),
    Bounded(0.0, 0.5, logarithmic=False),
    Bounded(1e-2, 1e6, True),
)


@pytest.mark.parametrize("bounded", BOUNDS)
@settings(max_examples=50, deadline=None)
@given(share=st.floats(0.001, 0.999))
def test_round_trip(bounded: Bounded, share: float) -> None:
    value = bounded.lower + share * (bounded.upper - bounded.lower)
    found = float(bounded.value(torch.tensor(bounded.free(value), dtype=torch.float64)))
    assert found == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("bounded", BOUNDS)
def test_values_rise_and_stay_within_bounds(bounded: Bounded) -> None:
    free = torch.linspace(-800.0, 800.0, 401)
    value = bounded.value(free)
    assert value.dtype == torch.float64
    slack = 1e-12 * bounded.upper
    assert bool((value >= bounded.lower - slack).all())
    assert bool((value <= bounded.upper + slack).all())
    assert bool((value.diff() >= 0).all())
    inner = bounded.value(torch.linspace(-5.0, 5.0, 11))
    assert bool((inner.diff() > 0).all())


def test_the_ends_have_finite_free_numbers() -> None:
    for bounded in BOUNDS:
        for end in (bounded.lower, bounded.upper):
            free = bounded.free(end if end > 0 or not bounded.logarithmic else 1e-300)
            assert math.isfinite(free)
            assert float(bounded.value(torch.tensor(free))) == pytest.approx(end, rel=1e-3, abs=1e-5)


def test_middle_is_the_mean_of_the_ends() -> None:
    zero = torch.zeros(())
    assert float(BOUNDS[0].value(zero)) == pytest.approx(math.sqrt(0.05 * 5.0))  # geometric: it spans decades
    assert float(BOUNDS[1].value(zero)) == pytest.approx(0.25)


@pytest.mark.parametrize("name", ["muskingum", "linear_storage", "hayami"])
@pytest.mark.parametrize("features", [0, 3])
def test_an_estimate_starts_where_it_is_told(name: str, features: int) -> None:
    scheme = schemes.get(name)
    spreading = None
    if scheme.spreading is not None:
        logarithmic = scheme.spreading.lower > 0
        spreading = Bounded(scheme.spreading.lower, scheme.spreading.upper, logarithmic)
    model = Hybrid(scheme, Bounded(0.05, 5.0, logarithmic=True), spreading, features)
    initial = None if scheme.spreading is None else scheme.spreading.default
    shared = model.start(0.83, initial)
    assert shared.layout == model.layout
    rng = np.random.default_rng(0)
    arguments = (
        model.layout.coefficients(torch.from_numpy(shared.values)),
        torch.zeros(model.n_free, 7, dtype=torch.float64),
        torch.from_numpy(rng.standard_normal((7, features))),
    )
    celerity, spread = model.physical(*arguments)
    torch.testing.assert_close(celerity, torch.full((7,), 0.83, dtype=torch.float64))
    length = torch.linspace(1000.0, 9000.0, 7, dtype=torch.float64)
    parameters = model.parameters(*arguments, length)
    assert tuple(parameters) == scheme.parameter_names
    if name == "muskingum":
        torch.testing.assert_close(parameters["k"], length / 0.83)
    if scheme.spreading is None:
        assert spread is None
    else:
        assert spread is not None
        torch.testing.assert_close(spread, torch.full((7,), scheme.spreading.default, dtype=torch.float64))


def test_shared_coefficients_move_reaches_along_their_features_and_deviations_move_one() -> None:
    model = Hybrid(schemes.get("muskingum"), Bounded(0.05, 5.0, True), Bounded(0.0, 0.5, False), 1)
    start = model.start(0.5, 0.2).replace({TREND: 0.7})
    shared = model.layout.coefficients(torch.from_numpy(start.values))
    features = torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64)
    free = torch.zeros(2, 3, dtype=torch.float64)
    celerity, _ = model.physical(shared, free, features)
    assert float(celerity[1]) == pytest.approx(0.5)
    assert bool((celerity.diff() > 0).all())
    free[0, 0], free[1, 2] = 0.3, -0.4
    moved, spreading = model.physical(shared, free, features)
    assert (moved != celerity).tolist() == [True, False, False]
    assert spreading is not None
    assert (spreading != 0.2).tolist() == [False, False, True] or float(spreading[2]) < 0.2
    torch.testing.assert_close(spreading[:2], torch.full((2,), 0.2, dtype=torch.float64))


def test_features_are_standardised_logarithms() -> None:
    rng = np.random.default_rng(1)
    slope, area = rng.lognormal(size=50), rng.lognormal(3.0, 2.0, size=50)
    found = log_features({"slope": slope, "area": area}, ("area", "slope"))
    assert found.shape == (50, 2)
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(found.std(axis=0), 1.0, rtol=1e-12)
    logs = np.log(area)
    np.testing.assert_allclose(found[:, 0], (logs - logs.mean()) / logs.std(), rtol=1e-12)


def test_zero_counts_as_the_smallest_and_missing_as_the_mean() -> None:
    slope = np.array([0.0, 1e-4, 1e-2, np.nan, 1e-3, -5.0])
    found = log_features({"slope": slope}, ("slope",))[:, 0]
    assert np.isfinite(found).all()
    assert found[0] == found[1] == found[5] == found.min()
    assert found[3] == 0.0
    assert found[2] > found[4] > found[1]


def test_no_features_at_all() -> None:
    assert log_features({"slope": np.ones(4)}, ()).shape == (4, 0)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"slope": np.arange(3.0)}, "the network has no attribute area; it has slope"),
        ({}, "the network has no attribute area; it has none"),
        ({"area": np.zeros(3)}, "attribute area has no two different positive values"),
        ({"area": np.full(3, 2.0)}, "attribute area has no two different positive values"),
        ({"area": np.full(3, np.nan)}, "attribute area has no two different positive values"),
        ({"area": np.array([np.nan, 2.0, -1.0])}, "attribute area has no two different positive values"),
    ],
)
def test_what_no_trend_can_follow(attributes: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputError) as error:
        log_features(attributes, ("area",))
    assert str(error.value) == f"parameters.trend: {message}"
