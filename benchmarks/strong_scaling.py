"""How a step of the estimation scales over workers: GPUs of one host by dask-cuda, or processes on its cores.

    python benchmarks/strong_scaling.py [--device cuda] [--workers 1 2 4] [--reaches 2000000]

A world of generated basins (a few huge, ten thousands of small ones), a gauge in 200 reaches, Muskingum by the
recurrence engine, Adam's steps over windows of 120 days at 6 hours. Strong scaling: the same world on more workers,
efficiency T₁ / (W · T_W). Weak: a world W times as large, T₁ / T_W. Each with basins whole wherever they fit, and with
the blocks of the largest dealt out over all parts, so that they wait for each other; the first is the measure of both.
A row counts only where the loss of the first step is that of one worker. Adds to benchmarks/strong_scaling.csv, which
waits for a host with several GPUs: so far this was only run on the cores of one machine, to see that it works.
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
from forests import river_forest

from rivercut import graph
from rivercut.network import RiverNetwork
from rivercut.partition import partition
from rivergrad.distributed.executor import open_executor
from rivergrad.distributed.options import ClusterOptions
from rivergrad.distributed.simulate import targets_of
from rivergrad.distributed.sweep import Sweep
from rivergrad.estimate.bounds import Bounded
from rivergrad.estimate.loss import LossSpec, gauge_statistics
from rivergrad.estimate.model import ParameterModel
from rivergrad.estimate.resident import FitSetup, PieceSetup
from rivergrad.routing import schemes
from rivergrad.routing.pieces import make_pieces
from rivergrad.workflow.optimisers import AdamOptimiser

DAY = 86400.0
WARM_UP, WINDOW = 20, 100
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
        return 1.0 + np.sin(0.7 * days + 0.37 * (self.reaches % 1000)[None, :]) ** 3


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


def measured(given: argparse.Namespace, scaling: str, basins: str, workers: int, n: int) -> Row:
    steps = WARM_UP + WINDOW + given.windows
    world = make_world(n, steps)
    network = world.network
    largest = max(1, n // (8 * workers))
    cut = (
        partition(network, workers)
        if basins == "whole"
        else partition(network, workers, spread=True, block_reaches=largest)
    )
    pieces = make_pieces(network, cut)
    local, order = targets_of(pieces, world.gauges, n)
    columns = np.split(np.argsort(order), np.cumsum([at.size for at in local])[:-1])
    statistics_of = gauge_statistics(world.observed, np.ones(world.gauges.size), None)
    scheme = schemes.get("muskingum")
    model = ParameterModel(scheme, Bounded(0.05, 5.0, True), Bounded(0.0, 0.5, False), 1)
    assert network.length is not None
    kind = "cuda" if given.device == "cuda" else "local"
    with open_executor(ClusterOptions(kind, workers, threads=given.threads)) as executor:
        sweep = Sweep(
            executor,
            [
                PieceSetup(
                    piece=piece,
                    scheme=scheme,
                    forcing_step=DAY,
                    routing_step=DAY / 4,
                    targets=at,
                    steps=steps,
                    read=Rain(network.reach_id[piece.reaches]),
                    device=given.device,
                    threads=given.threads,
                    memory=given.memory,
                    engine="recurrence",
                )
                for piece, at in zip(pieces, local, strict=True)
            ],
        )
        sweep.load()
        sweep.prepare_fit(
            [
                FitSetup(
                    model=model,
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
        windows = [(k, WARM_UP + k, WARM_UP + WINDOW + k) for k in range(given.windows)]
        spreading = scheme.spreading.default if scheme.spreading else None
        optimiser = AdamOptimiser(
            sweep,
            model.start(0.8, spreading),
            lambda step: windows,
            lambda step: 0.05,
            lambda shared: (0.0, np.zeros_like(shared)),
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
    parser.add_argument("--reaches", type=int, default=2_000_000)
    parser.add_argument("--windows", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="that a worker computes with")
    parser.add_argument("--memory", type=int, default=2_000_000_000, help="a worker's memory budget, bytes")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    given = parser.parse_args()
    if given.workers[0] != 1:
        parser.error("--workers: the first is what the others are measured against: 1")
    one: Row | None = None
    rows: list[Row] = []
    for scaling in ("strong", "weak"):
        for basins in ("whole", "cut"):
            for workers in given.workers:
                if workers == 1 and one is not None:
                    continue
                n = given.reaches * (workers if scaling == "weak" else 1)
                row = measured(given, scaling, basins, workers, n)
                one = row if one is None else one
                if scaling == "strong" and abs(row.loss - one.loss) > 1e-4 * one.loss:
                    raise SystemExit(f"{row}: the loss of one worker is {one.loss}")
                share = 1 / workers if scaling == "strong" else 1.0
                rows.append(Row(**{**vars(row), "efficiency": share * one.seconds / row.seconds}))
                print(rows[-1], flush=True)
    measure.write(given.output, rows)


if __name__ == "__main__":
    main()
