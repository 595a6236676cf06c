"""What lives on a worker (or in this process) for a whole run, and how the calls of a sweep are made on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from rivergrad.cluster.boundary import on_host
from rivergrad.cluster.calls import Call, Series
from rivergrad.cluster.lost import WorkerLostError
from rivergrad.cluster.totals import Total

_RESIDENT: dict[tuple[str, int], Any] = {}
"""What lives here, by run and piece."""

_CONCURRENT = ThreadPoolExecutor(1, "rivergrad-concurrent")
"""Makes concurrent calls; its thread starts with the first of them."""

_REPORTS: dict[tuple[str, int], Report] = {}
"""Reports of sweeps that are not over yet, by run and sweep."""


@dataclass
class Report:
    """What a worker returns to the client after a sweep.

    Attributes:
        results: by piece; seconds: by batch.
        unfinished: concurrent calls that are still under way, by piece.
    """

    results: Any
    seconds: dict[int, float]
    unfinished: dict[int, Future[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a batch leaves: series for other batches, and after a worker's last batch its report."""

    series: dict[Series, Any]
    report: Report | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # series travel to another worker as arrays
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
    given: Mapping[Hashable, Any] | None = None,
) -> Outcome:
    """Make the calls of a batch.

    Args:
        run, sweep, batch: which.
        calls: in order.
        exports: series that other batches take.
        last: whether the worker's report is due after it.
        total: how results are added up.
        before: outcomes of earlier batches, or series picked from them.
        given: values by the names that calls have for them.
    """
    began = time.perf_counter()
    series: dict[Series, Any] = {}
    for earlier in before:
        series.update(earlier.series if isinstance(earlier, Outcome) else earlier)
    report = _REPORTS.setdefault((run, sweep), Report({}, {}))
    for call in calls:
        piece = resident(run, call.key)
        values = {keyword: given[name] for keyword, name in call.given} if given is not None else {}
        if call.concurrent:
            report.unfinished[call.key] = _CONCURRENT.submit(call.function, piece, (), **values)
            continue
        if call.linked:
            result, leaving = call.function(piece, [series[taken] for taken in call.takes], **values)
            series.update({(call.node, i): value for i, value in enumerate(leaving)})
        else:
            result = call.function(piece, **values)
        if call.wanted:
            report.results[call.key] = result
    if last:
        _finish(report)
    report.seconds[batch] = time.perf_counter() - began
    return Outcome({name: series[name] for name in exports}, collect(run, sweep, total) if last else None)


def _finish(report: Report) -> None:
    """Wait for the results of concurrent calls."""
    for key, under_way in report.unfinished.items():
        report.results[key], _ = under_way.result()
    report.unfinished = {}


def collect(run: str, sweep: int, total: Total | None, *before: Outcome) -> Report:
    """A worker's report of a sweep, after the batches `before`."""
    report = _REPORTS.pop((run, sweep), Report({}, {}))
    _finish(report)
    return Report(report.results if total is None else total.part(report.results), report.seconds)


def reported(run: str, sweep: int, total: Total | None, *before: Outcome) -> Outcome:
    """`collect` as an outcome, where the last batch has series to send."""
    return Outcome({}, collect(run, sweep, total))


def pick(names: Sequence[Series], outcome: Outcome) -> dict[Series, Any]:
    """The series of an outcome that one other worker takes, so that no others travel there."""
    return {name: on_host(outcome.series[name]) for name in names}
