"""Processor time that a step of training costs the client before its workers begin: calls, and messages for them.

    python benchmarks/step_messages.py [--rounds 20]

The generated forest of benchmarks/orchestration_overhead.py on two workers, which are not started. `anew`: calls are
made, put together, dealt out and pickled in every step, and unpickled by one worker. `kept`: workers have all that
already, and get the values of the step (here without deviations across cuts). Adds to benchmarks/step_messages.csv.
"""

from __future__ import annotations

import argparse
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import measure
import torch
from orchestration_overhead import optimiser_on

from rivergrad.cluster.calls import Call, make_batches
from rivergrad.cluster.exchange import Share, share_out
from rivergrad.cluster.executor import Answer, SerialExecutor
from rivergrad.cluster.placement import Room
from rivergrad.pieces.stepcalls import StepRequest, group_count, step_plan, step_values
from rivergrad.pieces.sweep import ADDED


@dataclass(frozen=True)
class Row:
    """Milliseconds of processor time a step, and bytes to both workers."""

    reaches: int
    pieces: int
    windows: int
    messages: str
    client: float
    worker: float
    sent: int
    machine: str


class Nobody(SerialExecutor):
    """Two workers that do nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.home: dict[int, int] = {}

    def create(self, key: int, home: float, factory: Callable[..., Any], *args: Any) -> None:
        self.home[key] = min(int(2 * home), 1)

    def everywhere(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        return [Room("a", 10**12), Room("b", 10**12)]

    def do(self, calls: Sequence[Call], total: Any = None) -> Answer:
        return Answer({call.key: None for call in calls}, {}, 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    given = parser.parse_args()
    rows = []
    for cut, n, windows in ((False, 128000, 1), (True, 32000, 1), (True, 32000, 4)):
        rows += measured(argparse.Namespace(parts=32, cut=cut, windows=windows), n, given.rounds)
    measure.write(given.output, rows)


def measured(given: argparse.Namespace, n: int, rounds: int) -> list[Row]:
    nobody = Nobody()
    task = optimiser_on(nobody, given, n).task
    placed = task.sweep.placed
    groups = group_count(placed, given.windows)
    none = [None] * len(placed.pieces)
    request = StepRequest(task.start, task.windows(0), "move", 0.05, none, task.windows(1))

    def anew() -> dict[str, Share]:
        plan = step_plan(placed, groups, ADDED)
        shares = share_out("run", 0, make_batches(plan.calls, nobody.home), plan.total, ["a", "b"])
        values = step_values(request, groups)
        return {
            at: replace(one, given={name: values[name] for name in one.names}) for at, one in shares.items()
        }

    bare = {at: (replace(one, portions=[], plan=1), one.names) for at, one in anew().items()}

    def kept() -> dict[str, Share]:
        values = step_values(request, groups)
        return {
            at: replace(one, given={name: values[name] for name in names})
            for at, (one, names) in bare.items()
        }

    found = []
    for name, make in (("anew", anew), ("kept", kept)):
        began = time.process_time()
        for _ in range(rounds):
            sent = [pickle.dumps(share) for share in make().values()]
        packed = time.process_time()
        for _ in range(rounds):
            pickle.loads(sent[0])
        client, worker = (packed - began) / rounds * 1e3, (time.process_time() - packed) / rounds * 1e3
        size = sum(map(len, sent))
        host = measure.machine(torch.device("cpu"))
        found.append(Row(n, len(placed.pieces), given.windows, name, client, worker, size, host))
        print(found[-1], flush=True)
    return found


if __name__ == "__main__":
    main()
