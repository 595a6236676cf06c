"""The recurrence engine against the reference, whatever the network, chunks of time, targets and cuts.

What the reference lacks (state, inflow, batches, grids) is held against `naive_sweep`, gradients included.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import scipy.signal
import torch
from equations import muskingum_coefficients
from forests import (
    ALL,
    DAY,
    EXACT,
    RATIONAL,
    SETTINGS,
    SINGLE,
    Case,
    case,
    cases,
    chain,
    compare,
    everything,
    forests,
    gradients,
    grid_of,
    in_chunks,
    in_two_engines,
    off,
    random_forest,
    sensitivities,
    shuffled,
    star,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_sweep import NaiveSweep

from rivergrad.errors import InputError
from rivergrad.routing import GridWeights, RecurrenceEngine, RecurrenceState

ONE = {"kind": "recurrence"}
by_scheme = pytest.mark.parametrize("name", RATIONAL)


# --- against the reference -----------------------------------------------------------------------------------


@given(cases(names=RATIONAL), st.data())
@SETTINGS
def test_forward_and_gradients_equal_the_reference(c: Case, data: st.DataObject) -> None:
    """Any forest, scheme, S, targets (repeated ones too) and chunks of time, in float64."""
    n, time = c.downstream.size, len(c.runoff)
    targets = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=n + 1)))
    cuts = sorted(data.draw(st.sets(st.integers(1, time - 1), max_size=3)))
    leaves = c.leaves()
    out = in_chunks(c.engine(targets=targets, **ONE), leaves[1], leaves[0], cuts)
    compare(c, out, leaves, targets, EXACT)


@given(cases(names=RATIONAL), st.data())
@SETTINGS
def test_single_precision(c: Case, data: st.DataObject) -> None:
    """Discharge and gradient of runoff, in two chunks."""
    cut = data.draw(st.integers(1, len(c.runoff) - 1))
    runoff, p = c.leaves(torch.float32)
    out = in_chunks(c.engine(torch.float32, **ONE), p, runoff, [cut])
    assert out.dtype == torch.float32
    r64, p64 = c.leaves()
    expected = c.reference(r64, p64)
    assert off(out, expected, c.runoff) <= SINGLE
    found, want = gradients(out, runoff, p), gradients(expected, r64, p64)
    assert off(found["runoff"], want["runoff"], torch.ones(out.shape)) <= SINGLE
    assert all(found[key].dtype == torch.float64 for key in p)


@given(cases((1, 3, 24), RATIONAL), st.data())
@settings(SETTINGS, max_examples=40)
def test_cut_network_equals_uncut(c: Case, data: st.DataObject) -> None:
    """Forward and gradients of both engines (see `in_two_engines`), also where one of them is the closure."""
    seeds = data.draw(st.lists(st.integers(0, c.downstream.size - 1), min_size=1, max_size=3))
    upper = data.draw(st.sampled_from([ONE, ONE, {"kind": "closure"}]))
    leaves = c.leaves()
    out = in_two_engines(c, seeds, *leaves, upper, ONE)
    compare(c, out, leaves, np.arange(c.downstream.size), EXACT)


@by_scheme
def test_agrees_with_the_closure_engine(name: str) -> None:
    """On a network and a record that both have to cut up, discharge and every gradient."""
    down = random_forest(np.random.default_rng(2), 150, 4, 0.02)
    c = case(down, name, 24, 40, 2, slow=2.0)
    found = []
    for kind in ("recurrence", "closure"):
        runoff, p = c.leaves()
        out = in_chunks(c.engine(kind=kind), p, runoff, [17])
        found.append((out, gradients(out, runoff, p)))
    (out, mine), (expected, theirs) = found
    assert off(out, expected) <= EXACT
    assert off(mine["runoff"], theirs["runoff"]) <= EXACT
    assert off(sensitivities(mine, c), sensitivities(theirs, c)) <= EXACT


@by_scheme
def test_wide_networks(name: str) -> None:
    """In-degree 150, and many basins of one reach each."""
    for down in (np.append(star(151)[:150], [151, -1]), np.full(500, -1)):
        c = case(down, name, 3, 12, 8)
        leaves = c.leaves()
        out = in_chunks(c.engine(**ONE), leaves[1], leaves[0], [5])
        compare(c, out, leaves, np.arange(down.size), EXACT)


@by_scheme
@pytest.mark.parametrize("ratio", [1, 7, 24])
def test_any_chunks_equal_the_whole(name: str, ratio: int) -> None:
    """Long chunks and chunks of a single step, with the gradient through every state on the way."""
    c = case(random_forest(np.random.default_rng(3), 40, 3, 0.05), name, ratio, 120, 3, slow=20.0)
    one = c.engine(**ONE)
    found = []
    for cuts in ([], [1, 2, 3, 40, 41, 119]):
        runoff, p = c.leaves()
        out = in_chunks(one, p, runoff, cuts)
        found.append((out, gradients(out, runoff, p)))
    (out, mine), (expected, theirs) = found[1], found[0]
    assert off(out, expected) < 1e-14
    for key, value in theirs.items():
        assert off(mine[key], value) < 1e-11, key


@pytest.mark.parametrize("ratio", [1, 2, 3, 24])
@pytest.mark.parametrize("name", ["muskingum", "rapid"])
def test_steps_far_beyond_the_travel_time(name: str, ratio: int) -> None:
    """k far below the routing step: each step overshoots the last."""
    for share in (0.2, 0.05, 0.001):
        c = case(chain(4), name, ratio, 60, 3)
        c.parameters = {
            "k": share * c.step * torch.tensor([1.0, 1.1, 0.9, 1.0], dtype=torch.float64),
            "x": torch.tensor([0.0, 0.1, 0.2, 0.3], dtype=torch.float64),
        }
        runoff, p = c.leaves()
        out = in_chunks(c.engine(**ONE), p, runoff, [20])
        r, q = c.leaves()
        expected = c.reference(r, q)
        assert off(out, expected) <= EXACT
        assert off(gradients(out, runoff, p)["runoff"], gradients(expected, r, q)["runoff"]) <= EXACT


def test_delays_of_whole_steps_and_of_none() -> None:
    """At the kinks of the interpolation, and longer than a chunk or than the record."""
    c = case(chain(6), "pure_lag", 4, 10, 1)
    steps = torch.tensor([0.0, 1.0, 0.5, 9.0, 2.25, 50.0], dtype=torch.float64)
    c.parameters = {"delay": steps * c.step}
    leaves = c.leaves()
    compare(c, in_chunks(c.engine(**ONE), leaves[1], leaves[0], [1, 2, 6]), leaves, np.arange(6), EXACT)


# --- 3,000 reaches in a row ----------------------------------------------------------------------------------


def filtered(c: Case, field: np.ndarray, adjoint: bool) -> np.ndarray:
    """A chain of Muskingum reaches, reach by reach with SciPy's filter; or its adjoint, back and up."""
    reaches = range(c.downstream.size)
    found, q = np.empty_like(field), np.zeros(field.shape[0] * c.ratio)
    for i in reversed(reaches) if adjoint else reaches:
        k, x = (float(c.parameters[name][i]) for name in ("k", "x"))
        c0, c1, c2 = muskingum_coefficients(k, x, c.step)
        if adjoint:  # of the mean, then of the filter
            q = q + np.repeat(field[:, i] / c.ratio, c.ratio)
            q = scipy.signal.lfilter([c0, c1], [1, -c2], q[::-1])[::-1]
            found[:, i] = q.reshape(-1, c.ratio).sum(axis=1)
        else:
            q = scipy.signal.lfilter([c0, c1], [1, -c2], q + np.repeat(field[:, i], c.ratio))
            found[:, i] = q.reshape(-1, c.ratio).mean(axis=1)
    return found


def test_depth_3000_and_30000_routing_steps() -> None:
    """Discharge and gradient of runoff, in both precisions, and the mass that a steady rain becomes."""
    n, time, ratio = 3000, 1250, 24
    c = case(chain(n), "muskingum", ratio, time, 1, slow=1.0)
    weight = torch.from_numpy(np.random.default_rng(3).standard_normal((time, n)))
    expected = filtered(c, c.runoff.numpy(), adjoint=False)
    gradient = filtered(c, weight.numpy(), adjoint=True)
    for dtype, tolerance in ((torch.float64, EXACT), (torch.float32, SINGLE)):
        one = c.engine(dtype, **ONE)
        runoff = c.runoff.to(dtype).requires_grad_()
        out = one.apply(one.prepare(c.parameters), runoff[None])[0]
        assert off(out[0], expected) <= tolerance
        (found,) = torch.autograd.grad(out, runoff, weight.to(dtype)[None])
        assert off(found, gradient) <= tolerance


@by_scheme
def test_no_water_is_made_in_single_precision(name: str) -> None:
    """After a long steady rain, what leaves 3,000 sections in a row is what falls on them."""
    n = 1000 if name == "nash_cascade" else 3000
    c = case(shuffled(chain(n), np.random.default_rng(0).permutation(n)), name, 4, 1, 1, slow=0.3)
    mouth = np.flatnonzero(c.downstream < 0)
    one = c.engine(torch.float32, targets=mouth, **ONE)
    out = one.apply(one.prepare(c.parameters), torch.ones(1, 1500, n))[0]
    assert float(out[0, -1, 0]) == pytest.approx(n, rel=SINGLE)


# --- against the naive sweep: state, inflow, batches, grids --------------------------------------------------


@given(forests(6), st.sampled_from(RATIONAL), st.integers(0, 2**32), st.booleans())
@settings(SETTINGS, max_examples=40)
def test_everything_equals_the_naive_sweep(down: np.ndarray, name: str, seed: int, grid: bool) -> None:
    """Batches, inflow (two into one reach), outflow, state and cells: outputs and all gradients."""
    if down.size > 20:
        down = np.append(np.full(12, 12), [13, -1])
    rng = np.random.default_rng(seed)
    n, batch = down.size, int(rng.integers(1, 4))
    c = case(down, name, int(rng.choice([1, 2, 5])), int(rng.integers(1, 5)), seed)
    inlets, outlets, targets = (rng.integers(0, n, int(rng.integers(0, 4))) for _ in range(3))
    weights = grid_of(rng, n, 7) if grid else None
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, SINGLE)):
        one = c.engine(dtype, inlets=inlets, outlets=outlets, targets=targets, grid=weights, **ONE)
        size = one.apply(one.prepare(c.parameters), torch.zeros(batch, 0, one.problem.n_columns))[2]
        shapes = [
            (batch, len(c.runoff), one.problem.n_columns),
            (batch, inlets.size, len(c.runoff) * c.ratio),
            tuple(size.values.shape),
        ]
        inputs = [torch.from_numpy(rng.standard_normal(shape)).to(dtype) for shape in shapes]
        naive = c.engine(dtype, inlets=inlets, outlets=outlets, targets=targets, grid=weights, **ONE)
        naive.backend = NaiveSweep(naive.problem, dtype)
        scale = torch.ones(1) * sum(float(tensor.norm()) for tensor in inputs)
        for found, expected in zip(everything(one, c, inputs), everything(naive, c, inputs), strict=True):
            assert found.dtype == expected.dtype
            assert off(found, expected, 1e3 * scale.expand(1)) <= tolerance


@by_scheme
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_grid_weights_are_a_matrix(name: str, dtype: torch.dtype) -> None:
    """Cells in, weighted in the sweep: as if the runoff had been multiplied up; so is the gradient."""
    c = case(random_forest(np.random.default_rng(1), 60, 3, 0.1), name, 6, 30, 1)
    rng = np.random.default_rng(2)
    grid = grid_of(rng, 60, 25)
    dense = np.zeros((60, 25))
    np.add.at(dense, (np.repeat(np.arange(60), np.diff(grid.pointer)), grid.cell), grid.weight)
    matrix = torch.from_numpy(dense).to(dtype)
    cells = draw_cells = torch.from_numpy(rng.exponential(1.0, (2, 30, 25))).to(dtype)
    found = []
    for weights in (grid, None):
        cells = draw_cells.clone().requires_grad_()
        one = c.engine(dtype, grid=weights, **ONE)
        out = one.apply(one.prepare(c.parameters), cells if weights else cells @ matrix.T)[0]
        found.append((out, torch.autograd.grad((out * torch.sin(out.detach())).sum(), cells)[0]))
    for mine, expected in zip(*found, strict=True):
        assert mine.dtype == dtype
        assert off(mine, expected) <= (1e-13 if dtype == torch.float64 else 1e-6)


def test_batches_are_separate() -> None:
    c = case(random_forest(np.random.default_rng(3), 10, 3, 0.1), "rapid", 3, 14, 3, slow=0.5)
    one = c.engine(**ONE)
    prepared = one.prepare(c.parameters)
    batch = torch.stack([c.runoff, 2 * c.runoff.flip(0), torch.zeros_like(c.runoff)])
    together, _, state = one.apply(prepared, batch)
    for b, runoff in enumerate(batch):
        alone, _, one_state = one.apply(prepared, runoff[None])
        assert torch.equal(together[b], alone[0])
        assert torch.equal(state.values[b], one_state.values[0])


def test_only_outlets_wanted() -> None:
    c = case(chain(5), "nash_cascade", 4, 9, 2)
    one = c.engine(targets=np.zeros(0, np.int64), outlets=np.array([4]), **ONE)
    out, flow, _ = one.apply(one.prepare(c.parameters), c.runoff[None])
    assert out.shape == (1, 9, 0)
    assert off(flow[0, 0].reshape(9, 4).mean(dim=1), c.reference()[:, 4]) <= EXACT


@pytest.mark.parametrize("n", [60, 3000])
def test_same_bytes_twice_and_on_two_threads(n: int) -> None:
    found = []
    for threads in (1, 1, 2):
        torch.set_num_threads(threads)
        try:
            c = case(random_forest(np.random.default_rng(3), n, 3, 0.05), "muskingum", 24, 10, 3)
            runoff, p = c.leaves(torch.float32)
            out = in_chunks(c.engine(torch.float32, **ONE), p, runoff, [5])
            found.append([out.detach(), *gradients(out, runoff, p).values()])
        finally:
            torch.set_num_threads(1)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert a.numpy().tobytes() == b.numpy().tobytes()


def test_other_layouts_and_no_steps() -> None:
    """Runoff that is a transposed view; a chunk without any step changes nothing."""
    c = case(random_forest(np.random.default_rng(3), 30, 3, 0.1), "pure_lag", 3, 8, 3)
    one = c.engine(**ONE)
    prepared = one.prepare(c.parameters)
    view = c.runoff.T.contiguous().T[None]
    assert not view.is_contiguous()
    out, _, state = one.apply(prepared, view)
    assert torch.equal(out, one.apply(prepared, c.runoff[None])[0])
    none, flow, after = one.apply(prepared, view[:, :0], state=state)
    assert none.shape == (1, 0, 30)
    assert flow.shape == (1, 0, 0)
    assert torch.equal(after.values, state.values)


# --- refusals ------------------------------------------------------------------------------------------------


class TestRefuses:
    @pytest.mark.parametrize("name", sorted(set(ALL) - set(RATIONAL)))
    def test_schemes_that_are_no_recurrence(self, name: str) -> None:
        c = case(chain(3), name, 2, 4)
        with pytest.raises(
            InputError, match=f"engine recurrence: scheme {name} has no rational .* or the engine closure"
        ):
            c.engine(**ONE).prepare(c.parameters)

    def test_what_is_of_another_shape(self) -> None:
        c = case(chain(3), "muskingum", 2, 4)
        one = c.engine(inlets=np.array([1]), **ONE)
        prepared = one.prepare(c.parameters)

        def refused(message: str, *arguments: Any) -> None:
            with pytest.raises(InputError, match=message):
                one.apply(prepared, *arguments)

        runoff, inflow = c.runoff[None], torch.zeros(1, 1, 8)
        refused(r"runoff: expected shape \(1, 4, 3\), found \(1, 4, 2\)", runoff[..., :2], inflow)
        refused(r"inflow: expected shape \(1, 1, 8\), found \(1, 1, 4\)", runoff, inflow[..., :4])
        state = RecurrenceState(torch.zeros(1, 4))
        refused(r"state: expected shape \(1, 3\), found \(1, 4\)", runoff, inflow, state)

    def test_grids_that_do_not_fit(self) -> None:
        two = np.array([0, 1, 2])
        ones = np.ones(2)
        with pytest.raises(InputError, match="grid: expected cells 0 to 1, found 0 to 2"):
            GridWeights(two, np.array([0, 2]), ones, 2)
        with pytest.raises(InputError, match="grid: expected pointers that rise from 0"):
            GridWeights(two, np.array([0, 1, 1]), np.ones(3), 2)
        with pytest.raises(InputError, match="grid: expected pointers that rise from 0"):
            GridWeights(np.array([0, 2, 1, 2]), np.array([0, 1]), ones, 2)
        with pytest.raises(InputError, match="grid: expected weights of 3 reaches, found those of 2"):
            case(chain(3), "muskingum", 2, 4).engine(grid=GridWeights(two, np.array([0, 1]), ones, 2), **ONE)

    def test_a_gpu_without_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "cupy", None)  # so that its import fails
        with pytest.raises(InputError, match=r"it needs CuPy .*rivergrad\[cuda\]"):
            RecurrenceEngine(chain(3), ALL["muskingum"], DAY, DAY, np.arange(3), device=torch.device("cuda"))
