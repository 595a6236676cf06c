"""Lakes among channels: every engine against loops over time, gradients, cuts, chunks, and reaches of zero length."""

from __future__ import annotations

from typing import Any

import equations
import numpy as np
import pytest
import torch
from forests import (
    ALL,
    DAY,
    EXACT,
    SINGLE,
    Case,
    case,
    draw_runoff,
    gradients,
    in_chunks,
    in_two_engines,
    network,
    off,
    random_forest,
)
from torch import Tensor

from rivergrad.errors import InputError
from rivergrad.routing import choose_engine, route, schemes
from rivergrad.routing.reference import route_reference
from rivergrad.routing.schemes import WithLakes

ONE_SECTION = ("linear_storage", "muskingum", "pure_lag", "rapid")
"""Channels whose lakes the recurrence takes."""
RECURRENCE: dict[str, Any] = {"kind": "recurrence"}
ENGINES = [(name, {}) for name in sorted(ALL)] + [(name, RECURRENCE) for name in ONE_SECTION]
every = pytest.mark.parametrize(("name", "options"), ENGINES)
LAKES = np.array([3, 7, 8, 20])


def with_lakes(name: str, ratio: int = 3, time: int = 30, n: int = 30, seed: int = 0) -> Case:
    """A forest with lakes of short, long and no residence time, NaN for the channel's parameters there."""
    c = case(random_forest(np.random.default_rng(seed), n, 4, 0.1), name, ratio, time, seed, slow=2.0)
    residence = torch.full((n,), torch.nan, dtype=torch.float64)
    residence[LAKES] = torch.tensor([0.3, 400.0, 20.0, 0.0], dtype=torch.float64) * c.step
    for value in c.parameters.values():
        value[LAKES[:3]] = torch.nan
    c.scheme, c.parameters["residence_time"] = WithLakes(c.scheme), residence
    return c


def finite(c: Case) -> Case:
    """The same with numbers where they do not matter: a gradient of 0 times NaN would be NaN."""
    for name in c.scheme.channel.parameter_names:  # type: ignore[attr-defined]
        c.parameters[name] = torch.nan_to_num(c.parameters[name], nan=0.3)
    return c


def by_hand(c: Case) -> np.ndarray:
    """Discharge from loops over time that know nothing of schemes."""
    channel = c.scheme.channel  # type: ignore[attr-defined]
    values = {name: value.numpy() for name, value in c.parameters.items()}
    time, n = c.runoff.shape
    inflow = np.repeat(c.runoff.numpy(), c.ratio, axis=0)
    found = np.empty((time, n))
    for i in c.order:
        if np.isnan(residence := values["residence_time"][i]):
            own = (values[name][i] for name in channel.parameter_names)
            q = equations.SCHEMES[channel.name](inflow[:, i], *own, c.step)
        else:
            q = equations.linear_storage(inflow[:, i], residence, c.step)
        if (down := c.downstream[i]) >= 0:
            inflow[:, down] += q
        found[:, i] = q.reshape(time, c.ratio).mean(axis=1)
    return found


@pytest.mark.parametrize("name", ["hayami", "linear_storage", "muskingum", "nash_cascade", "pure_lag"])
def test_the_reference_is_the_equations(name: str) -> None:
    c = with_lakes(name)
    assert off(c.reference(), by_hand(c)) < 1e-11


@every
def test_engines_equal_the_reference(name: str, options: dict[str, Any]) -> None:
    """Forward and all gradients in float64, in three chunks, some targets; forward in float32."""
    c = finite(with_lakes(name))
    targets = np.array([29, 3, 8, 8, 0])
    leaves = c.leaves()
    out = in_chunks(c.engine(targets=targets, **options), leaves[1], leaves[0], [7, 8])
    compare_lakes(c, out, leaves, targets)
    runoff, p = c.leaves(torch.float32)
    single = in_chunks(c.engine(torch.float32, **options), p, runoff, [7])
    assert off(single, c.reference(), c.runoff) <= SINGLE


def compare_lakes(c: Case, out: Tensor, leaves: Any, targets: np.ndarray) -> None:
    """As `forests.compare`, but that a channel's residence time is no number, and has no gradient."""
    own = c.leaves()
    expected = c.reference(*own)[:, torch.from_numpy(targets)]
    assert off(out, expected, c.runoff) <= EXACT
    want, got = gradients(expected, *own), gradients(out, *leaves)
    assert off(got["runoff"], want["runoff"], torch.ones(out.shape)) <= EXACT
    scaled = [torch.cat([g[k] * torch.nan_to_num(v) for k, v in c.parameters.items()]) for g in (got, want)]
    assert off(*scaled) <= EXACT
    channels = np.setdiff1d(np.arange(c.downstream.size), LAKES)
    assert float(got["residence_time"][channels].abs().max()) == 0.0
    assert float(got["residence_time"][LAKES[:3]].abs().min()) > 0.0


@pytest.mark.parametrize("name", ["muskingum", "hayami", "rapid"])
def test_gradients_by_finite_differences(name: str) -> None:
    c = finite(with_lakes(name, time=5, n=30))
    lake = ~torch.isnan(c.parameters["residence_time"])
    for options in ({}, RECURRENCE) if name != "hayami" else ({},):
        one = c.engine(targets=np.array([29, 3, 7]), **options)

        def routed(runoff: Tensor, *scales: Tensor, one: Any = one) -> Tensor:
            p = {
                key: s * torch.nan_to_num(v) for s, (key, v) in zip(scales, c.parameters.items(), strict=True)
            }
            p["residence_time"] = torch.where(lake, p["residence_time"], torch.nan)
            found: Tensor = one.apply(one.prepare(p, 5), runoff[None])[0]
            return found

        leaves = [c.runoff.clone().requires_grad_()]
        leaves += [torch.ones_like(v).requires_grad_() for v in c.parameters.values()]
        assert torch.autograd.gradcheck(routed, leaves, eps=1e-6, atol=2e-6, rtol=1e-5, fast_mode=True)


@every
def test_cut_networks_equal_uncut_ones(name: str, options: dict[str, Any]) -> None:
    c = with_lakes(name)
    p = c.parameters
    out = in_two_engines(c, [int(LAKES[1]), 5], c.runoff, p, options, options)
    assert off(out, c.reference(), c.runoff) <= EXACT


def test_no_lakes_are_the_channel_bit_for_bit() -> None:
    for name in ONE_SECTION:
        c = case(random_forest(np.random.default_rng(4), 40, 3, 0.1), name, 3, 20, 4)
        mixed = {**c.parameters, "residence_time": torch.full((40,), torch.nan, dtype=torch.float64)}
        plain = c.engine(**RECURRENCE).prepare(c.parameters)
        c.scheme = WithLakes(c.scheme)
        found = c.engine(**RECURRENCE).prepare(mixed)
        assert torch.equal(found.a, plain.a)
        assert torch.equal(found.b, plain.b)


def test_water_stays_in_balance_behind_a_lake() -> None:
    """All of a pulse comes out of a lake of 30 days, on average after 30 days and the half-steps of the means."""
    net = network(np.array([1, -1]))
    runoff = torch.zeros(3000, 2, dtype=torch.float64)
    runoff[0, 0] = 1.0
    values = {"k": [1.0, np.nan], "x": [0.5, np.nan], "residence_time": [np.nan, 30 * DAY]}
    tensors = {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
    q = route(
        net, runoff, tensors, WithLakes(schemes.get("muskingum")), forcing_step=DAY, routing_step=3600.0
    )
    out = q[:, 1]
    assert float(out.sum()) == pytest.approx(1.0, abs=1e-12)
    delay = float((out * torch.arange(3000)).sum())
    assert delay == pytest.approx(30.0, abs=0.05)


def test_reaches_of_zero_length_pass_water_through() -> None:
    """From celerity and length, by every scheme: as if the reach were not there."""
    rng = np.random.default_rng(5)
    runoff = draw_runoff(rng, 40, 4)
    runoff[:, 2] = 0.0
    for name in ("muskingum", "hayami", "pure_lag", "nash_cascade", "linear_storage"):
        scheme = schemes.get(name)
        celerity = torch.tensor([1.0, 0.5, 0.7, 1.2], dtype=torch.float64)
        length = torch.tensor([4e4, 3e4, 0.0, 5e4], dtype=torch.float64)
        spreading = None if scheme.spreading is None else torch.full_like(celerity, scheme.spreading.default)
        p = WithLakes(scheme).from_celerity(celerity, spreading, length)
        through = route_reference([2, 2, 3, -1], [0, 1, 2, 3], runoff, p, WithLakes(scheme), DAY, 3600.0)
        left = [0, 1, 3]
        rest = {k: v[left] for k, v in scheme.from_celerity(celerity, spreading, length).items()}
        without = route_reference([2, 2, -1], [0, 1, 2], runoff[:, left], rest, scheme, DAY, 3600.0)
        assert off(through[:, left], without) < 1e-12
        physical = WithLakes(scheme).from_physical(celerity, torch.full_like(celerity, 500.0), length)
        WithLakes(scheme).check(physical, [1, 2, 3, 4])


def test_engines_are_chosen_by_what_they_can() -> None:
    for name in ONE_SECTION:
        assert choose_engine("auto", WithLakes(ALL[name]))[0] == "recurrence"
    for name in ("nash_cascade", "hayami"):
        assert choose_engine("auto", WithLakes(ALL[name]))[0] == "closure"
    with pytest.raises(InputError, match="nash_cascade with lakes has unequal sections"):
        choose_engine("recurrence", WithLakes(ALL["nash_cascade"]))


@pytest.mark.parametrize(
    ("parameter", "at", "value", "said"),
    [
        (
            "residence_time",
            3,
            -5.0,
            r"residence_time: expected 0 to 1e\+12 s, or NaN .* found -5 \(reach ids 13\)",
        ),
        ("k", 1, np.nan, r"parameter k: expected 0.001 to .* found nan \(reach ids 11\)"),
        ("x", 0, 0.7, r"parameter x: expected 0 to 0.5 1, found 0.7 \(reach ids 10\)"),
    ],
)
def test_bad_parameters(parameter: str, at: int, value: float, said: str) -> None:
    scheme = WithLakes(schemes.get("muskingum"))
    p = {"k": torch.ones(5), "x": torch.zeros(5), "residence_time": torch.full((5,), torch.nan)}
    p["residence_time"][3] = 5.0
    p["k"][3] = torch.nan
    scheme.check(p, range(10, 15))
    p[parameter][at] = value
    with pytest.raises(InputError, match=said):
        scheme.check(p, range(10, 15))


def test_lakes_are_within_the_range_of_a_scheme() -> None:
    scheme = WithLakes(schemes.get("muskingum"))
    p = {
        "k": torch.tensor([9e5, 9e5], dtype=torch.float64),
        "x": torch.tensor([0.4, 0.4], dtype=torch.float64),
        "residence_time": torch.tensor([torch.nan, 1e7], dtype=torch.float64),
    }
    assert scheme.outside(p, 3600.0).tolist() == [True, False]
    assert "at 1 (up to" in scheme.remedy(p, 3600.0)


@pytest.mark.parametrize("name", ["muskingum", "rapid", "hayami", "nash_cascade"])
def test_fused_kernels_take_lakes(name: str) -> None:
    """Interpreted on a CPU, compiled where there is a GPU: forward and all gradients, in float32."""
    pytest.importorskip("triton", reason="there is no Triton for this platform")
    c = finite(with_lakes(name, ratio=2, time=8, n=24))
    runoff, p = c.leaves(torch.float32)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    one = c.engine(torch.float32, fused=True, device=torch.device(device))
    out = one.apply(one.prepare(p, 8), runoff[None])[0][0].cpu()
    own = c.leaves()
    expected = c.reference(*own)
    assert off(out, expected, c.runoff) <= SINGLE
    mine, theirs = gradients(out, runoff, p), gradients(expected, *own)
    assert off(mine["runoff"], theirs["runoff"]) <= SINGLE
    scaled = [
        torch.cat([g[k] * torch.nan_to_num(v) for k, v in c.parameters.items()]) for g in (mine, theirs)
    ]
    assert off(*scaled) <= SINGLE


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("name", ONE_SECTION)
def test_sweeps_on_a_gpu_take_lakes(name: str) -> None:
    for dtype, allowed in ((torch.float64, EXACT), (torch.float32, SINGLE)):
        c = finite(with_lakes(name))
        runoff, p = c.leaves(dtype)
        out = in_chunks(
            c.engine(dtype, device=torch.device("cuda"), **RECURRENCE), p, runoff.cuda(), [7]
        ).cpu()
        assert off(out, c.reference(), c.runoff) <= allowed
        own = c.leaves()
        mine, theirs = gradients(out, runoff, p), gradients(c.reference(*own), *own)
        assert off(mine["runoff"], theirs["runoff"]) <= allowed
