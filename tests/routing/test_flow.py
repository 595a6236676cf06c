"""Celerity that depends on flow: the recurrence engine against the float64 reference, and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.errors import InputError
from rivergrad.routing import schemes
from rivergrad.routing.flow import FlowEngine, Rounds, make_flow_engine
from rivergrad.routing.flow.reference import route_flow_reference
from rivergrad.routing.recurrence import RecurrenceEngine, RecurrenceState

DAY, HOUR = 86400.0, 3600.0
N = 12
DOWN = np.array([-1, 0, 0, 1, 1, 2, 3, 5, 5, 6, 9, 4])
ORDER = np.arange(N)[::-1]


def _random(scheme: str, time: int) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor]:
    """Parameters within the scheme's range at hourly steps, m, Q₀ and runoff."""
    rng = np.random.default_rng(7)
    tensor = torch.from_numpy
    names = {"k": (4000.0, 9000.0), "x": (0.0, 0.2), "tau": (900.0, 20000.0)}
    wanted = schemes.get(scheme).parameter_names
    parameters = {name: tensor(rng.uniform(*names[name], N)) for name in wanted}
    m, q0 = tensor(rng.uniform(0.1, 0.5, N)), tensor(rng.uniform(1.0, 8.0, N))
    return parameters, m, q0, tensor(rng.gamma(0.5, 3.0, (time, N)))


def _engine(
    scheme: str, step: float, routing: float, rounds: Rounds, dtype: torch.dtype = torch.float64,
    targets: NDArray[np.int64] | None = None,
) -> FlowEngine:  # fmt: skip
    wanted = np.arange(N) if targets is None else targets
    plain = RecurrenceEngine(DOWN, schemes.get(scheme), step, routing, wanted, dtype=dtype)
    return make_flow_engine(plain, rounds)


def _reference(scheme: str, step: float, routing: float, rounds: Rounds, given: tuple) -> Tensor:  # type: ignore[type-arg]
    parameters, m, q0, runoff = given
    return route_flow_reference(
        DOWN, ORDER, runoff, parameters, m, q0, schemes.get(scheme), step, routing, rounds
    )


def _far(found: Tensor, expected: Tensor) -> float:
    return float((found.detach() - expected.detach()).norm() / expected.detach().norm())


CASES = [
    ("muskingum", DAY, HOUR, None, 9),
    ("muskingum", HOUR, HOUR, None, 53),
    ("linear_storage", HOUR, HOUR, None, 150),
    ("muskingum", HOUR, 900.0, 2 * HOUR, 25),
    ("linear_storage", DAY, HOUR, None, 7),
    ("nash_cascade", 6 * HOUR, HOUR, None, 10),
]


@pytest.mark.parametrize(("scheme", "step", "routing", "interval", "time"), CASES)
def test_engine_equals_the_reference_with_all_gradients(
    scheme: str, step: float, routing: float, interval: float | None, time: int
) -> None:
    for through in (1, 2, 3):
        rounds = Rounds(2, interval, gradient_rounds=through)
        parameters, m, q0, runoff = _random(scheme, time)
        leaves = [v.clone().requires_grad_() for v in (*parameters.values(), m, q0, runoff)]
        *own, m, q0, runoff = leaves
        given = (dict(zip(parameters, own, strict=True)), m, q0, runoff)
        expected = _reference(scheme, step, routing, rounds, given)[:, ::2]
        engine = _engine(scheme, step, routing, rounds, targets=np.arange(0, N, 2))
        prepared = engine.prepare({**given[0], "flow_exponent": m, "reference_flow": q0})
        found = engine.apply(prepared, runoff[None])[0][0]
        assert _far(found, expected) < 1e-10
        weight = torch.linspace(-1.0, 1.0, expected.numel(), dtype=torch.float64).reshape(expected.shape)
        mine = torch.autograd.grad((found * weight).sum(), leaves)
        theirs = torch.autograd.grad((expected * weight).sum(), leaves)
        for one, other in zip(mine, theirs, strict=True):
            assert _far(one, other) < 1e-10


class Slower(schemes.Muskingum):
    """A scheme of the user's whose recurrence is no longer what Muskingum's form says."""

    def recurrence(self, parameters: dict[str, Tensor], step: float) -> schemes.Recurrence:  # type: ignore[override]
        return super().recurrence({**parameters, "k": 1.5 * parameters["k"]}, step)


@pytest.mark.parametrize(
    "scheme", [Slower(), schemes.with_lakes_if(schemes.get("muskingum"), ["residence_time"])]
)
def test_a_scheme_of_ones_own_and_lakes_equal_the_reference_with_all_gradients(
    scheme: schemes.Scheme,
) -> None:
    parameters, m, q0, runoff = _random("muskingum", 60)
    if "residence_time" in scheme.parameter_names:
        time = torch.full((N,), torch.nan, dtype=torch.float64)
        time[torch.tensor([1, 5, 9])] = torch.tensor([3e5, 0.0, 9000.0], dtype=torch.float64)
        parameters["residence_time"] = time
    rounds = Rounds(2, 6 * HOUR, gradient_rounds=2)
    leaves = [v.clone().requires_grad_() for v in (*parameters.values(), m, q0, runoff)]
    given = dict(zip(parameters, leaves, strict=False))
    *_, m, q0, runoff = leaves
    expected = route_flow_reference(DOWN, ORDER, runoff, given, m, q0, scheme, HOUR, HOUR, rounds)
    plain = RecurrenceEngine(DOWN, scheme, HOUR, HOUR, np.arange(N), dtype=torch.float64)
    engine = make_flow_engine(plain, rounds)
    found = engine.apply(engine.prepare({**given, "flow_exponent": m, "reference_flow": q0}), runoff[None])[
        0
    ][0]
    assert _far(found, expected) < 1e-10
    mine = torch.autograd.grad(found.square().sum(), leaves)
    theirs = torch.autograd.grad(expected.square().sum(), leaves)
    for one, other in zip(mine, theirs, strict=True):
        assert _far(torch.nan_to_num(one), torch.nan_to_num(other)) < 1e-10


def test_memory_that_rounds_share_is_not_what_was_returned() -> None:
    """Rounds without a gradient write where the last call did; what came of that call stays."""
    parameters, m, q0, _ = _random("muskingum", 1)
    runoff = torch.rand(1, 50_000, N, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    engine = _engine("muskingum", DAY, DAY, Rounds(2))
    prepared = engine.prepare({**parameters, "flow_exponent": m, "reference_flow": q0})
    with torch.no_grad():
        first = engine.apply(prepared, runoff)[0]
        kept = first.clone()
        engine.apply(prepared, 2 * runoff)
        assert torch.equal(first, kept)
        assert torch.equal(engine.apply(prepared, runoff)[0], kept)


def test_single_precision_agrees_with_the_reference() -> None:
    rounds = Rounds(2)
    parameters, m, q0, runoff = _random("muskingum", 40)
    expected = _reference("muskingum", DAY, HOUR, rounds, (parameters, m, q0, runoff))
    engine = _engine("muskingum", DAY, HOUR, rounds, torch.float32)
    prepared = engine.prepare({**parameters, "flow_exponent": m, "reference_flow": q0})
    assert _far(engine.apply(prepared, runoff[None])[0][0].double(), expected) < 1e-5


def test_gradients_of_one_round_pass_gradcheck() -> None:
    rounds = Rounds(1, gradient_rounds=2)
    parameters, m, q0, runoff = _random("muskingum", 4)
    engine = _engine("muskingum", DAY, HOUR, rounds)

    def routed(k: Tensor, x: Tensor, m: Tensor, q0: Tensor, runoff: Tensor) -> Tensor:
        prepared = engine.prepare({"k": k, "x": x, "flow_exponent": m, "reference_flow": q0})
        return engine.apply(prepared, runoff[None])[0]

    leaves = [v.clone().requires_grad_() for v in (*parameters.values(), m, q0, runoff)]
    assert torch.autograd.gradcheck(routed, leaves, eps=1e-5, rtol=1e-5, atol=1e-6)


def test_gradient_with_flow_held_fixed_is_that_of_the_last_round() -> None:
    """Finite differences of a round from a given flow are the gradient of the whole with `gradient_rounds=1`."""
    engine = _engine("muskingum", DAY, HOUR, Rounds(3, gradient_rounds=1))
    parameters, m, q0, runoff = _random("muskingum", 6)
    leaf = m.clone().requires_grad_()

    def prepared(m: Tensor) -> dict[str, Tensor]:
        return {**parameters, "flow_exponent": m, "reference_flow": q0}

    routed = engine.route(engine.prepare(prepared(leaf)), runoff[None])  # type: ignore[arg-type]
    (gradient,) = torch.autograd.grad(routed.discharge.pow(2).sum(), leaf)
    step = 1e-5
    moved = [
        engine.route(engine.prepare(prepared(m + s)), runoff[None], held=routed.held).discharge  # type: ignore[arg-type]
        for s in (step, -step)
    ]
    difference = (moved[0].pow(2).sum() - moved[1].pow(2).sum()) / (2 * step)
    assert float(gradient.sum()) == pytest.approx(float(difference), rel=1e-6)


def test_rounds_converge_and_more_gradient_rounds_come_closer_to_the_whole_derivative() -> None:
    parameters, m, q0, runoff = _random("muskingum", 60)
    scale = runoff.cumsum(0) / torch.arange(1, 61)[:, None]  # smooth, as rivers are

    def loss(rounds: Rounds, shift: float) -> tuple[Tensor, Tensor, float]:
        engine = _engine("muskingum", DAY, HOUR, rounds)
        leaf = torch.tensor(shift, dtype=torch.float64, requires_grad=True)
        prepared = engine.prepare({**parameters, "flow_exponent": m + leaf, "reference_flow": q0})
        routed = engine.route(prepared, scale[None], measure=True)  # type: ignore[arg-type]
        assert routed.change is not None
        return (routed.discharge**2).sum(), leaf, routed.change

    changes = [loss(Rounds(r), 0.0)[2] for r in (1, 2, 4)]
    assert changes[2] < 0.1 * changes[1] < 0.1 * changes[0]
    up, down = loss(Rounds(8), 1e-4)[0], loss(Rounds(8), -1e-4)[0]
    whole = float((up - down).detach()) / 2e-4
    off = []
    for through in (1, 2, 9):
        value, leaf, _ = loss(Rounds(8, gradient_rounds=through), 0.0)
        off.append(abs(float(torch.autograd.grad(value, leaf)[0]) - whole) / abs(whole))
    assert off[2] < 1e-5
    assert off[1] < off[0] < 0.5


def test_chunks_and_pieces_give_the_same_bytes_as_the_whole() -> None:
    rounds = Rounds(2)
    parameters, m, q0, runoff = _random("muskingum", 20)
    given = {**parameters, "flow_exponent": m, "reference_flow": q0}
    whole = _engine("muskingum", DAY, HOUR, rounds)
    prepared = whole.prepare(given)
    expected = whole.apply(prepared, runoff[None])[0]
    state: RecurrenceState | None = None
    chunks = []
    for a, b in ((0, 7), (7, 8), (8, 20)):
        found, _, state = whole.apply(prepared, runoff[None, a:b], None, state)
        chunks.append(found)
    assert _far(torch.cat(chunks, dim=1), expected) < 1e-12
    # reaches 2, 5, 7 and 8 (a branch), then the rest, into which the branch flows at reach 0
    upper, lower = np.array([2, 5, 7, 8]), np.array([0, 1, 3, 4, 6, 9, 10, 11])

    def piece(reaches: NDArray[np.int64], inlets: list[int], outlets: list[int]) -> FlowEngine:
        local = {int(i): at for at, i in enumerate(reaches)}
        down = np.array([local.get(int(DOWN[i]), -1) for i in reaches])
        plain = RecurrenceEngine(
            down, schemes.get("muskingum"), DAY, HOUR, np.arange(reaches.size), np.array(inlets, np.int64),
            np.array(outlets, np.int64), dtype=torch.float64,
        )  # fmt: skip
        return make_flow_engine(plain, rounds)

    first, second = piece(upper, [], [0]), piece(lower, [0], [])
    above, leaving, _ = first.apply(
        first.prepare({name: value[upper] for name, value in given.items()}), runoff[None][..., upper]
    )
    below, _, _ = second.apply(
        second.prepare({name: value[lower] for name, value in given.items()}),
        runoff[None][..., lower],
        leaving,
    )
    assert _far(above, expected[..., upper]) < 1e-12
    assert _far(below, expected[..., lower]) < 1e-12


def test_water_is_kept_but_for_a_few_percent_of_a_flood() -> None:
    """What goes in comes out, but for what holding the state between changes of k makes: it is small."""
    parameters, m, q0, _ = _random("muskingum", 1)
    flood = torch.full((400, N), 0.5, dtype=torch.float64)
    flood[20:26] += torch.tensor([2.0, 10.0, 20.0, 12.0, 6.0, 2.0], dtype=torch.float64)[:, None]
    engine = _engine("muskingum", DAY, HOUR, Rounds(4), targets=np.array([0]))
    found = engine.apply(
        engine.prepare({**parameters, "flow_exponent": m, "reference_flow": q0}), flood[None]
    )[0]
    extra = float(flood.sum() - 400 * 0.5 * N)
    # between two steady states at the same flow all storage is the same again
    lost = float((found[0, 15:, 0] - 0.5 * N).sum()) / extra - 1
    assert abs(lost) < 0.02


@pytest.mark.parametrize(("scheme", "step"), [("pure_lag", DAY), ("hayami", DAY)])
def test_schemes_without_a_sweep_by_forcing_step_are_refused(scheme: str, step: float) -> None:
    from rivergrad.routing.flow import refuse

    assert "flow_exponent" in str(refuse(schemes.get(scheme)))


def test_rounds_are_checked() -> None:
    with pytest.raises(InputError, match="flow rounds"):
        Rounds(0)
    with pytest.raises(InputError, match="gradient rounds"):
        Rounds(2, gradient_rounds=4)
    with pytest.raises(InputError, match="multiple of the forcing step"):
        Rounds(2, interval=5400.0).hold(HOUR)
    assert Rounds().hold(HOUR) == 24
    assert Rounds().hold(10 * DAY) == 1
