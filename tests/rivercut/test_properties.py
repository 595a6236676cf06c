"""What holds for every forest: chains, stars of 150, single reaches, many basins, and mixtures of them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rivercut import graph, store
from rivercut.carve import carve
from rivercut.network import RiverNetwork
from rivercut.partition import Partition, partition

Int = NDArray[np.int64]
checked = settings(max_examples=60, deadline=None, derandomize=True)


def tree(shape: str, size: int, seed: int) -> Int:
    """A tree by downstream positions, its outlet first."""
    if shape == "chain":
        return np.arange(size) - 1
    if shape == "star":
        return np.append([-1], np.zeros(size - 1, np.int64))
    random = np.random.default_rng(seed)
    reach = {"bushy": size, "long": 3}[shape]
    return np.array([-1, *(int(random.integers(max(0, i - reach), i)) for i in range(1, size))])


@st.composite
def networks(draw: st.DrawFn) -> RiverNetwork:
    """Forests whose positions and ids are shuffled, so that no order is there by accident."""
    one = st.tuples(
        st.sampled_from(["chain", "star", "bushy", "long"]),
        st.one_of(st.just(1), st.integers(1, 40), st.just(151), st.just(400)),
        st.integers(0, 99),
    )
    downstream: list[Int] = []
    for shape, size, seed in draw(st.lists(one, min_size=1, max_size=12)):
        base = sum(t.size for t in downstream)
        grown = tree(shape, size, seed)
        downstream.append(np.where(grown < 0, -1, grown + base))
    joined = np.concatenate(downstream)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    name = random.permutation(joined.size)
    shuffled = np.empty_like(joined)
    shuffled[name] = np.where(joined < 0, -1, name[joined])
    return RiverNetwork(random.permutation(joined.size) + 5000, shuffled, random.uniform(1, 1e5, joined.size))


def assert_connected(network: RiverNetwork, block: Int) -> None:
    """Walking downstream from any reach stays in its block until it reaches the block's one outlet."""
    inner = network.downstream >= 0
    leaving = ~inner | (block != block[network.downstream])
    assert (np.bincount(block[leaving], minlength=block.max() + 1) == 1).all()
    end = np.flatnonzero(leaving)
    outlet = np.full(block.max() + 1, -1)
    outlet[block[end]] = end
    for i in range(0, network.n_reaches, max(1, network.n_reaches // 20)):
        at = i
        while not leaving[at]:
            at = int(network.downstream[at])
            assert block[at] == block[i]
        assert at == outlet[block[i]]


@checked
@given(networks())
def test_what_drains_to_the_outlets_is_everything(network: RiverNetwork) -> None:
    count = graph.upstream_count(network.downstream, network.order)
    assert count[network.outlets].sum() == network.n_reaches
    np.testing.assert_array_equal(count[network.outlets], np.bincount(network.basin))
    inner = network.downstream >= 0
    assert (network.level[inner] < network.level[network.downstream[inner]]).all()
    assert (network.basin[inner] == network.basin[network.downstream[inner]]).all()
    assert ((network.level == 0) == (count == 1)).all()


@checked
@given(networks(), st.integers(1, 200), st.booleans())
def test_carved_blocks_are_connected_light_and_acyclic(network: RiverNetwork, most: int, even: bool) -> None:
    weight = (
        np.ones(network.n_reaches) if even else np.random.default_rng(most).uniform(0, 3, network.n_reaches)
    )
    block = carve(network.downstream, network.order, weight, most)
    assert_connected(network, block)
    load, size = np.bincount(block, weight), np.bincount(block)
    assert ((load <= most * (1 + 1e-12)) | (size == 1)).all()
    inner = network.downstream >= 0
    assert (block[inner] <= block[network.downstream[inner]]).all()  # a forest, numbered downstream
    # None could have been left open: with any of its upstream blocks, a block is too heavy.
    cut = np.flatnonzero(inner & (block != block[network.downstream]))
    joined = load[block[cut]] + load[block[network.downstream[cut]]]
    assert (joined > most * (1 - 1e-12)).all()


@checked
@given(
    networks(),
    st.integers(1, 9),
    st.one_of(st.none(), st.integers(1, 60)),
    st.booleans(),
    st.booleans(),
    st.integers(0, 3),
)
def test_any_partition_verifies_and_comes_again(
    network: RiverNetwork, parts: int, most: int | None, spread: bool, even: bool, seed: int
) -> None:
    weight = None if even else np.random.default_rng(seed).lognormal(0, 0.5, network.n_reaches)

    def cut_it() -> Partition:
        return partition(network, parts, weight=weight, block_reaches=most, spread=spread, seed=seed)

    cut = cut_it()
    cut.verify(network)
    assert_connected(network, cut.reach_block)
    assert (graph.order_or_cycle(cut.block_downstream)[1]).size == 0
    assert most is None or cut.summary(network).largest_block <= most
    inner = cut.block_downstream >= 0
    same = cut.block_part[inner] == cut.block_part[cut.block_downstream[inner]]
    later = np.flatnonzero(inner)[same] < cut.block_downstream[inner][same]
    assert later.all()  # inside a part, blocks come upstream first
    if spread and parts > 1:
        assert not same.any()
    received = np.concatenate([h.receive_from for h in cut.halos])
    sent = np.concatenate([h.send_reach for h in cut.halos])
    upper = np.flatnonzero(network.downstream >= 0)
    upper = upper[cut.reach_part[upper] != cut.reach_part[network.downstream[upper]]]
    assert sorted(received) == sorted(sent) == upper.tolist()
    again = cut_it()
    np.testing.assert_array_equal(again.order, cut.order)
    np.testing.assert_array_equal(again.block_part, cut.block_part)


@checked
@given(networks(), st.integers(1, 6))
def test_balance_holds_wherever_a_reach_is_small(network: RiverNetwork, parts: int) -> None:
    cut = partition(network, parts)
    share = network.n_reaches / parts
    # Whole reaches: 5 % of a share, or one reach where a share is less than 20 of them.
    assert np.bincount(cut.reach_part, minlength=parts).max() <= max(1.05 * share, share + 1)


@settings(checked, max_examples=15)
@given(networks(), st.integers(1, 6))
def test_stores_bring_back_what_was_written(network: RiverNetwork, parts: int) -> None:
    cut = partition(network, parts, spread=True)
    with tempfile.TemporaryDirectory() as folder:
        store.write_network(network, Path(folder) / "network.zarr")
        store.write_partition(cut, Path(folder) / "partition.zarr")
        network_back = store.read_network(Path(folder) / "network.zarr")
        cut_back = store.read_partition(Path(folder) / "partition.zarr")
    np.testing.assert_array_equal(network_back.reach_id, network.reach_id)
    np.testing.assert_array_equal(network_back.length, network.length)
    cut_back.verify(network_back)
    np.testing.assert_array_equal(cut_back.order, cut.order)


@checked
@given(networks())
def test_ids_find_their_positions_and_a_subset_keeps_the_edges_inside(network: RiverNetwork) -> None:
    random = np.random.default_rng(0)
    chosen = random.permutation(network.n_reaches)[: network.n_reaches // 2 + 1]
    np.testing.assert_array_equal(network.positions(network.reach_id[chosen]), chosen)
    part = network.subset(chosen)
    inner = np.isin(network.downstream[chosen], chosen)
    np.testing.assert_array_equal(part.downstream >= 0, inner)
    np.testing.assert_array_equal(
        part.reach_id[part.downstream[inner]], network.reach_id[network.downstream[chosen[inner]]]
    )
