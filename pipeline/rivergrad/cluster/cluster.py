"""Dask clusters, each opened for one run and gone at its end."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rivergrad import registry
from rivergrad.cluster.clusters import Ground, Started
from rivergrad.cluster.liveness import Watch
from rivergrad.cluster.lost import ClusterError
from rivergrad.cluster.mainguard import require_guard
from rivergrad.cluster.network import address_of, check_port
from rivergrad.cluster.options import ClusterOptions
from rivergrad.errors import InputError
from rivergrad.io import atomic_path

log = logging.getLogger("rivergrad")

MOST_WORKERS = 4096
LOOK_SECONDS = 0.1
"""How often the workers that have come are counted."""


SAFE_PATH = "PYTHONSAFEPATH"
"""Where this variable is set, Python does not look for modules in the current directory."""


def dask_settings(options: ClusterOptions) -> dict[str, Any]:
    """Dask's configuration, of the run's own process and of every worker's."""
    settings = {
        "distributed.worker.daemon": True,
        # a piece's observations travel with the task that sets it up, once; the runoff is read where it is needed
        "distributed.admin.large-graph-warning-threshold": "1GB",
        # a lost worker holds what cannot be made again from the graph: do not try
        "distributed.scheduler.allowed-failures": 0,
        # what is asked of all workers goes over connections that stay, not over new ones each time
        "distributed.scheduler.reuse-broadcast-comm": True,
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": False,
        "distributed.nanny.environ.OMP_NUM_THREADS": options.threads,
        # a worker's process is started in the current directory: nothing there stands for a module of Python's
        f"distributed.nanny.pre-spawn-environ.{SAFE_PATH}": 1,
    }
    if not options.dashboard:  # Dask's web servers cannot be left out, but then they have nothing to say
        settings["distributed.scheduler.http.routes"] = []
        settings["distributed.worker.http.routes"] = []
    return settings


@contextmanager
def open_cluster(options: ClusterOptions) -> Iterator[tuple[Any, Started]]:
    """A client of a new cluster whose workers have all come, and the cluster, which is gone at the end.

    Every worker process runs one task at a time; `threads` is what torch computes with inside it.

    Raises:
        InputError: a port that is taken, an interface or a package that is not there, workers that don't come or run
            another version of rivergrad, or what the kind of cluster needs.
    """
    import dask
    from distributed import Client

    from rivergrad.cluster.handshake import check_versions
    from rivergrad.cluster.security import make_security
    from rivergrad.cluster.workerlog import WorkerSetup, exported, quiet_console, scheduler_log

    require_guard(options)
    if options.kind == "local" and options.workers > MOST_WORKERS:
        raise InputError(
            f"found {options.workers}; expected at most {MOST_WORKERS} processes on one machine",
            key="compute.workers",
        )
    quiet_console()
    host = address_of(options.interface)
    check_port("compute.port", options.port, host)
    check_port("compute.dashboard_port", options.dashboard_port, host)
    for key, wanted in (("dashboard", options.dashboard), ("performance_report", options.report is not None)):
        if wanted and find_spec("bokeh") is None:
            raise InputError(
                "needs the package bokeh; expected it (pip install 'rivergrad[dashboard]')",
                key=f"compute.{key}",
            )
    settings = dask_settings(options)
    start = registry.load("cluster", options.kind)
    with ExitStack() as stack:
        stack.enter_context(_environment_as_before(SAFE_PATH))
        stack.enter_context(dask.config.set(settings))
        if options.logs is not None:
            options.logs.mkdir(parents=True, exist_ok=True)
        ground = Ground(host, make_security(options.tls), settings)
        started: Started = stack.enter_context(start(options, ground))
        stack.enter_context(scheduler_log(options.logs))
        client = stack.enter_context(Client(started.cluster))
        _wait_for(client, started, options)
        check_versions(client, options.patience)
        watch = Watch(client, options.patience)
        watch.patiently(
            lambda: client.register_plugin(WorkerSetup(options.logs, exported())), list(watch.workers())
        )
        if options.dashboard:
            log.info("Dask dashboard: %s", client.dashboard_link)
        _record(client, options)
        if options.report is not None:
            stack.enter_context(_performance_report(options.report))
        yield client, started


def _wait_for(client: Any, started: Started, options: ClusterOptions) -> None:
    """Wait until all workers are there."""
    last = time.monotonic() + options.wait
    while (found := len(client.scheduler_info(n_workers=-1)["workers"])) < started.workers:
        problem = started.problem()
        if problem is None and time.monotonic() > last:
            problem = f"{found} of {started.workers} workers came within {options.wait:g} s"
        if problem is not None:
            where = "" if options.logs is None else f" and the logs in {options.logs}"
            raise ClusterError(
                f"{problem}; expected {started.workers} workers that reach "
                f"{client.scheduler.address} (see compute.interface, compute.wait{where})",
                key="compute.kind",
                found=options.kind,
            )
        time.sleep(LOOK_SECONDS)


def _record(client: Any, options: ClusterOptions) -> None:
    """Note in the folder of logs which workers there are: what `rivergrad status` tells."""
    if options.logs is None:
        return
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    found = {"kind": options.kind, "workers": sorted(str(worker["name"]) for worker in workers)}
    if options.dashboard:
        found["dashboard"] = client.dashboard_link
    with suppress(OSError), atomic_path(options.logs / "cluster.json") as temporary:
        temporary.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


@contextmanager
def _environment_as_before(name: str) -> Iterator[None]:
    """Dask sets what it starts workers with in this process too, and leaves it: other children would inherit it."""
    before = os.environ.get(name)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


@contextmanager
def _performance_report(path: Path) -> Iterator[None]:
    """Write Dask's performance report of what is done meanwhile; a run does not fail for it."""
    from distributed import performance_report

    temporary = path.with_name(f".{path.name}")
    report = performance_report(filename=str(temporary))
    report.__enter__()
    try:
        yield
    finally:
        try:
            report.__exit__(None, None, None)
            with atomic_path(path) as whole:
                temporary.replace(whole)
        except Exception as error:  # the scheduler may be gone, which is said elsewhere
            log.warning("no performance report: %s", error or type(error).__name__)
