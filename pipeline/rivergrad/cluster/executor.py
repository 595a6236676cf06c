"""Where pieces live and how functions are called on them: in this process, or pinned to workers of a Dask cluster."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from rivergrad.cluster.calls import Batch, Call, Plan, critical_seconds, make_batches
from rivergrad.cluster.clusters import Started, no_others
from rivergrad.cluster.exchange import Share, ask, leave, open_exchange, share_out
from rivergrad.cluster.liveness import AGAIN, PATIENCE, Watch
from rivergrad.cluster.lost import ClusterError, WorkerLostError
from rivergrad.cluster.options import ClusterOptions
from rivergrad.cluster.placement import worker_order
from rivergrad.cluster.residence import (
    Report,
    carry_out,
    create,
    forget,
    pick,
    reported,
)
from rivergrad.cluster.totals import Total

log = logging.getLogger("rivergrad")

T = TypeVar("T")
Handle = Any
"""What a call returns before it is gathered."""

REPLACEMENT_SECONDS = 60.0
"""How long a run waits for a replacement of a lost worker before it goes on with the others."""

ASK_SECONDS = 5.0
"""How often the cluster is asked for it."""

_run_numbers = itertools.count()


@dataclass
class Answer:
    """What a sweep comes to.

    Attributes:
        results: by piece; without what was added up.
        sums: what was added up over all pieces, by name.
        seconds: how long the sweep takes if only the workers' own work costs time.
    """

    results: dict[int, Any]
    sums: dict[str, Any]
    seconds: float


@dataclass
class Pending:
    """A sweep under way.

    Attributes:
        batches, total: of the sweep.
        reports: handles of the workers' reports; outcomes: of the batches.
        answer: what it comes to, where that is known at once.
    """

    batches: list[Batch]
    total: Total | None
    reports: list[Handle] = field(default_factory=list)
    outcomes: list[Handle] = field(default_factory=list)
    answer: Answer | None = None


@dataclass(frozen=True)
class _Shared:
    """A plan as it was dealt out: its batches, and each worker's share and names of what its calls are given."""

    batches: list[Batch]
    shares: Mapping[str, Share]
    names: Mapping[str, set[Hashable]]


class Executor(Protocol):
    """Holds objects by key and calls functions on them: all that `pieces` knows of a cluster.

    `do` carries out a sweep of calls whose series go from worker to worker, and `repeat` one that comes again and again
    with other values. `start` sends one off as tasks, behind
    those of an earlier sweep that may still be under way, and `finish` waits for its results. After a worker was lost,
    `renew` gets ready to set everything up again, and says with what.
    """

    def create(self, key: int, home: float, factory: Callable[..., Any], *args: Any) -> Handle: ...

    def start(
        self, calls: Sequence[Call], total: Total | None = None, after: Pending | None = None
    ) -> Pending: ...

    def finish(self, pending: Pending) -> Answer: ...

    def do(self, calls: Sequence[Call], total: Total | None = None) -> Answer: ...

    def repeat(self, plan: Plan, given: Mapping[Hashable, Any]) -> Answer: ...

    def gather(self, handles: Sequence[Handle]) -> list[Any]: ...

    def everywhere(self, function: Callable[..., T], *args: Any) -> list[T]: ...

    def renew(self) -> str | None: ...


def answer_of(batches: Sequence[Batch], total: Total | None, reports: Sequence[Report]) -> Answer:
    results: dict[int, Any] = {}
    sums: dict[str, Any] = {}
    if total is not None:
        sums, results = total.whole([report.results for report in reports])
    else:
        for report in reports:
            results |= report.results
    seconds = {batch: lasts for report in reports for batch, lasts in report.seconds.items()}
    spans = [seconds[b] for b in range(len(batches))]
    return Answer(results, sums, critical_seconds(batches, spans))


class SerialExecutor:
    """Everything in this process, one call after the other."""

    def __init__(self) -> None:
        self._run = f"serial-{next(_run_numbers)}"
        self._sweeps = itertools.count()

    def create(self, key: int, home: float, factory: Callable[..., Any], *args: Any) -> Handle:
        create(self._run, key, factory, *args)

    def start(
        self, calls: Sequence[Call], total: Total | None = None, after: Pending | None = None
    ) -> Pending:
        return Pending([], total, answer=self.do(calls, total))

    def finish(self, pending: Pending) -> Answer:
        assert pending.answer is not None
        return pending.answer

    def do(
        self, calls: Sequence[Call], total: Total | None = None, given: Mapping[Hashable, Any] | None = None
    ) -> Answer:
        report = carry_out(self._run, next(self._sweeps), 0, calls, (), True, total, given=given).report
        assert report is not None
        return answer_of([Batch(0, 0, 0, list(calls))], total, [report])

    def repeat(self, plan: Plan, given: Mapping[Hashable, Any]) -> Answer:
        return self.do(plan.calls, plan.total, given)

    def gather(self, handles: Sequence[Handle]) -> list[Any]:
        return list(handles)

    def everywhere(self, function: Callable[..., T], *args: Any) -> list[T]:
        return [function(*args)]

    def renew(self) -> str | None:
        self.close()
        return None

    def close(self) -> None:
        forget(self._run)


class DaskExecutor:
    """Pieces pinned to the workers of a cluster.

    A task names its worker and is never moved or repeated: what it works on is only there. If that worker is lost or
    gives no sign of life for `patience` seconds, the client raises an error instead of waiting for ever.

    Args:
        client: of the cluster; ask: see `Started`.
        patience: seconds.
        wait: how long to wait for a worker if none is left, at least `REPLACEMENT_SECONDS`, s.
    """

    def __init__(
        self,
        client: Any,
        patience: float = PATIENCE,
        ask: Callable[[int], None] = no_others,
        wait: float = 0.0,
    ) -> None:
        self._client, self._ask, self._wait = client, ask, wait
        self._watch = Watch(client, patience)
        self._runs = itertools.count()
        self._sweeps = itertools.count()
        self._settle_on(worker_order(self._watch.workers()))

    def _settle_on(self, workers: list[str]) -> None:
        self._run = f"dask-{self._client.id}-{next(self._runs)}"
        self._workers = workers
        self._home: dict[int, int] = {}
        self._plans: dict[int, _Shared] = {}
        self._ready = False  # whether the workers take part in sweeps

    def _needed(self) -> list[str]:
        """The workers that hold something."""
        return [self._workers[home] for home in sorted(set(self._home.values()))]

    def create(self, key: int, home: float, factory: Callable[..., Any], *args: Any) -> Handle:
        """Make something on a worker; `home` says which, from 0 (the first) up to 1 (past the last)."""
        self._home[key] = min(int(home * len(self._workers)), len(self._workers) - 1)
        return self._submit(self._home[key], create, self._run, key, factory, *args)

    def _submit(self, home: int, function: Callable[..., Any], *args: Any) -> Handle:
        return self._client.submit(
            function,
            *args,
            workers=[self._workers[home]],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )

    def start(
        self, calls: Sequence[Call], total: Total | None = None, after: Pending | None = None
    ) -> Pending:
        batches = make_batches(calls, self._home)
        sweep = next(self._sweeps)
        pending = Pending(batches, total)
        last = {batch.home: b for b, batch in enumerate(batches)}
        mine: dict[int, list[int]] = {}
        picked: dict[tuple[int, int], Handle] = {}
        earlier = {} if after is None else {(b.home, b.rank, b.label): k for k, b in enumerate(after.batches)}
        for b, batch in enumerate(batches):
            before = [self._taken(pending, picked, need, batch.home) for need in sorted(batch.needs)]
            if after is not None and (batch.home, batch.rank, batch.label) in earlier:
                before.append(after.outcomes[earlier[batch.home, batch.rank, batch.label]])
            reports = b == last[batch.home] and not batch.receivers
            if reports:  # all that this worker did in the sweep comes first
                others = set(mine.get(batch.home, ())) - batch.needs
                before += [pending.outcomes[other] for other in sorted(others)]
            outcome = self._submit(
                batch.home,
                carry_out,
                self._run,
                sweep,
                b,
                batch.calls,
                tuple(batch.exports),
                reports,
                total,
                *before,
            )
            pending.outcomes.append(outcome)
            mine.setdefault(batch.home, []).append(b)
            if reports:
                pending.reports.append(outcome)
            elif b == last[batch.home]:
                done = [pending.outcomes[k] for k in mine[batch.home]]
                pending.reports.append(self._submit(batch.home, reported, self._run, sweep, total, *done))
        return pending

    def _taken(self, pending: Pending, picked: dict[tuple[int, int], Handle], need: int, home: int) -> Handle:
        """A handle of the series that a worker takes from an earlier batch, without those that only others take."""
        batch = pending.batches[need]
        if batch.home == home or batch.receivers == {home}:
            return pending.outcomes[need]
        if (need, home) not in picked:
            names = tuple(name for name, homes in batch.exports.items() if home in homes)
            picked[need, home] = self._submit(batch.home, pick, names, pending.outcomes[need])
        return picked[need, home]

    def finish(self, pending: Pending) -> Answer:
        reports = [outcome.report for outcome in self.gather(pending.reports)]
        return answer_of(pending.batches, pending.total, reports)

    def do(self, calls: Sequence[Call], total: Total | None = None) -> Answer:
        batches = make_batches(calls, self._home)
        shares = share_out(self._run, next(self._sweeps), batches, total, self._workers)
        return answer_of(batches, total, self._asked(shares))

    def repeat(self, plan: Plan, given: Mapping[Hashable, Any]) -> Answer:
        known = self._plans.get(plan.number)
        if known is None:
            batches = make_batches(plan.calls, self._home)
            shares = share_out(self._run, 0, batches, plan.total, self._workers)
            known = _Shared(batches, shares, {address: share.names for address, share in shares.items()})
        sweep = next(self._sweeps)
        asked = {
            address: replace(
                share,
                sweep=sweep,
                plan=plan.number,
                given={name: given[name] for name in known.names[address]},
            )
            for address, share in known.shares.items()
        }
        reports = self._asked(asked)
        if plan.number not in self._plans:  # every worker has its portions now
            bare = {address: replace(share, portions=[]) for address, share in known.shares.items()}
            self._plans[plan.number] = replace(known, shares=bare)
        return answer_of(known.batches, plan.total, reports)

    def _asked(self, shares: Mapping[str, Share]) -> list[Report]:
        if not self._ready:  # not before: here a lost worker is handled
            self.everywhere(open_exchange)
            self._ready = True
        found: list[Report] = self._watch.patiently(
            lambda: self._client.sync(ask, self._client, shares), list(shares)
        )
        return found

    def gather(self, handles: Sequence[Handle]) -> list[Any]:
        found: list[Any] = self._watch.patiently(lambda: self._client.gather(list(handles)), self._needed())
        return found

    def everywhere(self, function: Callable[..., T], *args: Any) -> list[T]:
        """Call a function once on each worker; its results, in their order."""
        workers = self._workers
        found = self._watch.patiently(lambda: self._client.run(function, *args, workers=workers), workers)
        return [found[address] for address in workers]

    def renew(self) -> str | None:
        """Forget everything and go on with the workers there are: a lost one's replacement, if it comes soon.

        Raises:
            ClusterError: there is none.
            WorkerLostError: another one was lost meanwhile.
        """
        hung = self._watch.hung()
        if hung:  # a nanny kills them and starts others
            self._client.sync(
                self._client.scheduler.restart_workers,
                workers=hung,
                timeout=self._watch.patience,
                wait_for_workers=False,
                on_error="return",
                stimulus_id="rivergrad-renew",
                callback_timeout=self._watch.patience + 10,
            )
        began = asked = time.monotonic()
        present = set(self._watch.workers()) - set(hung)
        while len(present) < len(self._workers):
            waited = time.monotonic() - began
            if waited > (REPLACEMENT_SECONDS if present else max(REPLACEMENT_SECONDS, self._wait)):
                break
            if time.monotonic() - asked > ASK_SECONDS:
                self._ask(len(self._workers))
                asked = time.monotonic()
            time.sleep(0.2)
            present = set(self._watch.workers()) - set(hung)
        if not present:
            raise ClusterError(f"no worker is left, and none came in {waited:.0f} s", advice=AGAIN)
        said = None
        if len(present) < len(self._workers):
            said = f"going on with {len(present)} of {len(self._workers)} workers"
            self._ask(len(present))
        run, kept = self._run, [address for address in self._workers if address in present]
        self._settle_on([address for address in worker_order(self._watch.workers()) if address in present])
        if kept:
            self._watch.patiently(lambda: self._client.run(leave, run, workers=kept), kept)
        return said


def with_restarts(executor: Executor, restarts: int, work: Callable[[], T], say: Callable[[str], None]) -> T:
    """Do some work, and again from its beginning when a worker is lost, up to so many times.

    Args:
        executor: what the work is done on.
        restarts: how many times the work begins again.
        work: sets up everything it needs on the executor.
        say: what shows a line to the user.

    Raises:
        WorkerLostError: one worker too many was lost.
    """
    for lost in itertools.count(1):
        try:
            if lost > 1 and (told := executor.renew()) is not None:
                say(told)
            return work()
        except WorkerLostError as error:
            if lost > restarts:
                if restarts == 0:
                    raise
                raise WorkerLostError(f"{error} (restarted {restarts} times: compute.restarts)") from None
            said = error.what
        say(f"{said}: setting up again to go on from the last checkpoint ({lost} of {restarts} restarts)")
    raise AssertionError


@contextmanager
def open_executor(cluster: ClusterOptions | int) -> Iterator[SerialExecutor | DaskExecutor]:
    """An executor on a new cluster; a number stands for so many worker processes on this machine, 0 for none."""
    options = ClusterOptions(workers=cluster) if isinstance(cluster, int) else cluster
    if options.serial:
        serial = SerialExecutor()
        try:
            yield serial
        finally:
            serial.close()
        return
    with ExitStack() as stack:
        client, started = _opened(stack, options)
        yield DaskExecutor(client, options.patience, started.ask, options.wait)


def _opened(stack: ExitStack, options: ClusterOptions) -> tuple[Any, Started]:
    """A client of a new cluster, which closes with `stack`; when a worker is lost on the way, of another new one."""
    from rivergrad.cluster.cluster import open_cluster

    for lost in itertools.count(1):
        try:
            return stack.enter_context(open_cluster(options))
        except WorkerLostError as error:
            if lost > options.restarts:
                raise
            log.warning("%s: starting again", error.what)
    raise AssertionError
