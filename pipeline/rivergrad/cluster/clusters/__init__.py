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


def no_others(workers: int) -> None:
    """What a cluster does about lost workers that whoever watches over them starts again."""


@dataclass(frozen=True)
class Started:
    """A cluster that was started.

    **Arguments**: `cluster`, Dask's; `workers`, how many will come; `problem`, asked while they are waited for: why
    they will not come, if that is known; `ask`, called again and again while some are waited for in the place of lost
    ones, and once with a smaller number that the run goes on with: see to it that there are so many.
    """

    cluster: Any
    workers: int
    problem: Callable[[], str | None] = no_problem
    ask: Callable[[int], None] = no_others
