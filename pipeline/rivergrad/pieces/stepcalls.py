"""The calls of one step of training: which function runs on which piece, and which series it receives.

Pieces without neighbours do all in one call. Where basins are cut, series go downstream from `forward` to `forward`,
and their gradients come back upstream from `backward` to `backward`. Which calls there are depends on the number of
windows only; what they are given is new in each step.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivergrad.cluster.calls import Call, Node, Plan
from rivergrad.cluster.totals import Total
from rivergrad.model.smoothing import Neighbours
from rivergrad.pieces.groups import backward_group, end_groups, forward_group, judge_groups
from rivergrad.pieces.placed import PlacedPieces
from rivergrad.pieces.setup import Window
from rivergrad.pieces.step import After, backward, forward, forward_and_backward

GROUPS = 4
"""Most groups that the windows of a step are split into where basins are cut: while a piece routes one group, those
downstream route the group before. On GPUs there is one: a kernel takes as long as the longest way through its tree,
however many windows it has."""


@dataclass(frozen=True)
class StepRequest:
    """The arguments of a step.

    Attributes:
        shared: (coefficient,) shared coefficients.
        windows: windows of the record, all of the same lengths.
        after: what to do with the deviations once their gradient is known.
        rate: learning rate; None for that of the set-up.
        neighbours: by piece, the deviations across its cuts; None if not yet known.
        ahead: windows of the step that follows, whose runoff may be read meanwhile.
    """

    shared: NDArray[np.float64]
    windows: list[Window]
    after: After
    rate: float | None
    neighbours: Sequence[Neighbours | None]
    ahead: Sequence[Window] = ()


Given = tuple[tuple[str, Hashable], ...]
"""Keywords of a function, and the names of the values that it is given."""

ENDS: Given = (("after", "after"), ("rate", "rate"))


def group_count(placed: PlacedPieces, windows: int) -> int:
    """How many groups a step over so many windows is split into."""
    return min(GROUPS, windows) if placed.cut and not placed.on_gpu else 1


def step_plan(placed: PlacedPieces, groups: int, added: tuple[str, ...]) -> Plan:
    """The calls of a step over so many groups of windows. Each call follows the calls that it needs.

    Args:
        added: entries of the results that are added up over all pieces.
    """
    calls = _at_once(placed) if groups == 1 else _in_groups(placed, groups)
    return Plan(calls, Total(added, len(placed.pieces)))


def step_values(request: StepRequest, groups: int) -> dict[Hashable, Any]:
    """What the calls of a step are given, by name."""
    members = np.array_split(np.arange(len(request.windows)), groups)
    windows = [[request.windows[w] for w in those] for those in members]
    values: dict[Hashable, Any] = {
        "shared": request.shared,
        "after": request.after,
        "rate": request.rate,
        "windows": request.windows,
        "ahead": request.ahead,
    }
    for g in range(groups):
        values["windows", g] = windows[g]
        values["ahead", g] = windows[g + 1] if g + 1 < groups else request.ahead
    for p, neighbours in enumerate(request.neighbours):
        values["neighbours", p] = neighbours
    return values


def _routes(p: int) -> Given:
    """What `forward` is given on a piece."""
    own = ("neighbours", ("neighbours", p))
    return (("shared", "shared"), ("windows", "windows"), ("ahead", "ahead"), own)


def _at_once(placed: PlacedPieces) -> list[Call]:
    """All windows are routed together."""
    calls: list[Call] = []
    turned: dict[int, Node] = {}  # the call that returns the gradients of a piece's inflows
    for piece in placed.pieces:
        p = piece.number
        takes = tuple((("forward", source), outlet) for source, outlet in piece.sources)
        if piece.outlets.size:
            calls.append(Call(("forward", p), p, forward, takes, linked=True, wanted=False, given=_routes(p)))
        else:
            turned[p] = ("both", p)
            concurrent = placed.on_gpu and placed.cut and piece.whole
            given = _routes(p) + ENDS
            calls.append(
                Call(
                    turned[p], p, forward_and_backward, takes, linked=True, concurrent=concurrent, given=given
                )
            )
    for piece in reversed(placed.pieces):
        if piece.number not in turned:
            p = piece.number
            gradients = tuple((turned[number], inlet) for number, inlet in placed.takers_of(piece))
            turned[p] = ("backward", p)
            calls.append(Call(turned[p], p, backward, gradients, linked=True, given=ENDS))
    return calls


def _in_groups(placed: PlacedPieces, count: int) -> list[Call]:
    """Groups of windows are routed one after the other; labels keep the phases of a step apart."""
    judge: list[Call] = []
    end: list[Call] = []
    for piece in placed.pieces:
        p = piece.number
        if piece.whole:
            given = _routes(p) + ENDS
            end.append(Call(("end", p), p, forward_and_backward, linked=True, label=count, given=given))
            continue
        judged = (("windows", "windows"), ("neighbours", ("neighbours", p)))
        judge.append(Call(("judge", p), p, judge_groups, wanted=False, label=count, given=judged))
        end.append(Call(("end", p), p, end_groups, label=2 * count + 1, given=ENDS))
    forward: list[Call] = []
    backward: list[Call] = []
    for g in range(count):
        routes = (("shared", "shared"), ("windows", ("windows", g)), ("ahead", ("ahead", g)))
        there, back = partial(forward_group, group=g), partial(backward_group, group=g)
        for piece in placed.pieces:
            if not piece.whole:
                p = piece.number
                takes = tuple((("forward", g, source), outlet) for source, outlet in piece.sources)
                node = ("forward", g, p)
                forward.append(Call(node, p, there, takes, linked=True, wanted=False, label=g, given=routes))
        for piece in reversed(placed.pieces):
            if not piece.whole:
                p = piece.number
                takes = tuple((("backward", g, n), inlet) for n, inlet in placed.takers_of(piece))
                backward.append(
                    Call(("backward", g, p), p, back, takes, linked=True, wanted=False, label=count + 1 + g)
                )
    return [*forward, *judge, *backward, *end]
