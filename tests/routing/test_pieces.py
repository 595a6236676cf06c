"""Pieces of any partition: every reach once, every cut edge once, and an order in which they can be routed."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rivercut.network import RiverNetwork
from rivercut.partition import Partition, partition
from rivergrad.routing.pieces import Piece, _ranks, make_pieces


def forest(rng: np.random.Generator, n: int, reach: int, basins: float) -> RiverNetwork:
    down = np.array([min(i + 1 + int(rng.integers(reach)), n) for i in range(n)])
    down[(rng.random(n) < basins) | (down == n)] = -1
    new = rng.permutation(n)
    shuffled = np.full(n, -1)
    shuffled[new] = np.where(down >= 0, new[np.maximum(down, 0)], -1)
    ids = 10**6 + 7 * np.arange(n)
    return RiverNetwork.from_ids(ids, np.where(shuffled >= 0, ids[np.maximum(shuffled, 0)], -1))


def explicit(network: RiverNetwork, rng: np.random.Generator, parts: int, cut: float) -> Partition:
    """Blocks from edges cut at random, dealt out to parts at random: nothing that a partitioner would choose."""
    block = np.full(network.n_reaches, -1)
    count = 0
    for reach in network.order[::-1]:
        below = network.downstream[reach]
        if below < 0 or rng.random() < cut:
            block[reach] = count
            count += 1
        else:
            block[reach] = block[below]
    return Partition.build(network, block, rng.integers(0, parts, count))


def check(network: RiverNetwork, cut: Partition, pieces: tuple[Piece, ...]) -> None:
    n = network.n_reaches
    assert [piece.number for piece in pieces] == list(range(len(pieces)))
    everything = np.concatenate([piece.reaches for piece in pieces])
    assert np.array_equal(np.sort(everything), np.arange(n))
    piece_of = np.empty(n, np.int64)
    for piece in pieces:
        piece_of[piece.reaches] = piece.number
        assert (cut.reach_part[piece.reaches] == piece.part).all()

    crossings = []
    for piece in pieces:
        below = network.downstream[piece.reaches]
        inside = (below >= 0) & (piece_of[np.maximum(below, 0)] == piece.number)
        # local links are the network's, upstream before downstream
        assert np.array_equal(piece.reaches[piece.downstream[inside]], below[inside])
        assert (piece.downstream[~inside] == -1).all()
        assert (piece.downstream[inside] > np.flatnonzero(inside)).all()
        # what leaves for another piece is exactly its outlets
        leaving = np.flatnonzero(~inside & (below >= 0))
        assert np.array_equal(np.sort(piece.outlets), leaving)
        assert len(piece.sources) == piece.inlets.size
        for (source, outlet), inlet in zip(piece.sources, piece.inlets, strict=True):
            assert source < piece.number
            upstream = pieces[source].reaches[pieces[source].outlets[outlet]]
            assert network.downstream[upstream] == piece.reaches[inlet]
            crossings.append(int(upstream))
    has = np.flatnonzero(network.downstream >= 0)
    expected = has[piece_of[has] != piece_of[network.downstream[has]]]
    assert sorted(crossings) == expected.tolist()  # each cut edge exactly once
    # an edge between two parts is always one between pieces
    between = has[cut.reach_part[has] != cut.reach_part[network.downstream[has]]]
    assert np.isin(between, expected).all()


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 60),
    reach=st.sampled_from([1, 3, 8]),
    basins=st.sampled_from([0.0, 0.1, 0.5]),
    parts=st.integers(1, 6),
    cut=st.sampled_from([0.0, 0.2, 0.6, 1.0]),
)
def test_any_explicit_partition(seed: int, n: int, reach: int, basins: float, parts: int, cut: float) -> None:
    rng = np.random.default_rng(seed)
    network = forest(rng, n, reach, basins)
    chosen = explicit(network, rng, parts, cut)
    check(network, chosen, make_pieces(network, chosen))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 120),
    parts=st.integers(1, 7),
    block=st.sampled_from([None, 3, 10]),
    spread=st.booleans(),
)
def test_any_partition_of_ours(seed: int, n: int, parts: int, block: int | None, spread: bool) -> None:
    network = forest(np.random.default_rng(seed), n, 4, 0.05)
    chosen = partition(network, parts, block_reaches=block, spread=spread)
    check(network, chosen, make_pieces(network, chosen))


def test_whole_basins_are_one_piece_a_part() -> None:
    network = forest(np.random.default_rng(0), 200, 3, 0.1)
    parts = 3
    block = network.basin
    chosen = Partition.build(network, block, np.arange(network.n_basins) % parts)
    pieces = make_pieces(network, chosen)
    assert len(pieces) == parts
    assert all(not piece.sources and not piece.outlets.size for piece in pieces)


def test_a_chain_that_goes_back_and_forth_between_two_parts() -> None:
    n = 12
    ids = np.arange(1, n + 1)
    network = RiverNetwork.from_ids(ids, np.append(ids[1:], -1))
    chosen = Partition.build(network, np.arange(n), np.arange(n) % 2)
    pieces = make_pieces(network, chosen)
    check(network, chosen, pieces)
    assert [piece.part for piece in pieces] == [0, 1] * 6
    assert [piece.sources for piece in pieces] == [(), *(((i, 0),) for i in range(n - 1))]


def test_ranks_of_keys_near_each_other_or_far_apart() -> None:
    rng = np.random.default_rng(0)
    for most in (5, 1 << 40):
        key = rng.integers(0, most, 1000)
        keys, rank = np.unique(key, return_inverse=True)
        found = _ranks(key)
        assert np.array_equal(found[0], keys)
        assert np.array_equal(found[1], rank)
