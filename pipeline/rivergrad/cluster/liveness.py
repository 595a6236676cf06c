"""Whether the processes of a cluster are still there: no wait for them goes on for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from rivergrad.cluster.lost import ClusterError, WorkerLostError

T = TypeVar("T")

LOOK_SECONDS = 2.0
"""How often a waiting client looks whether the workers that it needs are still there."""
PATIENCE = 120.0
"""Seconds without a heartbeat after which a process counts as lost."""
SETTLE_SECONDS = 10.0
"""How long after a broken connection the scheduler may take to find out which worker has ended."""

AGAIN = "run the same command again to go on from the last checkpoint"


class SchedulerLostError(ClusterError):
    """The scheduler of the cluster is gone; a run cannot go on without it, but it can be resumed."""


class Watch:
    """Looks after the workers of a client.

    A worker at work still sends heartbeats, by a thread of its own, unless it compiles or computes without letting
    that thread run. So of one that is silent the nanny is asked, where there is one, whether its processor time
    grows: however long its task takes, a worker at work is not lost.

    Args:
        client: of the cluster.
        patience: seconds without a sign of life after which a process is given up.
    """

    def __init__(self, client: Any, patience: float = PATIENCE) -> None:
        self._client, self.patience = client, patience
        self._seen: dict[str, tuple[float, float]] = {}
        self._work: dict[str, float] = {}

    def workers(self) -> dict[str, dict[str, Any]]:
        """What the scheduler knows of each worker, by address.

        Raises:
            SchedulerLostError: it does not answer.
        """
        if self._client.status in ("closing", "closed"):
            raise self.scheduler_lost()
        try:
            found = self._client.sync(
                self._client.scheduler.identity, n_workers=-1, callback_timeout=self.patience
            )
        except (OSError, TimeoutError, RuntimeError) as error:
            raise self.scheduler_lost() from error
        return dict(found["workers"])

    def hung(self) -> list[str]:
        """Workers that have given no sign of life for long. Clocks of other machines are not trusted."""
        now = time.monotonic()
        silent = []
        for address, worker in self.workers().items():
            told = float(worker["last_seen"])
            if address not in self._seen or self._seen[address][0] != told:
                self._seen[address] = told, now
                self._work.pop(address, None)
            elif now - self._seen[address][1] > self.patience:
                silent.append(address)
        return [address for address in silent if not self._at_work(address)]

    def _at_work(self, address: str) -> bool:
        """Whether a silent worker's processor time has grown since the last look, as far as its nanny knows."""
        from distributed.comm.core import CommClosedError

        async def asked() -> dict[str, Any]:
            # on the client's loop, where its methods return what can be awaited, and a wait for it has an end
            found: dict[str, Any] = await self._client.run(
                processor_seconds, workers=[address], nanny=True, on_error="return"
            )
            return found

        try:
            found = self._client.sync(asked, callback_timeout=LOOK_SECONDS)
        except (OSError, TimeoutError, CommClosedError, KeyError):
            return False
        seconds = found.get(address)
        if not isinstance(seconds, float):
            return False
        before = self._work.get(address)
        self._work[address] = seconds
        return before is None or seconds > before

    def check(self, needed: Iterable[str]) -> None:
        """Raise unless the scheduler and these workers are there and alive."""
        hung = set(self.hung())
        present = set(self.workers())
        gone = [address for address in needed if address not in present]
        if gone:
            raise WorkerLostError(
                f"{len(gone)} of {self._of(needed)} ended unexpectedly ({_WHY})", advice=AGAIN
            )
        silent = [address for address in needed if address in hung]
        if silent:
            raise WorkerLostError(
                f"{len(silent)} of {self._of(needed)} gave no sign of life for {self.patience:g} s",
                advice=AGAIN,
            )

    def _of(self, needed: Iterable[str]) -> str:
        count = len(set(needed))
        return f"{count} workers" if count != 1 else "1 worker"

    def patiently(self, function: Callable[[], T], needed: Iterable[str]) -> T:
        """Call something that waits for workers, for as long as they live.

        Raises:
            WorkerLostError, SchedulerLostError: they do not any more.
        """
        from distributed.client import FutureCancelledError
        from distributed.comm.core import CommClosedError
        from distributed.scheduler import KilledWorker

        outcome: list[T] = []
        failure: list[BaseException] = []
        done = threading.Event()

        def work() -> None:
            try:
                outcome.append(function())
            except BaseException as error:
                failure.append(error)
            finally:
                done.set()

        threading.Thread(target=work, daemon=True, name="rivergrad-wait").start()
        while not done.wait(LOOK_SECONDS):
            self.check(needed)
        if outcome:
            return outcome[0]
        error = failure[0]
        if isinstance(error, KilledWorker):
            raise WorkerLostError(
                f"1 of {self._of(needed)} ended unexpectedly ({_WHY})", advice=AGAIN
            ) from None
        if isinstance(
            error, FutureCancelledError
        ):  # all tasks are, when the connection to the scheduler breaks
            raise self.scheduler_lost() from error
        self.check(needed)
        broken = isinstance(error, CommClosedError | WorkerLostError)
        if broken or (isinstance(error, OSError) and error.errno is None):  # Dask's own have no number
            self._settle(needed)
        raise error

    def _settle(self, needed: Iterable[str]) -> None:
        """Give the scheduler time to notice who is gone."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            self.check(needed)
            time.sleep(0.2)

    def scheduler_lost(self) -> SchedulerLostError:
        """The error to raise when the scheduler does not answer."""
        return SchedulerLostError(
            "the scheduler of the workers is lost (killed, or out of reach)", advice=AGAIN
        )


def processor_seconds(dask_worker: Any) -> float:
    """Seconds of processor time that the process of a nanny has taken."""
    import psutil

    times = psutil.Process(dask_worker.pid).cpu_times()
    return float(times.user + times.system)


_WHY = "out of memory, or killed"
