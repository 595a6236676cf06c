"""What a piece contributes to the loss: the misfit at its gauges, and penalties on its deviations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rivergrad.inference.loss import gauge_loss
from rivergrad.model.smoothing import Neighbours, river_penalty
from rivergrad.pieces.setup import Window
from rivergrad.pieces.state import ResidentPiece


def piece_loss(
    piece: ResidentPiece,
    discharge: Tensor,
    windows: Sequence[Window],
    free: Tensor,
    neighbours: Neighbours | None,
) -> tuple[Tensor, float]:
    """The loss of a piece. It is differentiable in discharge and deviations.

    Args:
        discharge: (window, time that counts, target) m³/s.
        windows: of the record.
        free: (n_free, reach) deviations.
        neighbours: deviations across the cuts, where they are smoothed along the river.

    Returns:
        The loss, and the part of it that other pieces count too.
    """
    fit, setup = piece.fit, piece.fit.setup
    observed = torch.stack([fit.observed[b0:c] for _, b0, c in windows])
    error = None if fit.error is None else torch.stack([fit.error[b0:c] for _, b0, c in windows])
    loss = gauge_loss(setup.loss, discharge, observed, fit.statistics, error).sum()
    elsewhere = 0.0
    if setup.model.deviates and piece.stage.routed:
        own = free if setup.lakes is None else free * torch.from_numpy(setup.lakes.shrinking()).to(free)
        loss = loss + setup.shrinkage * (own * own).sum()
        if setup.smoothing:
            mine, theirs = river_penalty(free, piece.setup.piece, neighbours, setup.ties)
            loss = loss + setup.smoothing * (mine + theirs)
            elsewhere = setup.smoothing * float(theirs.detach())
    return loss, elsewhere
