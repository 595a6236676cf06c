"""The calls of one step of training: which function runs on which piece, and which series it receives.

Pieces without neighbours do all in one call. Where basins are cut, series go downstream from `forward` to `forward`,
and their gradients come back upstream from `backward` to `backward`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivergrad.cluster.calls import Call, Node
from rivergrad.model.smoothing import Neighbours
from rivergrad.pieces.groups import backward_group, end_groups, forward_group, judge_groups
from rivergrad.pieces.placed import PlacedPieces
from rivergrad.pieces.series import Series
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


def step_calls(placed: PlacedPieces, request: StepRequest) -> list[Call]:
    """The calls of a step. Each call follows the calls that it needs."""
    several = placed.cut and not placed.on_gpu
    count = len(request.windows)
    groups = np.array_split(np.arange(count), min(GROUPS, count) if several else 1)
    if len(groups) == 1:
        return _at_once(placed, request)
    return _in_groups(placed, request, [[request.windows[w] for w in members] for members in groups])


def _at_once(placed: PlacedPieces, request: StepRequest) -> list[Call]:
    """All windows are routed together."""
    calls: list[Call] = []
    turned: dict[int, Node] = {}  # the call that returns the gradients of a piece's inflows
    for piece, neighbours in zip(placed.pieces, request.neighbours, strict=True):
        p = piece.number
        takes = tuple((("forward", source), outlet) for source, outlet in piece.sources)
        if piece.outlets.size:
            function = partial(
                forward,
                shared=request.shared,
                windows=request.windows,
                neighbours=neighbours,
                ahead=request.ahead,
            )
            calls.append(Call(("forward", p), p, function, takes, linked=True, wanted=False))
        else:
            turned[p] = ("both", p)
            concurrent = placed.on_gpu and placed.cut and piece.whole
            both = _both(request, neighbours)
            calls.append(Call(turned[p], p, both, takes, linked=True, concurrent=concurrent))
    for piece in reversed(placed.pieces):
        if piece.number not in turned:
            p = piece.number
            gradients = tuple((turned[number], inlet) for number, inlet in placed.takers_of(piece))
            turned[p] = ("backward", p)
            back = partial(backward, after=request.after, rate=request.rate)
            calls.append(Call(turned[p], p, back, gradients, linked=True))
    return calls


def _both(
    request: StepRequest, neighbours: Neighbours | None
) -> partial[tuple[dict[str, Any], list[Series]]]:
    return partial(
        forward_and_backward,
        after=request.after,
        rate=request.rate,
        shared=request.shared,
        windows=request.windows,
        neighbours=neighbours,
        ahead=request.ahead,
    )


def _in_groups(placed: PlacedPieces, request: StepRequest, groups: list[list[Window]]) -> list[Call]:
    """Groups of windows are routed one after the other; labels keep the phases of a step apart."""
    count = len(groups)
    judge: list[Call] = []
    end: list[Call] = []
    for piece, neighbours in zip(placed.pieces, request.neighbours, strict=True):
        p = piece.number
        if piece.whole:
            end.append(Call(("end", p), p, _both(request, neighbours), linked=True, label=count))
            continue
        judged = partial(judge_groups, windows=request.windows, neighbours=neighbours)
        judge.append(Call(("judge", p), p, judged, wanted=False, label=count))
        ended = partial(end_groups, after=request.after, rate=request.rate)
        end.append(Call(("end", p), p, ended, label=2 * count + 1))
    forward: list[Call] = []
    backward: list[Call] = []
    for g, windows in enumerate(groups):
        follows = groups[g + 1] if g + 1 < count else request.ahead
        there = partial(forward_group, group=g, shared=request.shared, windows=windows, ahead=follows)
        back = partial(backward_group, group=g)
        for piece in placed.pieces:
            if not piece.whole:
                p = piece.number
                takes = tuple((("forward", g, source), outlet) for source, outlet in piece.sources)
                forward.append(Call(("forward", g, p), p, there, takes, linked=True, wanted=False, label=g))
        for piece in reversed(placed.pieces):
            if not piece.whole:
                p = piece.number
                takes = tuple((("backward", g, n), inlet) for n, inlet in placed.takers_of(piece))
                backward.append(
                    Call(("backward", g, p), p, back, takes, linked=True, wanted=False, label=count + 1 + g)
                )
    return [*forward, *judge, *backward, *end]
