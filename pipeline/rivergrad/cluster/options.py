"""What a cluster is opened with: plain values, so that a workflow can make them without Dask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rivergrad import registry

LOOPBACK = "lo"


@dataclass(frozen=True)
class Tls:
    """The certificates of Dask's connections, PEM files; all three None for a certificate made for this cluster.

    Attributes:
        ca: who signed the certificates; cert, key: what every process shows.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class ClusterOptions:
    """What runs the parts.

    Attributes:
        kind: serial (this process), local (worker processes of this machine), cuda (one worker a GPU), slurm (jobs of a
            Slurm cluster) or mpi (the ranks of an MPI job).
        workers: how many; 0 is no cluster for local, and as many as there are GPUs or ranks for cuda and mpi.
        threads: that one worker computes with.
        interface: network interface that scheduler and workers listen on; port: the scheduler's, 0 for any free one.
        dashboard: serve Dask's dashboard there, at `dashboard_port`; report: file of Dask's performance report.
        logs: folder of the workers' logs.
        tls: encrypts connections, with these certificates; None does not.
        wait: how long workers may take to come, s.
        patience: time without a sign of life after which a worker or the scheduler counts as lost, s.
        restarts: how many times a run goes on after it lost a worker.
        queue: what a Slurm job asks for.
    """

    kind: str = "local"
    workers: int = 0
    threads: int = 1
    interface: str = LOOPBACK
    port: int = 0
    dashboard: bool = False
    dashboard_port: int = 0
    report: Path | None = None
    logs: Path | None = None
    tls: Tls | None = None
    wait: float = 300.0
    patience: float = 120.0
    restarts: int = 3
    queue: Mapping[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> Mapping[str, Any]:
        """What is known of the kind; see `rivergrad.cluster.clusters`."""
        return registry.entry("cluster", self.kind).facts

    @property
    def serial(self) -> bool:
        """Whether everything is done in this process."""
        allowed = self.facts.get("workers", "any")
        return allowed == "none" or (allowed == "any" and self.workers == 0)
