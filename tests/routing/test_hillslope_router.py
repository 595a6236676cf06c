"""The hillslope stage before every engine: values, gradients, chunks, ensembles, transforms, grids, pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.pieces.simulate import Routing, simulate
from rivergrad.routing import GridWeights, Router, route, schemes
from rivergrad.routing.hillslope import DELAY, HILLSLOPES, SHAPE, get

NETWORK = RiverNetwork.from_ids([1, 2, 3, 4, 5, 6], downstream_id=[3, 3, 5, 5, -1, -1])
N, TIME = NETWORK.n_reaches, 12
STEPS = {"forcing_step": 86400.0, "routing_step": 43200.0}
ENGINES = ("closure", "recurrence")


def made(name: str) -> dict[str, Tensor]:
    given = {"k": torch.linspace(2e4, 6e4, N), "x": torch.full((N,), 0.2), DELAY: torch.linspace(0, 3e5, N)}
    if name != "linear_storage":
        given[SHAPE] = torch.tensor([1.0, 2.0, 3.0, 1.0, 2.0, 4.0])
    return {key: value.double() for key, value in given.items()}


def rain(*lead: int) -> Tensor:
    return torch.rand(*lead, TIME, N, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def off(found: Tensor, expected: Tensor) -> float:
    return float(((found.double() - expected).norm() / expected.norm()).detach())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", HILLSLOPES)
def test_every_engine_agrees_with_the_reference(engine: str, name: str) -> None:
    runoff = rain()

    def gradients(by: str) -> tuple[Tensor, list[Tensor]]:
        leaves = {key: value.clone().requires_grad_() for key, value in {**made(name), "r": runoff}.items()}
        given = {key: value for key, value in leaves.items() if key != "r"}
        found = route(NETWORK, leaves["r"], given, engine=by, hillslope=name, **STEPS)
        wanted = [leaf for key, leaf in leaves.items() if key != SHAPE or name == "gamma"]
        return found, list(torch.autograd.grad((found * runoff).sum(), wanted))

    found, by_engine = gradients(engine)
    expected, by_reference = gradients("reference")
    assert off(found, expected) <= 1e-10
    plain = {key: value for key, value in made(name).items() if key in ("k", "x")}
    assert off(found, route(NETWORK, runoff, plain, **STEPS)) > 1e-2
    for got, want in zip(by_engine, by_reference, strict=True):
        some = slice(1, None) if got.ndim == 1 else slice(None)  # at a delay of 0 the reference jumps
        assert off(got[some], want[some]) <= 1e-8
    single = route(NETWORK, runoff.float(), made(name), engine=engine, hillslope=name, **STEPS)
    assert single.dtype == torch.float32
    assert off(single, expected) <= 1e-5


@pytest.mark.parametrize("engine", ENGINES)
def test_without_a_hillslope_nothing_changes(engine: str) -> None:
    plain = {key: value for key, value in made("nash").items() if key in ("k", "x")}
    expected = route(NETWORK, rain(), plain, engine=engine, **STEPS)
    assert torch.equal(route(NETWORK, rain(), plain, engine=engine, hillslope="none", **STEPS), expected)
    none = {**plain, DELAY: torch.zeros(N, dtype=torch.float64)}
    assert torch.equal(route(NETWORK, rain(), none, engine=engine, hillslope="nash", **STEPS), expected)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", HILLSLOPES)
def test_a_state_goes_on_where_it_stopped(engine: str, name: str) -> None:
    whole = route(NETWORK, rain(), made(name), engine=engine, hillslope=name, **STEPS)
    state: Any = None
    parts = []
    for a, b in ((0, 5), (5, 6), (6, TIME)):
        part, state = route(
            NETWORK,
            rain()[a:b],
            made(name),
            state=state,
            return_state=True,
            engine=engine,
            hillslope=name,
            **STEPS,
        )
        parts.append(part)
    assert off(torch.cat(parts), whole) <= 1e-10


def test_ensembles_and_transforms_of_functions() -> None:
    router = Router(NETWORK, hillslope="nash", dtype=torch.float64, **STEPS)
    given = made("nash")
    several = {**given, DELAY: torch.stack([given[DELAY], 2 * given[DELAY]])}
    found, state = router(rain(), several)
    each = [router(rain(), {**given, DELAY: delay})[0] for delay in several[DELAY]]
    assert torch.equal(found, torch.stack(each))
    again, _ = router(rain(), several, state)
    assert again.shape == found.shape

    runoff = rain()

    def total(delay: Tensor) -> Tensor:
        return router(runoff, {**given, DELAY: delay})[0].square().sum()

    leaf = given[DELAY].clone().requires_grad_()
    (expected,) = torch.autograd.grad(total(leaf), leaf)
    torch.testing.assert_close(torch.func.grad(total)(given[DELAY]), expected)
    both = torch.func.vmap(torch.func.grad(total))(several[DELAY])
    torch.testing.assert_close(both[0], expected)
    with pytest.raises(InputError, match="it has first derivatives, not second ones"):
        torch.autograd.grad(total(leaf), leaf, create_graph=True)[0].sum().backward()


@pytest.mark.parametrize("engine", ENGINES)
def test_runoff_of_a_grid_is_mapped_to_reaches_first(engine: str) -> None:
    pairs = np.stack([np.arange(N), np.arange(N) + 1], axis=1)
    grid = GridWeights(2 * np.arange(N + 1), pairs.ravel(), np.full(2 * N, 0.5), N + 1)
    router = Router(
        NETWORK, engine=engine, grid=grid, hillslope="linear_storage", dtype=torch.float64, **STEPS
    )
    cells = torch.rand(2, TIME, N + 1, dtype=torch.float64, requires_grad=True)
    found, _ = router(cells, made("linear_storage"))
    (by_cell,) = torch.autograd.grad(found.sum(), cells, retain_graph=True)
    runoff = (cells[..., :-1] + cells[..., 1:]) / 2
    expected = route(NETWORK, runoff, made("linear_storage"), hillslope="linear_storage", **STEPS)
    assert off(found, expected) <= 1e-12
    (by_reach,) = torch.autograd.grad(expected.sum(), cells)
    assert off(by_cell, by_reach) <= 1e-10
    with pytest.raises(InputError, match="it takes runoff per reach, found weights of a grid"):
        Router(NETWORK, engine="reference", grid=grid, hillslope="nash", **STEPS)


def test_what_does_not_go_together_is_one_line() -> None:
    given = made("nash")
    plain = {key: value for key, value in given.items() if key in ("k", "x")}
    with pytest.raises(
        InputError, match="found the parameters hillslope_delay, hillslope_shape without a hillslope"
    ):
        route(NETWORK, rain(), given, **STEPS)
    with pytest.raises(InputError, match=r"hillslope nash takes the parameters .*; found none"):
        route(NETWORK, rain(), plain, hillslope="nash", **STEPS)
    with pytest.raises(InputError, match=r"expected 0 to .* s, found -5 .*reach ids 1"):
        route(NETWORK, rain(), {**given, DELAY: given[DELAY] - 5}, hillslope="nash", **STEPS)
    _, state = route(NETWORK, rain(), plain, return_state=True, **STEPS)
    with pytest.raises(
        InputError, match="state: expected that of the engine recurrence behind the hillslope nash"
    ):
        route(NETWORK, rain(), given, hillslope="nash", state=state, **STEPS)
    _, staged = route(NETWORK, rain(), given, hillslope="nash", return_state=True, **STEPS)
    with pytest.raises(InputError, match="state: expected that of the engine recurrence, found StagedState"):
        route(NETWORK, rain(), plain, state=staged, **STEPS)


class Rain:
    """Runoff as the pieces read it."""

    def __init__(self, values: np.ndarray, reaches: np.ndarray | None = None) -> None:
        self.values, self.reaches = values, np.arange(N) if reaches is None else reaches
        self.step, self.time = STEPS["forcing_step"], np.arange(TIME)

    def select(self, reaches: np.ndarray) -> Rain:
        return Rain(self.values, reaches)

    def read(self, reaches: None, start: int, stop: int) -> np.ndarray:
        return self.values[start:stop, self.reaches]


@pytest.mark.parametrize("name", HILLSLOPES)
def test_any_cut_and_any_chunk_of_time_give_the_same(name: str) -> None:
    """On the way of `rivergrad route`: pieces that hand over their outflow, chunks that go on from a state."""
    given = {key: value.numpy() for key, value in made(name).items()}

    def routed(parts: int, chunk: int, engine: str = "recurrence") -> np.ndarray:
        found: list[np.ndarray] = []
        how = Routing(schemes.get("muskingum"), 43200.0, engine, dtype="float64", hillslope=get(name))
        simulate(
            network=NETWORK,
            runoff=Rain(rain().numpy()),  # type: ignore[arg-type]
            parameters=given,
            how=how,
            sink=lambda start, values: found.append(values.copy()),
            parts=parts,
            chunk_steps=chunk,
        )
        return np.concatenate(found)

    whole = routed(1, TIME)
    np.testing.assert_allclose(whole, routed(1, TIME, "reference"), rtol=1e-9)
    assert np.array_equal(routed(3, TIME), whole)
    for parts, chunk in ((1, 5), (3, 1)):  # the engine itself sums in another order by chunks
        np.testing.assert_allclose(routed(parts, chunk), whole, rtol=1e-13)
