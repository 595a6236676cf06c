"""What a step costs whose boundary series go from worker to worker: by Dask over the host, or by UCX.

    python benchmarks/boundary_transport.py [--device cuda] [--workers 2] [--reaches 400000] [--blocks 500 2000]

The world of strong_scaling.py, cut into as many parts as there are workers by blocks of so many reaches, which gives
many more cut edges than a run has (0 stands for the cut of strong_scaling.py: the largest basins, as few as there
can be). Each edge carries a series at the routing step down and its gradient up. Parameters after all steps must be
those of one process, to the last bit. Adds to benchmarks/boundary_transport.csv.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
import numpy as np
import torch
from strong_scaling import WARM_UP, WINDOW, World, cut_largest, make_world, set_up

from rivercut.partition import Partition, partition
from rivergrad.cluster import links
from rivergrad.cluster.executor import open_executor
from rivergrad.cluster.options import ClusterOptions
from rivergrad.routing.pieces import make_pieces

UNTIMED = 2
"""Steps that are not timed: kernels are compiled in them."""


@dataclass(frozen=True)
class Row:
    """`megabytes` go from worker to worker in a step, `by_ucx` of them by UCX; seconds are medians over steps, `work`
    is the longest way through a step's calls by what each took on its worker."""

    way: str
    workers: int
    reaches: int
    edges: int
    pieces: int
    megabytes: float
    by_ucx: float
    seconds: float
    work: float
    machine: str


def measured(
    given: argparse.Namespace, world: World, cut: Partition, way: str, workers: int
) -> tuple[Row, dict[str, np.ndarray]]:
    steps = WARM_UP + WINDOW + given.windows
    n = world.network.n_reaches
    pieces = make_pieces(world.network, cut)
    kind: Any = "serial" if way == "one process" else "cuda" if given.device == "cuda" else "local"
    options = ClusterOptions(kind, 0 if kind == "serial" else workers, ucx=way == "ucx")
    with open_executor(options) as executor:
        sweep, shared = set_up(executor, world, pieces, steps, given.device)
        windows = [(k, WARM_UP + k, WARM_UP + WINDOW + k) for k in range(given.windows)]
        lasted, worked = [], []
        for _ in range(UNTIMED + given.repeats):
            began, before = time.perf_counter(), sweep.seconds
            sweep.step(shared, windows)
            lasted.append(time.perf_counter() - began)
            worked.append(sweep.seconds - before)
        sent = sum(out for out, _ in executor.everywhere(links.traffic))
        state = sweep.collect(n)
    edges = sum(pieces[source].part != piece.part for piece in pieces for source, _ in piece.sources)
    each = given.windows * (WARM_UP + WINDOW) * 24 * 4
    row = Row(
        way=way,
        workers=workers,
        reaches=n,
        edges=edges,
        pieces=len(pieces),
        megabytes=0.0 if kind == "serial" else 2 * edges * each / 1e6,
        by_ucx=sent / len(lasted) / 1e6,
        seconds=statistics.median(lasted[UNTIMED:]),
        work=statistics.median(worked[UNTIMED:]),
        machine=f"{workers} of: {measure.machine(torch.device(given.device))}",
    )
    return row, state


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--reaches", type=int, default=400_000)
    parser.add_argument("--blocks", type=int, nargs="+", default=[500, 2000], help="reaches of a block")
    parser.add_argument("--ways", nargs="+", default=["one process", "dask", "ucx"])
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    given = parser.parse_args()
    world = make_world(given.reaches, WARM_UP + WINDOW + given.windows)
    for block in given.blocks:
        if block:
            cut = partition(world.network, given.workers, spread=True, block_reaches=block)
        else:
            cut = cut_largest(world.network, given.workers)
        first: dict[str, np.ndarray] = {}
        for way in given.ways:
            row, state = measured(given, world, cut, way, given.workers)
            first = first or state
            unlike = [name for name, value in first.items() if not np.array_equal(state[name], value)]
            if unlike:
                raise SystemExit(f"{row}: other {', '.join(unlike)} than by {given.ways[0]}")
            print(row, flush=True)
            measure.write(given.output, [row])


if __name__ == "__main__":
    main()
