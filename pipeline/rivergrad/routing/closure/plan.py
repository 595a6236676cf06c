"""What the closure engine works out once for a network: blocks, levels, paths and tiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from rivercut import graph
from rivercut.carve import carve
from rivergrad.routing.closure.convolve import TileIndex
from rivergrad.routing.closure.paths import Index, block_depth, paths_to, postorder, upstream_pointers
from rivergrad.routing.closure.product import ProductIndex

WHOLE_BASIN_PATHS = 12
"""Basins are left whole while the paths to the wanted reaches number at most this many a reach."""
BLOCK_REACHES = 64
"""Otherwise blocks of at most this many reaches."""
TILE_ROWS, TILE_COLUMNS = 16, 32


@dataclass(frozen=True)
class Family:
    """Paths of one kind and the tile slots their responses go to.

    `kind` is from-to: `runoff` or `inflow` (a series at the routing step) to `mean` (reported discharge) or
    `flow` (a series at the routing step). `slot[p, …]` is where in the flattened tiles path p's response
    goes, with an axis for the phases of an inflow and one for the phases of a flow where there are such.
    """

    kind: str
    path: torch.Tensor
    slot: torch.Tensor


@dataclass(frozen=True)
class Chunk:
    """Some rows of a level: what is computed, and recomputed in the backward pass, at once."""

    reaches: torch.Tensor  # (r,) positions in the network of the reaches that occur
    index: ProductIndex
    families: tuple[Family, ...]
    tiles: TileIndex
    first_row: int
    n_rows: int

    @property
    def n_paths(self) -> int:
        return int(self.index.reach.numel())


@dataclass(frozen=True)
class Level:
    """Blocks with no path between them, routed together.

    Columns are the level's reaches (runoff), then the phases of each inflow; rows are the wanted reaches,
    then the phases of each flow that leaves.
    """

    reaches: torch.Tensor  # (c,) positions, in postorder
    inflows: torch.Tensor  # (e,) which series of the flow store enter here
    targets: torch.Tensor  # (m,) which of the wanted discharges these rows are
    flows: torch.Tensor  # (o,) which series of the flow store leave here
    chunks: tuple[Chunk, ...]
    n_columns: int
    ratio: int

    @property
    def n_rows(self) -> int:
        return len(self.targets) + len(self.flows) * self.ratio


@dataclass(frozen=True)
class Plan:
    """Everything about a (piece of a) network that does not depend on parameters.

    The flow store holds the series that pass between blocks, at the routing step: first the external
    inflows, then one for each block that flows into another block, then the outflows asked for.
    """

    n_reaches: int
    n_targets: int
    n_inlets: int
    n_flows: int
    outlet_flow: torch.Tensor  # (o,) which series of the flow store are the outflows asked for
    levels: tuple[Level, ...]
    ratio: int
    inside: Index  # (reach,) downstream reach inside the same block, −1 at its outlet
    order: Index  # (reach,) upstream before downstream

    @property
    def n_paths(self) -> int:
        return sum(chunk.n_paths for level in self.levels for chunk in level.chunks)

    @property
    def n_tile_values(self) -> int:
        """Responses kept for one lag, empty places in tiles included."""
        return sum(c.tiles.n_tiles * c.tiles.rows * c.tiles.columns for lv in self.levels for c in lv.chunks)


def make_plan(
    downstream: Index,
    ratio: int,
    *,
    targets: Index,
    inlets: Index | None = None,
    outlets: Index | None = None,
    block_reaches: int | None = None,
    path_budget: int = 1 << 12,
    device: torch.device | str = "cpu",
) -> Plan:
    """Plan the closure of a network.

    Args:
        downstream: (reach,) position downstream or −1.
        ratio: S, routing steps in a forcing step.
        targets: reaches whose mean discharge is wanted.
        inlets: reach entered by each external series at the routing step.
        outlets: reaches whose series at the routing step is wanted.
        block_reaches: reaches a block may have; by default whole basins while the paths are few
            (`WHOLE_BASIN_PATHS` a reach), else `BLOCK_REACHES`.
        path_budget: paths computed at once (a single row may exceed it, by at most the size of its block).
    """
    downstream = graph.as_index(downstream)
    inlets = np.zeros(0, np.int64) if inlets is None else inlets
    outlets = np.zeros(0, np.int64) if outlets is None else outlets
    n = downstream.size
    order = graph.topological_order(downstream)
    count = graph.upstream_count(downstream, order)
    if block_reaches is None:
        rows = np.unique(np.concatenate([targets, outlets]))
        block_reaches = BLOCK_REACHES if count[rows].sum() > WHOLE_BASIN_PATHS * n else n
    if block_reaches >= n:
        inside = downstream
    else:
        block = carve(downstream, order, np.ones(n), float(block_reaches))
        has = downstream >= 0
        same = np.zeros(n, bool)
        same[has] = block[downstream[has]] == block[has]
        inside = np.where(same, downstream, -1)
    depth = block_depth(downstream, inside, order)

    # series that pass between blocks
    leaves = np.flatnonzero((inside < 0) & (downstream >= 0))
    flow_reach = np.concatenate([np.full(inlets.size, -1), leaves, outlets])
    pointer, neighbours = upstream_pointers(inside)
    count_inside = graph.upstream_count(inside, order)
    builder = _Builder(
        ratio=ratio,
        targets=targets,
        enters=np.concatenate([inlets, downstream[leaves]]),
        flow_reach=flow_reach,
        depth=depth,
        rank=postorder(inside, order, count_inside),
        count=count_inside,
        pointer=pointer,
        neighbours=neighbours,
        path_budget=path_budget,
        device=torch.device(device),
    )
    first_outlet = inlets.size + leaves.size
    return Plan(
        n_reaches=n,
        n_targets=targets.size,
        n_inlets=inlets.size,
        n_flows=flow_reach.size,
        outlet_flow=torch.arange(first_outlet, flow_reach.size, device=device),
        levels=tuple(builder.level(d) for d in range(int(depth.max(initial=-1)) + 1)),
        ratio=ratio,
        inside=inside,
        order=order,
    )


@dataclass(frozen=True)
class _Builder:
    """The arrays from which levels and chunks are made (all positions are of the whole network)."""

    ratio: int
    targets: Index
    enters: Index  # reach that flow f enters, for the flows that enter one
    flow_reach: Index  # reach that flow f leaves, −1 for external inflows
    depth: Index
    rank: Index
    count: Index  # reaches upstream inside the block, itself included
    pointer: Index
    neighbours: Index
    path_budget: int
    device: torch.device

    def tensor(self, values: Index) -> torch.Tensor:
        return torch.from_numpy(np.array(values)).to(self.device)  # a copy: networks are read-only

    def level(self, d: int) -> Level:
        members = np.flatnonzero(self.depth == d)
        members = members[np.argsort(self.rank[members])]
        target = np.flatnonzero(self.depth[self.targets] == d)
        target = target[np.argsort(self.rank[self.targets[target]], kind="stable")]
        inflow = np.flatnonzero(self.depth[self.enters] == d)
        leaving = np.flatnonzero((self.flow_reach >= 0) & (self.depth[self.flow_reach] == d))
        rows = np.concatenate([self.targets[target], self.flow_reach[leaving]])
        columns = _Columns.of(members, self.enters[inflow], self.depth.size, self.ratio)
        return Level(
            reaches=self.tensor(members),
            inflows=self.tensor(inflow),
            targets=self.tensor(target),
            flows=self.tensor(leaving),
            chunks=tuple(
                self.chunk(rows[start:stop], start, target.size, columns)
                for start, stop in self.row_groups(rows, target.size)
            ),
            n_columns=columns.n,
            ratio=self.ratio,
        )

    def row_groups(self, rows: Index, n_targets: int) -> Iterator[tuple[int, int]]:
        """Runs of rows whose paths stay within the budget; targets and flows never share a run."""
        start, total = 0, 0
        for r, size in enumerate(self.count[rows].tolist()):
            if r > start and (total + size > self.path_budget or r == n_targets):
                yield start, r
                start, total = r, 0
            total += size
        if rows.size:
            yield start, rows.size

    def chunk(self, rows: Index, start: int, n_targets: int, columns: _Columns) -> Chunk:
        paths = paths_to(rows, self.pointer, self.neighbours)
        flows = start >= n_targets
        entering, inflow_column = columns.inflows_of(paths.reach)
        every = np.arange(paths.n_paths)
        runoff_column = columns.of_reach[paths.reach]
        # A path from an inflow has an axis for the phase it enters in, one to a flow an axis for the phase it
        # leaves in: (path, phase in, phase out).
        if flows:
            out_phase = np.arange(self.ratio)
            entries = {
                "runoff-flow": (every, paths.row[:, None] * self.ratio + out_phase, runoff_column[:, None]),
                "inflow-flow": (
                    entering,
                    paths.row[entering][:, None, None] * self.ratio + out_phase,
                    inflow_column[:, :, None],
                ),
            }
        else:
            entries = {
                "runoff-mean": (every, paths.row, runoff_column),
                "inflow-mean": (entering, paths.row[entering][:, None], inflow_column),
            }
        n_rows = rows.size * (self.ratio if flows else 1)
        shape = _power(n_rows, TILE_ROWS), _power(columns.n, TILE_COLUMNS)
        n_tile_columns = -(-columns.n // shape[1])
        keys = {k: (r // shape[0]) * n_tile_columns + c // shape[1] for k, (_, r, c) in entries.items()}
        present = np.unique(np.concatenate([key.ravel() for key in keys.values()]))
        families = []
        for kind, (path, row, column) in entries.items():
            slot = np.searchsorted(present, keys[kind]) * (shape[0] * shape[1])
            slot += (row % shape[0]) * shape[1] + column % shape[1]
            if path.size:
                families.append(Family(kind, self.tensor(path), self.tensor(slot)))
        reaches, local = np.unique(paths.reach, return_inverse=True)
        return Chunk(
            reaches=self.tensor(reaches),
            index=ProductIndex(self.tensor(local.reshape(-1)), self.tensor(paths.parent), paths.slices),
            families=tuple(families),
            tiles=TileIndex(
                shape[0],
                shape[1],
                self.tensor(present // n_tile_columns),
                self.tensor(present % n_tile_columns),
                -(-n_rows // shape[0]),
                n_tile_columns,
            ),
            first_row=n_targets + (start - n_targets) * self.ratio if flows else start,
            n_rows=n_rows,
        )


@dataclass(frozen=True)
class _Columns:
    """Columns of a level: one a reach, then `ratio` an inflow (its phases)."""

    of_reach: Index  # (network reach,) column, −1 for reaches of other levels
    entry: Index  # reach that each inflow enters, sorted
    entry_column: Index  # first column of each of those
    ratio: int
    n: int

    @classmethod
    def of(cls, members: Index, entered: Index, n_reaches: int, ratio: int) -> _Columns:
        of_reach = np.full(n_reaches, -1)
        of_reach[members] = np.arange(members.size)
        sort = np.argsort(entered, kind="stable")
        return cls(
            of_reach, entered[sort], members.size + sort * ratio, ratio, members.size + entered.size * ratio
        )

    def inflows_of(self, reach: Index) -> tuple[Index, Index]:
        """Which of the `reach`es (one a path) inflows enter, and their columns (entry, phase)."""
        first = np.searchsorted(self.entry, reach, "left")
        repeats = np.searchsorted(self.entry, reach, "right") - first
        path = np.repeat(np.arange(reach.size), repeats)
        within = np.arange(path.size) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        column = self.entry_column[first[path] + within] if path.size else path
        return path, column[:, None] + np.arange(self.ratio)


def _power(value: int, most: int) -> int:
    """Smallest power of two ≥ value, at most `most`."""
    return min(most, 1 << max(0, int(value - 1).bit_length()))
