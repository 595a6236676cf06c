"""Worker processes of this machine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rivergrad.cluster.clusters import Ground, Started
from rivergrad.cluster.liveness import AGAIN
from rivergrad.cluster.lost import WorkerLostError
from rivergrad.cluster.options import ClusterOptions


def local_settings(options: ClusterOptions, ground: Ground) -> dict[str, Any]:
    """The arguments of Dask's `LocalCluster` and of its relatives, but for the number of workers."""
    return {
        "threads_per_worker": 1,
        "processes": True,
        "host": ground.host,
        "scheduler_port": options.port,
        "protocol": "tcp" if ground.security is None else "tls",
        "security": ground.security,
        # a port has to be given: None would take 8787, and warn where it is taken
        "dashboard_address": f"{ground.host}:{options.dashboard_port}",
        "scheduler_kwargs": {"dashboard": options.dashboard},
        "silence_logs": logging.ERROR,
    }


def started(make: Callable[[], Any]) -> Any:
    """A new cluster.

    Raises:
        WorkerLostError: a worker ended before it had come.
    """
    try:
        return make()
    except RuntimeError as error:  # of a nanny whose worker has ended
        raise WorkerLostError(
            "a worker ended while it started (out of memory, or killed)", advice=AGAIN
        ) from error


@contextmanager
def start(options: ClusterOptions, ground: Ground) -> Iterator[Started]:
    """A `LocalCluster` of `options.workers` processes."""
    from distributed import LocalCluster

    with started(
        lambda: LocalCluster(n_workers=options.workers, **local_settings(options, ground))
    ) as cluster:
        yield Started(cluster, options.workers)
