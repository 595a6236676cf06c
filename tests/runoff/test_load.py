"""Models by name and by import path: what is found, and what is refused in one line."""

from __future__ import annotations

import re

import pytest
import torch

from rivergrad.errors import InputError
from rivergrad.runoff import FORCINGS, Lstm, RunoffFunction, RunoffSpec, check_inputs, check_output

IDS = [101, 102, 103, 104]
FORCING = torch.rand(2, 5, 4, 3)
ATTRIBUTES = torch.rand(4, 1)


def test_built_the_same_everywhere() -> None:
    torch.manual_seed(1)
    one = RunoffSpec("lstm", FORCINGS, ("slope",), options={"hidden": 4}, seed=3).build()
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    two = RunoffSpec("lstm", FORCINGS, ("slope",), options={"hidden": 4}, seed=3).build()
    assert torch.equal(before, torch.random.get_rng_state())
    assert isinstance(one, Lstm)
    assert isinstance(one, RunoffFunction)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_a_users_own() -> None:
    model = RunoffSpec("user_models:Share", options={"share": 0.25}).build()
    found = check_output(model(FORCING, ATTRIBUTES), FORCING, "user_models:Share", IDS)
    assert torch.equal(found, 0.25 * FORCING[..., 0])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Transposed", "expected runoff of shape (2, 5, 4) (..., time, reach), found (2, 4, 5)"),
        ("NotANumber", "expected numbers of mm per step, found NaN or infinity at reach ids 103"),
        ("Negative", "expected at least 0 mm per step, found -1e+06 at reach ids 102"),
        ("Pair", "expected a tensor (..., time, reach), found tuple"),
    ],
)
def test_a_users_own_that_is_wrong(name: str, message: str) -> None:
    model = RunoffSpec(f"user_models:{name}").build()
    with pytest.raises(InputError, match=re.escape(f"runoff.model user_models:{name}: {message}")):
        check_output(model(FORCING, ATTRIBUTES), FORCING.round(), f"user_models:{name}", IDS)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (RunoffSpec("lstn"), "runoff.model 'lstn': not known; expected one of lstm, hbv, correction, "
         "or an import path package.module:Object; did you mean lstm?"),
        (RunoffSpec("nowhere.at_all:Class"), "module nowhere.at_all can't be imported: No module named 'nowhere'"),
        (RunoffSpec("user_models:Nothing"), "module user_models has no Nothing"),
        (RunoffSpec("user_models:NotAModule"), "expected a subclass of torch.nn.Module, found class NotAModule"),
        (RunoffSpec("user_models:function"), "expected a subclass of torch.nn.Module, found function"),
        (RunoffSpec("user_models:Share", options={"part": 1}), "could not be made with part=1: "),
        (RunoffSpec("lstm", options={"hiden": 1}), "could not be made with hiden=1: "),
        (RunoffSpec("hbv", forcings=FORCINGS[:2]), "hbv: expected the forcings precipitation, temperature, "
         "potential_evapotranspiration, found precipitation, temperature"),
    ],
)  # fmt: skip
def test_what_is_not_there(spec: RunoffSpec, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        spec.build()


def test_missing_numbers_are_named() -> None:
    spec = RunoffSpec("lstm", FORCINGS, ("slope",))
    check_inputs(FORCING, ATTRIBUTES, spec, IDS)
    forcing, attributes = FORCING.clone(), ATTRIBUTES.clone()
    forcing[1, 3, 2, 1] = torch.nan
    attributes[[0, 3]] = torch.inf
    with pytest.raises(InputError, match=r"runoff forcing temperature \(degC\): .* at reach ids 103$"):
        check_inputs(forcing, ATTRIBUTES, spec, IDS)
    with pytest.raises(InputError, match=r"runoff attribute slope: .* at reach ids 101, 104$"):
        check_inputs(FORCING, attributes, spec, IDS)
    with pytest.raises(InputError, match=r"runoff attributes: expected 1 \(slope\) for 4 reaches, found"):
        check_inputs(FORCING, ATTRIBUTES[:3], spec, IDS)
