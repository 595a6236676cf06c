"""Worker processes of this machine, one a GPU, by dask-cuda."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rivergrad.cluster.clusters import Ground, Started
from rivergrad.cluster.clusters.local import local_settings, started
from rivergrad.cluster.options import ClusterOptions
from rivergrad.errors import InputError


@contextmanager
def start(options: ClusterOptions, ground: Ground) -> Iterator[Started]:
    """A `LocalCUDACluster`: each worker sees its own GPU first, and is bound to the cores near it.

    Raises:
        InputError: no GPU, fewer than workers, or no dask-cuda.
    """
    import torch

    found = torch.cuda.device_count()
    if found == 0:
        raise InputError(
            "found cuda and no GPU that torch can use; expected one, or kind local", key="compute.kind"
        )
    if options.workers > found:
        raise InputError(
            f"found {options.workers} with kind cuda and {found} GPUs; expected one a GPU, or 0",
            key="compute.workers",
        )
    try:
        from dask_cuda import LocalCUDACluster
    except ImportError:
        raise InputError(
            "cuda needs the package dask-cuda; expected it (pip install 'rivergrad[cuda]')",
            key="compute.kind",
        ) from None
    workers = options.workers or found
    settings = local_settings(options, ground)
    del settings["processes"]  # there is no other way, and dask-cuda says so itself
    # what lives on a worker is not Dask's to move from the GPU to the host
    settings |= {"device_memory_limit": None, "memory_limit": None}
    with started(lambda: LocalCUDACluster(n_workers=workers, **settings)) as cluster:
        yield Started(cluster, workers)
