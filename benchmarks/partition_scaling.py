"""How long a planet takes to cut: 7 million generated reaches into 64 parts.

    python benchmarks/partition_scaling.py [--reaches 7000000] [--parts 64] [--output partition_scaling.csv]

Basins follow a rank-size law with a heavy tail, as the world's do (the largest has about a million of seven
million reaches, and there are tens of thousands of small ones and many single coastal reaches). Each basin is
a uniformly random binary tree (Shreve's random topology), grown by Rémy's algorithm. Compilation is not
timed: a small forest is cut first.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import resource
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from rivercut import graph
from rivercut.network import RiverNetwork
from rivercut.partition import Partition, partition

SMALL = 20_000  # reaches of the forest that compiles the kernels


@dataclass(frozen=True)
class Row:
    """One measurement; `seconds` is the partition alone, after compilation."""

    reaches: int
    basins: int
    largest_basin: int
    parts: int
    seconds: float
    seconds_network: float
    peak_rss_gb: float
    balance: float
    cut_edges: int
    cut_basins: int
    blocks: int
    stages: int
    acyclic: bool
    reproducible: bool
    machine: str


def basin_sizes(reaches: int) -> NDArray[np.int64]:
    """Sizes of the basins, in reaches, largest first: C / (rank + 2)^1.5, and 2 % of single reaches."""
    singles = max(1, reaches // 50)
    rank = np.arange(1, reaches + 1, dtype=np.float64)
    law = (rank + 2) ** -1.5
    low, high = 1.0, float(reaches) * 10
    while high - low > 0.5:  # the largest C whose basins fit
        middle = (low + high) / 2
        low, high = (middle, high) if np.floor(middle * law).sum() <= reaches - singles else (low, middle)
    size = np.floor(low * law).astype(np.int64)
    size = size[size > 0]
    return np.concatenate([size, np.ones(reaches - int(size.sum()), np.int64)])


@njit(cache=True)
def _grow(size: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:  # pragma: no cover
    downstream = np.full(size.sum(), -1, np.int64)
    base = 0
    for n in size:
        grown = 1
        while grown + 2 <= n:
            # A random reach is split: a confluence takes its place, with it and a new headwater upstream.
            at = base + int(random.random() * grown)
            confluence, headwater = base + grown, base + grown + 1
            downstream[confluence] = downstream[at]
            downstream[at] = confluence
            downstream[headwater] = confluence
            grown += 2
        if grown < n:  # a binary tree has an odd size: one more headwater
            downstream[base + grown] = base
        base += n
    return downstream


def forest(reaches: int, seed: int = 0) -> RiverNetwork:
    """A random network of that many reaches, with ids, the same for the same seed."""
    size = basin_sizes(reaches)
    random = np.random.default_rng(seed)
    random.shuffle(size)  # large basins anywhere among the small, as in the files
    return RiverNetwork(np.arange(reaches) + 10_000_001, _grow(size, random))


def digest(cut: Partition) -> str:
    """A hash of every array of a partition."""
    found = hashlib.sha256()
    arrays = [cut.order, cut.block_ptr, cut.block_part, cut.block_downstream, cut.block_level]
    for halo in cut.halos:
        arrays += [halo.receive_from, halo.receive_at, halo.receive_part, halo.send_reach, halo.send_part]
    for array in arrays:
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def is_acyclic(cut: Partition) -> bool:
    """Whether the block graph can be ordered, upstream before downstream."""
    return graph.order_or_cycle(cut.block_downstream)[1].size == 0


def machine() -> str:
    """Processor, cores that this process may use, and memory."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1024**2
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GB"


def measure(reaches: int, parts: int, seed: int = 0) -> Row:
    """Generate, cut, check and cut again."""
    partition(forest(SMALL), parts).verify(forest(SMALL))
    network = forest(reaches, seed)
    started = time.perf_counter()
    network = RiverNetwork(network.reach_id, network.downstream)  # its checks and its order
    made = time.perf_counter()
    cut = partition(network, parts)
    seconds = time.perf_counter() - made
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    cut.verify(network)
    summary = cut.summary(network)
    fresh = RiverNetwork(network.reach_id, network.downstream)
    return Row(
        reaches=reaches,
        basins=network.n_basins,
        largest_basin=int(np.bincount(network.basin).max()),
        parts=parts,
        seconds=round(seconds, 2),
        seconds_network=round(made - started, 2),
        peak_rss_gb=round(peak, 2),
        balance=round(summary.balance, 4),
        cut_edges=summary.cut_edges,
        cut_basins=summary.cut_basins,
        blocks=summary.blocks,
        stages=summary.stages,
        acyclic=is_acyclic(cut),
        reproducible=digest(partition(fresh, parts)) == digest(cut),
        machine=machine(),
    )


def main() -> None:
    """Measure, print, and add a row to the table."""
    parser = argparse.ArgumentParser(description="Time the partition of a generated planet.")
    parser.add_argument("--reaches", type=int, default=7_000_000)
    parser.add_argument("--parts", type=int, default=64)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    row = asdict(measure(options.reaches, options.parts))
    for name, value in row.items():
        print(f"{name:16} {value}")
    new = not options.output.exists()
    with options.output.open("a", newline="") as file:
        table = csv.DictWriter(file, list(row), lineterminator="\n")
        if new:
            table.writeheader()
        table.writerow(row)


if __name__ == "__main__":
    main()
