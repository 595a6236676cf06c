"""What is raised when a worker is gone."""

from __future__ import annotations

from rivergrad.errors import InputError


class WorkerLostError(InputError):
    """A worker ended before its task; what it held is gone, and the run goes on from its last checkpoint."""
