"""The public operator: what it takes, what it refuses, and that its ways in agree."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from forests import ALL, DAY, RATIONAL, case, network, off, random_forest

from rivergrad.errors import InputError
from rivergrad.routing import ENGINES, GridWeights, Router, choose_engine, route
from rivergrad.routing.recurrence.cuda import module

C = case(random_forest(np.random.default_rng(1), 12, 3, 0.2), "muskingum", 4, 10, 1)
NETWORK = network(C.downstream)
COMPUTING = ("closure", "recurrence")
STEPS = {"forcing_step": DAY, "routing_step": DAY / 4}


def test_route_equals_reference() -> None:
    for engine in ENGINES:
        found = route(NETWORK, C.runoff, C.parameters, engine=engine, **STEPS)
        assert found.dtype == torch.float64
        assert off(found, C.reference()) <= 1e-10


@pytest.mark.parametrize("name", sorted(ALL))
def test_auto_says_what_and_why(name: str) -> None:
    engine, why = choose_engine("auto", ALL[name])
    assert engine == ("recurrence" if name in RATIONAL else "closure")
    assert ALL[name].name in why
    assert "rational transfer function" in why
    for asked in ("closure", "reference"):
        assert choose_engine(asked, ALL[name]) == (asked, "it was asked for")


def test_auto_takes_the_closure_for_what_only_it_has() -> None:
    engine, why = choose_engine("auto", ALL["muskingum"], closure_options=["window"])
    assert (engine, why) == ("closure", "only it has the window that was given")
    assert Router(NETWORK, window=500, **STEPS).engine == "closure"
    assert Router(NETWORK, block_reaches=3, **STEPS).engine == "closure"


def test_auto_on_a_gpu_names_the_extra_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)  # so that its import fails
    engine, why = choose_engine("auto", ALL["muskingum"], "cuda")
    assert engine == "closure"
    assert "install rivergrad[cuda] for the faster engine recurrence" in why
    with pytest.raises(
        InputError, match=r"engine recurrence on device cuda: it needs CuPy .*rivergrad\[cuda\]"
    ):
        choose_engine("recurrence", ALL["muskingum"], "cuda")
    assert choose_engine("auto", ALL["hayami"], "cuda")[0] == "closure"
    monkeypatch.setattr(module, "missing", lambda: None)
    assert choose_engine("auto", ALL["muskingum"], "cuda")[0] == "recurrence"


@pytest.mark.parametrize("engine", ["auto", "recurrence"])
def test_runoff_of_a_grid(engine: str) -> None:
    """Each reach takes the mean of two of 13 cells."""
    n = NETWORK.n_reaches
    pairs = np.stack([np.arange(n), np.arange(n) + 1], axis=1)
    grid = GridWeights(2 * np.arange(n + 1), pairs.ravel(), np.full(2 * n, 0.5), n + 1)
    router = Router(NETWORK, engine=engine, grid=grid, dtype=torch.float64, **STEPS)
    cells = torch.rand(2, 10, n + 1, dtype=torch.float64)
    found, _ = router(cells, C.parameters)
    runoff = (cells[..., :-1] + cells[..., 1:]) / 2
    assert off(found, route(NETWORK, runoff, C.parameters, **STEPS)) <= 1e-13
    with pytest.raises(InputError, match=r"runoff: expected shape \(\.\.\., time, 13\), found"):
        router(runoff, C.parameters)
    for other, scheme in (("closure", "muskingum"), ("reference", "muskingum"), ("auto", "hayami")):
        with pytest.raises(InputError, match="it takes runoff per reach, found weights of a grid"):
            Router(NETWORK, scheme, engine=other, grid=grid, **STEPS)


@pytest.mark.parametrize("engine", ["closure", "recurrence", "reference"])
def test_dtype_and_targets(engine: str) -> None:
    assert route(NETWORK, C.runoff.float(), C.parameters, engine=engine, **STEPS).dtype == torch.float32
    found = route(
        NETWORK, C.runoff, C.parameters, targets=[7, 2, 7], dtype=torch.float32, engine=engine, **STEPS
    )
    assert found.dtype == torch.float32
    assert off(found, C.reference()[:, [7, 2, 7]]) <= 1e-5


@pytest.mark.parametrize("engine", COMPUTING)
def test_rapid_convention(engine: str) -> None:
    found = route(NETWORK, C.runoff, C.parameters, convention="rapid", engine=engine, **STEPS)
    assert off(found, route(NETWORK, C.runoff, C.parameters, **STEPS)) > 1e-3
    slow = route(NETWORK, C.runoff, C.parameters, convention="rapid", engine="reference", **STEPS)
    assert off(found, slow) <= 1e-10


@pytest.mark.parametrize("engine", COMPUTING)
def test_state_goes_on_where_it_stopped(engine: str) -> None:
    """Chunk by chunk without preparing: the closure's responses are made for what has passed so far."""
    state, pieces = None, []
    for a, b in ((0, 3), (3, 4), (4, 10)):
        piece, state = route(
            NETWORK, C.runoff[a:b], C.parameters, state=state, return_state=True, engine=engine, **STEPS
        )
        pieces.append(piece)
    assert off(torch.cat(pieces), C.reference()) <= 1e-10


@pytest.mark.parametrize("engine", COMPUTING)
def test_state_after_a_short_window_and_steps_of_one(engine: str) -> None:
    fast = {"k": torch.full((12,), 7200.0).double(), "x": torch.full((12,), 0.2).double()}
    runoff = torch.rand(60, 12, dtype=torch.float64)
    whole = route(NETWORK, runoff, fast, **STEPS)
    state, pieces = None, []
    for a, b in ((0, 50), *((t, t + 1) for t in range(50, 60))):
        piece, state = route(
            NETWORK, runoff[a:b], fast, state=state, return_state=True, engine=engine, **STEPS
        )
        pieces.append(piece)
    assert off(torch.cat(pieces), whole) <= 1e-10


@pytest.mark.parametrize("engine", COMPUTING)
def test_what_is_prepared_is_reused(engine: str) -> None:
    router = Router(NETWORK, dtype=torch.float64, engine=engine, **STEPS)
    prepared = router.prepare(C.parameters, 10)
    first, state = router(C.runoff[:6], prepared=prepared)
    second, _ = router(C.runoff[6:], state=state, prepared=prepared)
    assert off(torch.cat([first, second]), C.reference()) <= 1e-10


@pytest.mark.parametrize("engine", COMPUTING)
def test_same_bytes_twice(engine: str) -> None:
    one, two = (
        route(NETWORK, C.runoff.float(), C.parameters, engine=engine, **STEPS).numpy().tobytes()
        for _ in range(2)
    )
    assert one == two


@pytest.mark.parametrize("engine", COMPUTING)
def test_gradient_reaches_float32_parameters(engine: str) -> None:
    p = {name: v.float().requires_grad_() for name, v in C.parameters.items()}
    route(NETWORK, C.runoff.float(), p, engine=engine, **STEPS)[5:].square().sum().backward()
    q = {name: v.detach().double().requires_grad_() for name, v in p.items()}
    C.reference(parameters=q)[5:].square().sum().backward()
    for name in p:
        assert p[name].grad.dtype == torch.float32
        assert off(p[name].grad, q[name].grad) < 1e-4


class TestRefuses:
    @pytest.mark.parametrize("shape", [(10,), (10, 11), (12, 10), (2, 10, 13)])
    @pytest.mark.parametrize("engine", ["closure", "recurrence", "reference"])
    def test_runoff_of_another_network(self, shape: tuple[int, ...], engine: str) -> None:
        with pytest.raises(InputError, match=r"runoff: expected shape \(\.\.\., time, 12\), found"):
            route(NETWORK, torch.zeros(shape), C.parameters, engine=engine, **STEPS)

    @pytest.mark.parametrize("engine", ["closure", "recurrence", "reference"])
    def test_parameters(self, engine: str) -> None:
        with pytest.raises(InputError, match="takes the parameters k, x; found k"):
            route(NETWORK, C.runoff, {"k": C.parameters["k"]}, engine=engine, **STEPS)
        bad = {**C.parameters, "x": torch.full((12,), 0.7)}
        with pytest.raises(InputError, match=r"parameter x: expected 0 to 0\.5 1, found 0\.7"):
            route(NETWORK, C.runoff, bad, engine=engine, **STEPS)
        with pytest.raises(InputError, match=r"parameter k: expected one value a reach \(12\)"):
            route(NETWORK, C.runoff, {**C.parameters, "k": torch.ones(3)}, engine=engine, **STEPS)

    def test_a_bad_reach_is_named_by_its_id(self) -> None:
        k = C.parameters["k"].clone()
        k[4] = -1
        with pytest.raises(InputError, match=str(NETWORK.reach_id[4])):
            route(NETWORK, C.runoff, {**C.parameters, "k": k}, **STEPS)

    def test_steps(self) -> None:
        with pytest.raises(InputError, match=r"86400 s is 12\.3429 times the routing step 7000 s"):
            Router(NETWORK, forcing_step=DAY, routing_step=7000)

    def test_scheme_and_convention(self) -> None:
        with pytest.raises(InputError, match="scheme 'kinematic': not known"):
            Router(NETWORK, "kinematic", **STEPS)
        with pytest.raises(InputError, match="convention rapid belongs"):
            Router(NETWORK, "hayami", convention="rapid", **STEPS)

    @pytest.mark.parametrize("targets", [[-1], [12], [[0]], np.ones(12, bool), [0.5]])
    def test_targets(self, targets: object) -> None:
        with pytest.raises(InputError, match="targets: expected positions"):
            Router(NETWORK, targets=targets, **STEPS)

    def test_neither_parameters_nor_prepared_ones(self) -> None:
        with pytest.raises(InputError, match="expected parameters, or prepared ones"):
            Router(NETWORK, **STEPS)(C.runoff)

    def test_an_unknown_engine(self) -> None:
        message = "engine 'fft' is not known; expected one of auto, closure, recurrence, reference"
        with pytest.raises(InputError, match=message):
            Router(NETWORK, engine="fft", **STEPS)

    def test_what_the_recurrence_cannot(self) -> None:
        with pytest.raises(
            InputError, match="engine recurrence: scheme hayami has no rational transfer function"
        ):
            Router(NETWORK, "hayami", engine="recurrence", **STEPS)
        with pytest.raises(
            InputError, match="engine recurrence: it has no window; expected none, or the engine"
        ):
            Router(NETWORK, engine="recurrence", window=20, **STEPS)

    def test_the_state_of_another_engine(self) -> None:
        state = {
            name: route(NETWORK, C.runoff, C.parameters, return_state=True, engine=name, **STEPS)[1]
            for name in COMPUTING
        }
        for name, other in (COMPUTING, COMPUTING[::-1]):
            with pytest.raises(InputError, match=f"state: expected that of the engine {name}, found"):
                route(NETWORK, C.runoff, C.parameters, engine=name, state=state[other], **STEPS)

    def test_what_the_reference_cannot(self) -> None:
        router = Router(NETWORK, engine="reference", **STEPS)
        with pytest.raises(InputError, match="engine reference: it keeps no responses"):
            router.prepare(C.parameters, 10)
        state = route(NETWORK, C.runoff, C.parameters, return_state=True, **STEPS)[1]
        with pytest.raises(InputError, match="starts from rest"):
            router(C.runoff, C.parameters, state)
