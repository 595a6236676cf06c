"""Where pieces live and how their methods are called: in this process, or pinned to the workers of a Dask cluster."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from rivergrad.distributed.options import ClusterOptions
from rivergrad.errors import InputError

Handle = Any
"""What a call returns before it is gathered."""

WAIT_SECONDS = 5.0
"""How often a waiting client looks whether the workers that it needs are still there."""

_RESIDENT: dict[tuple[str, int], Any] = {}
"""What lives on this worker (or in this process), by run and piece."""

_run_numbers = itertools.count()


class WorkerLostError(InputError):
    """A worker ended before its task; what it held is gone, and the run goes on from its last checkpoint."""


def _create(run: str, key: int, factory: Callable[..., Any], *args: Any) -> None:
    _RESIDENT[run, key] = factory(*args)


def _call(run: str, key: int, method: str, picks: Sequence[int | None], *args: Any) -> Any:
    """Call a method; where `picks` has a number, that element of the list in an earlier result is passed."""
    if (run, key) not in _RESIDENT:
        raise WorkerLostError(f"piece {key} is not on this worker any more: a worker was lost")
    chosen = [a if pick is None else a[1][pick] for a, pick in zip(args, picks, strict=True)]
    return getattr(_RESIDENT[run, key], method)(*chosen)


def _signals_plugin() -> Any:
    from distributed import WorkerPlugin

    class IgnoreSignals(WorkerPlugin):
        """A queue tells all processes of a job to stop: workers go on until the run has its checkpoint."""

        def setup(self, worker: Any) -> None:
            if threading.current_thread() is threading.main_thread():
                for name in ("SIGTERM", "SIGUSR1"):
                    if hasattr(signal, name):
                        signal.signal(getattr(signal, name), signal.SIG_IGN)

    return IgnoreSignals()


def _first(result: Any) -> Any:
    return result[0]


def _forget(run: str) -> None:
    for key in [key for key in _RESIDENT if key[0] == run]:
        del _RESIDENT[key]


class Executor(Protocol):
    """Holds objects by key and calls their methods.

    Methods return (result, list of series). `call` takes arguments that may be handles of earlier calls, with
    which series of theirs is meant; series go from worker to worker, results to the client by `gather`.
    """

    def create(self, key: int, home: int, factory: Callable[..., Any], *args: Any) -> Handle: ...

    def call(
        self, key: int, method: str, *args: Any, series: Sequence[tuple[Handle, int]] = ()
    ) -> Handle: ...

    def run(self, key: int, method: str, *args: Any) -> Handle: ...

    def gather(self, handles: Sequence[Handle]) -> list[Any]: ...

    def gather_results(self, handles: Sequence[Handle]) -> list[Any]: ...


class SerialExecutor:
    """Everything in this process, one call after the other."""

    def __init__(self) -> None:
        self._run = f"serial-{next(_run_numbers)}"

    def create(self, key: int, home: int, factory: Callable[..., Any], *args: Any) -> Handle:
        _create(self._run, key, factory, *args)

    def call(self, key: int, method: str, *args: Any, series: Sequence[tuple[Handle, int]] = ()) -> Handle:
        picks = [None] * len(args) + [pick for _, pick in series]
        return _call(self._run, key, method, picks, *args, *(handle for handle, _ in series))

    def run(self, key: int, method: str, *args: Any) -> Handle:
        return self.call(key, method, *args)

    def gather(self, handles: Sequence[Handle]) -> list[Any]:
        return list(handles)

    def gather_results(self, handles: Sequence[Handle]) -> list[Any]:
        return [handle[0] for handle in handles]

    def close(self) -> None:
        _forget(self._run)


class DaskExecutor:
    """Pieces pinned to the workers of a cluster.

    A task names its worker and is never moved or repeated: what it works on is only there. If that worker is
    lost the client notices within `WAIT_SECONDS` and raises instead of waiting for ever.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        client.register_plugin(_signals_plugin())
        self._run = f"dask-{client.id}"
        self._workers = sorted(client.scheduler_info(n_workers=-1)["workers"])
        self._home: dict[int, str] = {}

    def create(self, key: int, home: int, factory: Callable[..., Any], *args: Any) -> Handle:
        self._home[key] = self._workers[home % len(self._workers)]
        return self._submit(key, _create, self._run, key, factory, *args)

    def _submit(self, key: int, function: Callable[..., Any], *args: Any) -> Handle:
        return self._client.submit(
            function, *args, workers=[self._home[key]], allow_other_workers=False, pure=False, retries=0
        )

    def call(self, key: int, method: str, *args: Any, series: Sequence[tuple[Handle, int]] = ()) -> Handle:
        picks = [None] * len(args) + [pick for _, pick in series]
        return self._submit(
            key, _call, self._run, key, method, picks, *args, *(handle for handle, _ in series)
        )

    def run(self, key: int, method: str, *args: Any) -> Handle:
        return self.call(key, method, *args)

    def gather(self, handles: Sequence[Handle]) -> list[Any]:
        from distributed import wait
        from distributed.scheduler import KilledWorker

        pending = list(handles)
        while pending:
            try:
                wait(pending, timeout=WAIT_SECONDS)
                break
            except TimeoutError:
                self._check_workers()
                pending = [f for f in pending if not f.done()]
        try:
            result: list[Any] = self._client.gather(list(handles))
        except KilledWorker:
            raise self._lost(1) from None
        except Exception:
            self._check_workers()  # a lost worker has many faces
            raise
        return result

    def gather_results(self, handles: Sequence[Handle]) -> list[Any]:
        """Only the results; the series stay where they are."""
        firsts = [
            self._client.submit(_first, handle, pure=False, workers=list(self._workers)) for handle in handles
        ]
        return self.gather(firsts)

    def _check_workers(self) -> None:
        present = set(self._client.scheduler_info(n_workers=-1)["workers"])
        lost = [address for address in set(self._home.values()) if address not in present]
        if lost:
            raise self._lost(len(lost))

    def _lost(self, count: int) -> WorkerLostError:
        return WorkerLostError(
            f"{count} of {len(self._workers)} workers ended unexpectedly (out of memory, or killed); "
            "run the same command again to go on from the last checkpoint"
        )

    def close(self) -> None:
        present = set(self._client.scheduler_info(n_workers=-1)["workers"])
        self._client.run(_forget, self._run, workers=[w for w in self._workers if w in present])


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
    from rivergrad.distributed.cluster import open_client

    with open_client(options) as client:
        executor = DaskExecutor(client)
        yield executor
