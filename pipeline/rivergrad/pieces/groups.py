"""A step of training with windows in groups, so that pieces downstream can start while pieces upstream continue.

`forward_group` routes one group after the other; each group has its own graph. `judge_groups` computes the loss of all
windows together, as in a step without groups. `backward_group` takes the gradient back group by group. `end_groups`
ends the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rivergrad.model.smoothing import Neighbours
from rivergrad.pieces.objective import piece_loss
from rivergrad.pieces.series import Series
from rivergrad.pieces.setup import Window
from rivergrad.pieces.state import GroupedStep, ResidentPiece
from rivergrad.pieces.step import After, end_step, route_windows


def forward_group(
    piece: ResidentPiece,
    inflows: Sequence[Series],
    *,
    group: int,
    shared: NDArray[np.float64],
    windows: Sequence[Window],
    ahead: Sequence[Window] = (),
) -> tuple[None, list[Series]]:
    """Route the windows of the next group and keep the graph; group 0 begins a step. See `step.forward`."""
    if group == 0:
        piece.grouped = GroupedStep()
    routed = route_windows(piece, shared, windows, inflows, ahead)
    piece.grouped.groups.append(routed)
    return None, routed.leaving()


def judge_groups(piece: ResidentPiece, *, windows: Sequence[Window], neighbours: Neighbours | None) -> None:
    """The loss of the windows of all groups, and its gradients of discharge and (by the penalties) of deviations."""
    step = piece.grouped
    parts = [routed.discharge.detach() for routed in step.groups if routed is not None]
    discharge = torch.cat(parts).requires_grad_()
    free = piece.fit.free.clone().requires_grad_()
    loss, elsewhere = piece_loss(piece, discharge, windows, free, neighbours)
    if loss.requires_grad:
        loss.backward()
    of_discharge = torch.zeros_like(discharge) if discharge.grad is None else discharge.grad
    step.seeds = list(of_discharge.split([part.shape[0] for part in parts]))
    step.penalty = torch.zeros_like(free) if free.grad is None else free.grad
    step.loss = float(loss.detach()) - elsewhere


def backward_group(
    piece: ResidentPiece, gradients: Sequence[Series], *, group: int
) -> tuple[None, list[Series]]:
    """Take the gradient back through a group, whose graph is freed.

    Args:
        gradients: of the loss with respect to each outlet's series, (window, routing step).

    Returns:
        Nothing, and the gradient of each inlet's series.
    """
    step = piece.grouped
    routed, step.groups[group] = step.groups[group], None
    assert routed is not None
    shared, free, into = routed.vjp(routed.discharge, step.seeds[group], gradients)
    step.gradients[group] = shared, free
    return None, into


def end_groups(piece: ResidentPiece, *, after: After, rate: float | None) -> dict[str, Any]:
    """End the step; see `step.end_step`."""
    step = piece.grouped
    assert step.penalty is not None
    shared, free = None, step.penalty
    for _, (of_shared, of_free) in sorted(
        step.gradients.items(), key=lambda item: item[0]
    ):  # one fixed order
        shared = of_shared if shared is None else shared + of_shared
        free = free + of_free
    assert shared is not None
    return end_step(piece, step.loss, shared, free, after, rate)
