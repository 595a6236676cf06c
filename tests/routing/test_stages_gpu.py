"""Hillslopes, lakes and discharge at the end of a step on a CUDA device, against the float64 reference on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.routing import route
from rivergrad.routing.hillslope import DELAY, SHAPE

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]

N, DAYS = 150, 60
STEPS: dict[str, Any] = {"forcing_step": 86400, "routing_step": 7200}


def setting() -> tuple[RiverNetwork, torch.Tensor, dict[str, torch.Tensor]]:
    rng = np.random.default_rng(5)
    down = np.array([min(i + 1 + int(rng.integers(5)), N) for i in range(N)])
    down[(down == N) | (rng.random(N) < 0.02)] = -1
    network = RiverNetwork(np.arange(1, N + 1), down)
    runoff = torch.from_numpy(rng.gamma(0.4, 3.0, (DAYS, N)))
    given = {"k": torch.from_numpy(rng.uniform(4e3, 9e4, N)), "x": torch.full((N,), 0.1, dtype=torch.float64)}
    return network, runoff, given


def stage(name: str, rng: np.random.Generator) -> dict[str, torch.Tensor]:
    delay = torch.from_numpy(rng.uniform(0.2, 4.0, N) * 86400)
    if name == "linear_storage":
        return {DELAY: delay}
    shape = np.full(N, 3.0) if name == "nash" else rng.uniform(1.0, 4.0, N)
    return {DELAY: delay, SHAPE: torch.from_numpy(shape)}


CASES: dict[str, Any] = {
    **{name: (name, False, "mean") for name in ("linear_storage", "nash", "gamma")},
    "lakes": ("none", True, "mean"),
    "end": ("none", False, "end"),
    "all": ("nash", True, "end"),
}


@pytest.mark.parametrize("engine", ["recurrence", "closure"])
@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_reference_on_a_gpu(case: str, engine: str) -> None:
    hillslope, lakes, report = CASES[case]
    network, runoff, given = setting()
    rng = np.random.default_rng(6)
    given |= {} if hillslope == "none" else stage(hillslope, rng)
    if lakes:
        residence = np.where(rng.random(N) < 0.1, rng.uniform(2e5, 4e6, N), np.nan)
        given["residence_time"] = torch.from_numpy(residence)

    def value(device: str, dtype: torch.dtype, by: str) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        leaves = {name: one.detach().clone().to(device).requires_grad_() for name, one in given.items()}
        rain = runoff.detach().clone().to(device, dtype).requires_grad_()
        found = route(network, rain, leaves, engine=by, hillslope=hillslope, report=report, **STEPS)
        weight = torch.linspace(0.5, 1.5, found.numel(), dtype=torch.float64).reshape(found.shape).to(device)
        (found.double() * weight).sum().backward()
        own = {"runoff": rain, **leaves}
        own.pop(SHAPE if hillslope == "nash" else "", None)  # a whole number
        return found.detach().double().cpu(), {
            name: torch.nan_to_num(one.grad).double().cpu()
            for name, one in own.items()
            if one.grad is not None
        }

    expected, slopes = value("cpu", torch.float64, "reference")
    for dtype, allowed in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        found, grads = value("cuda", dtype, engine)
        assert float((found - expected).norm() / expected.norm()) < allowed
        assert grads.keys() == slopes.keys() >= {"runoff", "k", "x"}
        for name, wanted in slopes.items():
            assert float((grads[name] - wanted).norm()) <= 10 * allowed * float(wanted.norm()), name


def test_a_celerity_that_depends_on_flow_is_refused_on_a_gpu() -> None:
    network, runoff, given = setting()
    flow = {"flow_exponent": torch.full((N,), 0.3), "reference_flow": torch.full((N,), 30.0)}
    on_gpu = {name: one.cuda() for name, one in {**given, **flow}.items()}
    with pytest.raises(InputError, match="cuda"):
        route(network, runoff.cuda(), on_gpu, **STEPS)
