"""Runoff of a piece: as read, as learned by a runoff model, or corrected for its errors in volume and time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.model.layout import RUNOFF, TIMING, VOLUME
from rivergrad.model.timing import TimingModel
from rivergrad.pieces.learned import PieceRunoffModel
from rivergrad.pieces.parameters import Given
from rivergrad.pieces.setup import Window
from rivergrad.pieces.state import ResidentPiece
from rivergrad.pieces.streamed import Runoff, open_record


def load(piece: ResidentPiece) -> None:
    """Read the runoff of the whole record, and keep it as far as there is room."""
    piece.runoff = open_record(piece.setup, piece.dtype, piece.device)


def runoff_of_windows(
    piece: ResidentPiece, shared: Tensor, windows: Sequence[Window], dtype: torch.dtype
) -> Tensor:
    """The runoff of the windows of a step. It is differentiable in the shared coefficients.

    Args:
        shared: shared coefficients.
        windows: all of the same length.
        dtype: of the result.

    Returns:
        (window, time, reach or cell) m³/s, learned, or corrected for its errors if the workflow estimates these.
    """
    fit = piece.fit
    if fit.learned is not None:
        runoff = _learned_windows(piece, fit.learned, shared, windows).to(dtype)
    elif fit.setup.timing is not None:
        runoff = _delayed_windows(piece, fit.setup.timing, shared, windows, dtype)
    else:
        assert piece.runoff is not None
        runoff = _stacked(piece.runoff, windows).to(dtype)
    if fit.setup.volume is None:
        return runoff
    return runoff * torch.stack([_volume_factor(piece, shared, a, c) for a, _, c in windows]).to(runoff)


def _stacked(runoff: Runoff, windows: Sequence[Window]) -> Tensor:
    """(window, time, reach or cell)."""
    if len(windows) == 1:
        return runoff.take(windows[0][0], windows[0][2])[None]
    return torch.stack([runoff.take(a, c) for a, _, c in windows])


def _delayed_windows(
    piece: ResidentPiece, timing: TimingModel, shared: Tensor, windows: Sequence[Window], dtype: torch.dtype
) -> Tensor:
    """(window, time, reach): given runoff, as much later as is estimated."""
    return torch.stack([_delayed(piece, timing, shared, start, stop, dtype) for start, _, stop in windows])


def _delayed(
    piece: ResidentPiece, timing: TimingModel, shared: Tensor, start: int, stop: int, dtype: torch.dtype
) -> Tensor:
    assert piece.runoff is not None
    assert piece.fit.area is not None
    before, after, rows = timing.around(start, stop, piece.setup.steps)
    runoff = piece.runoff.take(before, after).to(dtype)
    values = piece.stage.layout.view(shared, TIMING)
    return timing.delayed(runoff[rows.to(runoff.device)], values, piece.fit.area)


def _whole(piece: ResidentPiece) -> Tensor | None:
    """The given runoff that a runoff model corrects; None where there is none."""
    return None if piece.runoff is None else piece.runoff.whole()


def _learned_windows(
    piece: ResidentPiece, model: PieceRunoffModel, shared: Tensor, windows: Sequence[Window]
) -> Tensor:
    if piece.stage.weights is not None:
        record = model.record(piece.stage.weights, piece.setup.steps, _whole(piece))
        return torch.stack([record[a:c] for a, _, c in windows])
    given = None if piece.runoff is None else _stacked(piece.runoff, windows)
    return model.windows(piece.stage.layout.view(shared, RUNOFF), windows, given)


def _volume_factor(piece: ResidentPiece, shared: Tensor, start: int, stop: int) -> Tensor:
    """Factors on the runoff of steps start..stop, (time, reach)."""
    fit = piece.fit
    assert fit.setup.volume is not None
    assert fit.area is not None
    return fit.setup.volume.factor(piece.stage.layout.view(shared, VOLUME), fit.area, start, stop)


def runoff_of_record(piece: ResidentPiece, given: Given, start: int, stop: int, last: int) -> Tensor:
    """Runoff of steps start..stop, (time, reach or cell) m³/s, for a forward run that ends at step `last`."""
    if given.runoff is not None:
        assert piece.fit.learned is not None
        return piece.fit.learned.record(given.runoff, last, _whole(piece))[start:stop]
    if given.volume or given.timing:
        assert given.shared is not None
        assert piece.runoff is not None
        shared, timing = piece.put(given.shared), piece.fit.setup.timing
        if given.timing and timing is not None:
            runoff = _delayed(piece, timing, shared, start, stop, piece.dtype)
        else:
            runoff = piece.runoff.take(start, stop)
        if not given.volume:
            return runoff
        return runoff * _volume_factor(piece, shared, start, stop).to(runoff)
    if piece.runoff is not None:
        return piece.runoff.take(start, stop)
    assert piece.setup.read is not None
    return torch.from_numpy(piece.setup.read(start, stop)).to(piece.engine.device, piece.dtype)


def learned_runoff(
    piece: ResidentPiece, weights: NDArray[np.float64]
) -> dict[str, NDArray[np.float32] | NDArray[np.float64]]:
    """The learned runoff of the record at given weights (weight,): `runoff`, (time, reach) m³/s."""
    assert piece.fit.learned is not None
    return {"runoff": piece.fit.learned.record(weights, piece.setup.steps, _whole(piece)).cpu().numpy()}
