"""Workers that send each other series: what each has to do, and what becomes of those that wait when one fails."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rivergrad.cluster.boundary import pack
from rivergrad.cluster.calls import Call, Plan, make_batches
from rivergrad.cluster.exchange import Exchange, leave, open_exchange, share_out
from rivergrad.cluster.executor import DaskExecutor, SerialExecutor, open_executor, with_restarts
from rivergrad.cluster.lost import WorkerLostError
from rivergrad.cluster.residence import create, forget
from rivergrad.cluster.totals import Total
from rivergrad.errors import InputError


@dataclass
class Reach:
    """Adds a number to what flows in."""

    number: int


def add(reach: Reach, inflows: Sequence[Any]) -> tuple[dict[str, Any], list[Any]]:
    flow = np.full(4, float(reach.number)) + sum(inflows)
    return {"sum": float(flow.sum()), "process": os.getpid()}, [flow]


def scale(reach: Reach, inflows: Sequence[Any], *, factor: float) -> tuple[dict[str, Any], list[Any]]:
    return add(Reach(int(factor * reach.number)), inflows)


def refuse(reach: Reach, inflows: Sequence[Any]) -> tuple[dict[str, Any], list[Any]]:
    raise InputError(f"reach {reach.number} is dry")


def stop(reach: Reach, inflows: Sequence[Any]) -> tuple[dict[str, Any], list[Any]]:
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def chain(*functions: Callable[..., Any]) -> list[Call]:
    """A call on each of pieces 0, 1, ..., each of which takes the series of the one before."""
    return [
        Call(("at", k), k, function, takes=((("at", k - 1), 0),) if k else (), linked=True)
        for k, function in enumerate(functions)
    ]


def test_each_is_told_what_it_does_and_to_whom_it_sends() -> None:
    calls = chain(add, add, add, add)
    batches = make_batches(calls, {0: 0, 1: 1, 2: 0, 3: 0})
    shares = share_out("run", 7, batches, None, ["tcp://a", "tcp://b"])
    first, last = shares["tcp://a"].portions
    (middle,) = shares["tcp://b"].portions
    assert [call.key for call in first.calls + middle.calls + last.calls] == [0, 1, 2, 3]
    assert first.sends == {"tcp://b": ((("at", 0), 0),)}
    assert middle.takes == {(("at", 0), 0)}
    assert middle.sends == {"tcp://a": ((("at", 1), 0),)}
    assert last.takes == {(("at", 1), 0)}
    assert not first.takes | first.after | last.after
    assert not last.sends


def test_mail_may_come_before_the_work_and_none_of_it_stays() -> None:
    calls = chain(add, add)
    share = share_out("early", 3, make_batches(calls, {0: 0, 1: 1}), None, ["a", "b"])["b"]

    async def receive(mail_first: bool) -> Any:
        worker = SimpleNamespace(
            executors={"default": pool}, status=SimpleNamespace(name="running"), handlers={}
        )
        open_exchange(worker)
        here: Exchange = worker.handlers["rivergrad_work"].__self__
        mail = here.mail("early", 3, pickle.dumps([(("at", 0), 0)]), pack([np.arange(4.0)]))
        await here.mail("other run", 9, pickle.dumps([]), [])
        if mail_first:
            await mail
        working = asyncio.ensure_future(here.work(share))
        if not mail_first:
            await asyncio.sleep(0.1)
            assert not working.done()
            await mail
        found = await working
        assert list(here._mail) == [("other run", 9)]
        for _ in range(2):  # nothing is kept of a run that is over, nor of what comes late
            await leave("other run", worker)
            await here.mail("other run", 9, pickle.dumps([]), [])
        assert here._mail == {}
        await leave("early", worker)
        create("early", 1, Reach, 1)
        given_up = await here.work(replace(share, sweep=4))
        assert "given up" in given_up["exception_text"]
        return found["report"].data.results[1]["sum"]

    with ThreadPoolExecutor(1) as pool:
        for mail_first in (True, False):
            create("early", 1, Reach, 1)
            assert asyncio.run(receive(mail_first)) == 10.0
    forget("early")


def test_who_cannot_send_does_not_wait_for_an_answer() -> None:
    calls = chain(add, add, add)
    share = share_out("torn", 0, make_batches(calls, {0: 0, 1: 1, 2: 0}), None, ["a", "b"])["a"]

    class Torn:
        async def rivergrad_mail(self, **message: Any) -> None:
            raise OSError("the line is cut")

    with ThreadPoolExecutor(1) as pool:
        worker = SimpleNamespace(
            executors={"default": pool},
            status=SimpleNamespace(name="running"),
            handlers={},
            rpc=lambda _: Torn(),
        )
        for key in (0, 2):
            create("torn", key, Reach, key)
        open_exchange(worker)
        began = time.monotonic()
        found = asyncio.run(worker.handlers["rivergrad_work"](share))
        assert time.monotonic() - began < 10
    assert "did not reach the worker at b (the line is cut)" in found["exception_text"]
    forget("torn")


def scaled() -> Plan:
    """A chain of four pieces, each with a factor of its own."""
    calls = [replace(call, given=(("factor", ("factor", call.key)),)) for call in chain(*[scale] * 4)]
    return Plan(calls, Total(("sum",), 4))


def factors(*values: float) -> dict[Any, float]:
    return {("factor", k): value for k, value in enumerate(values)}


def test_a_worker_keeps_its_part_of_a_plan_until_the_run_is_over() -> None:
    create("kept", 0, Reach, 3)
    shares = share_out("kept", 0, make_batches(chain(scale), {0: 0}), None, ["a"])
    portion = shares["a"].portions[0]
    call = replace(portion.calls[0], given=(("factor", "factor"),))
    first = replace(shares["a"], portions=[replace(portion, calls=[call])], plan=5, given={"factor": 2.0})
    assert first.names == {"factor"}

    async def work() -> list[Any]:
        worker = SimpleNamespace(
            executors={"default": pool}, status=SimpleNamespace(name="running"), handlers={}
        )
        here = Exchange(worker)
        worker.handlers |= {"rivergrad_work": here.work, "rivergrad_abandon": here.abandon}
        again = replace(first, sweep=1, portions=[], given={"factor": 4.0})
        unknown = replace(again, plan=6)
        found = [await here.work(one) for one in (first, again, unknown)]
        await leave("kept", worker)
        return [*found, await here.work(replace(again, sweep=2)), here._plans]

    with ThreadPoolExecutor(1) as pool:
        one, two, unknown, later, plans = asyncio.run(work())
    assert one["report"].data.results[0]["sum"] == 24.0
    assert two["report"].data.results[0]["sum"] == 48.0
    assert "knows nothing of this run" in unknown["exception_text"]
    assert later["status"] == "error"
    assert plans == {}


@pytest.mark.distributed
@pytest.mark.filterwarnings("default")  # of connections that broke
@pytest.mark.timeout(120)
def test_who_waits_gives_up_when_another_fails() -> None:
    total = Total(("sum",), 4)
    alone = SerialExecutor()
    alone.gather([alone.create(k, 0.0, Reach, k) for k in range(4)])
    expected = alone.do(chain(*[add] * 4), total)
    plan, tries = scaled(), [factors(1, 2, 3, 4), factors(5, 1, 1, 7)]
    expected_scaled = [alone.repeat(plan, given).sums for given in tries]
    with open_executor(2) as executor:
        assert isinstance(executor, DaskExecutor)

        def set_up() -> None:
            executor.gather([executor.create(k, 0.5 * (k % 2), Reach, k) for k in range(4)])

        set_up()
        found = executor.do(chain(*[add] * 4), total)
        assert found.sums == expected.sums
        assert [executor.repeat(plan, given).sums for given in tries] == expected_scaled
        processes = {k: result["process"] for k, result in found.results.items()}
        assert processes[0] == processes[2] != processes[1] == processes[3]
        began = time.monotonic()
        with pytest.raises(InputError, match="reach 1 is dry"):
            executor.do(chain(add, refuse, add, add))  # piece 2 waits on the other worker
        assert time.monotonic() - began < 2
        assert executor.do(chain(*[add] * 4), total).sums == expected.sums
        began = time.monotonic()
        with pytest.raises(WorkerLostError, match="1 of 2 workers ended unexpectedly"):
            executor.do(chain(add, stop, add, add))
        assert time.monotonic() - began < 20
        executor.renew()
        set_up()
        assert executor.do(chain(*[add] * 4), total).sums == expected.sums
        assert [executor.repeat(plan, given).sums for given in tries] == expected_scaled
        assert threading.active_count() < 40  # nobody waits on
        # killed before the first sweep of an executor: borne as any other
        os.kill(next(iter(executor._client.run(os.getpid).values())), signal.SIGKILL)
        another, heard = DaskExecutor(executor._client), list[str]()

        def work() -> Any:
            another.gather([another.create(k, 0.5 * (k % 2), Reach, k) for k in range(4)])
            return another.do(chain(*[add] * 4), total).sums

        assert with_restarts(another, 3, work, heard.append) == expected.sums
