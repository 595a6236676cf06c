"""What holds for routing whatever the numbers: mass, linearity, time, sign, names of reaches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from forests import ALL, Case, case, forests, network, off, shuffled
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rivergrad.routing import Router

SETTINGS = settings(max_examples=25, deadline=None, derandomize=True, database=None)
NAMES = st.sampled_from(sorted(ALL))
SEEDS = st.integers(0, 2**32)


def run(c: Case, runoff: Tensor, **options: object) -> Tensor:
    one = c.engine(**options)
    return one.apply(one.kernels(c.parameters, runoff.shape[-2]), runoff.reshape(-1, *runoff.shape[-2:]))[0]


def drained(c: Case, dtype: torch.dtype = torch.float64) -> int:
    """Forcing steps after which all that entered has left, however many reaches it passed."""
    return c.engine(dtype, block_reaches=10**6).kernels(c.parameters, 10**6).window + 1


@given(forests(), NAMES, st.sampled_from([1, 3, 24]), st.sampled_from([None, 2]), SEEDS)
@SETTINGS
def test_mass(down: np.ndarray, name: str, ratio: int, block: int | None, seed: int) -> None:
    """Σ outflow = Σ inflow once all has drained; before, inflow − outflow is what is still to come."""
    c = case(down, name, ratio, 5, seed, slow=0.3)
    rest = torch.zeros(drained(c), down.size, dtype=torch.float64)
    record = torch.cat([c.runoff, rest])
    outlets = np.flatnonzero(down < 0)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-5)):
        one = c.engine(dtype, block_reaches=block, targets=outlets)
        kernels = one.kernels(c.parameters, len(record))
        first, _, state = one.apply(kernels, record[None, :5].to(dtype))
        later = one.apply(kernels, record[None, 5:].to(dtype), state=state)[0]
        inflow = float(c.runoff.sum())
        storage = inflow - float(first.double().sum())
        assert abs(float(later.double().sum()) - storage) <= tolerance * max(inflow, 1)
        assert storage > -tolerance * max(inflow, 1) or name in ("muskingum", "rapid")


@given(forests(), NAMES, st.sampled_from([1, 3]), SEEDS)
@SETTINGS
def test_linearity(down: np.ndarray, name: str, ratio: int, seed: int) -> None:
    c = case(down, name, ratio, 9, seed)
    a, b = c.runoff, torch.from_numpy(np.random.default_rng(seed + 1).normal(size=tuple(c.runoff.shape)))
    both = run(c, torch.stack([a, b, 3 * a - 0.5 * b]))
    assert off(both[2], 3 * both[0] - 0.5 * both[1], a + b) < 1e-11


@given(forests(), NAMES, st.sampled_from([1, 3]), st.integers(1, 6), SEEDS)
@SETTINGS
def test_time_invariance(down: np.ndarray, name: str, ratio: int, shift: int, seed: int) -> None:
    """Rain that falls `shift` forcing steps later flows that much later."""
    c = case(down, name, ratio, 9, seed)
    late = torch.cat([torch.zeros(shift, down.size, dtype=torch.float64), c.runoff])
    assert off(run(c, late)[0, shift:], run(c, c.runoff)[0], c.runoff) < 1e-11
    assert float(run(c, late)[0, :shift].abs().max()) < 1e-11


@given(forests(), st.sampled_from(sorted(set(ALL) - {"muskingum", "rapid"})), st.sampled_from([1, 24]), SEEDS)
@SETTINGS
def test_rain_never_lowers_a_river(down: np.ndarray, name: str, ratio: int, seed: int) -> None:
    """Muskingum may: C0 or C2 can be negative."""
    c = case(down, name, ratio, 9, seed)
    assert float(run(c, c.runoff).min()) >= -1e-12 * max(1.0, float(c.runoff.sum()))


@given(forests(), NAMES, st.sampled_from([None, 3]), SEEDS)
@SETTINGS
def test_names_of_reaches_do_not_matter(down: np.ndarray, name: str, block: int | None, seed: int) -> None:
    c = case(down, name, 3, 8, seed)
    new = np.random.default_rng(seed).permutation(down.size)
    old = torch.from_numpy(np.argsort(new))
    renamed = Case(
        shuffled(down, new), c.scheme, 3, c.runoff[:, old], {k: v[old] for k, v in c.parameters.items()}
    )
    found = run(renamed, renamed.runoff, block_reaches=block)[0]
    assert off(found, run(c, c.runoff, block_reaches=block)[0][:, old], c.runoff) < 1e-11


@given(forests(), NAMES, SEEDS)
@SETTINGS
def test_rain_downstream_changes_nothing_upstream(down: np.ndarray, name: str, seed: int) -> None:
    """Exactly nothing: tiles that hold several reaches must not mix them, nor basins."""
    c = case(down, name, 3, 6, seed)
    i = int(np.random.default_rng(seed).integers(down.size))
    wet = torch.zeros_like(c.runoff)
    wet[:, i] = 1.0
    touched, at = np.zeros(down.size, bool), i
    while at >= 0:
        touched[at], at = True, down[at]
    assert float(run(c, wet)[0][:, ~torch.from_numpy(touched)].abs().sum()) == 0.0


@pytest.mark.parametrize("engine", ["closure", "reference"])
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
