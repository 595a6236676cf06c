"""Function calls on many pieces, put together to few tasks: a worker does in one go what waits for nobody else.

A sweep is a list of calls; each comes after those it needs. The rank of a call is how often the way to it changes the
worker. Calls of one rank on one worker make a batch, which is one task: where no basin is cut, a whole step is one task
a worker.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rivergrad.cluster.totals import Total

Node = Hashable
Series = tuple[Node, int]
"""Which series of which call."""


@dataclass(frozen=True)
class Call:
    """A function to call on a piece.

    The function stands in a module, so that it can be pickled; `functools.partial` binds its other arguments.

    Attributes:
        node: the call's name within its sweep.
        key: the piece; calls on one piece are made in the order of the list.
        function: called as function(piece), and returns the result; or, if the call is `linked`, called as
            function(piece, [series, ...]), and returns (result, [series, ...]).
        takes: series of earlier calls that a linked call takes.
        linked: whether the call takes and returns series.
        wanted: whether the result goes to the client, by the number of the piece.
        label: calls of different labels are never in one task; they come in the order of their labels.
        concurrent: whether the worker's later calls of the sweep need not wait for it; nobody takes its series.
        given: the function's keywords and the names of the values that they take, which come with each sweep.
    """

    node: Node
    key: int
    function: Callable[..., Any]
    takes: tuple[Series, ...] = ()
    linked: bool = False
    wanted: bool = True
    label: int = 0
    concurrent: bool = False
    given: tuple[tuple[str, Hashable], ...] = ()


_plan_numbers = itertools.count()


@dataclass(frozen=True, eq=False)
class Plan:
    """A sweep that is carried out again and again: what is new each time are the values that its calls are given.

    Workers keep their part of it. What it costs to put calls together and to send them is paid once.

    Attributes:
        calls: each after those whose series it takes.
        total: how results are added up.
        number: tells it from other plans of this process.
    """

    calls: Sequence[Call]
    total: Total | None = None
    number: int = field(default_factory=lambda: next(_plan_numbers))


@dataclass
class Batch:
    """Calls that make one task.

    Attributes:
        home: the worker's number; `rank` and `label` as in `Call` and the module's text.
        calls: in the order in which they are made.
        needs: earlier batches, by number.
        exports: series that later batches take, with the workers where those are.
    """

    home: int
    rank: int
    label: int
    calls: list[Call] = field(default_factory=list)
    needs: set[int] = field(default_factory=set)
    exports: dict[Series, set[int]] = field(default_factory=dict)

    @property
    def receivers(self) -> set[int]:
        """Other workers that series of this batch go to."""
        return {home for homes in self.exports.values() for home in homes} - {self.home}


def make_batches(calls: Sequence[Call], home: Mapping[int, int]) -> list[Batch]:
    """The batches of a sweep, each after those it needs.

    Args:
        calls: each after those whose series it takes.
        home: the worker's number of each piece.
    """
    rank: dict[Node, int] = {}
    key_of: dict[Node, int] = {}
    before: dict[int, Node] = {}
    waits: list[list[Node]] = []
    for call in calls:
        mine = home[call.key]
        nodes = [node for node, _ in call.takes]
        if call.key in before:
            nodes.append(before[call.key])
        rank[call.node] = max((rank[node] + (home[key_of[node]] != mine) for node in nodes), default=0)
        key_of[call.node] = call.key
        before[call.key] = call.node
        waits.append(nodes)
    found: dict[tuple[int, int, int], Batch] = {}
    for call in calls:
        at = rank[call.node], call.label, home[call.key]
        found.setdefault(at, Batch(at[2], at[0], at[1])).calls.append(call)
    batches = [found[at] for at in sorted(found)]
    number = {call.node: b for b, batch in enumerate(batches) for call in batch.calls}
    for call, nodes in zip(calls, waits, strict=True):
        here = number[call.node]
        batches[here].needs |= {number[node] for node in nodes} - {here}
        for series in call.takes:
            there = number[series[0]]
            if there != here:
                batches[there].exports.setdefault(series, set()).add(batches[here].home)
    for b, batch in enumerate(batches):
        if any(need >= b for need in batch.needs):
            raise ValueError(f"calls labelled {batch.label} come before those that they need")
    return batches


def critical_seconds(batches: Sequence[Batch], seconds: Sequence[float]) -> float:
    """How long a sweep takes if only its batches cost time, and each worker does one at a time, s."""
    free: dict[int, float] = {}
    ends: list[float] = []
    for batch, lasts in zip(batches, seconds, strict=True):
        start = max([free.get(batch.home, 0.0), *(ends[need] for need in batch.needs)])
        ends.append(start + lasts)
        free[batch.home] = ends[-1]
    return max(ends, default=0.0)
