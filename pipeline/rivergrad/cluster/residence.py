"""What lives on a worker (or in this process) for the whole of a run, and the tasks that work with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from rivergrad.cluster.boundary import on_host
from rivergrad.cluster.calls import Call, Series
from rivergrad.cluster.lost import WorkerLostError
from rivergrad.cluster.totals import Total

_RESIDENT: dict[tuple[str, int], Any] = {}
"""What lives here, by run and piece."""

_ASIDE = ThreadPoolExecutor(1, "rivergrad-aside")
"""Makes calls that go on beside others; its thread starts with the first of them."""

_REPORTS: dict[tuple[str, int], Report] = {}
"""Results of sweeps that are not over yet, by run and sweep."""


@dataclass
class Report:
    """What a worker tells the client of a sweep: results by piece, and the seconds that each batch took.

    `aside` are calls that still go on, by piece.
    """

    results: Any
    seconds: dict[int, float]
    aside: dict[int, Future[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a batch leaves: series for other batches, and after a worker's last one its report."""

    series: dict[Series, Any]
    report: Report | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """To another worker they go as arrays."""
        return Outcome, ({name: on_host(value) for name, value in self.series.items()}, self.report)


def create(run: str, key: int, factory: Callable[..., Any], *args: Any) -> None:
    """Make something that stays here."""
    _RESIDENT[run, key] = factory(*args)


def forget(run: str) -> None:
    """Free everything of a run."""
    for store in (_RESIDENT, _REPORTS):
        for at in [at for at in store if at[0] == run]:
            del store[at]


def resident(run: str, key: int) -> Any:
    """What was made under this key.

    Raises:
        WorkerLostError: nothing is there: this process is not the one that made it.
    """
    if (run, key) not in _RESIDENT:
        raise WorkerLostError(f"piece {key} is not on this worker any more: a worker was lost")
    return _RESIDENT[run, key]


def carry_out(
    run: str,
    sweep: int,
    batch: int,
    calls: Sequence[Call],
    exports: Sequence[Series],
    last: bool,
    total: Total | None,
    *before: Outcome | Mapping[Series, Any],
) -> Outcome:
    """Make the calls of a batch.

    Args:
        run, sweep, batch: which.
        calls: in order.
        exports: series that other batches take.
        last: whether the worker's report is due after it.
        total: how results are added up.
        before: outcomes of earlier batches, or picked from them.
    """
    began = time.perf_counter()
    series: dict[Series, Any] = {}
    for earlier in before:
        series.update(earlier.series if isinstance(earlier, Outcome) else earlier)
    report = _REPORTS.setdefault((run, sweep), Report({}, {}))
    for call in calls:
        method = getattr(resident(run, call.key), call.method)
        if call.aside:
            report.aside[call.key] = _ASIDE.submit(method, *call.args)
            continue
        result = method(*call.args, *(series[taken] for taken in call.takes))
        if call.gives:
            result, leaving = result
            series.update({(call.node, i): value for i, value in enumerate(leaving)})
        if call.wanted:
            report.results[call.key] = result
    if last:
        _wait_aside(report)
    report.seconds[batch] = time.perf_counter() - began
    return Outcome({name: series[name] for name in exports}, collect(run, sweep, total) if last else None)


def _wait_aside(report: Report) -> None:
    """The results of the calls that went on beside the others."""
    for key, going_on in report.aside.items():
        report.results[key], _ = going_on.result()
    report.aside = {}


def collect(run: str, sweep: int, total: Total | None, *before: Outcome) -> Report:
    """A worker's report of a sweep, after the batches `before`."""
    report = _REPORTS.pop((run, sweep), Report({}, {}))
    _wait_aside(report)
    return Report(report.results if total is None else total.part(report.results), report.seconds)


def reported(run: str, sweep: int, total: Total | None, *before: Outcome) -> Outcome:
    """`collect` as an outcome, where the last batch has series to send."""
    return Outcome({}, collect(run, sweep, total))


def pick(names: Sequence[Series], outcome: Outcome) -> dict[Series, Any]:
    """The series of an outcome that one other worker takes: no other ones travel there."""
    return {name: on_host(outcome.series[name]) for name in names}
