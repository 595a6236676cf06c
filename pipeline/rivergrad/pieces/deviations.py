"""The deviations of a piece's reaches from the shared model: their optimiser, the best ones, checkpoints."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rivergrad.inference.adam import Adam
from rivergrad.model.smoothing import Neighbours
from rivergrad.pieces.state import ResidentPiece

Float = NDArray[np.float64]


def edge(piece: ResidentPiece) -> Neighbours:
    """The deviations of the piece's reaches at the cuts."""
    fit = piece.fit
    inlets, outlets = (fit.free[:, at].cpu().numpy() for at in (fit.inlets, fit.outlets))
    return Neighbours(inlets, outlets)


def advance(piece: ResidentPiece, rate: float, scale: float) -> Neighbours:
    """Move the deviations by Adam, with the last gradient times `scale`; `edge` afterwards."""
    fit = piece.fit
    if fit.setup.model.deviates:
        fit.free = fit.free + fit.adam.update(fit.gradient * scale, rate)
    return edge(piece)


def keep_best(piece: ResidentPiece) -> None:
    """Store the present deviations as the best."""
    piece.fit.best = piece.fit.free


def back_to_best(piece: ResidentPiece) -> None:
    """Return to the best deviations and reset the optimiser."""
    piece.fit.free = piece.fit.best
    piece.fit.adam = Adam.at_rest(piece.fit.free)


def place(piece: ResidentPiece, free: Float) -> None:
    """Set the deviations (n_free, reach). The optimiser does not change."""
    piece.fit.free = piece.put(free)


def state(piece: ResidentPiece) -> dict[str, Float]:
    """The arrays of the piece for a checkpoint. The last axis of each is its reaches."""
    fit = piece.fit
    held = {"free": fit.free, "best": fit.best, "adam_mean": fit.adam.mean, "adam_square": fit.adam.square}
    return {name: value.cpu().numpy() for name, value in held.items()}


def restore(piece: ResidentPiece, state: dict[str, Float], steps: int) -> None:
    """Restore a checkpoint that was written after the given number of steps."""
    names = ("free", "best", "adam_mean", "adam_square")
    piece.fit.free, piece.fit.best, mean, square = (piece.put(state[name]) for name in names)
    piece.fit.adam = Adam(mean, square, steps)
