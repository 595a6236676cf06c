"""The CUDA backend of the recurrence engine on machines without a GPU: its layout, and its source on the host."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import emulate_cuda
import numpy as np
import pytest
import torch
from forests import (
    ALL,
    DAY,
    EXACT,
    RATIONAL,
    SETTINGS,
    SINGLE,
    Case,
    case,
    chain,
    compare,
    everything,
    forests,
    gradients,
    grid_of,
    in_chunks,
    off,
    random_forest,
    sensitivities,
    shuffled,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from rivercut import graph
from rivergrad.routing import RecurrenceEngine
from rivergrad.routing.recurrence.cuda import sweep, sweep_order
from rivergrad.routing.recurrence.cuda.layout import (
    DEPTH,
    ENTER,
    FRESH,
    KEPT,
    LEAF,
    LEAVE,
    POP,
    PUSH,
    ROOT,
    SETTLE,
    Index,
    Layout,
    make_layout,
    usual_block,
)
from rivergrad.routing.recurrence.cuda.module import Case as Compiled
from rivergrad.routing.recurrence.problem import Problem
from rivergrad.routing.setup import no_index

SEARCH = settings(SETTINGS, max_examples=100)

# --- layout --------------------------------------------------------------------------------------------------


@st.composite
def networks(draw: st.DrawFn) -> Problem:
    """Forests, now and then of hundreds of reaches, with inlets and outlets anywhere (repeated ones too)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if draw(st.booleans()):
        down = draw(forests())
    else:
        shape = draw(st.sampled_from([2, 5, 40])), draw(st.sampled_from([0.0, 0.02]))
        down = random_forest(rng, draw(st.integers(100, 1500)), *shape)
    inlets, outlets = (rng.integers(0, down.size, draw(st.integers(0, 4))) for _ in range(2))
    return Problem(down, 1, no_index(), inlets, outlets)


BLOCKS = st.sampled_from([1, 2, 3, 8, 25, 128, (1 << DEPTH) - 1])


def block_of_slot(layout: Layout) -> Index:
    return np.repeat(np.arange(layout.n_blocks), np.diff(layout.start))


def slot_of_reach(layout: Layout) -> Index:
    slot = np.empty(layout.n_slots, np.int64)
    slot[layout.column] = np.arange(layout.n_slots)
    return slot


@given(networks(), BLOCKS, st.booleans())
@SEARCH
def test_reaches_lie_in_blocks_in_postorder(problem: Problem, most: int, leaves: bool) -> None:
    """Each reach has one slot, and what is upstream of it in its block the slots just before."""
    down, n = problem.downstream, problem.n_reaches
    layout = make_layout(problem, most, leaves)
    assert np.array_equal(np.sort(layout.column), np.arange(n))
    assert layout.start[0] == 0
    assert layout.start[-1] == n
    sizes = np.diff(layout.start)
    assert sizes.min() >= 1
    assert sizes.max() <= most
    slot = slot_of_reach(layout)
    block = block_of_slot(layout)[slot]
    inside = np.where((down >= 0) & (block[down] == block), down, -1)
    count = graph.accumulate(inside, graph.topological_order(down), np.ones(n, np.int64))
    flows = np.flatnonzero(inside >= 0)
    to = inside[flows]
    assert (slot[flows] < slot[to]).all()
    assert (slot[flows] - count[flows] >= slot[to] - count[to]).all()


@given(networks(), BLOCKS)
@SEARCH
def test_blocks_come_after_those_they_wait_for(problem: Problem, most: int) -> None:
    """Downstream by number, upstream in the order of the adjoint: so that some warp can always go on."""
    down = problem.downstream
    layout = make_layout(problem, most, True)
    block = block_of_slot(layout)[slot_of_reach(layout)]
    crossing = np.flatnonzero((down >= 0) & (block[down] != block))
    assert layout.n_flows == crossing.size
    assert (block[crossing] < block[down[crossing]]).all()
    assert np.array_equal(np.sort(layout.back), np.arange(layout.n_blocks))
    turn = np.argsort(layout.back)
    assert (turn[block[down[crossing]]] < turn[block[crossing]]).all()


@given(networks(), BLOCKS, st.sampled_from([2, 5, 32]))
@SEARCH
def test_errors_are_kept_or_can_be_made_again(problem: Problem, most: int, panel: int) -> None:
    """From what is kept of the reaches just before in the panel: all that flows into a reach where nothing is kept."""
    layout = make_layout(problem, most, True)
    op, place, rows = layout.kept(panel, 24)
    slot, block = slot_of_reach(layout), block_of_slot(layout)
    begin, down = layout.start[block], problem.downstream[layout.column]
    below = np.where(down >= 0, slot[down], -1)
    below[(below >= 0) & (block[below] != block)] = -1
    leaf, kept = (op & LEAF) > 0, (op & KEPT) > 0
    assert np.array_equal(op & ~(KEPT | SETTLE), layout.op)
    assert not (leaf & (kept | ((op & SETTLE) > 0))).any()
    for s in np.flatnonzero(~leaf & ~kept):
        above = np.flatnonzero(below == s)
        assert not op[s] & ENTER
        assert np.array_equal(above, np.arange(s - above.size, s))
        assert ((above - begin[s]) // panel == (s - begin[s]) // panel).all()
        assert leaf[above[1:]].all()
        assert leaf[above[0]] or (kept[above[0]] and not op[above[0]] & SETTLE)
    number = np.cumsum(kept) - kept
    number -= number[begin]
    assert np.array_equal(place[kept], (np.diff(layout.start)[block] + 24 * number)[kept])
    assert rows == (np.diff(layout.start) + 24 * np.bincount(block, kept, layout.n_blocks)).max()


@given(networks(), BLOCKS, st.booleans())
@SEARCH
def test_each_flow_leaves_one_block_and_enters_one(problem: Problem, most: int, leaves: bool) -> None:
    layout = make_layout(problem, most, leaves)
    ends = []
    for pointer, flow in ((layout.enter, layout.enter_flow), (layout.leave, layout.leave_flow)):
        slot = np.repeat(np.arange(layout.n_slots), np.diff(pointer))
        reach = layout.column[slot][np.argsort(flow, kind="stable")]
        flow = np.sort(flow)
        between = np.searchsorted(flow, 0)
        assert np.array_equal(flow[between:], np.arange(layout.n_flows))
        assert np.array_equal(flow[:between], np.arange(-between, 0))
        ends.append((reach[between:], reach[:between][::-1]))
    (into, inlets), (out_of, outlets) = ends
    assert np.array_equal(problem.downstream[out_of], into)
    assert np.array_equal(inlets, problem.inlets)
    assert np.array_equal(outlets, problem.outlets)
    assert np.array_equal(layout.op & ENTER > 0, np.diff(layout.enter) > 0)
    assert np.array_equal(layout.op & LEAVE > 0, np.diff(layout.leave) > 0)


def swept(layout: Layout, own: Index) -> tuple[Index, Index, int]:
    """What the registers and the stack of a warp do to one number a reach, as `down` in `sweep.cu` does it.

    Returns:
        (reach,) sums of `own` over what is upstream, (external outflow,) those of the outlets, and the deepest
        stack.
    """
    total = np.full(layout.n_slots, -1)
    flow = np.full(layout.n_flows, -1)
    outflow = np.full(int((layout.leave_flow < 0).sum()), -1)
    deepest = 0
    for block in range(layout.n_blocks):
        x, stack = 0, []
        for s in range(layout.start[block], layout.start[block + 1]):
            op, me = layout.op[s], layout.column[s]
            if op & PUSH:
                stack.append(x)
                deepest = max(deepest, len(stack))
                x = 0
            if op & FRESH:
                assert x == 0, f"reach {me} starts a series where there is one"
            if op & LEAF:
                assert not op & ENTER, f"inflow enters reach {me}, which is done by its closed form"
                total[me] = own[me]
                x = own[me] if op & FRESH else x + own[me]
            else:
                for f in layout.enter_flow[layout.enter[s] : layout.enter[s + 1]]:
                    if f >= 0:
                        assert flow[f] >= 0, f"flow {f} is wanted before it is there"
                        x += flow[f]
                x += own[me]
                total[me] = x
            for f in layout.leave_flow[layout.leave[s] : layout.leave[s + 1]]:
                assert x == total[me], f"the series of reach {me} is nowhere to be had"
                (flow if f >= 0 else outflow)[f if f >= 0 else ~f] = x
            if op & POP:
                x += stack.pop()
            if op & ROOT:
                x = 0
        assert x == 0
        assert not stack
    return total, outflow, deepest


def swept_back(layout: Layout, own: Index) -> tuple[Index, int]:
    """The adjoint of `swept` as `up` in `sweep.cu` does it: sums of `own` down to the outlet of each reach."""
    total = np.full(layout.n_slots, -1)
    flow = np.full(layout.n_flows, -1)
    deepest = 0
    for block in layout.back:
        g, stack = 0, []
        for s in range(layout.start[block + 1] - 1, layout.start[block] - 1, -1):
            op, me = layout.op[s], layout.column[s]
            if op & POP:
                stack.append(g)
                deepest = max(deepest, len(stack))
            if op & ROOT:
                g = 0
            for f in layout.leave_flow[layout.leave[s] : layout.leave[s + 1]]:
                if f >= 0:
                    assert flow[f] >= 0, f"gradient of flow {f} is wanted before it is there"
                    g += flow[f]
            total[me] = g + own[me]
            if not op & LEAF:
                g = total[me]
                for f in layout.enter_flow[layout.enter[s] : layout.enter[s + 1]]:
                    if f >= 0:
                        flow[f] = g
            if op & PUSH:
                g = stack.pop()
        assert not stack
    return total, deepest


@given(networks(), BLOCKS, st.booleans())
@SEARCH
def test_stack_machine_adds_up_the_network(problem: Problem, most: int, leaves: bool) -> None:
    down, n = problem.downstream, problem.n_reaches
    layout = make_layout(problem, most, leaves)
    order = graph.topological_order(down)
    ones = np.ones(n, np.int64)
    expected = graph.accumulate(down, order, ones)
    total, outflow, deepest = swept(layout, ones)
    assert np.array_equal(total, expected)
    assert np.array_equal(outflow, expected[problem.outlets])
    assert deepest <= DEPTH
    below = np.ones(n, np.int64)
    for i in order[::-1]:
        if down[i] >= 0:
            below[i] += below[down[i]]
    total, deepest = swept_back(layout, ones)
    assert np.array_equal(total, below)
    assert deepest <= DEPTH


@pytest.mark.parametrize("leaves", [True, False])
def test_deepest_stack(leaves: bool) -> None:
    """A full binary tree as large as a block may be keeps the most branches waiting."""
    most = (1 << DEPTH) - 1
    tree = (np.arange(most) - 1) // 2
    tree[0] = -1
    down = shuffled(tree, np.random.default_rng(0).permutation(most))
    layout = make_layout(Problem(down, 1, no_index(), no_index(), no_index()), most, leaves)
    assert layout.n_blocks == 1
    # a level of the tree waits for each one below it, but leaves are added as they come
    assert swept(layout, np.ones(most, np.int64))[2] == DEPTH - 1 - leaves
    assert swept_back(layout, np.ones(most, np.int64))[1] == DEPTH - 1 - leaves


@given(networks(), BLOCKS, st.booleans(), st.sampled_from([1, 7, 72]))
@SEARCH
def test_places_are_disjoint(problem: Problem, most: int, leaves: bool, rows: int) -> None:
    """Each slot of a block has rows of its own in the block's scratch, and the largest block no row to spare."""
    layout = make_layout(problem, most, leaves)
    place, largest = layout.places(rows)
    end = place + np.where(layout.op & LEAF, 1, rows)
    ends = []
    for begin, stop in zip(layout.start[:-1], layout.start[1:], strict=True):
        assert place[begin] == 0
        assert np.array_equal(place[begin + 1 : stop], end[begin : stop - 1])
        ends.append(end[stop - 1])
    assert largest == max(ends)


@given(networks(), st.none() | BLOCKS)
@SEARCH
def test_sweep_order_is_downstream(problem: Problem, most: int | None) -> None:
    down, n = problem.downstream, problem.n_reaches
    order = sweep_order(down, most)
    assert np.array_equal(np.sort(order), np.arange(n))
    turn = np.argsort(order)
    assert (turn[down >= 0] < turn[down[down >= 0]]).all()
    layout = make_layout(problem, usual_block(n) if most is None else most, True)
    assert np.array_equal(layout.column, order)


def test_reaches_in_sweep_order_stay_there() -> None:
    """Where the reaches are numbered as the warps hold them, neighbours are read next to each other."""
    down = random_forest(np.random.default_rng(5), 2000, 4, 0.01)
    order = sweep_order(down)
    turn = np.argsort(order)
    numbered = shuffled(down, turn)
    again = sweep_order(numbered)
    assert (np.diff(again) == 1).mean() > 0.9


@pytest.mark.parametrize("most", [0, 1 << DEPTH])
def test_refuses_blocks_too_small_or_too_large(most: int) -> None:
    with pytest.raises(ValueError, match=f"block_reaches must be 1 to 1023, got {most}"):
        make_layout(Problem(chain(3), 1, no_index(), no_index(), no_index()), most, True)


@pytest.mark.parametrize("lanes", [4, 32])
def test_lanes_share_out_the_steps_of_a_tile(lanes: int) -> None:
    """A lane holds whole forcing steps or a whole part of one, and a tile whole forcing steps."""
    for ratio in range(1, 400):
        one = Compiled(torch.float32, ratio, 1, False, False, False, False, lanes)
        assert max(ratio, one.steps) % min(ratio, one.steps) == 0
        assert one.ratio // one.steps <= lanes
        assert 0 < one.tile_days * ratio <= lanes * one.steps
        assert one.leaves == (one.steps <= ratio)


# --- the source on the host ----------------------------------------------------------------------------------

emulated = pytest.mark.skipif(
    emulate_cuda.compiler() is None,
    reason="the CUDA source is not tested here: no g++ to compile it for the host",
)
CPU = torch.device("cpu")
TIMES = {1: 110, 4: 29, 7: 17, 24: 9, 36: 5, 48: 5, 93: 3}
"""Forcing steps by ratio: a tile of four lanes and a part of another, or two and a part."""


@pytest.fixture(autouse=True)
def _memory_full_of_nan() -> Iterator[None]:
    """What a kernel should write and does not is no number."""
    torch.use_deterministic_algorithms(True)  # fills new tensors
    yield
    torch.use_deterministic_algorithms(False)


def on_host(
    c: Case, dtype: torch.dtype = torch.float64, block_reaches: int = 6, **options: Any
) -> RecurrenceEngine:
    """The engine with the CUDA backend on the host."""
    one = c.engine(dtype, kind="recurrence", **options)
    assert isinstance(one, RecurrenceEngine)
    one.backend = emulate_cuda.EmulatedSweep(one.problem, dtype, CPU, block_reaches)
    return one


def small(name: str, ratio: int, slow: float | None = None) -> Case:
    """25 reaches, which make several blocks and flows between them."""
    down = random_forest(np.random.default_rng(26), 25, 4, 0.03)
    return case(down, name, ratio, TIMES[ratio], 3, slow)


@emulated
@pytest.mark.parametrize(
    ("name", "ratio"), [*itertools.product(RATIONAL, (1, 4, 7, 24, 48)), ("linear_storage", 93)]
)
def test_agrees_with_the_reference(name: str, ratio: int) -> None:
    """Discharge and every gradient of targets some of which come twice, in chunks that end within tiles."""
    c = small(name, ratio)
    one = on_host(c, targets=np.append(np.arange(25)[::-1], [3, 3]))
    assert isinstance(one.backend, emulate_cuda.EmulatedSweep)
    layout, _ = one.backend.layout(True)
    assert layout.n_blocks >= 5
    assert layout.n_flows >= 4
    time = TIMES[ratio]
    leaves = c.leaves()
    out = in_chunks(one, leaves[1], leaves[0], sorted({1, time // 2, time - 2}))
    compare(c, out, leaves, one.targets, EXACT)


@emulated
@pytest.mark.parametrize("ratio", [7, 24, 48])
def test_any_chunks_equal_the_whole(ratio: int) -> None:
    c = small("muskingum", ratio, slow=5.0)
    found = []
    for cuts in ([], [1, 2, TIMES[ratio] - 1]):
        runoff, p = c.leaves()
        out = in_chunks(on_host(c), p, runoff, cuts)
        found.append((out, gradients(out, runoff, p)))
    (whole, theirs), (out, mine) = found
    assert off(out, whole) <= 1e-14
    assert off(mine["runoff"], theirs["runoff"]) <= 1e-13
    assert off(sensitivities(mine, c), sensitivities(theirs, c)) <= 1e-11


@emulated
@pytest.mark.parametrize("share", [0.01, 0.3, 80.0, 3000.0])
@pytest.mark.parametrize("name", ["muskingum", "linear_storage"])
def test_travel_times_far_from_a_step(name: str, share: float) -> None:
    """Each step overshoots the last, or the balance of water over a lane is no way to its mean."""
    c = small(name, 24)
    first = c.scheme.parameter_names[0]
    spread = torch.linspace(0.9, 1.1, 25, dtype=torch.float64)
    c.parameters = {**c.parameters, first: share * c.step * spread}
    leaves = c.leaves()
    compare(c, in_chunks(on_host(c), leaves[1], leaves[0], [5]), leaves, np.arange(25), EXACT)


@emulated
@pytest.mark.parametrize(
    ("name", "ratio", "grid"),
    [
        ("muskingum", 1, False),
        ("muskingum", 24, False),
        ("linear_storage", 48, False),
        ("rapid", 7, False),
        ("rapid", 48, False),
        ("nash_cascade", 7, False),
        ("nash_cascade", 24, False),
        ("pure_lag", 4, False),
        ("pure_lag", 48, False),
        ("muskingum", 24, True),
        ("rapid", 7, True),
    ],
)
def test_everything_equals_the_cpu(name: str, ratio: int, grid: bool) -> None:
    """Batches, inflow (two into one reach), outflow, state, cells, targets: outputs and all gradients."""
    against_the_cpu(small(name, ratio), grid)


@emulated
def test_panels_of_fewer_reaches_than_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in float64 on a GPU: several rows of runoff at once."""
    monkeypatch.setattr(Compiled, "panel", 2)
    against_the_cpu(small("rapid", 36), False)  # (compiled for no other test)


def against_the_cpu(c: Case, grid: bool) -> None:
    rng = np.random.default_rng(4)
    n, time = len(c.downstream), len(c.runoff)
    options: dict[str, Any] = {
        "inlets": np.array([4, 17, 4]),
        "outlets": np.array([20, 4, 20]),
        "targets": rng.integers(0, n, 12),
        "grid": grid_of(rng, n, 9) if grid else None,
    }
    mine, cpu = on_host(c, **options), c.engine(kind="recurrence", **options)
    assert isinstance(cpu, RecurrenceEngine)
    prepared = cpu.prepare(c.parameters)
    start = cpu.apply(prepared, torch.ones(2, 3, cpu.problem.n_columns, dtype=torch.float64))[2].values
    shapes = [(2, time, cpu.problem.n_columns), (2, 3, time * c.ratio)]
    inputs = [*(torch.from_numpy(rng.exponential(1.0, shape)) for shape in shapes), start]
    found, expected = everything(mine, c, inputs), everything(cpu, c, inputs)
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert off(one, other, torch.ones(1)) <= EXACT, number


@emulated
def test_only_outlets_wanted() -> None:
    c = small("rapid", 24)
    mouth = np.flatnonzero(c.downstream < 0)
    found = []
    for one in (
        on_host(c, targets=no_index(), outlets=mouth),
        c.engine(kind="recurrence", targets=no_index(), outlets=mouth),
    ):
        runoff, p = c.leaves()
        out, flow, _ = one.apply(one.prepare(p), runoff[None])
        assert out.shape == (1, TIMES[24], 0)
        found.append([flow, *gradients(flow, runoff, p).values()])
    for mine, theirs in zip(*found, strict=True):
        assert off(mine, theirs) <= EXACT


@emulated
@pytest.mark.parametrize("batch", [1, 2])
def test_long_records_are_cut_where_there_is_no_gradient(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    """Time in pieces of a tile, so that series between blocks take little memory: the same bytes."""
    c = small("muskingum", 24)
    one = on_host(c, inlets=np.array([4]), outlets=np.array([20, 4]), targets=np.array([24, 3, 20]))
    rng = np.random.default_rng(1)
    runoff = torch.from_numpy(rng.exponential(1.0, (batch, 9, 25)))
    inflow = torch.from_numpy(rng.exponential(1.0, (batch, 1, 9 * 24)))
    prepared = one.prepare(c.parameters)
    whole = one.apply(prepared, runoff, inflow)
    monkeypatch.setattr(sweep, "SERIES_BYTES", 0)
    monkeypatch.setattr(emulate_cuda.EmulatedSweep, "_series_bytes", lambda _: 1)
    cut = one.apply(prepared, runoff, inflow)
    for mine, theirs in zip(cut[:2], whole[:2], strict=True):
        assert torch.equal(mine, theirs)
    assert torch.equal(cut[2].values, whole[2].values)


@emulated
def test_delays_that_grow_longer_than_a_step() -> None:
    """One engine for parameters without a whole step of delay, and then with: another case of the kernels."""
    c = small("pure_lag", 24)
    one = on_host(c)
    steps = torch.linspace(0.1, 0.9, 25, dtype=torch.float64)
    for delay in (steps, 7 * steps, steps):
        c.parameters = {"delay": delay * c.step}
        leaves = c.leaves()
        compare(c, in_chunks(one, leaves[1], leaves[0], [4]), leaves, np.arange(25), EXACT)


@emulated
def test_no_steps_change_nothing() -> None:
    c = small("pure_lag", 24)
    one = on_host(c)
    prepared = one.prepare(c.parameters)
    _, _, state = one.apply(prepared, c.runoff[None])
    none, _, after = one.apply(prepared, c.runoff[None, :0], state=state)
    assert none.shape == (1, 0, 25)
    assert torch.equal(after.values, state.values)


@emulated
@pytest.mark.parametrize("name", ["muskingum", "nash_cascade"])
def test_same_bytes_twice(name: str) -> None:
    """Discharge and gradients, whichever warp takes which block."""
    c = small(name, 24)
    found = []
    for _ in range(2):
        runoff, p = c.leaves()
        out = in_chunks(on_host(c, block_reaches=4), p, runoff, [5])
        found.append([out.detach(), *torch.autograd.grad(out.square().sum(), [runoff, *p.values()])])
    for one, other in zip(*found, strict=True):
        assert one.numpy().tobytes() == other.numpy().tobytes()


@emulated
@pytest.mark.parametrize("block_reaches", [8, 1000])
def test_single_precision_down_1500_reaches(block_reaches: int) -> None:
    """Rounding has no sign of its own: series are centred now and then, within blocks and from one to the next.

    A series that stands still off zero is rounded the same way at reach after reach: 1e-5 here, and in
    proportion to the depth.
    """
    n, days = 1500, 12
    rng = np.random.default_rng(0)
    rain = rng.exponential(1.0, (1, days, n)) * (rng.random((1, days, 1)) < 0.3) + 0.05
    runoff = torch.from_numpy(rain).to(torch.float32)
    parameters = {
        "k": torch.full((n,), 5 * 3600.0, dtype=torch.float64),
        "x": torch.full((n,), 0.2, dtype=torch.float64),
    }
    c = Case(chain(n), ALL["muskingum"], 24, runoff[0], parameters, DAY)
    one, cpu = on_host(c, torch.float32, block_reaches), c.engine(kind="recurrence")
    found = one.apply(one.prepare(parameters), runoff)[0]
    expected = cpu.apply(cpu.prepare(parameters), runoff.to(torch.float64))[0]
    assert off(found, expected) <= 2e-6


@emulated
@pytest.mark.parametrize(
    ("dtype", "longest", "allowed"),
    [(torch.float64, 1e9, EXACT), (torch.float32, 6e4, 3e-6)],
    ids=["f64", "f32"],
)
@pytest.mark.parametrize("ratio", [13, 24, 31])
@pytest.mark.parametrize("block_reaches", [3, 1000])
def test_simulation(
    ratio: int, dtype: torch.dtype, longest: float, allowed: float, block_reaches: int
) -> None:
    """Without a gradient other kernels run: from reaches faster than a step to such as hardly move, in chunks, with
    water that comes in and goes out at the routing step. (Months in float32 have a test of their own.)"""
    rng = np.random.default_rng(ratio)
    n, days = 60, 11
    k = np.exp(rng.uniform(np.log(1e-2), np.log(longest), n))  # s
    k[::3] = np.exp(rng.uniform(np.log(500), np.log(60_000), k[::3].size))
    parameters = {"k": torch.from_numpy(k), "x": torch.from_numpy(rng.uniform(0, 0.5, n))}
    down = random_forest(rng, n, 3, 0.03)
    runoff = torch.from_numpy(rng.exponential(1.0, (1, days, n)) * (rng.random((1, days, 1)) < 0.5) + 0.05)
    inflow = torch.from_numpy(rng.exponential(1.0, (1, 2, days * ratio)))
    c = Case(down, ALL["muskingum"], ratio, runoff[0], parameters, DAY)
    options = {
        "inlets": np.array([4, 40]),
        "outlets": np.array([n - 1, 4, 17]),
        "targets": np.arange(0, n, 2),
    }
    one, cpu = on_host(c, dtype, block_reaches, **options), c.engine(kind="recurrence", **options)
    found = []
    for engine in (one, cpu):
        prepared, state, parts = engine.prepare(parameters), None, []
        for start, stop in ((0, 9), (9, 10), (10, days)):
            steps = slice(start * ratio, stop * ratio)
            out, flow, state = engine.apply(prepared, runoff[:, start:stop], inflow[:, :, steps], state)
            parts.append((out, flow))
        assert state is not None
        found.append([*(torch.cat(p, 1 + i) for i, p in enumerate(zip(*parts, strict=True))), state.values])
    for mine, theirs in zip(*found, strict=True):
        assert off(mine, theirs) <= allowed


@emulated
@pytest.mark.parametrize("gradient", [False, True])
def test_reaches_that_take_months_in_single_precision(gradient: bool) -> None:
    """There 1 − b has few of the digits of b."""
    rng = np.random.default_rng(0)
    n, days = 40, 30
    k, x = 1e7 * np.exp(rng.uniform(-0.3, 0.3, n)), rng.uniform(0, 0.5, n)
    parameters = {"k": torch.from_numpy(k), "x": torch.from_numpy(x)}
    runoff = torch.from_numpy(rng.exponential(1.0, (days, n)))
    c = Case(random_forest(rng, n, 3, 0.03), ALL["muskingum"], 24, runoff, parameters, DAY)
    one, cpu = on_host(c, torch.float32), c.engine(kind="recurrence")
    with torch.set_grad_enabled(gradient):
        given = {name: value.clone().requires_grad_(gradient) for name, value in parameters.items()}
        found, expected = (engine.apply(engine.prepare(given), runoff[None])[0] for engine in (one, cpu))
    assert off(found.detach(), expected.detach()) <= 1e-5


@emulated
def test_simulation_prepares_itself_once_for_the_same_parameters() -> None:
    """And anew for others, or when the same have changed in place."""
    c = small("muskingum", 24)
    one, cpu = on_host(c), c.engine(kind="recurrence")
    prepared, again = one.prepare(c.parameters), cpu.prepare(c.parameters)
    made = []
    with torch.no_grad():
        for change in (False, False, True):
            if change:
                prepared.a.mul_(0.5)
                again.a.mul_(0.5)
            found, expected = one.apply(prepared, c.runoff[None])[0], cpu.apply(again, c.runoff[None])[0]
            assert off(found, expected) <= EXACT
            assert one.backend._simulated is not None
            made.append(one.backend._simulated[1])
    assert made[0] is made[1]
    assert made[1] is not made[2]


@emulated
@pytest.mark.parametrize("shape", ["chain", "forest"])
def test_adjoint_that_makes_errors_again(shape: str) -> None:
    """Long rivers in one block: every second reach from the one before, and series centred on the way."""
    down = chain(30) if shape == "chain" else random_forest(np.random.default_rng(3), 60, 2, 0.02)
    c = case(down, "muskingum", 24, TIMES[24], 3)
    one = on_host(c, block_reaches=1000)
    assert isinstance(one.backend, emulate_cuda.EmulatedSweep)
    op, _, _ = one.backend.layout(True)[0].kept(4, 24)
    assert 0.2 < ((op & (KEPT | LEAF)) == 0).mean() < 0.5
    assert ((op & SETTLE) > 0).sum() >= 2
    leaves = c.leaves()
    compare(c, in_chunks(one, leaves[1], leaves[0], [5]), leaves, one.targets, EXACT)


@emulated
def test_single_precision() -> None:
    """Discharge and gradients."""
    c = small("muskingum", 24)
    r, q = c.leaves()
    expected = c.reference(r, q)
    want = gradients(expected, r, q)
    runoff, p = c.leaves(torch.float32)
    out = in_chunks(on_host(c, torch.float32), p, runoff, [5])
    found = gradients(out, runoff, p)
    assert out.dtype == found["runoff"].dtype == torch.float32
    assert off(out, expected) <= 1e-6
    assert off(found["runoff"], want["runoff"]) <= 1e-6
    assert off(sensitivities(found, c), sensitivities(want, c)) <= SINGLE
