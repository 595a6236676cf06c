"""The closure engine against the reference, whatever the network, blocks, chunks of time, targets and cuts."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from forests import (
    ALL,
    EXACT,
    SETTINGS,
    SINGLE,
    Case,
    case,
    cases,
    chain,
    compare,
    gradients,
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

from rivergrad.routing.closure import convolve, engine, plan

BLOCKS = st.sampled_from([None, 1, 2, 3, 7, 1000])


@given(cases(), BLOCKS, st.data())
@SETTINGS
def test_forward_and_gradients_equal_the_reference(c: Case, block: int | None, data: st.DataObject) -> None:
    """Any forest, scheme, S, blocks, targets (repeated ones too) and chunks of time, in float64."""
    n, time = c.downstream.size, len(c.runoff)
    targets = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=n + 1)))
    cuts = sorted(data.draw(st.sets(st.integers(1, time - 1), max_size=3)))
    leaves = c.leaves()
    out = in_chunks(c.engine(targets=targets, block_reaches=block), leaves[1], leaves[0], cuts)
    compare(c, out, leaves, targets, EXACT)


@given(cases(), BLOCKS, st.data())
@settings(SETTINGS, max_examples=30)
def test_single_precision(c: Case, block: int | None, data: st.DataObject) -> None:
    """Discharge and gradient of runoff, in one and in two chunks."""
    targets = np.arange(c.downstream.size)
    cut = data.draw(st.integers(1, len(c.runoff) - 1))
    runoff, p = c.leaves(torch.float32)
    out = in_chunks(c.engine(torch.float32, block_reaches=block), p, runoff, [cut])
    assert out.dtype == torch.float32
    r64, p64 = c.leaves()
    expected = c.reference(r64, p64)[:, torch.from_numpy(targets)]
    assert off(out, expected, c.runoff) <= SINGLE
    found, want = gradients(out, runoff, p)["runoff"], gradients(expected, r64, p64)["runoff"]
    assert off(found, want, torch.ones(out.shape)) <= SINGLE


@given(cases((1, 3, 24)), BLOCKS, BLOCKS, st.data())
@settings(SETTINGS, max_examples=40)
def test_cut_network_equals_uncut(c: Case, up_block: int, low_block: int, data: st.DataObject) -> None:
    """Forward and gradients of both (see `in_two_engines`)."""
    seeds = data.draw(st.lists(st.integers(0, c.downstream.size - 1), min_size=1, max_size=3))
    leaves = c.leaves()
    out = in_two_engines(c, seeds, *leaves, {"block_reaches": up_block}, {"block_reaches": low_block})
    compare(c, out, leaves, np.arange(c.downstream.size), EXACT)


@pytest.mark.parametrize("name", sorted(ALL))
def test_long_record_with_a_short_window(name: str) -> None:
    """The window follows the response, not the record, and nothing is lost."""
    for ratio, block in ((1, None), (3, 2)):
        c = case(random_forest(np.random.default_rng(5), 8, 3, 0.1), name, ratio, 400, 5, slow=0.7)
        leaves = c.leaves()
        one = c.engine(block_reaches=block)
        kernels = one.prepare(leaves[1], 400)
        assert kernels.memory is not None
        assert kernels.window < 300
        out = in_chunks(one, leaves[1], leaves[0], [150, 151, 390])
        compare(c, out, leaves, np.arange(8), EXACT)


@pytest.mark.parametrize("name", sorted(ALL))
def test_short_record_cuts_the_window(name: str) -> None:
    c = case(chain(9), name, 3, 6, 6, slow=40.0)
    leaves = c.leaves()
    one = c.engine(block_reaches=4)
    kernels = one.prepare(leaves[1], 6)
    assert (kernels.window, kernels.memory) == (6, None)
    compare(c, in_chunks(one, leaves[1], leaves[0], [1, 4]), leaves, np.arange(9), EXACT)
    with pytest.raises(ValueError, match="kernels for 6 steps applied to 7"):
        one.apply(kernels, torch.zeros(1, 7, 9))


def test_window_does_not_grow_with_rounding() -> None:
    """Over long windows the sum of rounding exceeds any tolerance; it must not be taken for a tail."""
    c = case(chain(100), "muskingum", 24, 1000, slow=1.0)
    c.parameters = {"k": torch.full((100,), 21600.0).double(), "x": torch.full((100,), 0.2).double()}
    one = c.engine(targets=np.array([99]))
    kernels = one.prepare(c.parameters, 10**6)
    assert kernels.window < 150
    out = one.apply(one.prepare(c.parameters, 1000), c.runoff[None])[0][0]
    assert off(out, c.reference()[:, 99:]) <= EXACT


@pytest.mark.parametrize("name", ["muskingum", "rapid"])
@pytest.mark.parametrize("ratio", [1, 2, 3, 24, 25])
def test_tails_that_alternate(name: str, ratio: int) -> None:
    """k far below the routing step: each step overshoots the last, and the tail goes on for long.

    The gradient with respect to k is next to nothing here, and a small difference of large terms.
    """
    for share, block in ((0.2, 1), (0.05, None), (0.05, 2)):
        time = {1: 300, 2: 150, 3: 100}.get(ratio, 30)
        c = case(chain(4), name, ratio, time, 3)
        c.parameters = {
            "k": share * c.step * torch.tensor([1.0, 1.1, 0.9, 1.0], dtype=torch.float64),
            "x": torch.tensor([0.0, 0.1, 0.2, 0.3], dtype=torch.float64),
        }
        runoff, p = c.leaves()
        out = in_chunks(c.engine(block_reaches=block), p, runoff, [time // 3])
        r, q = c.leaves()
        expected = c.reference(r, q)
        assert off(out, expected) <= 1e-12
        found, want = gradients(out, runoff, p), gradients(expected, r, q)
        assert off(found["runoff"], want["runoff"]) <= 1e-12
        assert off(sensitivities(found, c), sensitivities(want, c)) <= 1e-8


@pytest.mark.parametrize("name", ["muskingum", "pure_lag", "hayami"])
def test_depth_in_single_precision(name: str) -> None:
    """300 reaches in a row, uncut and in blocks of 64."""
    c = case(shuffled(chain(300), np.random.default_rng(1).permutation(300)), name, 3, 40, 4, slow=0.4)
    expected = c.reference()
    for block in (300, 64):
        one = c.engine(torch.float32, block_reaches=block)
        assert off(one.apply(one.prepare(c.parameters, 40), c.runoff[None])[0][0], expected) <= SINGLE


def test_in_degree_150_at_a_cut() -> None:
    c = case(np.append(star(151)[:150], [151, -1]), "linear_storage", 3, 12, 8)
    leaves = c.leaves()
    out = in_chunks(c.engine(block_reaches=1), leaves[1], leaves[0], [5])
    compare(c, out, leaves, np.arange(152), EXACT)


def test_recomputing_responses_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Responses computed again in the backward pass, small groups of tiles and small chunks of paths."""
    c = case(random_forest(np.random.default_rng(9), 40, 3, 0.05), "rapid", 3, 12, 9)
    results = []
    for small in (False, True):
        if small:
            monkeypatch.setattr(convolve, "GATHER_BYTES", 1)
            monkeypatch.setattr(engine, "make_plan", partial(plan.make_plan, path_budget=5))
        runoff, p = c.leaves()
        one_engine = c.engine(block_reaches=10, keep_bytes=0 if small else 1 << 29)
        out = in_chunks(one_engine, p, runoff, [4])
        results.append((out, gradients(out, runoff, p)))
    assert off(results[1][0], results[0][0]) < 1e-13
    for name, one in results[0][1].items():
        assert off(results[1][1][name], one) < 1e-11


def test_inflow_enters_where_and_when_it_should() -> None:
    """Two inflows into one reach, one into another, none of the runoff: each goes the way of runoff there."""
    c = case(np.array([1, 2, -1, -1]), "muskingum", 4, 10, 2)
    inlets = np.array([1, 3, 1])
    one = c.engine(inlets=inlets, outlets=np.array([2, 0, 2]), block_reaches=1)
    kernels = one.prepare(c.parameters, 10)
    daily = c.runoff[:, :3]
    out, flow, _ = one.apply(kernels, torch.zeros(1, 10, 4), daily.T.repeat_interleave(4, dim=1)[None])
    into = torch.zeros(10, 4, dtype=torch.float64).index_add(1, torch.from_numpy(inlets), daily)
    assert off(out[0], c.reference(into)) <= EXACT
    assert off(flow[0, 0].reshape(10, 4).mean(dim=1), out[0, :, 2]) <= EXACT
    assert torch.equal(flow[0, 0], flow[0, 2])
    assert float(flow[0, 1].abs().max()) < 1e-12


def test_only_outlets_wanted() -> None:
    c = case(chain(5), "nash_cascade", 4, 9, 2)
    one = c.engine(targets=np.zeros(0, np.int64), outlets=np.array([4]))
    out, flow, _ = one.apply(one.prepare(c.parameters, 9), c.runoff[None])
    assert out.shape == (1, 9, 0)
    assert off(flow[0, 0].reshape(9, 4).mean(dim=1), c.reference()[:, 4]) <= EXACT


def test_batches_are_separate() -> None:
    c = case(random_forest(np.random.default_rng(3), 10, 3, 0.1), "hayami", 3, 14, 3, slow=0.5)
    one = c.engine(block_reaches=3)
    kernels = one.prepare(c.parameters, 14)
    batch = torch.stack([c.runoff, 2 * c.runoff.flip(0), torch.zeros_like(c.runoff)])
    together, _, state = one.apply(kernels, batch)
    for b, runoff in enumerate(batch):
        alone, _, one_state = one.apply(kernels, runoff[None])
        assert off(together[b], alone[0]) < 1e-12
        for both, single in zip(state.history, one_state.history, strict=True):
            assert off(both[:, b], single[:, 0]) < 1e-12


def test_same_bytes_twice() -> None:
    found = []
    for _ in range(2):
        c = case(random_forest(np.random.default_rng(3), 60, 3, 0.05), "muskingum", 24, 10, 3)
        runoff, p = c.leaves(torch.float32)
        out = in_chunks(c.engine(torch.float32, block_reaches=8), p, runoff, [5])
        found.append([out.detach(), *gradients(out, runoff, p).values()])
    for a, b in zip(*found, strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes()


def test_stated_memory_bounds_what_is_kept() -> None:
    c = case(random_forest(np.random.default_rng(3), 60, 3, 0.05), "muskingum", 3, 10, 3)
    one = c.engine(block_reaches=8)
    kernels = one.prepare(c.parameters, 10)
    kept = sum(t.numel() * t.element_size() for level in kernels.tiles for t in level)
    assert kept == one.kernel_bytes(kernels.window)
