"""What is raised when processes of a cluster are gone."""

from __future__ import annotations

from rivergrad.errors import InputError


class ClusterError(InputError):
    """Something is wrong with the processes of a cluster; their logs may tell what."""


class WorkerLostError(ClusterError):
    """A worker ended before its task; what it held is gone, and the run goes on from its last checkpoint."""
