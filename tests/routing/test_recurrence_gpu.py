"""The recurrence engine on a CUDA device: against the float64 reference, and against itself on the CPU."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # where conftest.py is not used

from forests import (
    ALL,
    DAY,
    EXACT,
    RATIONAL,
    SINGLE,
    Case,
    case,
    chain,
    gradients,
    in_chunks,
    network,
    off,
    random_forest,
    sensitivities,
    star,
)
from torch import Tensor

from rivergrad.routing import GridWeights, RecurrenceState, Router, choose_engine
from rivergrad.routing.recurrence.cuda import CudaSweep

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
    pytest.mark.skipif(find_spec("cupy") is None, reason="no CuPy here"),
]

CUDA = torch.device("cuda")
ON_GPU: dict[str, Any] = {"kind": "recurrence", "device": CUDA}
PRECISIONS = pytest.mark.parametrize(
    ("dtype", "allowed"), [(torch.float64, EXACT), (torch.float32, SINGLE)], ids=["float64", "float32"]
)
SHAPES = {
    "one reach": np.array([-1]),
    "lone reaches": np.full(3000, -1),
    "chain": chain(700),
    "star": star(2000),  # in-degree 1,999
    "forest": random_forest(np.random.default_rng(7), 3000, 6, 0.02),
    "deep forest": random_forest(np.random.default_rng(8), 3000, 2, 0.001),
}


def on_cpu(found: Tensor) -> Tensor:
    return found.to("cpu", torch.float64)


@PRECISIONS
@pytest.mark.parametrize("ratio", [1, 24, 93])
@pytest.mark.parametrize("name", RATIONAL)
def test_agrees_with_the_reference(name: str, ratio: int, dtype: torch.dtype, allowed: float) -> None:
    """Discharge and every gradient, in three chunks of time."""
    c = case(random_forest(np.random.default_rng(7), 200, 6, 0.02), name, ratio, 40, 7)
    r, q = c.leaves()
    expected = c.reference(r, q)
    want = gradients(expected, r, q)
    runoff, p = c.leaves(dtype)
    out = on_cpu(in_chunks(c.engine(dtype, **ON_GPU), p, runoff, [11, 12]))
    found = gradients(out, runoff, p)
    assert off(out, expected) <= allowed
    assert off(found["runoff"], want["runoff"]) <= allowed
    assert off(sensitivities(found, c), sensitivities(want, c)) <= 10 * allowed


def everything(c: Case, dtype: torch.dtype, device: torch.device, options: dict[str, Any]) -> list[Tensor]:
    """Outputs of a chunk that goes on from a state, and the gradients of all inputs and parameters."""
    rng = np.random.default_rng(0)
    one = c.engine(dtype, kind="recurrence", device=device, **options)
    batch, time = 2, len(c.runoff)
    start = one.apply(one.prepare(c.parameters), torch.ones(batch, 3, one.problem.n_columns),
                      torch.ones(batch, one.inlets.size, 3 * c.ratio))[2].values  # fmt: skip
    shapes = [(batch, time, one.problem.n_columns), (batch, one.inlets.size, time * c.ratio)]
    inputs = [torch.from_numpy(rng.exponential(1.0, shape)).to(device, dtype) for shape in shapes]
    leaves = [tensor.clone().requires_grad_() for tensor in (*inputs, start)]
    p = {name: value.detach().clone().requires_grad_() for name, value in c.parameters.items()}
    out, flow, after = one.apply(one.prepare(p), leaves[0], leaves[1], RecurrenceState(leaves[2]))
    outputs = [out, flow, after.values]
    assert all(tensor.device.type == device.type and tensor.dtype == dtype for tensor in outputs)
    weights = [torch.from_numpy(rng.standard_normal(tuple(t.shape))).to(t) for t in outputs]
    found = torch.autograd.grad(outputs, [*leaves, *p.values()], weights)
    parts = [*outputs, *found[:3], sensitivities(dict(zip(p, found[3:], strict=True)), c)]
    return [on_cpu(part.detach()) for part in parts]


def agree(found: list[Tensor], expected: list[Tensor], allowed: float) -> None:
    """The gradient of parameters sums products of both signs over all of time: it has fewer digits."""
    for number, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
        assert off(mine, theirs) <= (100 if number == len(found) - 1 else 10) * allowed, number


@PRECISIONS
@pytest.mark.parametrize("shape", sorted(SHAPES))
@pytest.mark.parametrize("name", RATIONAL)
def test_agrees_with_the_cpu(name: str, shape: str, dtype: torch.dtype, allowed: float) -> None:
    """Batches, inflow (two into one reach), outflow, state, repeated targets; outputs and all gradients."""
    down = SHAPES[shape]
    c = case(down, name, 7, 30, 3)
    rng = np.random.default_rng(4)
    inlets, outlets, targets = (rng.integers(0, down.size, count) for count in (5, 4, 60))
    options = {"inlets": np.append(inlets, inlets[0]), "outlets": outlets, "targets": targets}
    found = everything(c, dtype, CUDA, options)
    expected = everything(c, torch.float64, torch.device("cpu"), options)
    agree(found, expected, allowed)


@PRECISIONS
@pytest.mark.parametrize("ratio", [13, 24])
@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_adjoint_of_days(shape: str, ratio: int, dtype: torch.dtype, allowed: float) -> None:
    """Where a lane holds a forcing step and a reach is one section the adjoint is of its own."""
    down = SHAPES[shape]
    c = case(down, "muskingum", ratio, 40, 3)
    rng = np.random.default_rng(4)
    inlets, outlets, targets = (rng.integers(0, down.size, count) for count in (5, 4, 60))
    # (gradients of repeated targets are added up in any order: no same bytes)
    options = {"inlets": np.append(inlets, inlets[0]), "outlets": outlets, "targets": np.unique(targets)}
    found = everything(c, dtype, CUDA, options)
    expected = everything(c, torch.float64, torch.device("cpu"), options)
    agree(found, expected, allowed)
    again = everything(c, dtype, CUDA, options)
    assert all(torch.equal(one, other) for one, other in zip(found, again, strict=True))


@PRECISIONS
@pytest.mark.parametrize("name", ["muskingum", "rapid", "pure_lag"])
def test_cells_of_a_grid(name: str, dtype: torch.dtype, allowed: float) -> None:
    c = case(SHAPES["forest"], name, 6, 20, 1)
    rng = np.random.default_rng(2)
    n = c.downstream.size
    pointer = np.append(0, np.cumsum(rng.integers(0, 5, n)))
    grid = GridWeights(pointer, rng.integers(0, 400, pointer[-1]), rng.random(pointer[-1]), 400)
    options = {"grid": grid, "targets": np.arange(0, n, 3)}
    found = everything(c, dtype, CUDA, options)
    expected = everything(c, torch.float64, torch.device("cpu"), options)
    agree(found, expected, allowed)


@PRECISIONS
def test_depth_3000_and_30000_routing_steps(dtype: torch.dtype, allowed: float) -> None:
    """Against the CPU in float64, which is held against SciPy's filter; in one chunk and in many."""
    c = case(chain(3000), "muskingum", 24, 1250, 1, slow=1.0)
    weight = torch.from_numpy(np.random.default_rng(3).standard_normal((1250, 3000)))
    found = []
    for options, precision, cuts in (
        ({"kind": "recurrence"}, torch.float64, []),
        (ON_GPU, dtype, []),
        (ON_GPU, dtype, [1, 100, 777]),
    ):
        runoff = c.runoff.to(precision).requires_grad_()
        out = on_cpu(in_chunks(c.engine(precision, **options), c.parameters, runoff, cuts))
        found.append((out, torch.autograd.grad(out, runoff, weight)[0]))
    (expected, gradient), *others = found
    for out, mine in others:
        assert off(out, expected) <= allowed
        assert off(mine, gradient) <= allowed


@PRECISIONS
@pytest.mark.parametrize("ratio", [13, 24, 32])
@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_simulation(shape: str, ratio: int, dtype: torch.dtype, allowed: float) -> None:
    """Without a gradient other kernels run: in chunks, with inflow, outflow and some targets."""
    down = SHAPES[shape]
    c = case(down, "muskingum", ratio, 90, 3)
    rng = np.random.default_rng(4)
    inlets, outlets, targets = (rng.integers(0, down.size, count) for count in (5, 4, 60))
    options = {"inlets": inlets, "outlets": outlets, "targets": targets}
    inflow = torch.from_numpy(rng.exponential(1.0, (1, 5, 90 * ratio)))
    found = []
    for precision, where in ((dtype, ON_GPU), (torch.float64, {"kind": "recurrence"})):
        one = c.engine(precision, **where, **options)
        prepared, state, parts = one.prepare(c.parameters), None, []
        with torch.no_grad():
            for start, stop in ((0, 1), (1, 65), (65, 90)):
                steps = slice(start * ratio, stop * ratio)
                out, flow, state = one.apply(prepared, c.runoff[None, start:stop], inflow[:, :, steps], state)
                parts.append((on_cpu(out), on_cpu(flow)))
        assert state is not None
        found.append(
            [*(torch.cat(p, 1 + i) for i, p in enumerate(zip(*parts, strict=True))), on_cpu(state.values)]
        )
    for mine, theirs in zip(*found, strict=True):
        assert off(mine, theirs) <= allowed


@PRECISIONS
def test_blocks_go_from_one_multiprocessor_to_another(
    dtype: torch.dtype, allowed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few warps take hundreds of blocks for one tile of time each, then for the next."""
    monkeypatch.setattr(CudaSweep, "_leg", 1)
    monkeypatch.setattr(CudaSweep, "_resident", staticmethod(lambda *_: 4))
    c = case(SHAPES["forest"], "muskingum", 24, 200, 3)
    with torch.no_grad():
        found = on_cpu(in_chunks(c.engine(dtype, **ON_GPU), c.parameters, c.runoff.to(dtype), [70]))
        expected = in_chunks(c.engine(kind="recurrence"), c.parameters, c.runoff, [])
    assert off(found, expected) <= allowed


def test_no_water_is_made_in_single_precision() -> None:
    c = case(chain(3000), "muskingum", 4, 1, 1, slow=0.3)
    one = c.engine(torch.float32, targets=np.array([2999]), **ON_GPU)
    out = one.apply(one.prepare(c.parameters), torch.ones(1, 1500, 3000))[0]
    assert float(out[0, -1, 0]) == pytest.approx(3000, rel=1e-6)


def test_same_discharge_twice() -> None:
    c = case(SHAPES["forest"], "muskingum", 24, 30, 3)
    one = c.engine(torch.float32, **ON_GPU)
    found = [in_chunks(one, c.parameters, c.runoff.float(), [5]) for _ in range(2)]
    assert torch.equal(*found)


def test_router_takes_it() -> None:
    assert choose_engine("auto", ALL["muskingum"], "cuda")[0] == "recurrence"
    c = case(SHAPES["forest"], "muskingum", 4, 10, 3)
    router = Router(
        network(c.downstream), forcing_step=DAY, routing_step=c.step, dtype=torch.float64, device="cuda"
    )
    assert router.engine == "recurrence"
    out, state = router(c.runoff, c.parameters)
    assert out.device.type == "cuda"
    again, _ = router(c.runoff, c.parameters, state)
    whole = c.engine(kind="recurrence").apply(c.scheme.recurrence(c.parameters, c.step),
                                              torch.cat([c.runoff, c.runoff])[None])[0][0]  # fmt: skip
    assert off(on_cpu(torch.cat([out, again])), whole) <= EXACT
