"""Whether the plain sweep is what it was: the same bytes and as fast as an older checkout, in alternating processes.

    python benchmarks/as_before.py OLD [--pairs 15] [--reaches 20000] [--days 1000] [--output as_before.csv]

OLD is a checkout of before. Each process routes without a law of flow and without a hillslope stage (the new one with
`flow_exponent=0` and `hillslope="none"` said), forward and with the gradient by k and x, and says the median CPU time
of 9 calls and a digest of the numbers. Ratios are medians of pairs; `low` and `high` are their 90 % interval.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import forests
import measure
import numpy as np
import torch

from rivercut.network import RiverNetwork
from rivergrad.routing import Router
from rivergrad.routing.allocator import keep_pages

DAY = 86400.0


@dataclass(frozen=True)
class Row:
    """A case; times are medians over processes, s of CPU time."""

    what: str
    routing_steps: int
    old_s: float
    new_s: float
    new_over_old: float
    low: float
    high: float
    same_bytes: bool
    pairs: int
    machine: str


def timed(new: bool, n: int, days: int) -> dict[str, list[object]]:
    """Of this process' rivergrad: median CPU time and digest of each thing."""
    keep_pages()
    torch.set_num_threads(1)
    below = forests.river_forest(n)
    network = RiverNetwork.from_ids(np.arange(1, n + 1), downstream_id=np.where(below >= 0, below + 1, -1))
    runoff = torch.rand(days, n, generator=torch.Generator().manual_seed(1))
    given = {"k": torch.full((n,), 50_000.0).double(), "x": torch.full((n,), 0.03).double()}
    said = {"flow_exponent": 0.0, "reference_flow": 1.0} if new else {}
    stage = {"hillslope": "none"} if new else {}
    found: dict[str, list[object]] = {}
    for ratio in (1, 24):
        router = Router(
            network, forcing_step=DAY, routing_step=DAY / ratio, targets=np.arange(0, n, 50), **stage
        )
        leaves = {name: value.clone().requires_grad_() for name, value in given.items()}

        def sweep(router: Router = router) -> list[torch.Tensor]:
            with torch.no_grad():
                return [router(runoff, given, **said)[0]]

        def step(router: Router = router, leaves: dict[str, torch.Tensor] = leaves) -> list[torch.Tensor]:
            discharge, _ = router(runoff, leaves, **said)
            return list(torch.autograd.grad(discharge.square().sum(), list(leaves.values())))

        for what, call in (("sweep", sweep), ("step", step)):
            numbers = b"".join(one.numpy().tobytes() for one in call())
            times = []
            for _ in range(10):
                began = time.process_time()
                kept = call()
                times.append(time.process_time() - began)
                del kept
            found[f"{what} {ratio}"] = [statistics.median(times[1:]), hashlib.sha256(numbers).hexdigest()]
    return found


def process(folder: Path, new: bool, n: int, days: int) -> dict[str, list[object]]:
    path = os.pathsep.join(str(folder / part) for part in ("pipeline", "partitioning"))
    here = [sys.executable, __file__, str(folder), "--worker", "new" if new else "old", "--reaches", str(n)]
    done = subprocess.run(
        [*here, "--days", str(days)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        check=True,
    )
    answer: dict[str, list[object]] = json.loads(done.stdout.splitlines()[-1])
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--reaches", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=1000)
    parser.add_argument("--worker", choices=["old", "new"], help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help="a CSV for the table")
    given = parser.parse_args()
    if given.worker:
        print(json.dumps(timed(given.worker == "new", given.reaches, given.days)))
        return
    new = Path(__file__).resolve().parents[1]
    from rivergrad.gauges.bootstrap import bootstrap_median  # which older checkouts lack

    pairs = []
    for turn in range(given.pairs + 1):  # the first compiles
        order = (given.old, new) if turn % 2 else (new, given.old)
        both = {folder: process(folder, folder == new, given.reaches, given.days) for folder in order}
        if turn:
            pairs.append((both[given.old], both[new]))
    for key in pairs[0][0]:
        old, now = ([float(str(pair[at][key][0])) for pair in pairs] for at in (0, 1))
        ratios = np.array(now) / np.array(old)
        _, low, high = bootstrap_median(ratios, [1])
        same = len({str(one[key][1]) for pair in pairs for one in pair}) == 1
        what, ratio = key.split()
        row = Row(
            what, int(ratio), statistics.median(old), statistics.median(now), float(np.median(ratios)),
            float(low), float(high), same, given.pairs, measure.machine(torch.device("cpu")),
        )  # fmt: skip
        print(row, flush=True)
        if given.output:
            measure.write(given.output, [row])


if __name__ == "__main__":
    main()
