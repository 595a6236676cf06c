"""What holds for routing whatever the numbers: mass, linearity, time, sign, names of reaches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from forests import ALL, RATIONAL, Case, case, forests, network, off, shuffled
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rivergrad.routing import Router

SETTINGS = settings(max_examples=40, deadline=None, derandomize=True, database=None)
CLOSURE, BLOCKS, RECURRENCE = {"kind": "closure"}, {"block_reaches": 2}, {"kind": "recurrence"}
ENGINES = st.sampled_from(
    [(name, options) for name in sorted(ALL) for options in (CLOSURE, BLOCKS)]
    + [(name, RECURRENCE) for name in RATIONAL for _ in range(3)]
)
"""A scheme and the options of an engine that computes it: the closure, uncut and in small blocks; the recurrence."""
SEEDS = st.integers(0, 2**32)
Engine = tuple[str, dict]


def run(c: Case, runoff: Tensor, **options: object) -> Tensor:
    one = c.engine(**options)
    return one.apply(one.prepare(c.parameters, runoff.shape[-2]), runoff.reshape(-1, *runoff.shape[-2:]))[0]


def drained(c: Case) -> int:
    """Forcing steps after which all that entered has left, however many reaches it passed."""
    if c.scheme.recurrence(c.parameters, c.step) is None:
        return c.engine(block_reaches=10**6).prepare(c.parameters, 10**6).window + 1
    one, steps = c.engine(**RECURRENCE), 0
    prepared = one.prepare(c.parameters)
    still, state = torch.zeros(1, 20, c.downstream.size), one.apply(prepared, c.runoff[None])[2]
    while float(state.values.abs().max()) > 1e-13 * float(c.runoff.sum()):
        state, steps = one.apply(prepared, still, state=state)[2], steps + 20
    return steps + 1


@given(forests(), ENGINES, st.sampled_from([1, 3, 24]), SEEDS)
@SETTINGS
def test_mass(down: np.ndarray, engine: Engine, ratio: int, seed: int) -> None:
    """Σ outflow = Σ inflow once all has drained; before, inflow − outflow is what is still to come."""
    name, options = engine
    c = case(down, name, ratio, 5, seed, slow=0.3)
    rest = torch.zeros(drained(c), down.size, dtype=torch.float64)
    record = torch.cat([c.runoff, rest])
    outlets = np.flatnonzero(down < 0)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-5)):
        one = c.engine(dtype, targets=outlets, **options)
        kernels = one.prepare(c.parameters, len(record))
        first, _, state = one.apply(kernels, record[None, :5].to(dtype))
        later = one.apply(kernels, record[None, 5:].to(dtype), state=state)[0]
        inflow = float(c.runoff.sum())
        storage = inflow - float(first.double().sum())
        assert abs(float(later.double().sum()) - storage) <= tolerance * max(inflow, 1)
        assert storage > -tolerance * max(inflow, 1) or name in ("muskingum", "rapid")


@given(forests(), ENGINES, st.sampled_from([1, 3]), SEEDS)
@SETTINGS
def test_linearity(down: np.ndarray, engine: Engine, ratio: int, seed: int) -> None:
    c = case(down, engine[0], ratio, 9, seed)
    a, b = c.runoff, torch.from_numpy(np.random.default_rng(seed + 1).normal(size=tuple(c.runoff.shape)))
    both = run(c, torch.stack([a, b, 3 * a - 0.5 * b]), **engine[1])
    assert off(both[2], 3 * both[0] - 0.5 * both[1], a + b) < 1e-11


@given(forests(), ENGINES, st.sampled_from([1, 3]), st.integers(1, 6), SEEDS)
@SETTINGS
def test_time_invariance(down: np.ndarray, engine: Engine, ratio: int, shift: int, seed: int) -> None:
    """Rain that falls `shift` forcing steps later flows that much later."""
    c = case(down, engine[0], ratio, 9, seed)
    late = torch.cat([torch.zeros(shift, down.size, dtype=torch.float64), c.runoff])
    found = run(c, late, **engine[1])[0]
    assert off(found[shift:], run(c, c.runoff, **engine[1])[0], c.runoff) < 1e-11
    assert float(found[:shift].abs().max()) < 1e-11


@given(
    forests(),
    ENGINES.filter(lambda engine: engine[0] not in ("muskingum", "rapid")),
    st.sampled_from([1, 24]),
    SEEDS,
)
@SETTINGS
def test_rain_never_lowers_a_river(down: np.ndarray, engine: Engine, ratio: int, seed: int) -> None:
    """Muskingum may: C0 or C2 can be negative."""
    c = case(down, engine[0], ratio, 9, seed)
    assert float(run(c, c.runoff, **engine[1]).min()) >= -1e-12 * max(1.0, float(c.runoff.sum()))


@given(forests(), ENGINES, SEEDS)
@SETTINGS
def test_names_of_reaches_do_not_matter(down: np.ndarray, engine: Engine, seed: int) -> None:
    c = case(down, engine[0], 3, 8, seed)
    new = np.random.default_rng(seed).permutation(down.size)
    old = torch.from_numpy(np.argsort(new))
    renamed = Case(
        shuffled(down, new), c.scheme, 3, c.runoff[:, old], {k: v[old] for k, v in c.parameters.items()}
    )
    found = run(renamed, renamed.runoff, **engine[1])[0]
    assert off(found, run(c, c.runoff, **engine[1])[0][:, old], c.runoff) < 1e-11


@given(forests(), ENGINES, SEEDS)
@SETTINGS
def test_rain_downstream_changes_nothing_upstream(down: np.ndarray, engine: Engine, seed: int) -> None:
    """Exactly nothing: tiles that hold several reaches must not mix them, nor basins."""
    c = case(down, engine[0], 3, 6, seed)
    i = int(np.random.default_rng(seed).integers(down.size))
    wet = torch.zeros_like(c.runoff)
    wet[:, i] = 1.0
    touched, at = np.zeros(down.size, bool), i
    while at >= 0:
        touched[at], at = True, down[at]
    assert float(run(c, wet, **engine[1])[0][:, ~torch.from_numpy(touched)].abs().sum()) == 0.0


@pytest.mark.parametrize("engine", ["closure", "recurrence", "reference"])
def test_batch_dimensions_equal_a_loop(engine: str) -> None:
    c = case(np.array([2, 2, 3, -1, 3]), "muskingum", 3, 7, 1)
    router = Router(
        network(c.downstream),
        forcing_step=c.forcing_step,
        routing_step=c.step,
        engine=engine,
        dtype=torch.float64,
        targets=[3, 0],
    )
    batch = torch.rand(2, 3, 7, 5, dtype=torch.float64)
    together = router(batch, c.parameters)[0]
    assert together.shape == (2, 3, 7, 2)
    for a in range(2):
        for b in range(3):
            assert off(together[a, b], router(batch[a, b], c.parameters)[0]) < 1e-13
