"""The fused kernels of the closure against the reference: interpreted on the CPU, compiled where there is a GPU."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forests import (
    ALL,
    SINGLE,
    Case,
    case,
    chain,
    gradients,
    in_chunks,
    in_two_engines,
    off,
    random_forest,
    sensitivities,
    star,
)

from rivergrad.errors import InputError
from rivergrad.routing import ClosureEngine, schemes

pytest.importorskip("triton", reason="there is no Triton for this platform")

from rivergrad.routing.closure.fused import engine as fused_engine
from rivergrad.routing.closure.fused import points, sampled, sweeps, transforms
from rivergrad.routing.schemes.base import Parameter

CUDA = torch.cuda.is_available()
DEVICES = [
    pytest.param("cpu", marks=pytest.mark.skipif(CUDA, reason="kernels are compiled here, not interpreted")),
    pytest.param("cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not CUDA, reason="no CUDA device here")]),
]
DAY = 86400.0
SLOPE = 1e-5
"""How far gradients of parameters may be off, all together."""


@pytest.fixture(autouse=True, params=DEVICES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """Every engine of these tests is the fused one, on that device; small blocks, so that series pass between them."""
    one = torch.device(request.param)
    monkeypatch.setattr(sweeps, "BLOCK_REACHES", 4)
    plain = Case.engine

    def engine(self: Case, dtype: torch.dtype = torch.float32, kind: str = "closure", **options: Any) -> Any:
        found = plain(self, torch.float32, kind, fused=True, device=one, **options)
        assert found.path == "fused kernels"
        return found

    monkeypatch.setattr(Case, "engine", engine)
    return one


def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not written is NaN."""
    plain = torch.empty

    def empty(*size: Any, **options: Any) -> torch.Tensor:
        found = plain(*size, **options)
        return found.fill_(torch.nan) if found.is_floating_point() or found.is_complex() else found

    monkeypatch.setattr(torch, "empty", empty)


def check(
    c: Case, out: torch.Tensor, leaves: tuple, targets: Any = slice(None), slope: float = SLOPE
) -> None:
    """Discharge (time, target) and all gradients against the reference's."""
    runoff, p = c.leaves()
    expected = c.reference(runoff, p)[:, targets]
    out = out.cpu()
    assert off(out, expected, c.runoff) <= SINGLE
    found, want = gradients(out, *leaves), gradients(expected, runoff, p)
    assert off(found["runoff"], want["runoff"], torch.ones(out.shape)) <= SINGLE
    scale = float(sensitivities(want, c).norm()) + 1e-3 * float(c.runoff.norm())
    assert float((sensitivities(found, c) - sensitivities(want, c)).norm()) <= slope * scale


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_scheme_in_chunks_of_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forest with a confluence of many, some targets twice; responses shorter than the record."""
    poisoned(monkeypatch)
    star_below = np.where(star(5) >= 0, 6 + star(5), 2)
    down = np.concatenate([np.array([1, 2, 3, -1, 5, 3]), star_below])
    c = case(down, name, 3, 30, 5, slow=0.3)
    targets = np.array([4, 10, 0, 4])
    leaves = c.leaves(torch.float32)
    check(c, in_chunks(c.engine(targets=targets), leaves[1], leaves[0], [9, 22]), leaves, targets)


@pytest.mark.parametrize("name", ["muskingum", "pure_lag", "rapid", "triangle"])
def test_cut_network(name: str) -> None:
    """Two engines with series at the routing step between them, time in two chunks, a record too short to damp."""
    c = case(random_forest(np.random.default_rng(2), 9, 3, 0.1), name, 5, 12, 3, slow=1.5)
    leaves = c.leaves(torch.float32)
    check(c, in_two_engines(c, [3, 7], *leaves, {}, {}), leaves)


@pytest.mark.parametrize(("name", "slow"), [("muskingum", 60.0), ("nash_cascade", 30.0), ("rapid", 0.02)])
def test_responses_that_never_end(name: str, slow: float) -> None:
    """Far longer than the record, where they are damped; or alternating, k far below the routing step."""
    c = case(random_forest(np.random.default_rng(4), 7, 2, 0.0), name, 2, 7, 3, slow=slow)
    leaves = c.leaves(torch.float32)
    engine = c.engine()
    assert engine.prepare(c.parameters, 7).digits > 0
    check(c, in_chunks(engine, leaves[1], leaves[0], [3]), leaves, slope=10 * SLOPE)


def test_pieces_of_work_make_no_difference(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small budgets: one series and one tile at a time, flows made again on the way up; two records at once."""
    c = case(random_forest(np.random.default_rng(9), 6, 3, 0.05), "muskingum", 3, 30, 9, slow=0.3)
    batch = torch.stack([c.runoff, c.runoff.flip(0)]).to(torch.float32)
    results = []
    for small in (False, True):
        if small:
            monkeypatch.setattr(fused_engine, "LEAST_BUDGET", 1)
            monkeypatch.setattr(fused_engine, "MOST_BUDGET", 1)
            monkeypatch.setattr(points, "POINTS", 128)
        runoff, (_, p) = batch.clone().requires_grad_(), c.leaves()
        engine = c.engine(keep_bytes=1 if small else 1 << 29)
        out = engine.apply(engine.prepare(p, 30), runoff)[0].cpu()
        results.append((out, gradients(out, runoff, p)))
    monkeypatch.setattr(fused_engine, "PLENTY", 0)
    monkeypatch.setattr(fused_engine, "WIDE_BLOCK", 6)
    with torch.no_grad():
        wide = engine.apply(engine.prepare(c.parameters, 30), batch)[0].cpu()
    assert off(wide, results[0][0]) < 1e-6
    assert off(results[0][0][1], c.reference(c.runoff.flip(0))) <= SINGLE
    assert off(results[1][0], results[0][0]) < 1e-6
    for name, one in results[0][1].items():
        assert off(results[1][1][name], one) < 1e-5


def test_same_bytes_twice() -> None:
    found = []
    for _ in range(2):
        c = case(random_forest(np.random.default_rng(3), 12, 3, 0.05), "muskingum", 4, 10, 3)
        runoff, p = c.leaves(torch.float32)
        out = in_chunks(c.engine(), p, runoff, [5]).cpu()
        found.append([out.detach(), *gradients(out, runoff, p).values()])
    for a, b in zip(*found, strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes()


@pytest.mark.parametrize("name", ["muskingum", "pure_lag"])
def test_equal_reaches_in_a_row(name: str) -> None:
    """Rounding that has the same sign at every reach must not add up: 60 of them."""
    c = case(chain(60), name, 1, 60, 4)
    c.parameters = {
        key: torch.full_like(v, 0.2 if key == "x" else 0.37 * DAY) for key, v in c.parameters.items()
    }
    out, _, _ = c.engine().apply(c.engine().prepare(c.parameters, 60), c.runoff[None])
    assert off(out[0].cpu(), c.reference()) <= 5e-7


def test_scheme_of_a_user(device: torch.device) -> None:
    """Registered here, routed by the same kernels, with nothing said about them."""

    def box(parameters: Any, times: torch.Tensor) -> torch.Tensor:
        end = parameters["delay"] / times[1]
        n = torch.arange(len(times), dtype=times.dtype, device=times.device)
        return (torch.minimum(n + 1, end) - torch.minimum(n, end)) / end

    scheme = schemes.register("box", box, (Parameter("delay", "s", 9e3, 1.0, 1e9, "Longest delay."),))
    c = case(chain(4), "triangle", 4, 9, 2, slow=1.0)
    c.scheme = scheme
    leaves = c.leaves(torch.float32)
    check(c, in_chunks(c.engine(), leaves[1], leaves[0], [4]), leaves)


def test_tables_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three classes of lengths, a reach and a frequency tile at a time, two records at once."""
    monkeypatch.setattr(points, "POINTS", 64)
    monkeypatch.setattr(sampled, "SHORTEST", 3)
    monkeypatch.setattr(sampled, "LONGER", 2)
    monkeypatch.setattr(sampled, "WORK_BYTES", 1)
    c = case(random_forest(np.random.default_rng(6), 4, 2, 0.0), "hayami", 2, 7, 4, slow=0.4)
    engine = c.engine(keep_bytes=1)
    runoff, p = c.leaves(torch.float32)
    prepared = engine.prepare(p, 7)
    assert len(prepared.source.lengths.steps) >= 3
    out = engine.apply(prepared, torch.stack([runoff.flip(0), runoff]))[0]
    check(c, out[1] + 0 * out[0], (runoff, p))
    assert off(out[0].cpu(), c.reference(c.runoff.flip(0))) <= SINGLE


def pareto(parameters: Any, times: torch.Tensor) -> torch.Tensor:
    """What is left of an impulse falls with the third power of time: no exponential, however slow, is below it."""
    left = (1 + torch.cat([times, times[-1:] + times[1]]) / parameters["delay"]) ** -3
    return left[:, :-1] - left[:, 1:]


def heavy_tailed(n: int, days: int, short: float) -> Case:
    c = case(chain(n), "triangle", 4, days, 7)
    c.scheme = schemes.register(
        "pareto", pareto, (Parameter("delay", "s", 9e3, 1.0, 1e9, "Scale of delays."),)
    )
    c.parameters = {"delay": torch.full((n,), short * c.step)}
    return c


def test_heavy_tail() -> None:
    """Half of the water leaves in the first routing step, but a share of 4e-5 only after fourteen."""
    c = heavy_tailed(4, 30, 0.5)
    leaves = c.leaves(torch.float32)
    check(c, in_chunks(c.engine(), leaves[1], leaves[0], [11]), leaves)


def test_tail_that_is_cut(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Said once, in one line, with what is left; not where the record ends first, as nothing is cut then."""
    c = heavy_tailed(2, 40, 5.0)
    monkeypatch.setattr(sampled, "MOST_STEPS", 80)
    engine = c.engine()
    engine.prepare(c.parameters, 20)
    assert not caplog.text
    for _ in range(2):
        engine.prepare(c.parameters, 40)
    (record,) = caplog.records
    missing = (1 + 80 / 5.0) ** -3.0
    assert (
        f"scheme pareto: responses are cut after 20 days, when {missing:.1e} of a reach's" in record.message
    )


@pytest.mark.parametrize("slow", [0.3, 20.0])
@pytest.mark.parametrize("name", sorted(ALL))
def test_responses_last_as_long_as_is_said(name: str, slow: float) -> None:
    """By the reference no path has more than 1e-8 of a unit input left then; the bound is not far off, but where
    flows alternate."""
    c = case(chain(12), name, 4, 1, 8, slow=slow)
    one = c.engine()._fused
    assert one is not None
    lead = one.prepare(c.parameters, 10**4).lead
    impulse = torch.zeros(3 * lead, 12, dtype=torch.float64)
    impulse[0] = 1.0
    left = c.reference(impulse).abs().flip(0).cumsum(0).flip(0).amax(dim=1)
    assert left[lead] <= 12e-8
    assert slow < 1 or left[int(0.6 * lead) - 2] > 1e-8


def test_kept_in_bfloat16() -> None:
    """Discharge and the gradient of runoff are what they were; those of parameters are good to a few thousandths."""
    c = case(random_forest(np.random.default_rng(3), 9, 3, 0.05), "muskingum", 4, 14, 3)
    found = []
    for half in (False, True):
        runoff, p = c.leaves(torch.float32)
        out = in_chunks(c.engine(half=half), p, runoff, []).cpu()
        found.append([out.detach(), gradients(out, runoff, p)])
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1]["runoff"], found[1][1]["runoff"])
    assert 1e-6 < off(sensitivities(found[1][1], c), sensitivities(found[0][1], c)) < 1e-2


def test_kernels_compile_without_a_gpu(device: torch.device, tmp_path: Path) -> None:
    """Nor do the usual ones turn tensors from one layout into another, thirty instructions a reach."""
    script = Path(__file__).with_name("compile_kernels.py")
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[:2] == ["sweep_down 0", "sweep_up 0"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"dtype": torch.float64}, "float32 only"),
        ({"window": 9}, "no window"),
        ({"block_reaches": 3}, "no block_reaches"),
        ({}, "not installed"),
    ],
)
def test_what_the_kernels_leave_to_plain_torch(
    options: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Said in the log on a GPU; an error where they were asked for."""
    if not options:
        monkeypatch.setitem(sys.modules, "triton", None)
    given = (chain(3), schemes.get("muskingum"), DAY, 3600.0, np.arange(3))
    with pytest.raises(InputError, match=reason):
        ClosureEngine(*given, fused=True, **options)
    caplog.set_level(logging.INFO, "rivergrad.routing.closure.engine")
    engine = ClosureEngine(*given, device=torch.device("cuda"), **options)
    assert engine.path.startswith("plain torch")
    assert reason in engine.path
    assert engine.path in caplog.text


def test_piece_without_a_gauge() -> None:
    """Nothing is asked for inside: what leaves and its gradient are as with a gauge at every reach."""
    c = case(chain(3), "muskingum", 3, 12, 1, slow=0.3)
    found = []
    for targets in (np.arange(3), np.arange(0)):
        runoff, p = c.leaves(torch.float32)
        engine = c.engine(targets=targets, outlets=np.array([2]))
        out, flow, _ = engine.apply(engine.prepare(p, 12), runoff[None])
        assert out.shape == (1, 12, targets.size)
        flow = flow.cpu()
        found.append([flow.detach(), *gradients(flow, runoff, p).values()])
    for with_gauges, without in zip(*found, strict=True):
        assert with_gauges.norm() > 0
        assert (without - with_gauges).norm() <= 1e-6 * with_gauges.norm()


def test_lengths_of_transforms() -> None:
    """Even, never too short, and the one that costs least: a power of two where records are long."""
    assert transforms.lengths(35)[:4] == [36, 40, 42, 48]
    assert [transforms.padded(length) for length in (34, 40, 1800)] == [40, 40, 1800]
    c = case(chain(2), "muskingum", 24, 5, 1, slow=0.3)
    one = c.engine()._fused
    cut = one._cut(one.prepare(c.parameters, 29_220), 1, 0, 29_220)
    assert cut.points.length == 1024
    assert cut.n_segments * cut.hop >= 29_220 > (cut.n_segments - 1) * cut.hop
    assert cut.lead + cut.hop < cut.points.length


def test_memory_is_said_beforehand(device: torch.device) -> None:
    """The plan grows with the record and is no less than what is taken."""
    c = case(random_forest(np.random.default_rng(3), 600, 3, 0.05), "muskingum", 24, 120, 3, slow=2.0)
    engine = c.engine()
    one = engine._fused
    assert one is not None
    prepared = engine.prepare(c.parameters, 120)
    planned = [one.plan_bytes(prepared, 1, days, gradient=True) for days in (120, 1200)]
    assert planned[0] < planned[1]
    if device.type != "cuda":
        return
    runoff, p = c.leaves(torch.float32)
    runoff = runoff.detach().to(device).requires_grad_()
    for _ in range(2):
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        out = engine.apply(engine.prepare(p, 120), runoff[None])[0]
        torch.autograd.grad(out, [runoff, *p.values()], torch.ones_like(out))
    assert torch.cuda.max_memory_allocated() - before <= planned[0] + 4 * runoff.nbytes
