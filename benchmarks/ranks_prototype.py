"""A step driven by ranks of a torch.distributed group (gloo), beside one driven by the client of a Dask cluster.

    python benchmarks/ranks_prototype.py [--reaches 32000 128000] [--cut] [--windows 1] [--rounds 15]

All have the same pieces and the same loop of Adam's steps. Among ranks, every one runs the loop by itself: it makes the
calls of its own pieces, sends series at cuts straight to the rank that takes them, and gathers everybody's sums, which
it adds up in the same order as the client does. Steps of the two drivers, `client` and `ranks`, alternate, so that what
else the machine does is the same for both.
`client` is the processor time of this process a step, s, and `processor` that of all processes of a driver.
`bit_equal` says whether losses and shared coefficients are equal to those of `client`, to the last bit, in all steps.
Adds to benchmarks/ranks_prototype.csv.

Not part of rivergrad: no faults are handled. The rows so far are of a machine with five busy processes a core: their
seconds say little; that the numbers are equal does not depend on it.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import socket
import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
import numpy as np
import psutil
import torch
import torch.distributed as group
from orchestration_overhead import optimiser_on

from rivergrad.cluster.calls import Batch, Call, Plan, Series, make_batches
from rivergrad.cluster.executor import Answer, answer_of, open_executor
from rivergrad.cluster.residence import carry_out, collect, create
from rivergrad.cluster.totals import Total
from rivergrad.run.overhead import Overhead

RUN = "ranks"
KINDS = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Row:
    """Medians over steps; seconds."""

    reaches: int
    parts: int
    pieces: int
    workers: int
    cut: bool
    windows: int
    driver: str
    step: float
    work: float
    overhead: float
    client: float
    processor: float
    messages: int
    bit_equal: bool
    machine: str


class RankExecutor:
    """An `Executor` that every rank of the group has: each calls the same, and each gets the whole answer."""

    def __init__(self) -> None:
        self.rank, self.size = group.get_rank(), group.get_world_size()
        self.home: dict[int, int] = {}
        self.sweeps = itertools.count()
        self.messages = 0
        self._plans: dict[int, list[Batch]] = {}

    def create(self, key: int, home: float, factory: Callable[..., Any], *args: Any) -> None:
        self.home[key] = min(int(home * self.size), self.size - 1)
        if self.home[key] == self.rank:
            create(RUN, key, factory, *args)

    def gather(self, handles: Sequence[Any]) -> list[Any]:
        return list(handles)

    def everywhere(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        return self._gathered(function(*args))

    def _gathered(self, mine: Any) -> list[Any]:
        found: list[Any] = [None] * self.size
        group.all_gather_object(found, mine)
        return found

    def do(self, calls: Sequence[Call], total: Total | None = None) -> Answer:
        return self._done(make_batches(calls, self.home), total, {})

    def repeat(self, plan: Plan, given: Mapping[Hashable, Any]) -> Answer:
        if plan.number not in self._plans:
            self._plans[plan.number] = make_batches(plan.calls, self.home)
        return self._done(self._plans[plan.number], plan.total, given)

    def _done(self, batches: list[Batch], total: Total | None, given: Mapping[Hashable, Any]) -> Answer:
        sweep = next(self.sweeps)
        of_node = {call.node: b for b, batch in enumerate(batches) for call in batch.calls}
        here: dict[Series, Any] = {}
        sent: list[tuple[Any, Any]] = []
        got: set[int] = set()
        for number, batch in enumerate(batches):
            if batch.home != self.rank:
                continue
            for need in sorted({of_node[series[0]] for call in batch.calls for series in call.takes}):
                if batches[need].home != self.rank and need not in got:
                    here |= self._received(batches[need], need)
                    got.add(need)
            outcome = carry_out(
                RUN, sweep, number, batch.calls, tuple(batch.exports), False, total, here, given=given
            )
            here |= outcome.series
            for home in sorted(batch.receivers):
                sent += self._sent(batch, number, home, here)
        reports = self._gathered(collect(RUN, sweep, total))
        for request, _ in sent:
            request.wait()
        return answer_of(batches, total, reports)

    def _names(self, batch: Batch, home: int) -> list[Series]:
        """The series of a batch that another rank takes, in an order that both know."""
        return [series for series, homes in batch.exports.items() if home in homes]

    def _sent(self, batch: Batch, number: int, home: int, here: dict[Series, Any]) -> list[tuple[Any, Any]]:
        values = [here[name] for name in self._names(batch, home)]
        whole = torch.stack([torch.as_tensor(value) for value in values]).contiguous()
        code = KINDS.index(whole.dtype)
        head = torch.tensor([code, *whole.shape])
        self.messages += 1
        return [(group.isend(one, home, tag=number), one) for one in (head, whole)]

    def _received(self, batch: Batch, number: int) -> dict[Series, Any]:
        head = torch.empty(4, dtype=torch.int64)
        group.recv(head, batch.home, tag=number)
        code, *shape = head.tolist()
        whole = torch.empty(shape, dtype=KINDS[code])
        group.recv(whole, batch.home, tag=number)
        return dict(zip(self._names(batch, self.rank), whole.numpy(), strict=True))


@dataclass(frozen=True)
class Told:
    """What a step came to."""

    overhead: Overhead
    messages: int
    state: bytes


def one_step(optimiser: Any, step: int, executor: Any) -> Told:
    overhead, sent = Overhead(), getattr(executor, "messages", 0)
    with overhead.step(lambda: optimiser.task.sweep.seconds):
        loss = optimiser.step(step)
    state = np.float64(loss).tobytes() + optimiser.shared.tobytes()
    return Told(overhead, getattr(executor, "messages", 0) - sent, state)


def serve(rank: int, port: int, given: argparse.Namespace, n: int, pipe: Any) -> None:
    """What a rank does: a step for each word of the benchmark."""
    torch.set_num_threads(1)
    group.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=given.workers
    )
    executor = RankExecutor()
    optimiser = optimiser_on(executor, given, n)
    pipe.send(len(optimiser.task.sweep.placed.pieces))
    while (step := pipe.recv()) is not None:
        pipe.send(one_step(optimiser, step, executor))
    group.destroy_process_group()


def processor_seconds(processes: Sequence[psutil.Process]) -> float:
    """Processor time that processes have taken."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


class Measured:
    """Steps of one driver, with the processor time of its processes and of this one."""

    def __init__(self, step: Callable[[int], Told], processes: Sequence[psutil.Process]) -> None:
        self._step, self._processes = step, processes
        self.told: list[Told] = []
        self.client: list[float] = []
        self.processor: list[float] = []

    def step(self, number: int) -> None:
        began, all_began = time.process_time(), processor_seconds(self._processes)
        self.told.append(self._step(number))
        self.client.append(time.process_time() - began)
        self.processor.append(processor_seconds(self._processes) - all_began)


def measured(given: argparse.Namespace, n: int) -> list[Row]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spawn = multiprocessing.get_context("spawn")
    pipes = [spawn.Pipe() for _ in range(given.workers)]
    ranks = [
        spawn.Process(target=serve, args=(rank, port, given, n, pipes[rank][1]), daemon=True)
        for rank in range(given.workers)
    ]
    for rank in ranks:
        rank.start()

    def on_ranks(step: int) -> Told:
        for here, _ in pipes:
            here.send(step)
        told: list[Told] = [here.recv() for here, _ in pipes]
        return told[0]

    of_ranks = [psutil.Process(rank.pid) for rank in ranks]
    with open_executor(given.workers) as executor:
        optimiser = optimiser_on(executor, given, n)
        apart = {rank.pid for rank in ranks}
        here = [one for one in psutil.Process().children(recursive=True) if one.pid not in apart]
        here.append(psutil.Process())
        drivers = {
            "client": Measured(lambda step: one_step(optimiser, step, executor), here),
            "ranks": Measured(on_ranks, of_ranks),
        }
        pieces = {pipe.recv() for pipe, _ in pipes}
        for step in range(given.rounds + 3):
            for driver in drivers.values():
                driver.step(step)
    for pipe, _ in pipes:
        pipe.send(None)
    for rank in ranks:
        rank.join()
    expected = [one.state for one in drivers["client"].told]
    return [row(given, n, max(pieces), name, found, expected) for name, found in drivers.items()]


def row(
    given: argparse.Namespace, n: int, pieces: int, driver: str, found: Measured, expected: list[bytes]
) -> Row:
    """The first steps, which compile, are left out."""
    steps = [one.overhead for one in found.told[3:]]
    made = Row(
        reaches=n,
        parts=given.parts,
        pieces=pieces,
        workers=given.workers,
        cut=given.cut,
        windows=given.windows,
        driver=driver,
        step=statistics.median(one.wall for one in steps),
        work=statistics.median(one.busy for one in steps),
        overhead=statistics.median(one.share for one in steps),
        client=statistics.median(found.client[3:]),
        processor=statistics.fmean(found.processor[3:]),
        messages=found.told[-1].messages,
        bit_equal=[one.state for one in found.told] == expected,
        machine=measure.machine(torch.device("cpu")),
    )
    print(made, time.strftime("%H:%M"), flush=True)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reaches", type=int, nargs="+", default=[32000, 128000])
    parser.add_argument("--parts", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--windows", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cut", action="store_true")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    given = parser.parse_args()
    measure.write(given.output, [row for n in given.reaches for row in measured(given, n)])


if __name__ == "__main__":
    main()
