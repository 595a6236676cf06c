"""One module for each kind of cluster, whose `start(options, ground)` is a context manager that gives a `Started`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ground:
    """What all kinds of clusters stand on.

    **Arguments**: `host`, the address that the scheduler listens on; `security`, Dask's, or None; `settings`, Dask's
    configuration for every process.
    """

    host: str
    security: Any
    settings: Mapping[str, Any]


def no_problem() -> str | None:
    """What a cluster says whose workers have no way to fail unnoticed."""
    return None


@dataclass(frozen=True)
class Started:
    """A cluster that was started.

    **Arguments**: `cluster`, Dask's; `workers`, how many will come; `problem`, asked while they are waited for: why
    they will not come, if that is known.
    """

    cluster: Any
    workers: int
    problem: Callable[[], str | None] = no_problem
