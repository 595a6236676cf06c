"""Celerity that depends on flow in `route` and `Router`."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import torch
from forests import DAY, case, network, off, random_forest

from rivergrad.errors import InputError
from rivergrad.routing import Router, route
from rivergrad.routing.flow import Rounds

C = case(random_forest(np.random.default_rng(1), 12, 3, 0.2), "muskingum", 4, 10, 1)
NETWORK = network(C.downstream)
N = NETWORK.n_reaches
STEPS = {"forcing_step": DAY, "routing_step": DAY / 24}
PARAMETERS = {"k": torch.full((N,), 7000.0).double(), "x": torch.full((N,), 0.1).double()}
Q0 = torch.linspace(0.5, 3.0, N).double()


def test_route_equals_the_reference_with_gradients() -> None:
    found = []
    for engine in ("auto", "reference"):
        m = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
        discharge = route(
            NETWORK, C.runoff, PARAMETERS, engine=engine, flow_exponent=m, reference_flow=Q0, **STEPS
        )
        (gradient,) = torch.autograd.grad(discharge.square().sum(), m)
        found.append((discharge.detach(), gradient))
    assert off(found[0][0], found[1][0]) <= 1e-10
    assert float(found[0][1]) == pytest.approx(float(found[1][1]), rel=1e-9)


def test_an_exponent_of_zero_is_the_linear_scheme_bit_for_bit() -> None:
    plain = route(NETWORK, C.runoff, PARAMETERS, **STEPS)
    for m in (0.0, torch.zeros(N)):
        assert torch.equal(
            route(NETWORK, C.runoff, PARAMETERS, flow_exponent=m, reference_flow=Q0, **STEPS), plain
        )
    m = torch.zeros((), dtype=torch.float64, requires_grad=True)
    near = route(NETWORK, C.runoff, PARAMETERS, flow_exponent=m, reference_flow=Q0, **STEPS)
    near.square().sum().backward()
    assert off(near.detach(), plain) < 1e-9
    assert m.grad is not None
    assert float(m.grad.abs()) > 0


def test_state_takes_chunks_on_and_ensembles_are_their_members() -> None:
    router = Router(NETWORK, dtype=torch.float64, rounds=Rounds(2), **STEPS)
    law = {"flow_exponent": 0.3, "reference_flow": Q0}
    whole, _ = router(C.runoff, PARAMETERS, **law)
    first, state = router(C.runoff[..., :4, :], PARAMETERS, **law)
    second, _ = router(C.runoff[..., 4:, :], PARAMETERS, state, **law)
    assert off(torch.cat([first, second], dim=-2), whole) < 1e-12
    exponents = torch.tensor([[0.1], [0.3]], dtype=torch.float64).expand(2, N)
    both, _ = router(C.runoff, {**PARAMETERS, "flow_exponent": exponents, "reference_flow": Q0})
    assert off(both[1], whole) < 1e-12


def test_lakes_keep_their_residence_time() -> None:
    times = torch.full((N,), math.nan).double()
    times[::4] = 5 * DAY
    given = {**PARAMETERS, "residence_time": times}
    same = [
        route(NETWORK, C.runoff, given, engine=e, flow_exponent=0.4, reference_flow=Q0, **STEPS)
        for e in ("recurrence", "reference")
    ]
    assert off(same[0], same[1]) <= 1e-10


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ({"flow_exponent": 0.3}, "found flow_exponent without reference_flow"),
        ({"reference_flow": Q0}, "found reference_flow without flow_exponent"),
        ({"flow_exponent": 1.2, "reference_flow": Q0}, "flow_exponent: expected 0 to 1, found 1.2"),
        ({"flow_exponent": -0.1, "reference_flow": Q0}, "flow_exponent: expected 0 to 1, found -0.1"),
        ({"flow_exponent": math.nan, "reference_flow": Q0}, "flow_exponent: expected 0 to 1, found nan"),
        ({"flow_exponent": 0.3, "reference_flow": 0.0}, "reference_flow: expected above 0 m3/s, found 0"),
        ({"flow_exponent": 0.3, "reference_flow": Q0[1:]}, "reference_flow .*expected one value a reach"),
    ],
)
def test_what_is_no_law_is_refused(law: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        route(NETWORK, C.runoff, PARAMETERS, **law, **STEPS)


def test_the_closure_and_other_schemes_refuse() -> None:
    law = {"flow_exponent": 0.3, "reference_flow": Q0}
    with pytest.raises(InputError, match="the engine closure has one response"):
        route(NETWORK, C.runoff, PARAMETERS, engine="closure", **law, **STEPS)
    with pytest.raises(InputError, match="scheme pure_lag has no sweep"):
        route(NETWORK, C.runoff, {"delay": PARAMETERS["k"]}, "pure_lag", **law, **STEPS)
    with pytest.raises(InputError, match="not with the convention rapid"):
        route(NETWORK, C.runoff, PARAMETERS, convention="rapid", **law, **STEPS)


def test_a_round_that_changes_much_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "rivergrad"):
        route(NETWORK, C.runoff, PARAMETERS, flow_exponent=0.5, reference_flow=Q0, rounds=Rounds(1), **STEPS)
    assert "round 1 changed the discharge of a reach by" in caplog.text


@pytest.mark.parametrize("report", ["mean", "end"])
def test_runoff_passes_a_hillslope_first_and_ends_of_steps_are_reported(report: str) -> None:
    given = {**PARAMETERS, "hillslope_delay": torch.full((N,), 2 * DAY).double()}
    how = {"hillslope": "linear_storage", "report": report, "dtype": torch.float64}
    same = [
        Router(NETWORK, engine=e, **how, **STEPS)(C.runoff, given, flow_exponent=0.4, reference_flow=Q0)[0]
        for e in ("recurrence", "reference")
    ]
    assert off(same[0], same[1]) <= 1e-10
