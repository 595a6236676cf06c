"""The public operator: what it takes, what it refuses, and that its ways in agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from forests import DAY, case, network, off, random_forest

from rivergrad.errors import InputError
from rivergrad.routing import ENGINES, Router, choose_engine, route

C = case(random_forest(np.random.default_rng(1), 12, 3, 0.2), "muskingum", 4, 10, 1)
NETWORK = network(C.downstream)
STEPS = {"forcing_step": DAY, "routing_step": DAY / 4}


def test_route_equals_reference() -> None:
    for engine in ENGINES:
        found = route(NETWORK, C.runoff, C.parameters, engine=engine, **STEPS)
        assert found.dtype == torch.float64
        assert off(found, C.reference()) <= 1e-10


def test_auto_says_what_and_why() -> None:
    assert choose_engine("auto")[0] == "closure"
    assert all(len(choose_engine(name)[1]) > 5 for name in ENGINES)
    with pytest.raises(
        InputError, match="engine 'fft' is not known; expected one of auto, closure, reference"
    ):
        Router(NETWORK, engine="fft", **STEPS)


@pytest.mark.parametrize("engine", ["closure", "reference"])
def test_dtype_and_targets(engine: str) -> None:
    assert route(NETWORK, C.runoff.float(), C.parameters, engine=engine, **STEPS).dtype == torch.float32
    found = route(
        NETWORK, C.runoff, C.parameters, targets=[7, 2, 7], dtype=torch.float32, engine=engine, **STEPS
    )
    assert found.dtype == torch.float32
    assert off(found, C.reference()[:, [7, 2, 7]]) <= 1e-5


def test_rapid_convention() -> None:
    found = route(NETWORK, C.runoff, C.parameters, convention="rapid", **STEPS)
    assert off(found, route(NETWORK, C.runoff, C.parameters, **STEPS)) > 1e-3
    slow = route(NETWORK, C.runoff, C.parameters, convention="rapid", engine="reference", **STEPS)
    assert off(found, slow) <= 1e-10


def test_state_goes_on_where_it_stopped() -> None:
    """Chunk by chunk without kernels of one's own: the responses are made for what has passed so far."""
    state, pieces = None, []
    for a, b in ((0, 3), (3, 4), (4, 10)):
        piece, state = route(NETWORK, C.runoff[a:b], C.parameters, state=state, return_state=True, **STEPS)
        pieces.append(piece)
    assert off(torch.cat(pieces), C.reference()) <= 1e-10


def test_state_after_a_short_window_and_steps_of_one() -> None:
    fast = {"k": torch.full((12,), 7200.0).double(), "x": torch.full((12,), 0.2).double()}
    runoff = torch.rand(60, 12, dtype=torch.float64)
    whole = route(NETWORK, runoff, fast, **STEPS)
    state, pieces = None, []
    for a, b in ((0, 50), *((t, t + 1) for t in range(50, 60))):
        piece, state = route(NETWORK, runoff[a:b], fast, state=state, return_state=True, **STEPS)
        pieces.append(piece)
    assert off(torch.cat(pieces), whole) <= 1e-10


def test_kernels_are_reused() -> None:
    router = Router(NETWORK, dtype=torch.float64, **STEPS)
    kernels = router.kernels(C.parameters, 10)
    first, state = router(C.runoff[:6], kernels=kernels)
    second, _ = router(C.runoff[6:], state=state, kernels=kernels)
    assert off(torch.cat([first, second]), C.reference()) <= 1e-10


def test_same_bytes_twice() -> None:
    one, two = (route(NETWORK, C.runoff.float(), C.parameters, **STEPS).numpy().tobytes() for _ in range(2))
    assert one == two


def test_gradient_reaches_float32_parameters() -> None:
    p = {name: v.float().requires_grad_() for name, v in C.parameters.items()}
    route(NETWORK, C.runoff.float(), p, **STEPS)[5:].square().sum().backward()
    q = {name: v.detach().double().requires_grad_() for name, v in p.items()}
    C.reference(parameters=q)[5:].square().sum().backward()
    for name in p:
        assert p[name].grad.dtype == torch.float32
        assert off(p[name].grad, q[name].grad) < 1e-4


class TestRefuses:
    @pytest.mark.parametrize("shape", [(10,), (10, 11), (12, 10), (2, 10, 13)])
    @pytest.mark.parametrize("engine", ["closure", "reference"])
    def test_runoff_of_another_network(self, shape: tuple[int, ...], engine: str) -> None:
        with pytest.raises(InputError, match=r"runoff: expected shape \(\.\.\., time, 12\), found"):
            route(NETWORK, torch.zeros(shape), C.parameters, engine=engine, **STEPS)

    @pytest.mark.parametrize("engine", ["closure", "reference"])
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
        with pytest.raises(InputError, match="scheme 'kinematic' is not known"):
            Router(NETWORK, "kinematic", **STEPS)
        with pytest.raises(InputError, match="convention rapid belongs"):
            Router(NETWORK, "hayami", convention="rapid", **STEPS)

    @pytest.mark.parametrize("targets", [[-1], [12], [[0]], np.ones(12, bool), [0.5]])
    def test_targets(self, targets: object) -> None:
        with pytest.raises(InputError, match="targets: expected positions"):
            Router(NETWORK, targets=targets, **STEPS)

    def test_neither_parameters_nor_kernels(self) -> None:
        with pytest.raises(InputError, match="expected parameters or kernels"):
            Router(NETWORK, **STEPS)(C.runoff)

    def test_what_the_reference_cannot(self) -> None:
        router = Router(NETWORK, engine="reference", **STEPS)
        with pytest.raises(InputError, match="engine reference: it keeps no responses"):
            router.kernels(C.parameters, 10)
        state = route(NETWORK, C.runoff, C.parameters, return_state=True, **STEPS)[1]
        with pytest.raises(InputError, match="starts from rest"):
            router(C.runoff, C.parameters, state)
