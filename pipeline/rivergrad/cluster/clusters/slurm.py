"""Workers in jobs of their own in a Slurm queue, by dask-jobqueue."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rivergrad.cluster.clusters import Ground, Started
from rivergrad.cluster.options import LOOPBACK, ClusterOptions
from rivergrad.cluster.slurmqueue import job_hosts, job_state, slurm_time
from rivergrad.errors import InputError

LOOK_SECONDS = 5.0
"""How often the queue is asked for jobs that have ended, while workers are waited for."""


@contextmanager
def start(options: ClusterOptions, ground: Ground) -> Iterator[Started]:
    """A scheduler in this process, and a job of `sbatch` for each of `options.workers` workers.

    Raises:
        InputError: no Slurm, no dask-jobqueue, no workers asked for, or a job that Slurm refuses.
    """
    import dask

    if options.workers == 0:
        raise InputError(
            "found 0 with kind slurm; expected the number of jobs to submit", key="compute.workers"
        )
    if shutil.which("sbatch") is None:
        raise InputError(
            "slurm needs sbatch, which is not in PATH; expected a Slurm cluster", key="compute.kind"
        )
    try:
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError:
        raise InputError(
            "slurm needs the package dask-jobqueue; expected it (pip install 'rivergrad[slurm]')",
            key="compute.kind",
        ) from None
    folder = (Path.cwd() if options.logs is None else options.logs).absolute()
    # the settings of this process, for those that start elsewhere
    inherited = dask.config.serialize(dask.config.expand_environment_variables(dask.config.config))
    cluster = SLURMCluster(
        cores=1,
        processes=1,
        python=sys.executable,
        interface=options.interface,
        protocol=None if ground.security is None else "tls://",
        security=ground.security,
        shared_temp_directory=str(folder),
        log_directory=str(folder),
        job_name="rivergrad-worker",
        job_cpu=options.threads,
        job_script_prologue=[
            *options.queue.get("prologue", ()),
            f"export DASK_INTERNAL_INHERIT_CONFIG={inherited}",
            f"export OMP_NUM_THREADS={options.threads}",
            "export PYTHONSAFEPATH=1",
            f"export OMP_WAIT_POLICY={os.environ.get('OMP_WAIT_POLICY', 'PASSIVE')}",
        ],
        death_timeout=round(options.wait),
        worker_extra_args=["--no-dashboard"],
        silence_logs="error",
        scheduler_options={
            "host": ground.host,
            "port": options.port,
            "dashboard": options.dashboard,
            "dashboard_address": f"{ground.host}:{options.dashboard_port}",
        },
        **job_settings(options.queue),
    )
    with cluster:
        cluster.scale(jobs=options.workers)
        # once Dask has given a lost job's worker up, which takes it a while, another job takes its place
        yield Started(
            cluster,
            options.workers,
            _Watch(cluster, options.interface).problem,
            lambda workers: cluster.scale(jobs=workers),
        )


def job_settings(queue: Mapping[str, Any]) -> dict[str, Any]:
    """dask-jobqueue's arguments for what a job asks of Slurm (`compute.slurm`)."""
    directives = list(queue.get("directives", ()))
    if queue.get("gpus"):
        directives.append(f"--gres=gpu:{queue['gpus']}")
    return {
        "queue": queue.get("partition"),
        "account": queue.get("account"),
        "walltime": slurm_time(queue.get("time", 3600.0)),
        "memory": f"{queue.get('memory', 4_000_000_000)}B",
        "job_extra_directives": directives,
    }


class _Watch:
    """Says when jobs end that should be workers, or begin where they cannot reach this machine."""

    def __init__(self, cluster: Any, interface: str) -> None:
        self._cluster, self._interface = cluster, interface
        self._next = time.monotonic() + LOOK_SECONDS

    def problem(self) -> str | None:
        if time.monotonic() < self._next:
            return None
        self._next = time.monotonic() + LOOK_SECONDS
        jobs = [str(job.job_id) for job in self._cluster.workers.values() if job.job_id]
        states = {job: job_state(job) for job in jobs}
        ended = [f"job {job} is {one.state}" for job, one in states.items() if one is not None and one.ended]
        if ended or self._interface != LOOPBACK:
            return ", ".join(ended) or None
        here = socket.gethostname().partition(".")[0]
        for job in jobs:
            if others := job_hosts(job) - {here}:
                return f"job {job} runs on {min(others)}, which cannot reach interface {LOOPBACK} of {here}"
        return None
