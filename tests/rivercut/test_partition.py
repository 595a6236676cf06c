"""Partitions: balance, whole basins, what verify catches, halos, and the same bytes again."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pymetis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rivercut import graph, store
from rivercut.carve import carve_shallow
from rivercut.errors import InputError
from rivercut.halo import Halo
from rivercut.network import RiverNetwork
from rivercut.partition import Partition, partition

Int = NDArray[np.int64]


def trees(*sizes: int, seed: int = 0) -> RiverNetwork:
    """Random trees of these sizes, each reach flowing into one of the 40 before it; ids from 1000 on."""
    random = np.random.default_rng(seed)
    downstream: list[int] = []
    for size in sizes:
        base = len(downstream)
        downstream += [-1, *(base + int(random.integers(max(0, i - 40), i)) for i in range(1, size))]
    return RiverNetwork(1000 + np.arange(len(downstream)), np.array(downstream, np.int64))


def arrays(cut: Partition) -> list[bytes]:
    """Every array of a partition, as bytes."""
    halos = [array for halo in cut.halos for array in list(vars(halo).values())[1:]]
    fields = [cut.order, cut.block_ptr, cut.block_part, cut.block_downstream, cut.block_level, *halos]
    return [array.tobytes() for array in fields]


WORLD = trees(4000, 1500, 700, *([60] * 20), *([5] * 200), *([1] * 400))


@pytest.mark.parametrize("parts", [1, 2, 7, 16, 33])
def test_parts_are_balanced_and_the_partition_verifies(parts: int) -> None:
    cut = partition(WORLD, parts)
    cut.verify(WORLD)
    found = cut.summary(WORLD)
    assert found.parts == parts == len(cut.halos)
    assert found.balance <= 1.05
    assert found.reaches == WORLD.n_reaches == sum(cut.part_reaches(p).size for p in range(parts))
    assert sorted(np.concatenate([cut.part_reaches(p) for p in range(parts)])) == list(range(WORLD.n_reaches))


@pytest.mark.parametrize("parts", [2, 4, 7, 16])
@pytest.mark.parametrize("sizes", [(3000,), (601,), (1000, 1000, 1000), (1001,) * 30])
def test_balance_holds_without_small_basins_to_fill_with(sizes: tuple[int, ...], parts: int) -> None:
    network = trees(*sizes)
    cut = partition(network, parts)
    cut.verify(network)
    assert cut.summary(network).balance <= 1.05


def test_balance_is_of_the_cost_given() -> None:
    cost = np.random.default_rng(1).lognormal(0, 1, WORLD.n_reaches)
    cut = partition(WORLD, 7, weight=cost)
    load = np.bincount(cut.reach_part, cost)
    assert load.max() / load.mean() <= 1.05
    assert cut.summary(WORLD, cost).balance == pytest.approx(load.max() / load.mean())
    assert cut.summary(WORLD).balance > 1.05


def test_a_basin_that_fits_in_a_share_stays_whole() -> None:
    cut = partition(WORLD, 7)
    share = WORLD.n_reaches / 7
    size = np.bincount(WORLD.basin)
    owners = [np.unique(cut.reach_part[WORLD.basin == b]).size for b in range(WORLD.n_basins)]
    assert [size[b] for b in range(WORLD.n_basins) if owners[b] > 1] == [s for s in size if s > share]
    # One whole basin is one block if nobody asks for smaller ones.
    whole = np.flatnonzero(np.array(owners) == 1)
    assert np.unique(cut.reach_block[np.isin(WORLD.basin, whole)]).size == whole.size


def test_only_what_finds_no_room_is_cut_besides() -> None:
    network = trees(1000, 1000, 1000)
    found = partition(network, 2).summary(network)
    assert found.cut_basins == 1
    assert found.balance <= 1.05
    assert partition(network, 3).summary(network).cut_edges == 0


def test_metis_cuts_few_edges() -> None:
    network = trees(20_000)
    found = partition(network, 8).summary(network)
    dealt = partition(network, 8, spread=True).summary(network)
    assert 7 <= found.cut_edges < dealt.cut_edges / 4


def test_metis_sees_the_block_graph_of_cut_basins_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    real = pymetis.part_graph

    def spy(parts: int, graph: pymetis.CSRAdjacency, **given: Any) -> pymetis.GraphPartition:
        seen.append({"parts": parts, "starts": graph.adj_starts} | given)
        return real(parts, graph, **given)

    monkeypatch.setattr(pymetis, "part_graph", spy)
    partition(WORLD, 7, seed=3)
    share = WORLD.n_reaches / 7
    size = np.bincount(WORLD.basin)
    assert len(seen) == 1
    assert seen[0]["parts"] == np.ceil(size[size > share].sum() / share)
    assert seen[0]["options"].seed == 3
    assert len(seen[0]["vweights"]) == len(seen[0]["starts"]) - 1 < 32 * 7 * 3
    assert sum(seen[0]["tpwgts"]) == pytest.approx(1)


@pytest.mark.parametrize("given", [{}, {"block_reaches": 50}, {"spread": True}])
def test_the_same_seed_gives_the_same_bytes(given: dict[str, Any]) -> None:
    first = arrays(partition(WORLD, 7, seed=5, **given))
    fresh = RiverNetwork(WORLD.reach_id, WORLD.downstream)
    assert arrays(partition(fresh, 7, seed=5, **given)) == first
    if "spread" in given:
        assert arrays(partition(fresh, 7, seed=6, **given)) != first


@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("most", [1, 50])
def test_no_block_has_more_reaches_than_asked(most: int, spread: bool) -> None:
    cut = partition(WORLD, 3, block_reaches=most, spread=spread)
    cut.verify(WORLD)
    assert cut.summary(WORLD).largest_block == most
    assert np.diff(cut.block_ptr).max() == most


def test_spread_cuts_every_edge_between_blocks() -> None:
    cut = partition(WORLD, 3, spread=True)
    cut.verify(WORLD)
    inner = cut.block_downstream >= 0
    assert inner.sum() > 50
    assert (cut.block_part[inner] != cut.block_part[cut.block_downstream[inner]]).all()
    assert cut.summary(WORLD).balance <= 1.05
    assert cut.summary(WORLD).cut_edges == inner.sum()


def test_joined_blocks_start_no_later() -> None:
    network = trees(5000)
    cut = partition(network, 4)
    # Blocks of one part that touch wait for different numbers of cuts; else they would be one.
    stage = np.zeros(cut.n_blocks, np.int64)
    for b in np.argsort(cut.block_level, kind="stable"):
        d = cut.block_downstream[b]
        if d >= 0:
            stage[d] = max(stage[d], stage[b] + (cut.block_part[b] != cut.block_part[d]))
    touching = np.flatnonzero(cut.block_downstream >= 0)
    touching = touching[cut.block_part[touching] == cut.block_part[cut.block_downstream[touching]]]
    assert touching.size > 0
    assert (stage[touching] < stage[cut.block_downstream[touching]]).all()
    assert cut.summary(network).stages == stage.max() + 1


@pytest.mark.parametrize("given", [{}, {"spread": True}])
def test_what_one_part_sends_is_what_another_receives(given: dict[str, Any]) -> None:
    cut = partition(WORLD, 7, **given)
    received = 0
    for here in cut.halos:
        assert (cut.reach_part[here.receive_at] == here.part).all()
        assert (cut.reach_part[here.receive_from] == here.receive_part).all()
        np.testing.assert_array_equal(WORLD.downstream[here.receive_from], here.receive_at)
        for there in cut.halos:
            np.testing.assert_array_equal(
                here.receive_from[here.receive_part == there.part],
                there.send_reach[there.send_part == here.part],
            )
        received += here.receive_at.size
    assert received == cut.summary(WORLD).cut_edges > 0


def test_more_parts_than_reaches_leaves_some_empty() -> None:
    network = trees(3)
    cut = partition(network, 5)
    cut.verify(network)
    assert sorted(cut.part_reaches(p).size for p in range(5)) == [0, 0, 1, 1, 1]


def test_an_empty_network_has_a_partition() -> None:
    network = RiverNetwork.from_ids([], [])
    cut = partition(network, 3)
    cut.verify(network)
    assert (cut.n_blocks, cut.n_parts, cut.summary(network).stages) == (0, 3, 0)


def test_build_takes_any_connected_assignment() -> None:
    # 1004 <- 1003 <- 1002 <- 1001 <- 1000, cut in the middle; the blocks arrive in no order.
    network = RiverNetwork(1000 + np.arange(5), np.array([1, 2, 3, 4, -1]))
    cut = Partition.build(network, [2, 2, 0, 0, 1], [1, 0, 0])
    cut.verify(network)
    assert cut.reach_part.tolist() == [0, 0, 1, 1, 0]
    assert cut.order.tolist() == [0, 1, 4, 2, 3]
    assert cut.block_ptr.tolist() == [0, 2, 3, 5]
    assert cut.block_part.tolist() == [0, 0, 1]
    assert cut.block_downstream.tolist() == [2, -1, 1]
    assert cut.block_level.tolist() == [0, 2, 1]
    assert cut.part_blocks(0) == range(2)
    assert cut.part_blocks(1) == range(2, 3)
    assert cut.halos[1].receive_from.tolist() == [1]
    assert cut.halos[1].send_reach.tolist() == [3]
    assert cut.halos[0].receive_at.tolist() == [4]
    assert cut.summary(network).as_dict() == {
        "parts": 2,
        "reaches": 5,
        "blocks": 3,
        "balance": 1.2,
        "cut_edges": 2,
        "boundary_reaches": 4,
        "cut_basins": 1,
        "stages": 3,
        "largest_block": 2,
    }


@pytest.mark.parametrize(
    ("block", "part", "parts", "message"),
    [
        ([0, 1, 0, 1], [0, 0], None, "block 0 is not connected: it ends at reach ids 1000, 1002;"),
        ([0, 0, 0, 5], [0, 0], None, "reach_block of reach ids 1003 is out of range; expected 0 to 1"),
        ([0, 0, 0, 0], [0, 0], None, "blocks 1 have no reach"),
        ([0, 0, 1, 1], [0, 3], 2, "block_part holds part 3; expected 0 to 1"),
        ([0, 0], [0], None, r"reach_block has shape \(2,\); expected \(4,\)"),
    ],
)
def test_build_refuses(block: list[int], part: list[int], parts: int | None, message: str) -> None:
    network = RiverNetwork(1000 + np.arange(4), np.array([1, 2, 3, -1]))
    with pytest.raises(InputError, match=message):
        Partition.build(network, block, part, parts)


def changed(array: Int, at: int, value: int) -> Int:
    copy = array.copy()
    copy[at] = value
    return copy


def swapped(array: Int, one: int, other: int) -> Int:
    copy = array.copy()
    copy[[one, other]] = copy[[other, one]]
    return copy


def corruptions(cut: Partition) -> dict[str, tuple[Partition, str]]:
    """Partitions with one thing wrong, and what verify should say."""
    halo = next(h for h in cut.halos if h.receive_at.size)
    big = int(np.argmax(np.diff(cut.block_ptr)))
    first = int(cut.block_ptr[big])
    inner = int(np.flatnonzero(cut.block_downstream >= 0)[0])

    def with_halo(**new: Any) -> Partition:
        halos = [replace(h, **new) if h.part == halo.part else h for h in cut.halos]
        return replace(cut, halos=tuple(halos))

    return {
        "a reach twice": (replace(cut, order=changed(cut.order, 0, int(cut.order[1]))), "exactly once"),
        "a position too high": (
            replace(cut, order=changed(cut.order, 0, 10**6)),
            "order holds positions 1000000",
        ),
        "a reach too few": (replace(cut, order=cut.order[1:]), "the network"),
        "downstream first": (
            replace(cut, order=swapped(cut.order, first, int(cut.block_ptr[big + 1]) - 1)),
            "come after the reach that they flow into",
        ),
        "a reach in another block": (
            replace(cut, order=swapped(cut.order, first, 0 if big else int(cut.block_ptr[-2]))),
            "is not connected|come after",
        ),
        "an empty block": (replace(cut, block_ptr=changed(cut.block_ptr, 1, 0)), "block_ptr must rise"),
        "a part too high": (replace(cut, block_part=changed(cut.block_part, -1, 99)), "parts out of range"),
        "another owner": (
            replace(cut, block_part=changed(cut.block_part, cut.n_blocks - 1, 0)),
            "out of order; expected by part",
        ),
        "a wrong edge": (
            replace(cut, block_downstream=changed(cut.block_downstream, inner, -1)),
            f"block_downstream of blocks {inner} is -1",
        ),
        "a wrong level": (
            replace(cut, block_level=changed(cut.block_level, inner, 50)),
            f"block_level of blocks {inner} is 50",
        ),
        "a halo too few": (replace(cut, halos=cut.halos[1:]), "halos; expected"),
        "a halo entry at another reach": (
            with_halo(receive_at=changed(halo.receive_at, 0, int(halo.receive_from[0]))),
            f"the halo of part {halo.part} is wrong in receive_at",
        ),
        "a halo without its entries": (
            with_halo(receive_from=halo.receive_from[1:]),
            "wrong in receive_from",
        ),
        "a halo that sends elsewhere": (with_halo(send_part=halo.send_part + 1), "wrong in send_part"),
    }


@pytest.mark.parametrize("what", list(corruptions(partition(WORLD, 7, spread=True))))
def test_verify_catches(what: str) -> None:
    bad, message = corruptions(partition(WORLD, 7, spread=True))[what]
    with pytest.raises(InputError, match=message):
        bad.verify(WORLD)


def test_verify_catches_another_network() -> None:
    cut = partition(WORLD, 3)
    other = changed(WORLD.downstream, int(np.flatnonzero(WORLD.downstream >= 0)[0]), -1)
    with pytest.raises(InputError, match="not connected"):
        cut.verify(RiverNetwork(WORLD.reach_id, other))
    with pytest.raises(InputError, match="the network 3"):
        cut.verify(trees(3))


def test_pickle_brings_it_back_read_only() -> None:
    cut = partition(WORLD, 3, spread=True)
    bare = len(pickle.dumps(cut))
    assert cut.reach_part.max() == 2
    assert len(pickle.dumps(cut)) == bare
    back = pickle.loads(pickle.dumps(cut))
    back.verify(WORLD)
    assert arrays(back) == arrays(cut)
    for array in (back.order, back.halos[0].receive_at):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize(
    ("parts", "given", "message"),
    [
        (0, {}, "the number of parts is 0; expected at least 1"),
        (2, {"block_reaches": 0}, "block_reaches is 0"),
        (2, {"max_block_share": 0.0}, "max_block_share is 0.0"),
        (2, {"weight": [1.0, np.nan, -1.0]}, "weight of reach ids 1001, 1002 is nan"),
        (2, {"weight": [0.0, 0.0, 0.0]}, "the weights sum to 0"),
        (2, {"weight": [1.0]}, r"weight has shape \(1,\); expected \(3,\)"),
    ],
)
def test_bad_arguments_are_named(parts: int, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        partition(trees(3), parts, **given)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 400),
    reach=st.sampled_from([1, 3, 20]),
    above=st.integers(1, 60),
    below=st.integers(1, 200),
)
def test_shallow_blocks_flow_into_the_one_at_the_outlet(
    seed: int, n: int, reach: int, above: int, below: int
) -> None:
    rng = np.random.default_rng(seed)
    down = np.arange(n) + 1 + rng.integers(0, reach, n)
    down[(rng.random(n) < 0.01) | (down >= n)] = -1
    network = RiverNetwork.from_ids(np.arange(n), down)
    block = carve_shallow(network.downstream, network.order, np.ones(n), above, below)
    found = Partition.build(network, block, np.zeros(block.max() + 1, np.int64))  # connected, or an error
    found.verify(network)
    size = np.bincount(block)
    upstream = graph.upstream_count(network.downstream, network.order)
    assert size.max() <= max(above, below)
    for basin in range(network.n_basins):
        inside = network.basin == basin
        skeleton = inside & (upstream > above)
        outlet = block[inside & (network.downstream < 0)][0]
        if inside.sum() <= max(above, below):
            assert np.unique(block[inside]).size == 1
        elif skeleton.sum() <= below < inside.sum():
            # all others are whole subtrees just above the block at the outlet
            tops = np.flatnonzero(inside & (network.downstream >= 0))
            tops = tops[block[tops] != block[network.downstream[tops]]]
            assert (block[network.downstream[tops]] == outlet).all()
            assert (size[block[tops]] == upstream[tops]).all()
            assert size[block[tops]].max() <= above
            # and none is cut off needlessly
            assert size[outlet] + size[block[tops]].min() > below


def test_a_shallow_cut_needs_two_rounds() -> None:
    network = trees(20_000, 300)
    deep, found = (partition(network, 4, shallow=shallow) for shallow in (False, True))
    found.verify(network)
    assert found.summary(network).stages == 2 < deep.summary(network).stages
    assert found.summary(network).balance <= 1.05
    assert arrays(partition(network, 4, shallow=True)) == arrays(found)
    with pytest.raises(InputError, match=r"spread and shallow: found both; expected one"):
        partition(network, 4, shallow=True, spread=True)


def test_more_parts_than_can_be(capfd: pytest.CaptureFixture[str]) -> None:
    network = RiverNetwork.from_ids([1, 2, 3], [2, 3, -1])
    for parts in (0, -1, 2**20 + 1, 10**9, 2**63, -(2**63)):
        with pytest.raises(
            InputError, match=r"the number of parts is .*expected at least 1 and at most 1048576"
        ):
            partition(network, parts)
    partition(network, 3).verify(network)
    partition(network, 7).verify(network)
    assert capfd.readouterr().out == ""


def test_metis_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    from rivercut.assign import Blocks, metis

    blocks = Blocks(np.arange(2), np.arange(2), np.ones(2), np.array([1, -1]))
    assert metis(blocks, np.ones(5), 0).shape == (2,)
    print("after")
    assert capfd.readouterr().out == "after\n"


@pytest.mark.parametrize("seed", [2**31, 2**63 - 1, 2**63, 2**200])
def test_a_seed_of_any_size(seed: int) -> None:
    network = RiverNetwork.from_ids(np.arange(64) + 1, [-1, *range(1, 64)])
    first, second = (partition(network, 4, seed=seed) for _ in range(2))
    first.verify(network)
    assert np.array_equal(first.reach_part, second.reach_part)


def test_parts_without_reaches_share_one_halo(tmp_path: Path) -> None:
    """There may be a million of them: each with arrays of its own took half a minute."""
    network = RiverNetwork(np.arange(8), np.array([1, 2, 3, 4, 5, 6, 7, -1]))
    cut = partition(network, 5000)
    store.write_partition(cut, tmp_path / "p.zarr")
    again = store.read_partition(tmp_path / "p.zarr")
    again.verify(network)
    for one in (cut, again):
        empty = [halo for halo in one.halos if not halo.send_reach.size and not halo.receive_at.size]
        assert len({id(array) for halo in empty for array in list(vars(halo).values())[1:]}) == 1
        assert not empty[0].differs(Halo(empty[0].part, *[np.empty(0, np.int64)] * 5))
        assert not empty[0].receive_from.flags.writeable
