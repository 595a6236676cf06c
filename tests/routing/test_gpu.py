"""The closure engine on a CUDA device, against the float64 reference on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rivercut import graph
from rivergrad.routing import ClosureEngine, route_reference, schemes

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]

REACHES, STEPS, DAY = 200, 40, 86400.0


def _forest(rng: np.random.Generator) -> np.ndarray:
    down = np.array([min(i + 1 + int(rng.integers(6)), REACHES) for i in range(REACHES)], dtype=np.int64)
    down[(down == REACHES) | (rng.random(REACHES) < 0.02)] = -1
    return down


@pytest.mark.parametrize("block_reaches", [None, 9])
@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", [*schemes.BUILT_IN, "rapid"])
def test_agrees_with_the_reference(
    name: str, dtype: torch.dtype, allowed: float, block_reaches: int | None
) -> None:
    scheme = schemes.get("muskingum", "rapid") if name == "rapid" else schemes.get(name)
    rng = np.random.default_rng(7)
    down = _forest(rng)
    order = graph.topological_order(down)
    celerity = torch.from_numpy(rng.uniform(0.3, 2.0, REACHES))
    length = torch.from_numpy(rng.uniform(2e3, 3e4, REACHES))
    spreading = {"muskingum": torch.full((REACHES,), 0.3), "hayami": torch.full((REACHES,), 900.0)}.get(
        scheme.name
    )
    values = scheme.from_celerity(
        celerity, None if spreading is None else spreading.to(torch.float64), length
    )
    parameters = {key: value.clone().requires_grad_() for key, value in values.items()}
    runoff = torch.from_numpy(rng.gamma(0.3, 2.0, (STEPS, REACHES))).requires_grad_()
    weight = torch.from_numpy(rng.standard_normal((STEPS, REACHES)))

    expected = route_reference(down, order, runoff, parameters, scheme, DAY, 3600.0)
    gradients = torch.autograd.grad((expected * weight).sum(), [runoff, *parameters.values()])

    engine = ClosureEngine(
        down,
        scheme,
        DAY,
        3600.0,
        targets=np.arange(REACHES),
        dtype=dtype,
        block_reaches=block_reaches,
        device=torch.device("cuda"),
    )
    found, _, _ = engine.apply(engine.prepare(parameters, STEPS), runoff[None])
    found = found[0].to("cpu", torch.float64)
    mine = torch.autograd.grad((found * weight).sum(), [runoff, *parameters.values()])

    def error(a: torch.Tensor, b: torch.Tensor) -> float:
        return float((a - b).detach().norm() / b.detach().norm())

    assert error(found, expected) <= allowed
    for a, b in zip(mine, gradients, strict=True):
        assert error(a, b) <= 10 * allowed
