"""Dask clusters, each opened for one run and gone at its end."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rivergrad.distributed.options import ClusterOptions


@contextmanager
def open_client(options: ClusterOptions) -> Iterator[Any]:
    """A client of a new LocalCluster: on the loopback interface, without dashboard, gone at the end.

    Every worker process runs one task at a time; `threads` is what torch computes with inside it.
    """
    import dask
    from distributed import Client, LocalCluster

    settings = {
        "distributed.worker.daemon": True,
        # a piece's observations travel with the task that sets it up, once; the runoff is read where it is needed
        "distributed.admin.large-graph-warning-threshold": "1GB",
        # a lost worker holds what cannot be made again from the graph: do not try
        "distributed.scheduler.allowed-failures": 0,
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": False,
        "distributed.nanny.environ.OMP_NUM_THREADS": options.threads,
    }
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=options.workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # any free port: None would take 8787, and warn where it is taken
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
