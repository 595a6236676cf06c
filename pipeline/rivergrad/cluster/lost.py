"""What is raised when something is wrong with the processes of a cluster."""

from __future__ import annotations

from rivergrad.errors import InputError


class ClusterError(InputError):
    """Something is wrong with the processes of a cluster; their logs may tell what."""


class WorkerLostError(ClusterError):
    """A worker ended before its task; what it held is gone, and the run goes on from its last checkpoint."""
