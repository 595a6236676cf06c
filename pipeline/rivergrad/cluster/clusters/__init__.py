"""One module for each kind of cluster: `start(options, ground)`, a context manager that gives a `Started`.

A kind is registered as `cluster` (see `rivergrad.registry`) with these facts, a mapping `facts` of the function:

- `workers`: what `compute.workers` may be: `none` (0 alone), `any` (0 is this process), `all` (0 stands for all there
  are) or `some` (1 or more); `any` if not said;
- `ranks`: the command is started in several ranks, of which the first leads;
- `own_jobs`: workers are jobs of their own in a queue, so that the run's own job needs no place for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rivergrad.errors import InputError


@dataclass(frozen=True)
class Ground:
    """What all kinds of clusters are given.

    Attributes:
        host: address that the scheduler listens on; security: Dask's, or None.
        settings: Dask's configuration for every process.
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

    Attributes:
        cluster: Dask's; workers: how many will come.
        problem: called while the run waits for workers; says why they will not come, if that is known.
        ask: called with the number of workers that the run wants: again and again while it waits for replacements, and
            once with a smaller number if it goes on with fewer.
    """

    cluster: Any
    workers: int
    problem: Callable[[], str | None] = no_problem
    ask: Callable[[int], None] = no_others


def checked(found: Any, name: str) -> Any:
    """A function that starts a cluster: what the registry asks at first use.

    Raises:
        InputError: what can't be called.
    """
    if callable(found):
        return found
    raise InputError(
        f"expected a function start(options, ground), found {type(found).__name__}",
        key="compute.kind",
        found=name,
    )
