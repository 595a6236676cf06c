"""The ranks of an MPI job: rank 0 has the run, the scheduler and a worker, every other rank a worker.

Workers are processes of their own below their rank, as in every kind of cluster: one that is lost is started again
and the job goes on, where the loss of a rank would end it. MPI only tells the ranks where the scheduler is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rivergrad.cluster.clusters import Ground, Started
from rivergrad.cluster.clusters.local import local_settings, started
from rivergrad.cluster.options import ClusterOptions
from rivergrad.cluster.ranks import Join, world
from rivergrad.errors import InputError


@contextmanager
def start(options: ClusterOptions, ground: Ground) -> Iterator[Started]:
    """A scheduler in this process, rank 0, and a worker for each rank.

    Raises:
        InputError: another number of workers than of ranks, or no mpi4py.
    """
    from distributed import LocalCluster

    ranks = world()
    if options.workers not in (0, ranks.size):
        raise InputError(
            f"found {options.workers} with kind mpi and {ranks.size} ranks; "
            f"expected {ranks.size}, or 0 for one a rank",
            key="compute.workers",
        )
    with started(lambda: LocalCluster(n_workers=1, **local_settings(options, ground))) as cluster:
        ranks.tell(Join(cluster.scheduler_address, options.interface, ground.security, dict(ground.settings)))
        try:
            yield Started(cluster, ranks.size, ranks.problem)
        finally:
            ranks.tell("leave")
