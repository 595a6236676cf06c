"""Celerity and diffusivity mean the same in every scheme: the mean and the variance of a reach's response."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from rivergrad.routing import schemes
from rivergrad.routing.schemes import Scheme

STEP = 60.0
STEPS = 30_000
SPREADING = {"muskingum": [0.0, 0.1, 0.4], "hayami": [200.0, 1000.0, 3000.0]}
NAMES = ["muskingum", "hayami", "linear_storage", "nash_cascade", "pure_lag"]
CELERITY = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
LENGTH = torch.tensor([8e3, 2e4, 5e4], dtype=torch.float64)


def spreading_of(name: str) -> Tensor | None:
    return torch.tensor(SPREADING[name], dtype=torch.float64) if name in SPREADING else None


def moments(scheme: Scheme, parameters: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and variance of the response, s and s², of steps that are short against the reach's delay."""
    response = scheme.response(parameters, STEP, STEPS)
    time = STEP * torch.arange(STEPS, dtype=torch.float64)
    mean = response @ time
    return mean, response @ time**2 - mean**2


@pytest.mark.parametrize("name", NAMES)
def test_diffusivity_is_that_of_the_response(name: str) -> None:
    """D = σ² c³ / (2 L): the variance of first passage (Folks & Chhikara 1978)."""
    scheme = schemes.get(name)
    parameters = scheme.from_celerity(CELERITY, spreading_of(name), LENGTH)
    mean, variance = moments(scheme, parameters)
    torch.testing.assert_close(mean, LENGTH / CELERITY, rtol=0.02, atol=STEP)
    stated = scheme.diffusivity(CELERITY, spreading_of(name), LENGTH)
    torch.testing.assert_close(variance * CELERITY**3 / (2 * LENGTH), stated, rtol=0.02, atol=2.0)


@pytest.mark.parametrize("name", NAMES)
def test_from_physical_undoes_diffusivity(name: str) -> None:
    scheme = schemes.get(name)
    expected = scheme.from_celerity(CELERITY, spreading_of(name), LENGTH)
    found = scheme.from_physical(CELERITY, scheme.diffusivity(CELERITY, spreading_of(name), LENGTH), LENGTH)
    assert tuple(found) == tuple(expected) == scheme.parameter_names
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-12, atol=1e-12)


def test_one_map_serves_schemes_with_spreading_alike() -> None:
    diffusivity = torch.tensor([500.0, 1500.0, 9000.0], dtype=torch.float64)
    spread = []
    for name in ("muskingum", "hayami"):
        scheme = schemes.get(name)
        spread.append(moments(scheme, scheme.from_physical(CELERITY, diffusivity, LENGTH)))
    torch.testing.assert_close(spread[0][0], spread[1][0], rtol=0.02, atol=STEP)
    torch.testing.assert_close(spread[0][1], spread[1][1], rtol=0.02, atol=STEP**2)


def test_muskingum_keeps_within_its_range() -> None:
    """A reach too short to spread as much is a linear storage; one without diffusion is pure translation."""
    x = schemes.get("muskingum").from_physical(
        CELERITY, torch.tensor([1e6, 0.0, 5e4], dtype=torch.float64), LENGTH
    )["x"]
    assert x.tolist() == [0.0, 0.5, 0.0]


def test_a_scheme_that_does_not_say() -> None:
    parameter = schemes.get("pure_lag").parameters
    one = schemes.register(
        "silent",
        lambda p, t: t[None] / p["delay"][:, None],
        parameter,
        celerity=lambda c, s, length: {"delay": length / c},
    )
    assert bool(torch.isnan(one.diffusivity(CELERITY, None, LENGTH)).all())
    found = one.from_physical(CELERITY, torch.full_like(CELERITY, torch.nan), LENGTH)
    torch.testing.assert_close(found["delay"], LENGTH / CELERITY)
