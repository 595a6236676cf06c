"""Routing a piece's record forward only, at once or chunk by chunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.pieces.chunkread import ChunkReader
from rivergrad.pieces.handover import past_steps, state_before
from rivergrad.pieces.needs import chunk_steps
from rivergrad.pieces.parameters import Given, prepare
from rivergrad.pieces.runoff import runoff_of_record
from rivergrad.pieces.series import Series, apart, side_by_side
from rivergrad.pieces.state import ResidentPiece
from rivergrad.routing import Prepared, RouterState


@torch.no_grad()
def route_record(
    piece: ResidentPiece, inflows: Sequence[Series], given: Given, start: int, stop: int
) -> tuple[NDArray[np.float64], list[Series]]:
    """Route steps start..stop of the record from rest.

    Args:
        inflows: (1, routing step) of each inlet; (round, routing step) where celerity depends on flow.
        given: where parameters and runoff come from.
        start, stop: forcing steps.

    Returns:
        Discharge (time, target) m³/s, and the series of each outlet (1, routing step).
    """
    prepared = prepare(piece, given, stop - start)
    state: RouterState | None = None
    discharge, outflow = [], []
    size = chunk_steps(piece.setup)
    for a in range(start, stop, size):
        b = min(a + size, stop)
        if piece.runoff is not None:
            piece.runoff.ahead([(a, b), (b, min(b + size, stop))])
        q, out, state = piece.engine.apply(
            prepared,
            runoff_of_record(piece, given, a, b, stop)[None],
            _inflow(piece, inflows, a - start, b - start),
            state,
        )
        discharge.append(q[0].to("cpu", torch.float64).numpy())
        outflow.append(out)
    return np.concatenate(discharge), apart(torch.cat(outflow, dim=2))


@torch.no_grad()
def route_chunk(
    piece: ResidentPiece, inflows: Sequence[Series], given: Given, start: int, stop: int
) -> tuple[NDArray[Any], list[Series]]:
    """Route the next steps of the record, from the end of the last chunk (at 0, from `given.state` or rest).

    Args:
        inflows: (1, routing step) of each inlet, of these steps.
        given: where parameters come from, for the first chunk; runoff is as read.
        start, stop: forcing steps.

    Returns:
        Discharge (time, target) m³/s in the routing's dtype, and the series of each outlet.
    """
    if start == 0:
        piece.chunk = _begin(piece, given)
        # where a GPU routes, reading takes most of the time; elsewhere the cores have enough to do
        on_gpu, read = piece.device.type == "cuda", piece.setup.read
        piece.ahead = ChunkReader(read, piece.setup.steps) if on_gpu and read is not None else None
    assert piece.chunk is not None
    prepared, state = piece.chunk
    if piece.ahead is None:
        runoff = runoff_of_record(piece, given, start, stop, stop)
    else:
        runoff = torch.from_numpy(piece.ahead.take(start, stop)).to(piece.engine.device, piece.dtype)
    q, out, state = piece.engine.apply(
        prepared,
        runoff[None],
        _inflow(piece, inflows, 0, stop - start),
        state,
    )
    piece.chunk = prepared, state
    return q[0].cpu().numpy(), apart(out)


def _begin(piece: ResidentPiece, given: Given) -> tuple[Prepared, RouterState | None]:
    """What the engine makes of the parameters, and the state that the record goes on from."""
    if given.state is None:
        return prepare(piece, given, piece.setup.steps), None
    prepared = prepare(piece, given, piece.setup.steps + past_steps(given.state))
    return prepared, state_before(piece, prepared, given.state)


def _inflow(piece: ResidentPiece, inflows: Sequence[Series], start: int, stop: int) -> Tensor | None:
    if not piece.setup.piece.sources:
        return None
    first, last = start * piece.engine.ratio, stop * piece.engine.ratio
    return side_by_side([q[:, first:last] for q in inflows], piece.engine.device, piece.dtype)
