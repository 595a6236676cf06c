"""Rounds of a celerity by flow: how many it takes, and how far they are from the converged float64 scheme."""

from __future__ import annotations

import math

import pytest
import torch
from test_flow import DAY, DOWN, HOUR, ORDER, N, _engine, _random

from rivergrad.errors import InputError
from rivergrad.routing import schemes
from rivergrad.routing.flow import Rounds
from rivergrad.routing.flow.convergence import bounds_of, measure, settle
from rivergrad.routing.flow.reference import route_flow_reference


def _far(rounds: Rounds, given: tuple) -> float:  # type: ignore[type-arg]
    """Distance of some rounds from sixty, Σ|ΔQ| / Σ|Q| of the reach where it is largest, by the reference."""
    parameters, m, q0, runoff = given
    found = [
        route_flow_reference(
            DOWN, ORDER, runoff, parameters, m, q0, schemes.get("muskingum"), HOUR, HOUR, how
        )
        for how in (rounds, Rounds(60, rounds.interval))
    ]
    return float(((found[0] - found[1]).abs().sum(dim=0) / found[1].abs().sum(dim=0)).max())


@pytest.mark.parametrize(("exponent", "interval"), [(0.4, DAY), (0.4, HOUR), (0.7, DAY), (1.0, HOUR)])
def test_chosen_rounds_are_as_close_to_the_converged_scheme_as_is_said(
    exponent: float, interval: float
) -> None:
    parameters, _, q0, runoff = _random("muskingum", 96)
    parameters["k"] *= 4
    m = torch.full((N,), exponent, dtype=torch.float64)
    engine = _engine("muskingum", HOUR, HOUR, Rounds(1, interval))
    prepared = engine.prepare({**parameters, "flow_exponent": m, "reference_flow": q0})
    found = settle(engine, prepared, runoff[None], Rounds(1, interval))  # type: ignore[arg-type]
    true = _far(found.rounds, (parameters, m, q0, runoff))
    assert found.bound <= 0.01
    assert 0.2 * found.bound < true <= 1.05 * found.bound
    if found.rounds.rounds > 2:  # one round less would not do
        assert (
            _far(
                Rounds(found.rounds.rounds - 1, interval, damping=found.rounds.damping),
                (parameters, m, q0, runoff),
            )
            > 0.009
        )
    told = measure(engine, prepared, runoff[None], found.rounds)  # type: ignore[arg-type]
    assert (told.rounds, told.change) == (found.rounds, found.change)
    assert f"{found.rounds.rounds} rounds" in found.text()


def test_damped_rounds_equal_the_reference_with_gradients_and_converge_to_the_same() -> None:
    parameters, m, q0, runoff = _random("muskingum", 30)
    rounds = Rounds(3, 6 * HOUR, gradient_rounds=3, damping=0.6)
    leaf, other = (m.clone().requires_grad_() for _ in range(2))
    engine = _engine("muskingum", HOUR, HOUR, rounds)
    found = engine.apply(
        engine.prepare({**parameters, "flow_exponent": leaf, "reference_flow": q0}), runoff[None]
    )[0][0]
    expected = route_flow_reference(
        DOWN, ORDER, runoff, parameters, other, q0, schemes.get("muskingum"), HOUR, HOUR, rounds
    )
    assert torch.allclose(found, expected, rtol=1e-10)
    mine, theirs = (
        torch.autograd.grad(q.square().sum(), v)[0] for q, v in ((found, leaf), (expected, other))
    )
    assert torch.allclose(mine, theirs, rtol=1e-9)
    assert _far(Rounds(40, 6 * HOUR, damping=0.6), (parameters, m, q0, runoff)) < 1e-6


def test_bounds_add_up_what_later_rounds_change() -> None:
    assert bounds_of([0.4, 0.2, 0.1]) == pytest.approx([0.4, 0.2, 0.1])
    assert bounds_of([0.4, 0.1, 0.05]) == pytest.approx([0.2, 0.1, 0.05])
    assert bounds_of([0.1, 0.2, 0.3])[-1] == math.inf
    assert bounds_of([0.1, 0.0]) == [0.0, 0.0]


@pytest.mark.parametrize("damping", [0.0, -0.5, 1.5, float("nan")])
def test_a_damping_that_is_no_share_is_refused(damping: float) -> None:
    with pytest.raises(InputError, match="flow damping"):
        Rounds(2, damping=damping)
