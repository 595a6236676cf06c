"""How much of a step goes to anything but the workers' own work: tasks, messages, sums, the optimiser.

    python benchmarks/orchestration_overhead.py [--parts 32] [--workers 2] [--reaches 2000 8000 32000 128000]

A generated forest of small basins, a gauge in 50 reaches, Adam's steps over one window of 120 days at 6 hours, on the
workers of a cluster on this machine. Work is the longest way through a step's tasks by the seconds that each took on
its worker, where every worker does one at a time; the overhead is the rest of the clock's time from the beginning of
a step to its end. With --cut basins are dealt out over the parts. Adds to benchmarks/orchestration_overhead.csv.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import measure
import numpy as np
import torch

from rivercut import graph
from rivercut.network import RiverNetwork
from rivercut.partition import partition
from rivergrad.cluster.executor import Executor, open_executor
from rivergrad.inference.loss import LossSpec, gauge_statistics
from rivergrad.model.bounds import Bounded
from rivergrad.model.kinds import Hybrid
from rivergrad.pieces.setup import FitSetup, PieceSetup
from rivergrad.pieces.simulate import targets_of
from rivergrad.pieces.sweep import Sweep
from rivergrad.routing import schemes
from rivergrad.routing.pieces import make_pieces
from rivergrad.run.optimisers import AdamOptimiser, Task
from rivergrad.run.overhead import Overhead

DAY = 86400.0
STEPS = 140


@dataclass(frozen=True)
class Row:
    """Medians over steps; seconds."""

    reaches: int
    parts: int
    pieces: int
    workers: int
    cut: bool
    windows: int
    step: float
    work: float
    overhead: float
    machine: str


@dataclass(frozen=True)
class Rain:
    """Runoff of some reaches, made where it is needed."""

    reaches: int

    def __call__(self, start: int, stop: int) -> np.ndarray:
        return np.random.default_rng(self.reaches).exponential(1.0, (STEPS, self.reaches))[start:stop]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reaches", type=int, nargs="+", default=[2000, 8000, 32000, 128000])
    parser.add_argument("--parts", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--windows", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--cut", action="store_true")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    given = parser.parse_args()
    rows = [measured(given, n) for n in given.reaches]
    measure.write(given.output, rows)


def equal_basins(n: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """(n,) the downstream reach of each, −1 at the outlets: basins of one size, long ones."""
    ends = np.linspace(0, n, count + 1).astype(np.int64)[1:] - 1
    last = np.repeat(ends, np.diff(ends, prepend=-1))
    down = np.minimum(np.arange(n) + rng.integers(1, 5, n), last)
    down[ends] = -1
    return down


def optimiser_on(executor: Executor, given: argparse.Namespace, n: int) -> AdamOptimiser:
    """Adam on pieces of a network of `n` reaches, set up on an executor and ready for steps."""
    rng = np.random.default_rng(0)
    down = equal_basins(n, 4 * given.parts, rng)
    ids = np.arange(n)
    length = rng.uniform(2e3, 2e4, n)
    network = RiverNetwork.from_ids(ids, down, length)
    cut = partition(
        network, given.parts, spread=given.cut, block_reaches=max(1, n // 200) if given.cut else None
    )
    pieces = make_pieces(network, cut)
    gauges = rng.choice(n, max(given.parts, n // 50), replace=False)
    local, order = targets_of(pieces, gauges, n)
    columns = np.split(np.argsort(order), np.cumsum([at.size for at in local])[:-1])
    size = graph.upstream_count(network.downstream, network.order)[gauges]
    observed = (size * rng.uniform(0.3, 1.5, (STEPS, gauges.size))).astype(np.float32)
    statistics_of = gauge_statistics(observed, np.ones(gauges.size), None)
    scheme = schemes.get("muskingum")
    model = Hybrid(scheme, Bounded(0.05, 5.0, True), Bounded(0.0, 0.5, False), 2)
    sweep = Sweep(
        executor,
        [
            PieceSetup(piece, scheme, DAY, DAY / 4, at, STEPS, Rain(piece.reaches.size), engine="recurrence")
            for piece, at in zip(pieces, local, strict=True)
        ],
    )
    sweep.load()
    sweep.prepare_fit(
        [
            FitSetup(
                model=model,
                layout=model.layout,
                features=rng.standard_normal((piece.reaches.size, 2)),
                length=length[piece.reaches],
                observed=np.ascontiguousarray(observed[:, at]),
                loss=LossSpec.parse("nse"),
                statistics=statistics_of.select(at),
                shrinkage=0.01 / n,
                rate=0.05,
            )
            for piece, at in zip(pieces, columns, strict=True)
        ]
    )
    windows = [(k, 20 + k, 120 + k) for k in range(given.windows)]
    return AdamOptimiser(
        Task(
            sweep,
            model.start(0.8, scheme.spreading.default if scheme.spreading else None).values,
            lambda step: windows,
            lambda step: 0.05,
        )
    )


def measured(given: argparse.Namespace, n: int) -> Row:
    with open_executor(given.workers) as executor:
        optimiser = optimiser_on(executor, given, n)
        found = []
        for step in range(given.repeats + 3):
            overhead = Overhead()
            with overhead.step(lambda: optimiser.task.sweep.seconds):
                optimiser.step(step)
            if step >= 3:  # the first ones compile
                found.append(overhead)
    row = Row(
        reaches=n,
        parts=given.parts,
        pieces=len(optimiser.task.sweep.placed.pieces),
        workers=given.workers,
        cut=given.cut,
        windows=given.windows,
        step=statistics.median(one.wall for one in found),
        work=statistics.median(one.busy for one in found),
        overhead=statistics.median(one.share for one in found),
        machine=measure.machine(torch.device("cpu")),
    )
    print(row, time.strftime("%H:%M"), flush=True)
    return row


if __name__ == "__main__":
    main()
