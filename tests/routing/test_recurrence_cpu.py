"""What is particular to the recurrence engine on CPUs: threads, tiles of time, groups of reaches, float32."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from forests import DAY, Index, chain, draw_parameters, off, random_forest
from torch import Tensor

from rivergrad.routing import schemes
from rivergrad.routing.recurrence.cpu import CpuSweep, compiling, plain
from rivergrad.routing.recurrence.cpu.blocks import ADD, END, IN_PLACE, make_plan
from rivergrad.routing.recurrence.cpu.tiles import make_tiles
from rivergrad.routing.recurrence.problem import Filter, Problem
from rivergrad.routing.setup import no_index

SCHEMES = {
    "muskingum": schemes.get("muskingum"),
    "rapid": schemes.get("muskingum", "rapid"),
    "nash_cascade": schemes.get("nash_cascade"),
    "pure_lag": schemes.get("pure_lag"),
}


def problem(downstream: Index, ratio: int, targets: Index | None = None) -> Problem:
    wanted = np.arange(downstream.size) if targets is None else targets
    return Problem(downstream, ratio, wanted, no_index(), no_index())


def filter_of(name: str, n: int, ratio: int, dtype: torch.dtype, slow: float = 4.0) -> Filter:
    scheme, step = SCHEMES[name], DAY / ratio
    rng = np.random.default_rng(0)
    found = scheme.recurrence(draw_parameters(scheme, n, step, rng, slow), step)
    assert found is not None
    return Filter(
        a=found.a.to(dtype),
        b=found.b.to(dtype),
        jump=None if found.jump is None else found.jump.to(dtype),
        sections=found.sections,
        delay=None if found.delay is None else found.delay.numpy(),
        output_delay=found.output_delay,
    )


def everything(one: CpuSweep, filter_: Filter, time: int, dtype: torch.dtype, batch: int = 2) -> list[Tensor]:
    """Results and gradients for random runoff, state and gradients of the results."""
    torch.manual_seed(0)
    size, steps = one.problem, time * one.problem.ratio
    runoff = torch.rand(batch, time, size.n_columns, dtype=dtype)
    inflow = torch.rand(batch, size.inlets.size, steps, dtype=dtype)
    state = torch.rand(batch, filter_.state_size, dtype=dtype)
    discharge, outflow, after, saved = one.forward(filter_, runoff, inflow, state, True)
    assert saved is not None
    given = [torch.rand_like(result) for result in (discharge, outflow, after)]
    g = one.backward(filter_, runoff, inflow, state, saved, *given, True)
    assert g.runoff is not None
    return [discharge, outflow, after, g.a, g.b, g.runoff, g.inflow, g.state] + (
        [] if g.jump is None else [g.jump]
    )


@pytest.fixture
def many_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Threads even for small problems."""
    monkeypatch.setattr(plain, "SMALL", 0)
    yield
    torch.set_num_threads(1)


@pytest.mark.usefixtures("many_threads")
@pytest.mark.parametrize("name", SCHEMES)
def test_the_number_of_threads_does_not_change_a_bit(name: str) -> None:
    down = random_forest(np.random.default_rng(1), 300, 3, 0.02)
    one = CpuSweep(problem(down, 4), torch.float32, most=20)
    filter_ = filter_of(name, 300, 4, torch.float32)
    found = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        found.append(everything(one, filter_, 150, torch.float32))
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize(("ratio", "time"), [(6, 100), (1, 131)])
def test_tiles_and_groups_are_a_matter_of_speed_only(name: str, ratio: int, time: int) -> None:
    down = random_forest(np.random.default_rng(2), 90, 3, 0.1)
    filter_ = filter_of(name, 90, ratio, torch.float64)
    expected = everything(CpuSweep(problem(down, ratio), torch.float64), filter_, time, torch.float64)
    for most, run in ((90, 2 * ratio), (7, 5 * ratio), (1, max(1, ratio // 3))):
        one = CpuSweep(problem(down, ratio), torch.float64, most=most, run=run)
        for found, want in zip(everything(one, filter_, time, torch.float64), expected, strict=True):
            assert off(found, want) < 1e-12


@pytest.mark.parametrize("time", [1, 7, 32, 33, 100, 1000])
@pytest.mark.parametrize("ratio", [1, 3, 24, 97, 288])
def test_tiles_cover_every_step_once(time: int, ratio: int) -> None:
    for lanes in (16, 32):
        tiles = make_tiles(time, ratio, lanes)
        days = tiles.lanes * tiles.units // tiles.parts
        assert (tiles.day == np.cumsum(days) - days).all()
        assert days.sum() == time
        assert (tiles.lanes * tiles.units * tiles.steps == days * ratio).all()
        assert (tiles.lanes <= lanes).all()


def test_the_plan_keeps_few_series_open() -> None:
    down = random_forest(np.random.default_rng(3), 2000, 8, 0.001)
    plan = make_plan(problem(down, 1), most=256)
    assert sorted(plan.reach) == list(range(2000))
    assert np.diff(plan.group_start).max() <= 256
    assert plan.n_slots <= 9  # 1 + log2(256)
    row = np.argsort(plan.reach)
    inside = np.isin(plan.kind, (IN_PLACE, ADD))
    assert (row[down[plan.reach[inside]]] > np.flatnonzero(inside)).all()
    assert ((plan.kind == END) == (down[plan.reach] < 0)).all()


def test_float32_keeps_mass_at_depth() -> None:
    """3,000 reaches in series: what went in came out or is stored, and a steady flow stays what it is."""
    n, ratio, time = 3000, 24, 300
    one = CpuSweep(problem(chain(n), ratio, np.array([n - 1])), torch.float32)
    filter_ = filter_of("muskingum", n, ratio, torch.float32, slow=0.05)
    runoff = torch.zeros(1, time, n)
    runoff[0, :100, 0] = torch.rand(100)
    nothing = torch.zeros(1, 0, time * ratio)
    discharge, _, after, _ = one.forward(filter_, runoff, nothing, torch.zeros(1, n), False)
    # the storage of a reach in state m, with inflow zero from now on, is the sum of what it will still let out
    stored = (after.double() * (1 - filter_.a.double()) / filter_.b.double()).sum() / ratio
    entered, left = runoff.double().sum(), discharge.double().sum()
    assert float(left) > 0.5 * float(entered)
    assert abs(float(left + stored - entered)) < 1e-5 * float(entered)

    steady = torch.full((1, 40, n), 0.375)
    flow = 0.375 * torch.arange(1, n + 1).float()  # exact, so that nothing may change at all
    discharge, _, after, _ = one.forward(filter_, steady, nothing[:, :, : 40 * ratio], flow[None], False)
    assert torch.equal(after[0], flow)
    assert off(discharge[0, :, 0], flow[-1].expand(40)) < 1e-6


def test_gauges_only_are_rows_of_all() -> None:
    down = random_forest(np.random.default_rng(4), 120, 3, 0.05)
    gauges = np.array([77, 3, 119, 3])  # in any order, even twice
    filter_ = filter_of("muskingum", 120, 4, torch.float64)
    runoff = torch.rand(1, 50, 120, dtype=torch.float64)
    rest, nothing = torch.zeros(1, 120, dtype=torch.float64), torch.zeros(1, 0, 200, dtype=torch.float64)
    whole, _, after, _ = CpuSweep(problem(down, 4), torch.float64).forward(
        filter_, runoff, nothing, rest, False
    )
    some, _, after_some, _ = CpuSweep(problem(down, 4, gauges), torch.float64).forward(
        filter_, runoff, nothing, rest, False
    )
    assert torch.equal(some, whole[:, :, torch.from_numpy(gauges)])
    assert torch.equal(after, after_some)


def test_travels_between_processes() -> None:
    down = random_forest(np.random.default_rng(5), 30, 3, 0.1)
    one = CpuSweep(problem(down, 3), torch.float64)
    filter_ = filter_of("muskingum", 30, 3, torch.float64)
    there = pickle.loads(pickle.dumps(one))
    before, after = (everything(s, filter_, 9, torch.float64) for s in (one, there))
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_kernels_that_are_compiled_are_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """So that nobody takes the first call for one that hangs; what is read from the cache is not worth a word."""

    class Kernel:
        typeof_pyval, compiled = staticmethod(type), 0

        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        def compile(self, types: tuple[type, ...]) -> None:
            assert types == (int, bool)
            self.compiled += 1
            time.sleep(self.seconds)

    monkeypatch.setattr(compiling, "SILENCE", 0.5)
    monkeypatch.setattr(compiling, "_ready", set())
    slow, fast = Kernel(0.8), Kernel(0.0)
    for _ in range(2):
        compiling.compiled(slow, "routing", np.dtype(np.float32), lambda: (1, True))
        compiling.compiled(fast, "routing", np.dtype(np.float64), lambda: (1, True))
    time.sleep(0.2)
    assert (slow.compiled, fast.compiled) == (1, 1)
    (told,) = caplog.messages
    assert told.startswith("compiling the kernels of the routing (float32), once on this machine")
