"""The reference against loops over reaches and time steps that share no code with it."""

from __future__ import annotations

import equations
import numpy as np
import pytest
import torch
from forests import ALL, Case, case, off, random_forest

from rivergrad.errors import InputError
from rivergrad.routing import route_reference


def by_loops(c: Case) -> np.ndarray:
    p = {name: v.numpy() for name, v in c.parameters.items()}
    if c.scheme is ALL["rapid"]:
        return equations.rapid(c.downstream, c.runoff.numpy(), p["k"], p["x"], c.step, c.ratio)[0]
    return equations.route(c.downstream, c.runoff.numpy(), p, c.scheme.name, c.step, c.ratio)[0]


@pytest.mark.parametrize("ratio", [1, 4])
@pytest.mark.parametrize("name", sorted(ALL))
def test_reference_is_the_equations(name: str, ratio: int) -> None:
    for seed in (1, 2):
        c = case(random_forest(np.random.default_rng(seed), 9, 3, 0.1), name, ratio, 8, seed)
        assert off(c.reference(), by_loops(c)) < 1e-13


def test_rapid_reports_the_states_before_each_update() -> None:
    """From rest, with one routing step a forcing step, what is reported first is nothing."""
    c = case(np.array([1, -1]), "rapid", 1, 5, slow=1.0)
    found = c.reference()
    assert float(found[0].abs().max()) == 0
    assert float(found[1:].abs().max()) > 0


def test_standard_and_rapid_differ() -> None:
    c = case(np.array([1, -1]), "rapid", 4, 6, slow=3.0)
    standard = Case(c.downstream, ALL["muskingum"], 4, c.runoff, c.parameters)
    assert off(standard.reference(), c.reference()) > 1e-2


def test_reference_takes_any_dtype_and_returns_float64() -> None:
    c = case(np.array([1, -1]), "nash_cascade", 2, 6)
    found = c.reference(c.runoff.float(), {n: v.float() for n, v in c.parameters.items()})
    assert found.dtype == torch.float64
    assert off(found, c.reference()) < 1e-6


def test_reference_refuses_a_broken_ratio() -> None:
    c = case(np.array([1, -1]), "nash_cascade", 2, 6)
    with pytest.raises(InputError, match="whole multiple"):
        route_reference(c.downstream, c.order, c.runoff, c.parameters, c.scheme, 86400.0, 7000.0)
