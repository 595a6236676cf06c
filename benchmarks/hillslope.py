"""What a hillslope stage costs: sweeps and steps of training with it and without, on a CPU or a GPU.

    python benchmarks/hillslope.py [--device cuda] [--reaches 20000] [--steps 2000] [--ratios 1 4 24] [--threads 1]
        [--names linear_storage,nash] [--dtype float32] [--repeats 7] [--output hillslope.csv]

A row is a case: Muskingum on a world of rivers, the same runoff, with the stage and without, alternately (pairs, of
which the median ratio counts; CPU time, so that other work on the machine counts less). `sweep` is routing alone with
what was prepared; `step` is routing and the gradient by k, x and, with the stage, the delay.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import forests
import measure
import numpy as np
import torch
from torch import Tensor

from rivercut.network import RiverNetwork
from rivergrad.routing import Router
from rivergrad.routing.allocator import keep_pages

DAY = 86400.0


@dataclass(frozen=True)
class Row:
    """A case; times are medians, s, ratios medians of pairs."""

    name: str
    what: str
    device: str
    dtype: str
    reaches: int
    steps: int
    ratio: int
    plain_s: float
    staged_s: float
    staged_over_plain: float
    machine: str


def paired(
    plain: Callable[[], object], staged: Callable[[], object], device: torch.device, repeats: int
) -> tuple[float, float, float]:
    """Median times of two calls, s, one after the other, and the median of their ratios."""
    once = measure.once if device.type == "cuda" else _cpu_time
    for call in (plain, staged):
        once(call, device)
        once(call, device)
    pairs = [(once(plain, device), once(staged, device)) for _ in range(repeats)]
    one, other = (statistics.median(times) for times in zip(*pairs, strict=True))
    return one, other, statistics.median(b / a for a, b in pairs)


def _cpu_time(call: Callable[[], object], device: torch.device) -> float:
    started = time.process_time()
    kept = call()
    found = time.process_time() - started
    del kept
    return found


def calls(router: Router, runoff: Tensor, given: dict[str, Tensor]) -> dict[str, Callable[[], object]]:
    """A sweep and a step of training."""
    steps = runoff.shape[-2]
    prepared = router.prepare(given, steps)
    leaves = {name: value.clone().requires_grad_() for name, value in given.items()}

    def sweep() -> object:
        with torch.no_grad():
            return router(runoff, prepared=prepared)[0]

    def step() -> object:
        discharge, _ = router(runoff, leaves)
        return torch.autograd.grad(discharge.square().sum(), list(leaves.values()))

    return {"sweep": sweep, "step": step}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--reaches", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--ratios", type=int, nargs="+", default=[1, 4, 24], help="routing steps in a day")
    parser.add_argument("--names", type=lambda text: text.split(","), default=["linear_storage", "nash"])
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--output", type=Path, help="a CSV for the table")
    arguments = parser.parse_args()

    keep_pages()  # as the workers of a run do
    torch.set_num_threads(arguments.threads)
    device, dtype = torch.device(arguments.device), getattr(torch, arguments.dtype)
    n, steps = arguments.reaches, arguments.steps
    below = forests.river_forest(n)
    ids = np.arange(1, n + 1)
    network = RiverNetwork.from_ids(ids, downstream_id=np.where(below >= 0, below + 1, -1))
    gauges = np.arange(0, n, 50)
    runoff = torch.rand(steps, n, dtype=dtype, generator=torch.Generator().manual_seed(1)).to(device)
    plain = {"k": torch.full((n,), 20_000.0), "x": torch.full((n,), 0.2)}
    plain = {name: value.double().to(device) for name, value in plain.items()}
    delayed = {**plain, "hillslope_delay": torch.full_like(plain["k"], 2 * DAY)}
    machine = measure.machine(device)
    for ratio in arguments.ratios:
        for name in arguments.names:
            routers = [
                Router(
                    network,
                    "muskingum",
                    hillslope=stage,
                    forcing_step=DAY,
                    routing_step=DAY / ratio,
                    targets=gauges,
                    dtype=dtype,
                    device=device,
                )
                for stage in ("none", name)
            ]
            without, with_it = calls(routers[0], runoff, plain), calls(routers[1], runoff, delayed)
            for what in without:
                one, other, times = paired(without[what], with_it[what], device, arguments.repeats)
                row = Row(
                    name, what, arguments.device, arguments.dtype, n, steps, ratio, one, other, times, machine
                )
                print(row, flush=True)
                if arguments.output:
                    measure.write(arguments.output, [row])


if __name__ == "__main__":
    main()
