"""One step of training on a piece: route windows, compute the loss, take the gradient back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.model.smoothing import Neighbours
from rivergrad.pieces.deviations import advance, edge
from rivergrad.pieces.graph import RoutedWindows
from rivergrad.pieces.objective import piece_loss
from rivergrad.pieces.parameters import Given, parameters_at, prepare
from rivergrad.pieces.runoff import runoff_of_windows
from rivergrad.pieces.series import Series, side_by_side
from rivergrad.pieces.setup import Window
from rivergrad.pieces.state import PendingStep, ResidentPiece
from rivergrad.pieces.streamed import spans_of

Float = NDArray[np.float64]
After = Literal["move", "hold", "tell"]
"""What a step does with the deviations: move them, leave that to `advance`, or leave them and return their gradient."""


def forward(
    piece: ResidentPiece,
    inflows: Sequence[Series],
    *,
    shared: Float,
    windows: Sequence[Window],
    neighbours: Neighbours | None,
    ahead: Sequence[Window] = (),
) -> tuple[None, list[Series]]:
    """Route some windows of the record and keep the graph for `backward`.

    Args:
        inflows: (window, routing step) of each inlet.
        shared: (coefficient,) coefficients.
        windows: all of the same lengths.
        neighbours: deviations across the cuts, where they are smoothed along the river.
        ahead: windows that are routed next, whose runoff may be read meanwhile.

    Returns:
        Nothing, and the series of each outlet (window, routing step).
    """
    routed = route_windows(piece, shared, windows, inflows, ahead)
    loss, elsewhere = piece_loss(piece, routed.discharge, windows, routed.free, neighbours)
    piece.pending = PendingStep(routed, loss, elsewhere)
    return None, routed.leaving()


def backward(
    piece: ResidentPiece, gradients: Sequence[Series], *, after: After, rate: float | None
) -> tuple[dict[str, Any], list[Series]]:
    """Finish a step: take the gradient back, and move the deviations.

    Args:
        gradients: of the loss with respect to each outlet's series, (window, routing step).
        after: what to do with the deviations once their gradient is known.
        rate: learning rate; that of the set-up by default.

    Returns:
        As `end_step`, and the gradient of each inlet's series.
    """
    assert piece.pending is not None
    step, piece.pending = piece.pending, None
    shared, free, into = step.routed.vjp(step.loss, torch.ones_like(step.loss), gradients)
    return end_step(piece, float(step.loss.detach()) - step.elsewhere, shared, free, after, rate), into


def forward_and_backward(
    piece: ResidentPiece,
    inflows: Sequence[Series],
    *,
    after: After,
    rate: float | None,
    shared: Float,
    windows: Sequence[Window],
    neighbours: Neighbours | None,
    ahead: Sequence[Window] = (),
) -> tuple[dict[str, Any], list[Series]]:
    """`forward` and `backward` in one, for a piece without outlets."""
    with _stream_of_its_own(piece):
        forward(piece, inflows, shared=shared, windows=windows, neighbours=neighbours, ahead=ahead)
        return backward(piece, (), after=after, rate=rate)


def route_windows(
    piece: ResidentPiece,
    shared: Float,
    windows: Sequence[Window],
    inflows: Sequence[Series],
    ahead: Sequence[Window] = (),
) -> RoutedWindows:
    """Route some windows and keep the graph; arguments as for `forward`."""
    leaf = piece.put(shared).requires_grad_()
    free = piece.fit.free.clone().requires_grad_()
    runoff = runoff_of_windows(piece, leaf, windows, piece.dtype)
    if piece.runoff is not None:
        piece.runoff.ahead(spans_of(ahead))
    inflow = torch.zeros(0)
    if piece.setup.piece.sources:
        inflow = side_by_side(inflows, piece.engine.device, piece.dtype).requires_grad_()
    if piece.stage.routed:
        prepared = piece.engine.prepare(parameters_at(piece, leaf, free), runoff.shape[1])
    else:
        prepared = prepare(piece, Given("unrouted"), runoff.shape[1])
    discharge, outflow, _ = piece.engine.apply(prepared, runoff, inflow if inflow.numel() else None)
    a, b, _ = windows[0]
    return RoutedWindows(discharge[:, b - a :], outflow, inflow, leaf, free)


def end_step(
    piece: ResidentPiece, loss: float, shared: Tensor, free: Tensor, after: After, rate: float | None
) -> dict[str, Any]:
    """End a step: treat the deviations as `after` says, and report.

    Args:
        loss: the piece's share of the network's loss.
        shared, free: gradients of the loss with respect to shared coefficients and deviations.
        after, rate: see `backward`.

    Returns:
        `loss`, `shared` (gradient), `square` (sum of squares of the deviations' gradient), `free` (that gradient, if
        `after` is tell) and `edge` (deviations at the cuts afterwards).
    """
    fit = piece.fit
    fit.gradient = free if fit.setup.model.deviates else torch.zeros_like(free)
    result: dict[str, Any] = {
        "loss": loss,
        "shared": shared.cpu().numpy(),
        "square": float((fit.gradient * fit.gradient).sum()),
    }
    if after == "move":
        result["edge"] = advance(piece, fit.setup.rate if rate is None else rate, 1.0)
        return result
    if after == "tell":
        result["free"] = fit.gradient.cpu().numpy()
    result["edge"] = edge(piece)
    return result


@contextmanager
def _stream_of_its_own(piece: ResidentPiece) -> Iterator[None]:
    """Work on a CUDA stream of the piece's own, where its steps run concurrently with others on the same GPU."""
    device = piece.device
    if not piece.concurrent or device.type != "cuda":
        yield
        return
    if piece.stream is None:
        piece.stream = torch.cuda.Stream(device)
    # each stream uses tensors that the other one made, so each waits for the other
    piece.stream.wait_stream(torch.cuda.default_stream(device))
    with torch.cuda.stream(piece.stream):
        yield
    piece.stream.synchronize()
