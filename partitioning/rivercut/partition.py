"""A river network cut into parts: plain arrays, a halo for each part, and a check of all of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rivercut import graph
from rivercut.assign import SHALLOW_ABOVE, assign, assign_spread, carve_basins
from rivercut.carve import carve
from rivercut.compiling import njit
from rivercut.errors import InputError, ids_text, shortened
from rivercut.halo import Halo, make_halos
from rivercut.network import RiverNetwork, frozen

Int = NDArray[np.int64]
Float = NDArray[np.float64]

MAX_PARTS = 2**20  # each has a halo of its own, whether it has reaches or not
MAX_BLOCK_SHARE = 1 / 32  # of a part's share: fine enough to balance, coarse enough to leave few blocks


@dataclass(frozen=True)
class PartitionSummary:
    """What `rivergrad partition` prints.

    `balance` is the largest cost of a part over the mean; `cut_edges` are the edges between reaches of two
    parts; `boundary_reaches` the reaches at either end of one; `cut_basins` the basins in more than one part;
    `stages` the number of rounds in which parts can work if they exchange boundary series between rounds;
    `largest_block` counts reaches.
    """

    parts: int
    reaches: int
    blocks: int
    balance: float
    cut_edges: int
    boundary_reaches: int
    cut_basins: int
    stages: int
    largest_block: int

    def as_dict(self) -> dict[str, int | float]:
        """The fields by name."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Partition:
    """Which part owns which block, and the order in which reaches are computed.

    **Arguments**: `order` (n,), reach positions by part, within it by block (upstream blocks first), within
    that upstream before downstream; `block_ptr` (B+1,), block b owns `order[block_ptr[b]:block_ptr[b+1]]`;
    `block_part` (B,); `block_downstream` (B,), -1 at an outlet; `block_level` (B,), 0 without upstream
    blocks, else one more than the highest just upstream; `n_parts`, some of which may be empty; `halos`, one
    a part.

    `Partition.build` makes one from any assignment; `verify` checks one against its network.
    """

    order: Int
    block_ptr: Int
    block_part: Int
    block_downstream: Int
    block_level: Int
    n_parts: int
    halos: tuple[Halo, ...]

    def __post_init__(self) -> None:
        for name in ("order", "block_ptr", "block_part", "block_downstream", "block_level"):
            object.__setattr__(self, name, frozen(getattr(self, name), np.int64))

    @property
    def n_reaches(self) -> int:
        """Number of reaches."""
        return int(self.order.size)

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return int(self.block_part.size)

    @cached_property
    def reach_block(self) -> Int:
        """Block of each reach, (n,) by position."""
        block = np.empty(self.n_reaches, np.int64)
        block[self.order] = np.repeat(np.arange(self.n_blocks), np.diff(self.block_ptr))
        return graph.as_index(block)

    @cached_property
    def reach_part(self) -> Int:
        """Part of each reach, (n,) by position."""
        part = np.empty(self.n_reaches, np.int64)
        part[self.order] = np.repeat(self.block_part, np.diff(self.block_ptr))
        return graph.as_index(part)

    @cached_property
    def block_stage(self) -> Int:
        """Rounds of exchange between parts that come before each block, (B,): 0 needs nothing from others."""
        sequence = graph.topological_order(self.block_downstream)
        return _stages(self.block_downstream, graph.as_index(sequence), self.block_part)

    def part_blocks(self, part: int) -> range:
        """The blocks of a part, upstream before downstream."""
        first, last = np.searchsorted(self.block_part, [part, part + 1])
        return range(int(first), int(last))

    def part_reaches(self, part: int) -> Int:
        """Positions of the reaches of a part, upstream before downstream inside each block."""
        blocks = self.part_blocks(part)
        return self.order[self.block_ptr[blocks.start] : self.block_ptr[blocks.stop]]

    @classmethod
    def build(
        cls,
        network: RiverNetwork,
        reach_block: ArrayLike,
        block_part: ArrayLike,
        n_parts: int | None = None,
    ) -> Self:
        """A partition from the block of each reach (n,), numbered 0 .. B-1, and the part of each block (B,).

        The blocks are renumbered by part, level and position of their outlet. `n_parts` is by default the
        highest part's number plus one.

        **Errors**: `InputError` for numbers out of range, an empty block and a block that is not connected.
        """
        block, part = graph.as_index(reach_block), graph.as_index(block_part)
        count = int(part.max(initial=-1)) + 1 if n_parts is None else n_parts
        if block.shape != (network.n_reaches,):
            raise InputError(f"reach_block has shape {block.shape}; expected ({network.n_reaches},)")
        if (bad := part[(part < 0) | (part >= count)]).size:
            raise InputError(f"block_part holds part {bad[0]}; expected 0 to {count - 1}")
        if (bad := np.flatnonzero((block < 0) | (block >= part.size))).size:
            text = ids_text(network.reach_id[bad])
            raise InputError(
                f"reach_block of reach ids {text} is out of range; expected 0 to {part.size - 1}"
            )
        if (empty := np.flatnonzero(np.bincount(block, minlength=part.size) == 0)).size:
            raise InputError(f"blocks {ids_text(empty)} have no reach; expected at least one")
        outlet = _block_outlets(network, block, part.size)
        downstream = _block_downstream(network, block, outlet)
        level = graph.levels(downstream, graph.topological_order(downstream))
        new_to_old = np.lexsort((outlet, level, part))
        old_to_new = np.full(part.size + 1, -1, np.int64)  # the last entry serves downstream == -1
        old_to_new[new_to_old] = np.arange(part.size)
        block = old_to_new[block]
        order, block_ptr = _by_block(network.order, graph.as_index(block), part.size)
        return cls(
            order,
            block_ptr,
            part[new_to_old],
            old_to_new[downstream[new_to_old]],
            level[new_to_old],
            count,
            make_halos(network.downstream, part[new_to_old][block], count),
        )

    def verify(self, network: RiverNetwork) -> None:
        """Check everything that the fields promise about `network`.

        **Errors**: `InputError` naming the reach ids or blocks where a promise is broken.
        """
        n, b, ids = network.n_reaches, self.n_blocks, network.reach_id
        if self.order.shape != (n,):
            raise InputError(f"the partition has {self.n_reaches} reaches, the network {n}")
        if (bad := self.order[(self.order < 0) | (self.order >= n)]).size:
            raise InputError(f"order holds positions {ids_text(bad)}; expected 0 to {n - 1}")
        if (bad := np.flatnonzero(np.bincount(self.order, minlength=n) != 1)).size:
            raise InputError(f"reach ids {ids_text(ids[bad])} are not in order exactly once")
        ptr = self.block_ptr
        if ptr.shape != (b + 1,) or ptr[0] != 0 or ptr[-1] != n or (np.diff(ptr) <= 0).any():
            raise InputError(f"block_ptr must rise from 0 to {n} in {b} steps, every block with a reach")
        if (bad := np.flatnonzero((self.block_part < 0) | (self.block_part >= self.n_parts))).size:
            raise InputError(
                f"blocks {ids_text(bad)} have parts out of range; expected 0 to {self.n_parts - 1}"
            )
        rank = np.empty(n, np.int64)
        rank[self.order] = np.arange(n)
        block = self.reach_block
        inner = np.flatnonzero(network.downstream >= 0)
        inner = inner[block[inner] == block[network.downstream[inner]]]
        late = inner[rank[inner] > rank[network.downstream[inner]]]
        if late.size:
            raise InputError(f"reach ids {ids_text(ids[late])} come after the reach that they flow into")
        downstream = _block_downstream(network, block, _block_outlets(network, block, b))
        self._same("block_downstream", downstream)
        self._same("block_level", graph.levels(downstream, graph.topological_order(downstream)))
        key = self.block_part * (b + 1) + self.block_level
        if (bad := np.flatnonzero(np.diff(key) < 0)).size:
            raise InputError(f"blocks {ids_text(bad + 1)} are out of order; expected by part, then by level")
        if len(self.halos) != self.n_parts:
            raise InputError(f"the partition has {len(self.halos)} halos; expected {self.n_parts}")
        expected = make_halos(network.downstream, self.reach_part, self.n_parts)
        for mine, right in zip(self.halos, expected, strict=True):
            if name := mine.differs(right):
                raise InputError(f"the halo of part {right.part} is wrong in {name}")

    def _same(self, name: str, expected: Int) -> None:
        found = getattr(self, name)
        if found.shape != expected.shape:
            raise InputError(f"{name} has shape {found.shape}; expected {expected.shape}")
        if (bad := np.flatnonzero(found != expected)).size:
            i = bad[0]
            raise InputError(f"{name} of blocks {ids_text(bad)} is {found[i]}; expected {expected[i]}")

    def summary(self, network: RiverNetwork, weight: ArrayLike | None = None) -> PartitionSummary:
        """Numbers that say how good the cut is; `weight` (n,) is the cost of each reach, by default 1."""
        cost = _checked_cost(network, weight)
        part = self.reach_part
        load = np.bincount(part, cost, self.n_parts)
        upper = np.flatnonzero(network.downstream >= 0)
        upper = upper[part[upper] != part[network.downstream[upper]]]
        lower = network.downstream[upper]
        return PartitionSummary(
            parts=self.n_parts,
            reaches=self.n_reaches,
            blocks=self.n_blocks,
            balance=float(load.max() / load.mean()) if self.n_reaches else 1.0,
            cut_edges=int(upper.size),
            boundary_reaches=int(np.union1d(upper, lower).size),
            cut_basins=int(np.unique(network.basin[upper]).size),
            stages=int(self.block_stage.max(initial=-1)) + 1,
            largest_block=int(np.diff(self.block_ptr).max(initial=0)),
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Pickle forgets that the arrays are read-only.
        for array in state.values():
            if isinstance(array, np.ndarray):
                array.flags.writeable = False
        self.__dict__.update(state)

    def __repr__(self) -> str:
        return f"Partition({self.n_reaches} reaches, {self.n_blocks} blocks, {self.n_parts} parts)"


def partition(
    network: RiverNetwork,
    n_parts: int,
    *,
    weight: ArrayLike | None = None,
    max_block_share: float | None = None,
    block_reaches: int | None = None,
    spread: bool = False,
    shallow: bool = False,
    seed: int = 0,
) -> Partition:
    """Cut a network into `n_parts` parts of equal cost with few edges between them.

    A basin stays whole if a part has room for it. Others are carved into connected blocks of at most
    `max_block_share` of a part's share, and METIS deals those to the parts. Blocks of the same part are
    joined again where they touch, unless one could start earlier than the other.

    Args:
        network: the river network, of n reaches.
        n_parts: the number of parts.
        weight: (n,) the cost of routing each reach, without a unit; 1 by default.
        max_block_share: `MAX_BLOCK_SHARE` by default (`SHALLOW_ABOVE` with `shallow`).
        block_reaches: the most reaches a block may have, also in basins that stay in one part.
        spread: carve every basin and never give two blocks that touch to the same part: the worst cut, for tests.
        shallow: carve so that two rounds of exchange are enough wherever a part can hold the main stems, at the
            price of more cut edges: for parts that are done sooner than a message is (GPUs).
        seed: of METIS.

    Returns:
        A `Partition`, the same for the same arguments. Parts are empty if there are too few reaches.

    Raises:
        InputError: a number of parts or reaches below 1, or a weight that is negative or NaN.

    Source: Karypis and Kumar, SIAM J. Sci. Comput. 20, 1998 (METIS); Kundu and Misra, 1977 (carving).

    Example:
        >>> import rivergrad as rg
        >>> cut = rg.partition(rg.read_network("network.csv"), 4)
        >>> cut.reach_part  # (reach,)
    """
    if not 1 <= n_parts <= MAX_PARTS:
        raise InputError(
            f"the number of parts is {shortened(n_parts)}; expected at least 1 and at most {MAX_PARTS}"
        )
    if block_reaches is not None and block_reaches < 1:
        raise InputError(f"block_reaches is {block_reaches}; expected at least 1")
    if max_block_share is None:
        max_block_share = SHALLOW_ABOVE if shallow else MAX_BLOCK_SHARE
    if not 0 < max_block_share <= 1:
        raise InputError(f"max_block_share is {max_block_share}; expected more than 0 and at most 1")
    cost = _checked_cost(network, weight)
    if network.n_reaches == 0:
        return Partition.build(network, [], [], n_parts)
    if spread and shallow:
        raise InputError("spread and shallow: found both; expected one of them")
    if spread:
        return _spread(network, n_parts, cost, max_block_share, block_reaches, seed)
    if n_parts == 1:
        part, label = np.zeros(network.n_reaches, np.int64), None
    else:
        part, piece = assign(network, n_parts, cost, max_block_share, seed, shallow)
        label = _start_label(network, part, piece)
    most = np.inf if block_reaches is None else float(block_reaches)
    block = carve(network.downstream, network.order, np.ones(network.n_reaches), most, within=label)
    block_part = np.empty(int(block.max()) + 1, np.int64)
    block_part[block] = part
    return Partition.build(network, block, block_part, n_parts)


def _spread(
    network: RiverNetwork,
    n_parts: int,
    cost: Float,
    max_block_share: float,
    block_reaches: int | None,
    seed: int,
) -> Partition:
    grain = max(float(cost.sum()) / n_parts * max_block_share, float(cost.mean()))
    carved = cost / grain
    if block_reaches is not None:
        # A sum of larger-of-two is at least the larger of two sums, so one limit keeps both.
        carved = np.maximum(carved, 1 / block_reaches)
    blocks = carve_basins(network, np.ones(network.n_basins, dtype=bool), carved, 1 + 1e-12)
    # All basins were chosen, so the blocks' reaches are all positions in order.
    return Partition.build(network, blocks.block, assign_spread(blocks, n_parts, seed), n_parts)


def _start_label(network: RiverNetwork, part: Int, piece: Int) -> Int:
    """A label (n,) that differs where a part's work must not be joined.

    Blocks of one part that touch become one block if joining them delays neither: if the same number of cuts
    lies upstream of both.
    """
    crossing = _crossings(network.downstream, network.order, part, graph.as_index(piece))
    return part * (int(crossing.max()) + 1) + crossing


@njit(cache=True)
def _crossings(downstream: Int, order: Int, part: Int, piece: Int) -> Int:  # pragma: no cover - compiled
    n = downstream.size
    # A piece starts when all that enters it has come, so its reaches share one count: collect it where the
    # piece ends, and take it back upstream.
    count = np.zeros(n, np.int64)
    for i in order:
        d = downstream[i]
        if d >= 0:
            here = count[i] + (1 if part[i] != part[d] else 0)
            if here > count[d]:
                count[d] = here
    for at in range(n - 1, -1, -1):
        i = order[at]
        d = downstream[i]
        if d >= 0 and piece[d] == piece[i]:
            count[i] = count[d]
    return count


@njit(cache=True)
def _stages(downstream: Int, order: Int, part: Int) -> Int:  # pragma: no cover - compiled
    stage = np.zeros(downstream.size, np.int64)
    for b in order:
        d = downstream[b]
        if d >= 0:
            here = stage[b] + (1 if part[b] != part[d] else 0)
            if here > stage[d]:
                stage[d] = here
    return stage


@njit(cache=True)
def _by_block(order: Int, block: Int, n_blocks: int) -> tuple[Int, Int]:  # pragma: no cover - compiled
    ptr = np.zeros(n_blocks + 1, np.int64)
    for b in block:
        ptr[b + 1] += 1
    for b in range(n_blocks):
        ptr[b + 1] += ptr[b]
    at = ptr[:-1].copy()
    out = np.empty(order.size, np.int64)
    for i in order:
        out[at[block[i]]] = i
        at[block[i]] += 1
    return out, ptr


def _block_outlets(network: RiverNetwork, block: Int, n_blocks: int) -> Int:
    """The one reach (B,) through which each block flows out.

    In a forest a block is connected if and only if there is exactly one.
    """
    downstream = network.downstream
    leaving = np.flatnonzero((downstream < 0) | (block != block[downstream]))
    found = np.bincount(block[leaving], minlength=n_blocks)
    if (bad := np.flatnonzero(found != 1)).size:
        ends = leaving[block[leaving] == bad[0]]
        text = ids_text(network.reach_id[ends])
        raise InputError(f"block {bad[0]} is not connected: it ends at reach ids {text}; expected one end")
    outlet = np.empty(n_blocks, np.int64)
    outlet[block[leaving]] = leaving
    return outlet


def _block_downstream(network: RiverNetwork, block: Int, outlet: Int) -> Int:
    to = network.downstream[outlet]
    return np.where(to >= 0, block[to], -1)


def _checked_cost(network: RiverNetwork, weight: ArrayLike | None) -> Float:
    if weight is None:
        return np.ones(network.n_reaches)
    cost = np.ascontiguousarray(weight, np.float64)
    if cost.shape != (network.n_reaches,):
        raise InputError(f"weight has shape {cost.shape}; expected ({network.n_reaches},)")
    if (bad := np.flatnonzero(~(np.isfinite(cost) & (cost >= 0)))).size:
        text = ids_text(network.reach_id[bad])
        raise InputError(f"weight of reach ids {text} is {cost[bad[0]]}; expected a number >= 0")
    if cost.size and cost.sum() <= 0:
        raise InputError("the weights sum to 0; expected a positive cost")
    return cost
