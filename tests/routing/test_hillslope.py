"""Hillslope responses against their specification: values, gradients, water, chunks of time and of reaches."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from rivergrad.errors import InputError
from rivergrad.routing.hillslope import DELAY, HILLSLOPES, SHAPE, get
from rivergrad.routing.hillslope.reference import respond_reference, response_reference

DAY = 86400.0
STEPS = 40
DELAYS = (0.0, 600.0, 2e4, DAY, 3e5, 2e6, 3e7)
SHAPES = {
    "linear_storage": (1.0,) * 7,
    "nash": (1.0, 2.0, 3.0, 4.0, 5.0, 12.0, 2.0),
    "gamma": (1.0, 1.5, 2.5, 3.0, 1.2, 6.0, 1.0),
}


def double(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def parameters(name: str, delays: tuple[float, ...] = DELAYS) -> dict[str, Tensor]:
    found = {DELAY: double(delays)}
    if name != "linear_storage":
        found[SHAPE] = double(SHAPES[name][: len(delays)])
    return found


def rain(reaches: int, steps: int = STEPS, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(1, steps, reaches, dtype=dtype, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("name", HILLSLOPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 1e-6)])
def test_it_is_the_explicit_convolution(name: str, dtype: torch.dtype, tolerance: float) -> None:
    response, given = HILLSLOPES[name], parameters(name)
    runoff = rain(len(DELAYS), dtype=dtype)
    out, _ = response.apply(response.prepare(given, DAY), runoff)
    expected = respond_reference(runoff[0], given[DELAY], double(SHAPES[name]), DAY)
    assert out.dtype == dtype
    assert float((out[0] - expected).norm() / expected.norm()) < tolerance


@pytest.mark.parametrize("name", HILLSLOPES)
def test_no_delay_lets_runoff_through_as_it_is(name: str) -> None:
    runoff = rain(3)
    response = HILLSLOPES[name]
    out, _ = response.apply(response.prepare({DELAY: torch.zeros(3, dtype=torch.float64)}, DAY), runoff)
    assert torch.equal(out, runoff)


@pytest.mark.parametrize("name", HILLSLOPES)
def test_its_mean_delay_is_the_delay_and_it_keeps_all_water(name: str) -> None:
    given = parameters(name, DELAYS[:5])
    steps, response = 250, HILLSLOPES[name]
    pulse = torch.zeros(1, steps, 5, dtype=torch.float64)
    pulse[:, 0] = 1.0
    out, _ = response.apply(response.prepare(given, DAY), pulse)
    lag = DAY * torch.arange(steps, dtype=torch.float64)
    torch.testing.assert_close(out[0].sum(dim=0), torch.ones(5, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(lag @ out[0], given[DELAY], rtol=1e-9, atol=1e-6)


def test_what_does_not_leave_a_cascade_is_stored() -> None:
    response, given = HILLSLOPES["nash"], parameters("nash")
    runoff = rain(len(DELAYS), steps=200)
    out, state = response.apply(response.prepare(given, DAY), runoff)
    there = torch.arange(state.shape[1])[:, None] < given[SHAPE]
    stored = (state[0].flip(0) * there).sum(dim=0) * given[DELAY] / given[SHAPE]
    left = DAY * (runoff - out)[0].sum(dim=0)
    torch.testing.assert_close(stored, left, rtol=1e-11, atol=1e-7)


@pytest.mark.parametrize("name", HILLSLOPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_chunks_of_time_and_of_reaches_give_the_same_bytes(name: str, dtype: torch.dtype) -> None:
    response, given = HILLSLOPES[name], parameters(name)
    runoff = rain(len(DELAYS), dtype=dtype)
    prepared = response.prepare(given, DAY)
    whole, _ = response.apply(prepared, runoff)
    state, parts = None, []
    for a, b in pairwise((0, 1, 7, 8, STEPS)):
        out, state = response.apply(prepared, runoff[:, a:b], state)
        parts.append(out)
    assert torch.equal(torch.cat(parts, dim=1), whole)
    some = {key: value[2:5] for key, value in given.items()}
    alone, _ = response.apply(response.prepare(some, DAY), runoff[..., 2:5])
    assert torch.equal(alone, whole[..., 2:5])


@pytest.mark.parametrize("name", HILLSLOPES)
def test_gradients_are_those_of_the_specification(name: str) -> None:
    response, given = HILLSLOPES[name], parameters(name)
    seed = rain(len(DELAYS)).flip(1)[0]
    runoff, shape = rain(len(DELAYS)), double(SHAPES[name])

    def gradients(specified: bool) -> dict[str, Tensor]:
        leaves = {"runoff": runoff.clone(), DELAY: given[DELAY].clone(), SHAPE: shape.clone()}
        for leaf in leaves.values():
            leaf.requires_grad_()
        if specified:
            out = respond_reference(leaves["runoff"][0], leaves[DELAY], leaves[SHAPE], DAY)
        else:
            mine = {key: leaves[key] for key in given}
            out = response.apply(response.prepare(mine, DAY), leaves["runoff"])[0][0]
        wanted = ["runoff", DELAY, *([SHAPE] if name == "gamma" else [])]
        return dict(
            zip(wanted, torch.autograd.grad((out * seed).sum(), [leaves[k] for k in wanted]), strict=True)
        )

    expected = gradients(specified=True)
    for key, found in gradients(specified=False).items():
        some = slice(1, None)  # at a delay of 0 the specification jumps, and so has no derivative
        a, b = (found, expected[key]) if key == "runoff" else (found[some], expected[key][some])
        assert float((a - b).norm() / b.norm()) < 1e-9, key


@pytest.mark.parametrize("name", HILLSLOPES)
def test_gradcheck_with_a_state(name: str) -> None:
    response = HILLSLOPES[name]
    delay, shape = double((5e4, 2e5)), double((2.0, 3.0))
    wanted = [DELAY, *([SHAPE] if name == "gamma" else [])]
    with torch.no_grad():
        fixed = {DELAY: delay, **({} if name == "linear_storage" else {SHAPE: shape})}
        _, state = response.apply(response.prepare(fixed, DAY), rain(2, 6))

    def routed(runoff: Tensor, before: Tensor, *values: Tensor) -> tuple[Tensor, Tensor]:
        own = {**fixed, **dict(zip(wanted, values, strict=True))}
        return response.apply(response.prepare(own, DAY), runoff, before)

    leaves = [rain(2, 5), state, *(fixed[key] for key in wanted)]
    scaled = [leaf.clone().requires_grad_() for leaf in leaves]
    if name == "gamma":  # the state is as long as the response, which a small change may lengthen
        scaled[1] = state
        assert torch.autograd.gradcheck(
            lambda r, s, *v: routed(r, s, *v)[0], scaled, eps=1e-4, atol=1e-5, rtol=1e-4
        )
        return
    days = [scaled[0], scaled[1], (delay / DAY).requires_grad_()]
    assert torch.autograd.gradcheck(lambda r, s, d: routed(r, s, d * DAY), days, atol=1e-8)


def test_the_derivative_at_no_delay_is_one_sided() -> None:
    response = HILLSLOPES["linear_storage"]
    runoff = rain(1)

    def total(days: float) -> float:
        out, _ = response.apply(response.prepare({DELAY: double([days * DAY])}, DAY), runoff)
        return float((out * runoff).sum())

    delay = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    out, _ = response.apply(response.prepare({DELAY: delay}, DAY), runoff)
    (slope,) = torch.autograd.grad((out * runoff).sum(), delay)
    assert float(slope) * DAY == pytest.approx((total(1e-5) - total(0.0)) / 1e-5, rel=1e-3)


def test_a_linear_storage_is_a_nash_cascade_and_a_gamma_delay_of_shape_1() -> None:
    delay = double(DELAYS)
    one = torch.ones_like(delay)
    runoff, found = rain(len(DELAYS)), []
    for name, response in HILLSLOPES.items():
        given = {DELAY: delay} if name == "linear_storage" else {DELAY: delay, SHAPE: one}
        found.append(response.apply(response.prepare(given, DAY), runoff)[0])
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=0)
    torch.testing.assert_close(found[2], found[0], rtol=0, atol=1e-11)


def test_the_specification_is_the_exact_mean_of_an_exponential() -> None:
    """By hand: a storage that empties at rate 1/τ lets out 1 − (1 − e⁻ˢ)/s of a step's runoff within that step."""
    s = 0.7
    h = response_reference(double([DAY / s]), double([1.0]), DAY, 3)[0]
    by_hand = double([1 - (1 - 2.718281828459045**-s) / s])
    torch.testing.assert_close(h[:1], by_hand, rtol=0, atol=1e-13)
    torch.testing.assert_close(h[2] / h[1], double(2.718281828459045**-s), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        (
            "linear_storage",
            {DELAY: [-1.0, 5.0]},
            r"hillslope_delay: expected 0 to 3.*e\+08 s, found -1 .*id.* 7",
        ),
        ("linear_storage", {DELAY: [1.0, float("nan")]}, "hillslope_delay: expected 0 to .*, found nan .*9"),
        ("nash", {DELAY: [1.0, 1e12]}, "hillslope_delay: expected 0 to .*, found 1e.12 .*9"),
        ("nash", {DELAY: [1.0, 5.0], SHAPE: [0.0, 2.0]}, "whole number of storages, 1 to 12, found 0 .*7"),
        ("nash", {DELAY: [1.0, 5.0], SHAPE: [2.0, 2.5]}, "whole number of storages, 1 to 12, found 2.5 .*9"),
        (
            "gamma",
            {DELAY: [1.0, 5.0], SHAPE: [0.5, 2.0]},
            "hillslope_shape: expected 1 to 100 1, found 0.5 .*7",
        ),
        (
            "linear_storage",
            {DELAY: [1.0, 5.0], SHAPE: [1.0, 1.0]},
            "takes the parameters hillslope_delay; found",
        ),
        (
            "nash",
            {SHAPE: [1.0, 1.0]},
            "takes the parameters hillslope_delay, hillslope_shape; found hillslope_shape",
        ),
        ("nash", {DELAY: [1.0]}, r"hillslope_delay: expected one value a reach \(2\)"),
    ],
)
def test_parameters_out_of_their_range_are_one_line(
    name: str, values: dict[str, list[float]], said: str
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        HILLSLOPES[name].check({key: double(value) for key, value in values.items()}, [7, 9])
    assert "\n" not in str(caught.value)


def test_an_unknown_response_and_a_state_of_another_are_one_line() -> None:
    assert get("none") is None
    with pytest.raises(
        InputError, match="hillslope 'bucket' is not known; expected one of none, linear_storage, nash"
    ):
        get("bucket")
    response = HILLSLOPES["linear_storage"]
    prepared = response.prepare({DELAY: double([1.0])}, DAY)
    with pytest.raises(InputError, match=r"state of the hillslope: expected shape \(1, 1, 1\)"):
        response.apply(prepared, rain(1), torch.zeros(1, 1, 2, dtype=torch.float64))


def test_a_gamma_delay_of_too_many_steps_is_refused() -> None:
    response = HILLSLOPES["gamma"]
    with pytest.raises(InputError, match="found a response of"):
        response.prepare({DELAY: double([3650 * DAY])}, 3600.0)


@pytest.mark.parametrize("name", ["nash", "gamma"])
def test_a_state_serves_another_cut_of_the_network(name: str) -> None:
    """Reaches with long responses and with short ones go on in other company than before."""
    response, given = HILLSLOPES[name], parameters(name)
    runoff = rain(len(DELAYS))
    whole, _ = response.apply(response.prepare(given, DAY), runoff)
    wide = torch.full((1, 200, len(DELAYS)), torch.nan, dtype=torch.float64)
    for part in (slice(0, 3), slice(3, 7)):
        some = {key: value[part] for key, value in given.items()}
        _, state = response.apply(response.prepare(some, DAY), runoff[:, :20, part])
        state = state[:, -200:]
        wide[:, 200 - state.shape[1] :, part] = state
    for part in (slice(0, 5), slice(5, 7), slice(0, 7)):
        some = {key: value[part] for key, value in given.items()}
        rest, _ = response.apply(response.prepare(some, DAY), runoff[:, 20:, part], wide[..., part])
        assert torch.equal(rest, whole[:, 20:, part])
