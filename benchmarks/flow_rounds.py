"""What a round of celerity by flow costs beside the plain sweep, forward and with its gradient.

    python benchmarks/flow_rounds.py [--reaches 20000] [--days 1000] [--cases day/1 day/4 day/24 hour/1] [--threads 1]
        [--dtype float32] [--repeats 7] [--output flow_rounds.csv]

A case is a forcing step and routing steps in one; hourly forcing has coefficients for a day, as by default, and as many
forcing steps as days. Times are CPU time, plain and with the law one after the other; ratios are medians of pairs.

- `round`: a round (means of intervals, coefficients, sweep) over the plain sweep, both without a gradient.
- `whole`: routing with 3 rounds over 4 plain sweeps.
- `step`: a round with its gradient by k, x and m from discharge as it was held, over the plain step of training.

Before that the answer is checked against the float64 reference on a small network.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import forests
import measure
import numpy as np
import torch
from torch import Tensor

from rivercut.network import RiverNetwork
from rivergrad.routing import Router, schemes
from rivergrad.routing.allocator import keep_pages
from rivergrad.routing.flow import FlowEngine, Rounds
from rivergrad.routing.flow.law import interval_means
from rivergrad.routing.flow.reference import route_flow_reference
from rivergrad.routing.recurrence import RecurrenceEngine

DAY, HOUR = 86400.0, 3600.0


@dataclass(frozen=True)
class Row:
    """A case; times are medians, s, ratios medians of pairs."""

    case: str
    what: str
    dtype: str
    reaches: int
    steps: int
    plain_s: float
    flow_s: float
    flow_over_plain: float
    threads: int
    machine: str


def network_of(n: int) -> RiverNetwork:
    below = forests.river_forest(n)
    return RiverNetwork.from_ids(np.arange(1, n + 1), downstream_id=np.where(below >= 0, below + 1, -1))


def laws(n: int) -> dict[str, Tensor]:
    """k and x within range at hourly steps and longer ones, m, and Q₀ near the mean flow of a reach of many."""
    rng = np.random.default_rng(3)
    return {
        "k": torch.from_numpy(rng.uniform(4000.0, 20000.0, n)),
        "x": torch.from_numpy(rng.uniform(0.0, 0.2, n)),
        "flow_exponent": torch.from_numpy(rng.uniform(0.2, 0.4, n)),
        "reference_flow": torch.from_numpy(rng.uniform(0.3, 3.0, n)),
    }


def checked(dtype: torch.dtype) -> float:
    """Relative L2 distance of 3 rounds from the reference, on 300 reaches and 12 days."""
    network = network_of(300)
    given = laws(300)
    runoff = torch.rand(12, 300, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    router = Router(network, "muskingum", forcing_step=DAY, routing_step=HOUR, rounds=Rounds(3), dtype=dtype)
    expected = route_flow_reference(
        network.downstream, network.order, runoff, {name: given[name] for name in ("k", "x")},
        given["flow_exponent"], given["reference_flow"], schemes.get("muskingum"), DAY, HOUR, Rounds(3),
    )  # fmt: skip
    return measure.relative_l2(router(runoff, given)[0], expected)


def paired(
    one: Callable[[], object], other: Callable[[], object], repeats: int
) -> tuple[float, float, float]:
    """Median CPU times of two calls, s, one after the other, and the median of their ratios."""
    for call in (one, other, one, other):
        call()
    pairs = [(_cpu_time(one), _cpu_time(other)) for _ in range(repeats)]
    first, second = (statistics.median(times) for times in zip(*pairs, strict=True))
    return first, second, statistics.median(b / a for a, b in pairs)


def _cpu_time(call: Callable[[], object]) -> float:
    started = time.process_time()
    kept = call()
    found = time.process_time() - started
    del kept
    return found


def calls(
    network: RiverNetwork, step: float, ratio: int, steps: int, dtype: torch.dtype
) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """For each thing that is timed, the plain call and that with the law."""
    n = network.n_reaches
    given = laws(n)
    plain = {name: given[name] for name in ("k", "x")}
    runoff = torch.rand(1, steps, n, dtype=dtype, generator=torch.Generator().manual_seed(1))
    gauges = np.arange(0, n, 50)
    linear = RecurrenceEngine(
        network.downstream, schemes.get("muskingum", cap_x=True), step, step / ratio, gauges, dtype=dtype
    )
    every = replace(linear, targets=np.arange(n))
    three = FlowEngine(linear, Rounds(3))
    last = FlowEngine(linear, Rounds(1))
    at_rest, by_flow = linear.prepare(plain), three.prepare(given)
    with torch.no_grad():
        discharge = every.apply(at_rest, runoff)[0]
        held = interval_means(discharge, last.hold)
    leaves = {name: given[name].clone().requires_grad_() for name in ("k", "x", "flow_exponent")}

    @torch.no_grad()
    def sweep() -> object:
        return linear.apply(at_rest, runoff)[0]

    @torch.no_grad()
    def a_round() -> object:
        interval_means(discharge, last.hold)  # of the round before
        return last.route(by_flow, runoff, held=held).discharge

    @torch.no_grad()
    def sweeps() -> object:
        return [linear.apply(at_rest, runoff)[0] for _ in range(4)]

    @torch.no_grad()
    def rounds() -> object:
        return three.route(by_flow, runoff).discharge

    def plain_step() -> object:
        own = [leaves["k"], leaves["x"]]
        found = linear.apply(linear.prepare({"k": own[0], "x": own[1]}), runoff)[0]
        return torch.autograd.grad(found.square().sum(), own)

    def flow_step() -> object:
        prepared = last.prepare({**leaves, "reference_flow": given["reference_flow"]})
        found = last.route(prepared, runoff, held=held).discharge
        return torch.autograd.grad(found.square().sum(), list(leaves.values()))

    return {"round": (sweep, a_round), "whole": (sweeps, rounds), "step": (plain_step, flow_step)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reaches", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=1000)
    parser.add_argument("--cases", nargs="+", default=["day/1", "day/4", "day/24", "hour/1"])
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--output", type=Path, help="a CSV for the table")
    arguments = parser.parse_args()

    keep_pages()  # as the workers of a run do
    torch.set_num_threads(arguments.threads)
    dtype = getattr(torch, arguments.dtype)
    far = checked(dtype)
    assert far < (1e-5 if dtype == torch.float32 else 1e-10), far
    network = network_of(arguments.reaches)
    for case in arguments.cases:
        of, ratio = case.split("/")
        steps = arguments.days
        pairs = calls(network, DAY if of == "day" else HOUR, int(ratio), steps, dtype)
        for what, (plain, flow) in pairs.items():
            one, other, times = paired(plain, flow, arguments.repeats)
            row = Row(
                case, what, arguments.dtype, arguments.reaches, steps, one, other, times,
                arguments.threads, measure.machine(torch.device("cpu")),
            )  # fmt: skip
            print(row, flush=True)
            if arguments.output:
                measure.write(arguments.output, [row])


if __name__ == "__main__":
    main()
