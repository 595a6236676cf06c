"""A scheme outside its range says so: where a response is negative, what came of it, and x capped against it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.routing import Router, operator, route, schemes
from rivergrad.routing.outside import Outside, effective, outside
from rivergrad.routing.schemes import Muskingum, Parameter

NETWORK = RiverNetwork.from_ids([11, 12, 13], [13, 13, -1])
WIDE = {"k": torch.full((3,), 4e5), "x": torch.full((3,), 0.45)}


@pytest.fixture(autouse=True)
def _nothing_said() -> Iterator[None]:
    operator._SAID.clear()
    yield
    operator._SAID.clear()


def pulse(steps: int = 40) -> torch.Tensor:
    runoff = torch.zeros(steps, 3)
    runoff[0, 0] = 1000.0
    return runoff


def one(**values: float) -> dict[str, torch.Tensor]:
    return {name: torch.tensor([value], dtype=torch.float64) for name, value in values.items()}


@given(
    st.floats(1.0, 1e6), st.floats(0.0, 0.5), st.sampled_from([60.0, 3600.0, 86400.0]),
    st.sampled_from(["standard", "rapid"]),
)  # fmt: skip
def test_muskingum_is_outside_where_its_response_is_negative(
    k: float, x: float, step: float, convention: str
) -> None:
    scheme = Muskingum(convention)
    least, most = 2 * k * x / step, 2 * k * (1 - x) / step
    if min(abs(least - 1), abs(most - 1)) < 1e-5:
        return  # at the very edge, either is right
    found = bool(scheme.outside(one(k=k, x=x), step))
    assert found == (least > 1 or most < 1)
    assert found == bool((scheme.response(one(k=k, x=x), step, 4) < 0).any())


@given(st.floats(1.0, 1e6), st.floats(0.0, 0.5), st.sampled_from([60.0, 3600.0, 86400.0]))
def test_a_capped_x_is_the_largest_that_is_inside(k: float, x: float, step: float) -> None:
    scheme, given = Muskingum(cap_x=True), one(k=k, x=x)
    cap = float(scheme.effective(given, step)["x"])
    assert 0 <= cap <= x
    if 2 * k < step:
        assert cap == 0.0  # no x will do; 0 oscillates least
        return
    assert not bool(scheme.outside(given, step))
    assert (scheme.response(given, step, 50) >= -1e-12).all()
    if cap < x:
        assert bool(Muskingum().outside(one(k=k, x=cap + 1e-4), step)) or cap + 1e-4 > x


@pytest.mark.parametrize("convention", ["standard", "rapid"])
@pytest.mark.parametrize("engine", ["closure", "recurrence", "reference"])
def test_engines_agree_about_a_capped_x(convention: str, engine: str) -> None:
    values = {name: value.double() for name, value in WIDE.items()}
    scheme = Muskingum(convention, cap_x=True)
    given = {"forcing_step": 86400.0, "routing_step": 3600.0, "engine": engine, "dtype": torch.float64}
    found = route(NETWORK, pulse().double(), values, scheme, **given)
    capped = {**values, "x": scheme.effective(values, 3600.0)["x"]}
    expected = route(NETWORK, pulse().double(), capped, "muskingum", convention=convention, **given)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert float(found.min()) > -1e-9


def test_a_capped_x_has_a_gradient_by_k() -> None:
    values = {name: value.double().requires_grad_() for name, value in WIDE.items()}
    scheme = Muskingum(cap_x=True)
    q = route(
        NETWORK, pulse().double(), values, scheme, forcing_step=86400.0, routing_step=3600.0, dtype=torch.float64
    )  # fmt: skip
    (q[5:, 2] ** 2).sum().backward()
    assert bool((values["k"].grad != 0).any())
    assert bool((values["x"].grad == 0).all())  # it does not matter while the cap is what counts


@pytest.mark.parametrize("name", ["pure_lag", "linear_storage", "nash_cascade", "hayami"])
def test_no_other_scheme_has_a_negative_response(name: str) -> None:
    rng = np.random.default_rng(7)
    scheme = schemes.get(name)
    values = {
        p.name: torch.from_numpy(np.exp(rng.uniform(np.log(max(p.lower, 1e-3)), np.log(p.upper), 400)))
        for p in scheme.parameters
    }
    for step in (60.0, 3600.0, 86400.0):
        assert not scheme.outside(values, step).any()
        assert float(scheme.response(values, step, 200).min()) > -1e-12
        assert outside(scheme, values, step, np.arange(400)) is None


def test_a_scheme_of_ones_own_is_looked_at() -> None:
    def ringing(parameters: dict[str, torch.Tensor], times: torch.Tensor) -> torch.Tensor:
        n = (times / times[1]).round()
        share = parameters["share"]
        return torch.where(n == 0, 1 - share, torch.where(n == 1, share, 0.0))

    scheme = schemes.CustomScheme(
        "ringing", (Parameter("share", "1", 0.5, -9.0, 9.0, "Of the second step."),), ringing
    )
    found = outside(scheme, {"share": np.array([0.5, 1.5, 0.0])}, 3600.0, np.array([4, 5, 6]))
    assert found is not None
    assert found.reach_id.tolist() == [5]


def test_what_is_said() -> None:
    found = outside(
        Muskingum(), {"k": np.array([4e5, 9000.0, 600.0]), "x": np.full(3, 0.2)}, 3600.0, np.array([3, 4, 5])
    )
    assert found is not None
    assert found.reach_id.tolist() == [3, 5]
    found.look(np.array([[0.0, 1.0], [-504.0, 2.0]]), np.array([3, 4]))
    found.look(np.array([[-1.0, np.nan], [1000.0, 2.0]]), np.array([3, 4]))
    text = found.text()
    assert "negative responses at 2 of 3 reaches (3, 5)" in text
    assert "down to -504 m3/s (reach 3)" in text
    assert "2kx is above the routing step of 3600 s at 1 (up to 160000 s)" in text
    assert "2k(1-x) is below it at 1 (down to 960 s)" in text
    assert "--cap-x, scheme.cap_x" in text
    assert len(text) < 560
    assert found.as_dict()["reaches"] == 2
    assert found.is_negative


def test_rounding_is_no_negative_discharge() -> None:
    found = Outside("muskingum", np.array([1]), 1, "")
    assert not found.is_negative
    found.look(np.array([[-1e-3], [2e5]]), np.array([1]))
    assert not found.is_negative
    found.look(np.array([[np.nan]]), np.array([1]))
    found.look(np.empty((0, 1)), np.array([1]))
    assert found.least == -1e-3


def test_a_router_says_it_once(caplog: pytest.LogCaptureFixture) -> None:
    router = Router(NETWORK, forcing_step=86400.0, routing_step=3600.0)
    with caplog.at_level(logging.WARNING, "rivergrad"):
        for _ in range(3):
            router(pulse(), WIDE)
        route(NETWORK, pulse(), WIDE, forcing_step=86400.0, routing_step=3600.0)
    said = [record for record in caplog.records if "negative responses" in record.message]
    assert len(said) == 1
    assert "3 of 3 reaches (11, 12, 13)" in said[0].message
    assert "(reach 11)" in said[0].message


def test_a_router_says_nothing_while_discharge_is_positive(caplog: pytest.LogCaptureFixture) -> None:
    steady = torch.ones(40, 3)
    short = {"k": torch.full((3,), 1500.0), "x": torch.full((3,), 0.2)}  # outside, and it does not show
    with caplog.at_level(logging.WARNING, "rivergrad"):
        route(NETWORK, steady, short, forcing_step=86400.0, routing_step=3600.0)
    assert not caplog.records


def test_targets_are_named_by_their_own_ids(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "rivergrad"):
        route(NETWORK, pulse(), WIDE, forcing_step=86400.0, routing_step=3600.0, targets=[2])
    assert "(reach 13)" in caplog.text


def test_cap_x_belongs_to_muskingum() -> None:
    with pytest.raises(InputError, match="cap_x belongs to the scheme muskingum"):
        schemes.get("hayami", cap_x=True)
    with pytest.raises(InputError, match="convention rapid"):
        schemes.get("pure_lag", "rapid", cap_x=True)
    given = {"tau": np.array([1.0]), "celerity": np.array([2.0])}
    assert effective(schemes.get("linear_storage"), given, 60.0) == given
