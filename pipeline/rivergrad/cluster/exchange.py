"""How workers carry out a sweep: each gets all its work at once, and they send each other series by themselves.

The client sends one message to each worker and gets one answer: a step costs it no more where basins are cut. A worker
does what it has all inputs for, in the order of the sweep. It sends series straight to the workers that take them. The
series that it takes arrive in its mail, sometimes before it has heard of the sweep.
"""

from __future__ import annotations

import asyncio
import math
import pickle
import threading
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rivergrad.cluster.boundary import pack, unpack
from rivergrad.cluster.calls import Batch, Call, Series
from rivergrad.cluster.lost import WorkerLostError
from rivergrad.cluster.residence import Report, carry_out, collect, forget
from rivergrad.cluster.totals import Total

TICK_SECONDS = 2.0
"""How often a thread that waits for series checks whether its worker is about to end."""
ABANDON_SECONDS = 5.0
"""How long the client waits for the other workers to give up before it raises the error of one."""

_MAIL, _WORK, _ABANDON = "rivergrad_mail", "rivergrad_work", "rivergrad_abandon"


class AbandonedError(Exception):
    """This worker gave up a sweep, because another worker failed or because it ends itself."""


@dataclass(frozen=True)
class Portion:
    """What a worker does without waiting in between.

    Attributes:
        number: of the batch; calls: of it.
        takes: series from other workers.
        after: earlier portions of the same worker, by number.
        exports: series that are needed later, here or elsewhere; sends: those for other workers, by address.
    """

    number: int
    calls: list[Call]
    takes: frozenset[Series] = frozenset()
    after: frozenset[int] = frozenset()
    exports: tuple[Series, ...] = ()
    sends: Mapping[str, tuple[Series, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Share:
    """All the work of a worker in a sweep, and how results are added up.

    Attributes:
        run, sweep: which.
        portions: the work; none if the worker has kept it under the number of the `plan`.
        total: how results are added up.
        plan: number of a plan, whose portions the worker keeps for the sweeps that follow.
        given: values that calls are given, by name.
    """

    run: str
    sweep: int
    portions: list[Portion]
    total: Total | None
    plan: int | None = None
    given: Mapping[Hashable, Any] = field(default_factory=dict)

    @property
    def names(self) -> set[Hashable]:
        """Names of the values that its calls are given."""
        return {name for portion in self.portions for call in portion.calls for _, name in call.given}


def share_out(
    run: str, sweep: int, batches: Sequence[Batch], total: Total | None, workers: Sequence[str]
) -> dict[str, Share]:
    """The share of each worker that has one, by address.

    Args:
        run, sweep: which.
        batches: of the sweep.
        total: how results are added up.
        workers: addresses, by number.
    """
    shares: dict[str, Share] = {}
    of_node = {call.node: batch.home for batch in batches for call in batch.calls}
    for number, batch in enumerate(batches):
        sends: dict[str, list[Series]] = {}
        for series, homes in batch.exports.items():
            for home in sorted(homes - {batch.home}):
                sends.setdefault(workers[home], []).append(series)
        portion = Portion(
            number,
            batch.calls,
            frozenset(s for call in batch.calls for s in call.takes if of_node[s[0]] != batch.home),
            frozenset(need for need in batch.needs if batches[need].home == batch.home),
            tuple(batch.exports),
            {address: tuple(names) for address, names in sends.items()},
        )
        address = workers[batch.home]
        shares.setdefault(address, Share(run, sweep, [], total)).portions.append(portion)
    return shares


class Exchange:
    """The side of one worker: its mail, and the thread that works.

    Args:
        worker: Dask's worker.
    """

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._mail: dict[tuple[str, int], dict[Series, Any]] = {}
        self._abandoned: set[tuple[str, int | None]] = set()
        self._plans: dict[tuple[str, int], list[Portion]] = {}
        self._news = threading.Condition()

    async def work(self, share: Share) -> dict[str, Any]:
        """Carry out a share in the thread of Dask's tasks; the report, or what went wrong."""
        from distributed.core import error_message
        from distributed.protocol.serialize import to_serialize

        loop = asyncio.get_running_loop()
        sends: list[asyncio.Task[None]] = []

        def send(address: str, names: Sequence[Series], values: Sequence[Any]) -> None:
            loop.call_soon_threadsafe(
                lambda: sends.append(loop.create_task(self._send(share, address, names, values)))
            )

        try:
            report = await loop.run_in_executor(
                self._worker.executors["default"], self._carry_out, share, send
            )
            await asyncio.gather(*sends)
        except Exception as error:
            for task in sends:
                task.cancel()
            unsent = [found for found in await asyncio.gather(*sends, return_exceptions=True) if found]
            lost = [found for found in unsent if isinstance(found, WorkerLostError)]
            # as an answer: Dask logs what a handler raises as an error of its own
            return dict(error_message(lost[0] if lost else error))
        finally:
            self._close(share.run, share.sweep)
        return {"status": "OK", "report": to_serialize(report)}

    async def mail(self, run: str, sweep: int, names: bytes, values: Sequence[Any]) -> str:
        """Take series that another worker sends."""
        with self._news:
            if (run, None) not in self._abandoned:
                mail = zip(pickle.loads(names), unpack(values), strict=True)
                self._mail.setdefault((run, sweep), {}).update(mail)
                self._news.notify_all()
        return "OK"

    async def abandon(self, run: str, sweep: int | None) -> str:
        """Stop waiting for series of a sweep; without `sweep`, of any sweep of this run."""
        with self._news:
            self._abandoned.add((run, sweep))
            if sweep is None:
                self._drop_mail(run, math.inf)
                self._plans = {at: kept for at, kept in self._plans.items() if at[0] != run}
            self._news.notify_all()
        return "OK"

    async def _send(self, share: Share, address: str, names: Sequence[Series], values: Sequence[Any]) -> None:
        from distributed.protocol.serialize import to_serialize

        try:
            await self._worker.rpc(address).rivergrad_mail(
                run=share.run,
                sweep=share.sweep,
                names=pickle.dumps(list(names)),
                values=[to_serialize(value) for value in values],
            )
        except Exception as error:  # no answer comes to what did not arrive: do not wait for one
            await self.abandon(share.run, share.sweep)
            raise WorkerLostError(
                f"boundary series did not reach the worker at {address} ({error})"
            ) from error

    def _carry_out(self, share: Share, send: Any) -> Report:
        here: dict[Series, Any] = {}
        todo, done = list(self._portions(share)), set[int]()
        while todo:
            portion = self._next(share, todo, done, here)
            outcome = carry_out(
                share.run,
                share.sweep,
                portion.number,
                portion.calls,
                portion.exports,
                False,
                share.total,
                here,
                given=share.given,
            )
            for series in portion.takes:
                del here[series]
            here |= outcome.series
            for address, names in portion.sends.items():
                send(address, names, pack([here[name] for name in names]))
            todo.remove(portion)
            done.add(portion.number)
        return collect(share.run, share.sweep, share.total)

    def _portions(self, share: Share) -> list[Portion]:
        """The work of a share; that of a plan is kept."""
        if share.plan is None:
            return share.portions
        if share.portions:
            self._plans[share.run, share.plan] = share.portions
        elif (share.run, share.plan) not in self._plans:
            raise WorkerLostError("a worker was started anew and knows nothing of this run")
        return self._plans[share.run, share.plan]

    def _next(self, share: Share, todo: list[Portion], done: set[int], here: dict[Series, Any]) -> Portion:
        """Wait for the first portion that can be done; the series that it takes are then in `here`."""
        at = share.run, share.sweep
        with self._news:
            while True:
                if not self._abandoned.isdisjoint((at, (share.run, None))):
                    raise AbandonedError("given up, as another worker could not go on")
                mail = self._mail.get(at, {})
                for portion in todo:
                    if portion.after <= done and portion.takes <= mail.keys():
                        here.update({series: mail[series] for series in portion.takes})
                        return portion
                if self._worker.status.name not in ("running", "paused"):
                    raise AbandonedError("given up, as this worker ends")
                self._news.wait(TICK_SECONDS)

    def _close(self, run: str, sweep: int) -> None:
        """Forget the mail of this sweep and of earlier ones."""
        with self._news:
            self._drop_mail(run, sweep)
            self._abandoned -= {
                at for at in self._abandoned if at[0] == run and at[1] is not None and at[1] <= sweep
            }

    def _drop_mail(self, run: str, sweep: float) -> None:
        self._mail = {at: mail for at, mail in self._mail.items() if at[0] != run or at[1] > sweep}


def open_exchange(dask_worker: Any) -> None:
    """Register the handlers of an exchange on a Dask worker, once."""
    if _WORK not in dask_worker.handlers:
        here = Exchange(dask_worker)
        dask_worker.handlers |= {_WORK: here.work, _MAIL: here.mail, _ABANDON: here.abandon}


async def leave(run: str, dask_worker: Any) -> None:
    """Forget a run on a worker; what still waits there for a lost worker gives up."""
    if _WORK in dask_worker.handlers:
        await dask_worker.handlers[_ABANDON](run, None)
    forget(run)


async def ask(client: Any, shares: Mapping[str, Share]) -> list[Report]:
    """Have workers carry out their shares.

    Returns:
        Their reports, in the order of `shares`.

    Raises:
        Exception: what went wrong on one of them; the others give up.
    """
    from distributed.core import clean_exception
    from distributed.protocol.serialize import to_serialize

    async def one(address: str, share: Share) -> Report:
        found = await client.rpc(address).rivergrad_work(share=to_serialize(share))
        if found is None:
            raise WorkerLostError("a worker was started anew and knows nothing of this run")
        if found["status"] != "OK":
            _, error, trace = clean_exception(**found)
            assert error is not None
            raise error.with_traceback(trace)
        report: Report = found["report"]
        return report

    tasks = {address: asyncio.ensure_future(one(address, share)) for address, share in shares.items()}
    _, waiting = await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_EXCEPTION)
    if waiting:
        at = next(iter(shares.values()))
        calls = [
            client.rpc(address).rivergrad_abandon(run=at.run, sweep=at.sweep)
            for address, task in tasks.items()
            if not task.done()
        ]
        given_up = [asyncio.ensure_future(call) for call in calls]
        await asyncio.wait([*given_up, *waiting], timeout=ABANDON_SECONDS)
        for task in (*given_up, *waiting):
            task.cancel()
        await asyncio.gather(*given_up, *waiting, return_exceptions=True)
    failures = [
        error for task in tasks.values() if not task.cancelled() and (error := task.exception()) is not None
    ]
    first = [error for error in failures if not isinstance(error, AbandonedError)] or failures
    if first:
        raise first[0]
    return [task.result() for task in tasks.values()]
