"""How a step of the estimation scales over workers: GPUs of one host by dask-cuda, or processes on its cores.

    python benchmarks/strong_scaling.py [--device cuda] [--workers 1 2 4] [--reaches 6840000]

A world of generated basins (a few huge, ten thousands of small ones), a gauge in 200 reaches, Muskingum by the
recurrence engine, Adam's steps over windows of 120 days at one hour. Strong scaling: the same world on more workers,
efficiency T₁ / (W · T_W). Weak: a world of 1/W of the reaches on one worker against the whole one on W. Basins are
whole wherever they fit, or (`cut`) the three largest, a third of all reaches, are each cut into as many parts as there
are workers, though they would fit: then workers wait for each other. One worker is the measure of both.
A row counts only where the loss of the first step is that of one worker. Adds to benchmarks/strong_scaling.csv.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import measure
import numpy as np
import torch
from forests import river_forest

from rivercut import graph
from rivercut.network import RiverNetwork
from rivercut.partition import Partition, partition
from rivergrad.cluster.executor import Executor, open_executor
from rivergrad.cluster.options import ClusterOptions
from rivergrad.inference.loss import LossSpec, gauge_statistics
from rivergrad.model.bounds import Bounded
from rivergrad.model.kinds import Hybrid
from rivergrad.pieces.setup import FitSetup, PieceSetup
from rivergrad.pieces.simulate import targets_of
from rivergrad.pieces.sweep import Sweep
from rivergrad.routing import schemes
from rivergrad.routing.pieces import Piece, make_pieces
from rivergrad.run.optimisers import AdamOptimiser, Task

DAY = 86400.0
WARM_UP, WINDOW = 20, 100
LARGEST = 3
"""Basins that are cut where basins are to be cut."""
COMPILE = 2
"""Steps that are not timed."""


@dataclass(frozen=True)
class Row:
    """Medians over steps, seconds; `work` is the longest way through a step's tasks by what each took on its worker."""

    scaling: str
    basins: str
    workers: int
    reaches: int
    cut_edges: int
    pieces: int
    balance: float
    efficiency: float
    seconds: float
    work: float
    loss: float
    machine: str


@dataclass(frozen=True)
class Rain:
    """Runoff of some reaches, made on the worker; the same for a reach whatever part it is in."""

    reaches: np.ndarray

    def __call__(self, start: int, stop: int) -> np.ndarray:
        days = np.arange(start, stop)[:, None]
        place = 0.37 * (self.reaches % 1000)
        return 1.0 + np.maximum(np.sin(0.7 * days), 0.0) * (1.0 + np.sin(place))


@dataclass(frozen=True)
class World:
    """A network with gauges."""

    network: RiverNetwork
    gauges: np.ndarray
    observed: np.ndarray


def make_world(n: int, steps: int) -> World:
    rng = np.random.default_rng(1)
    network = RiverNetwork.from_ids(np.arange(n), river_forest(n), rng.uniform(2e3, 2e4, n))
    gauges = np.sort(rng.choice(n, max(8, n // 200), replace=False))
    size = graph.upstream_count(network.downstream, network.order)[gauges]
    observed = (size * rng.uniform(0.3, 1.5, (steps, gauges.size))).astype(np.float32)
    return World(network, gauges, observed)


def cut_largest(network: RiverNetwork, workers: int) -> Partition:
    """The largest basins cut into as many parts as there are workers, each by itself; the others whole."""
    size = np.bincount(network.basin)
    block = np.zeros(network.n_reaches, np.int64)
    part: list[np.ndarray] = []

    def cut(chosen: np.ndarray, turn: int) -> None:
        local = np.full(network.n_reaches + 1, -1, np.int64)  # the last entry serves downstream == -1
        local[chosen] = np.arange(chosen.size)
        some = RiverNetwork(network.reach_id[chosen], local[network.downstream[chosen]])
        found = partition(some, workers, shallow=True)
        block[chosen] = found.reach_block + sum(one.size for one in part)
        part.append((found.block_part + turn) % workers)  # main stems on different workers

    largest = np.argsort(-size)[:LARGEST]
    for turn, basin in enumerate(largest):
        cut(np.flatnonzero(network.basin == basin), turn)
    cut(np.flatnonzero(~np.isin(network.basin, largest)), 0)
    return Partition.build(network, block, np.concatenate(part), workers)


def set_up(
    executor: Executor, world: World, pieces: Sequence[Piece], steps: int, device: str, **options: int
) -> tuple[Sweep, np.ndarray]:
    """Pieces that are ready for steps of a fit, and the shared coefficients to begin with.

    Args:
        executor: where they live.
        world, pieces: what of, and how it is cut.
        steps: of runoff.
        device: where they compute; `options` are more of `PieceSetup`.
    """
    network = world.network
    n = network.n_reaches
    assert network.length is not None
    local, order = targets_of(pieces, world.gauges, n)
    columns = np.split(np.argsort(order), np.cumsum([at.size for at in local])[:-1])
    statistics_of = gauge_statistics(world.observed, np.ones(world.gauges.size), None)
    scheme = schemes.get("muskingum")
    model = Hybrid(scheme, Bounded(0.05, 5.0, True), Bounded(0.0, 0.5, False), 1)
    sweep = Sweep(
        executor,
        [
            PieceSetup(
                piece=piece,
                scheme=scheme,
                forcing_step=DAY,
                routing_step=DAY / 24,
                targets=at,
                steps=steps,
                read=Rain(network.reach_id[piece.reaches]),
                device=device,
                engine="recurrence",
                **options,
            )
            for piece, at in zip(pieces, local, strict=True)
        ],
    )
    sweep.load()
    sweep.prepare_fit(
        [
            FitSetup(
                model=model,
                layout=model.layout,
                features=np.log(network.length[piece.reaches] / 1e4)[:, None],
                length=np.array(network.length[piece.reaches]),
                observed=np.ascontiguousarray(world.observed[:, at]),
                loss=LossSpec.parse("nse"),
                statistics=statistics_of.select(at),
                shrinkage=0.01 / n,
                rate=0.05,
            )
            for piece, at in zip(pieces, columns, strict=True)
        ]
    )
    return sweep, model.start(0.8, scheme.spreading.default if scheme.spreading else None).values


def measured(given: argparse.Namespace, world: World, scaling: str, basins: str, workers: int) -> Row:
    steps = WARM_UP + WINDOW + given.windows
    network = world.network
    n = network.n_reaches
    cut = partition(network, workers) if basins == "whole" else cut_largest(network, workers)
    pieces = make_pieces(network, cut)
    kind = "cuda" if given.device == "cuda" else "local"
    with open_executor(ClusterOptions(kind, workers, threads=given.threads)) as executor:
        sweep, start = set_up(
            executor, world, pieces, steps, given.device, threads=given.threads, memory=given.memory
        )
        windows = [(k, WARM_UP + k, WARM_UP + WINDOW + k) for k in range(given.windows)]
        optimiser = AdamOptimiser(
            Task(
                sweep,
                start,
                lambda step: windows,
                lambda step: 0.05,
            )
        )
        loss = float(optimiser.step(0))
        for step in range(1, COMPILE):
            optimiser.step(step)
        lasted, worked = [], []
        for step in range(COMPILE, COMPILE + given.repeats):
            began, before = time.perf_counter(), sweep.seconds
            optimiser.step(step)
            lasted.append(time.perf_counter() - began)
            worked.append(sweep.seconds - before)
    summary = cut.summary(network)
    return Row(
        scaling=scaling,
        basins=basins,
        workers=workers,
        reaches=n,
        cut_edges=summary.cut_edges,
        pieces=len(pieces),
        balance=summary.balance,
        efficiency=float("nan"),
        seconds=statistics.median(lasted),
        work=statistics.median(worked),
        loss=loss,
        machine=f"{workers} of: {measure.machine(torch.device(given.device))}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4], help="the first is 1")
    parser.add_argument("--reaches", type=int, default=6_840_000)
    parser.add_argument("--basins", choices=["whole", "cut"], nargs="+", default=["whole", "cut"])
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="that a worker computes with")
    parser.add_argument("--memory", type=int, default=2_000_000_000, help="a worker's memory budget, bytes")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    given = parser.parse_args()
    if given.workers[0] != 1:
        parser.error("--workers: the first is what the others are measured against: 1")
    length = WARM_UP + WINDOW + given.windows
    rows: list[Row] = []

    def show(row: Row, one: Row, share: float) -> None:
        rows.append(replace(row, efficiency=share * one.seconds / row.seconds))
        print(rows[-1], flush=True)
        measure.write(given.output, rows[-1:])  # a long way: what there is stays

    world = make_world(given.reaches, length)
    one = measured(given, world, "strong", "whole", 1)
    show(one, one, 1.0)
    more = [(workers, basins) for workers in given.workers[1:] for basins in given.basins]
    for workers, basins in more:
        row = measured(given, world, "strong", basins, workers)
        if abs(row.loss - one.loss) > 1e-4 * one.loss:
            raise SystemExit(f"{row}: the loss of one worker is {one.loss}")
        show(row, one, 1 / workers)
    for workers in given.workers[1:]:
        small = measured(given, make_world(given.reaches // workers, length), "weak", "whole", 1)
        show(small, small, 1.0)
        for row in [row for row in rows if row.scaling == "strong" and row.workers == workers]:
            show(replace(row, scaling="weak"), small, 1.0)


if __name__ == "__main__":
    main()
