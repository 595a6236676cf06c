"""Routing a record of runoff through a partitioned network, chunk by chunk of time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivercut.partition import Partition, partition
from rivergrad.cluster.executor import Executor, Pending, open_executor
from rivergrad.cluster.options import ClusterOptions
from rivergrad.errors import InputError
from rivergrad.io import RunoffReader
from rivergrad.io.ahead import Behind
from rivergrad.pieces.direct import Routing, chunk_of
from rivergrad.pieces.handover import Arrays, joined, split, state_after
from rivergrad.pieces.parameters import Given
from rivergrad.pieces.pieceread import piece_runoff
from rivergrad.pieces.placed import PlacedPieces
from rivergrad.pieces.record import route_chunk
from rivergrad.pieces.setup import PieceSetup
from rivergrad.routing import Router, choose_engine, schemes, step_ratio
from rivergrad.routing import hillslope as hillslopes
from rivergrad.routing.choice import refuse_without_cuda
from rivergrad.routing.flow import Rounds
from rivergrad.routing.flow.arrays import law_of
from rivergrad.routing.flow.names import without_law
from rivergrad.routing.hillslope import Hillslope
from rivergrad.routing.pieces import Piece, make_pieces
from rivergrad.routing.reported import Report

GPU_CHUNK_BYTES = 1 << 29
"""Bytes of runoff, and of discharge that is wanted, that one chunk of time may hold on a GPU, over all pieces."""
LONGEST_ON_GPU = 512
"""Steps of a chunk on a GPU at most: more gain nothing, and what is wanted comes later."""

IN_FLIGHT = 3
"""Chunks of time under way at once: workers route the next ones while one is written."""


def check_parameters(
    scheme: schemes.Scheme,
    parameters: Mapping[str, NDArray[np.float64]],
    network: RiverNetwork,
    hillslope: Hillslope | None = None,
) -> None:
    """Raise an InputError naming reaches unless the parameters are complete and admissible."""
    law_of(parameters, network.reach_id)
    tensors = {name: torch.from_numpy(np.array(v, np.float64)) for name, v in without_law(parameters).items()}
    of_scheme, own = hillslopes.split(tensors)
    scheme.check(tensors if hillslope is None else of_scheme, network.reach_id)
    if hillslope is not None:
        hillslope.check(own, network.reach_id)


def simulate(
    *,
    network: RiverNetwork,
    runoff: RunoffReader,
    parameters: Mapping[str, NDArray[np.float64]],
    how: Routing,
    sink: Callable[[int, NDArray[Any]], None],
    parts: int = 1,
    cut: Partition | None = None,
    targets: NDArray[np.int64] | None = None,
    chunk_steps: int | None = None,
    cluster: ClusterOptions | int = 0,
    executor: Executor | None = None,
    before: Arrays | None = None,
    keep: bool = False,
) -> Arrays | None:
    """Route the whole record and hand discharge to `sink` chunk by chunk.

    Args:
        network: the river network.
        runoff: (time, reach) m³/s; every worker reads its own reaches.
        parameters: the scheme's, each (reach,), SI; with `flow_exponent` and `reference_flow` celerity depends on flow.
        how: scheme, routing step, engine and arithmetic.
        sink: called with (first step, discharge (time, target) m³/s) in order.
        parts: parts to cut the network into; `cut` gives a partition instead.
        targets: (m,) positions of the reaches whose discharge is wanted; all by default.
        chunk_steps: forcing steps computed at a time.
        cluster: the cluster that computes, see `open_executor`; 0 is this process.
        executor: an open executor to use in place of a new one. Pieces that its workers hold are replaced.
        before: the state to go on from, as an earlier call returned it; None starts from rest.
        keep: return the state at the end of the record.

    Returns:
        The state by name (see `rivergrad.pieces.handover`), where it is wanted.

    Raises:
        InputError: parameters missing or inadmissible, Δ not a multiple of δ, CUDA not there, an engine that can't
            compute the scheme, a worker lost.
    """
    options = ClusterOptions(workers=cluster) if isinstance(cluster, int) else cluster
    step_ratio(runoff.step, how.routing_step)
    check_parameters(how.scheme, parameters, network, how.hillslope)
    refuse_without_cuda(how.device)
    steps = runoff.time.size
    wanted = np.arange(network.n_reaches) if targets is None else targets
    engine, _ = choose_engine(how.engine, how.scheme, how.device)
    if engine == "reference":
        if parts > 1 or not options.serial:
            raise InputError("engine reference: it computes in one part and in this process")
        if before is not None or keep:
            raise InputError("engine reference: it has no state; expected the engine recurrence or closure")
        sink(0, _reference(network, runoff, parameters, how, wanted))
        return None
    pieces = make_pieces(network, cut if cut is not None else partition(network, parts))
    mine, order = targets_of(pieces, wanted, network.n_reaches)
    law = law_of(parameters, network.reach_id)
    parameters = {**without_law(parameters), **law}
    rounds = Rounds() if how.rounds is None else how.rounds
    hold = rounds.hold(runoff.step) if law else 1
    if law and keep and steps % hold:
        raise InputError(
            f"state: a record of {steps} steps ends within an interval of {hold} steps of constant celerity; expected "
            "a whole number of them"
        )
    tables = [{name: np.asarray(v)[piece.reaches] for name, v in parameters.items()} for piece in pieces]
    here = replace(how, engine=engine, rounds=rounds if law else None)
    setups = [
        _setup(piece, local, runoff, here, options.threads) for piece, local in zip(pieces, mine, strict=True)
    ]
    size = chunk_steps or _chunk(setups, steps, wanted.size)
    size = -(-size // hold) * hold
    with open_executor(options) if executor is None else nullcontext(executor) as workers:
        placed = PlacedPieces(workers, setups)
        states = [None] * len(pieces) if before is None else split(pieces, before)
        given = [Given("table", table=one, state=state) for one, state in zip(tables, states, strict=True)]
        _route_in_chunks(placed, given, steps, size, order, sink)
        return joined(pieces, placed.everywhere(state_after), network.n_reaches) if keep else None


def _chunk(setups: list[PieceSetup], steps: int, wanted: int) -> int:
    """Steps of a chunk of time, for pieces that together have so many targets."""
    one = setups[0]
    # an end is picked from the series at the routing step
    ratio = 1 if one.report.kind == "mean" else step_ratio(one.forcing_step, one.routing_step)
    if one.device == "cpu":  # the same as in one part: so are the bytes
        return chunk_of(sum(setup.piece.reaches.size for setup in setups) * ratio, steps)
    columns = max(sum(setup.columns for setup in setups), wanted * ratio)
    return min(LONGEST_ON_GPU, chunk_of(columns, steps, GPU_CHUNK_BYTES))


def _setup(
    piece: Piece,
    targets: NDArray[np.int64],
    runoff: RunoffReader,
    how: Routing,
    threads: int,
) -> PieceSetup:
    read, grid = piece_runoff(runoff, piece, how.engine, how.dtype)
    return PieceSetup(
        piece=piece,
        scheme=how.scheme,
        forcing_step=runoff.step,
        routing_step=how.routing_step,
        targets=targets,
        steps=runoff.time.size,
        read=read,
        dtype=how.dtype,
        device=how.device,
        threads=threads,
        engine=how.engine,
        grid=grid,
        hillslope=how.hillslope,
        report=Report(how.report),
        rounds=how.rounds,
    )


def _route_in_chunks(
    placed: PlacedPieces,
    given: list[Given],
    steps: int,
    size: int,
    order: NDArray[np.int64],
    sink: Callable[[int, NDArray[Any]], None],
) -> None:
    """Start chunks of `size` steps, a few ahead of the one that `sink` receives in a thread of its own."""
    flying: deque[tuple[int, Pending]] = deque()
    with Behind(sink) as behind:
        for start in range(0, steps, size):
            before = flying[-1][1] if flying else None
            stop = min(start + size, steps)
            chunk = [partial(route_chunk, given=one, start=start, stop=stop) for one in given]
            flying.append((start, placed.start_downstream(chunk, before)))
            given = [Given("table")] * len(given)  # the workers keep what they prepared
            if len(flying) == IN_FLIGHT:
                _land(placed, flying.popleft(), order, behind)
        while flying:
            _land(placed, flying.popleft(), order, behind)


def _land(
    placed: PlacedPieces,
    chunk: tuple[int, Pending],
    order: NDArray[np.int64],
    sink: Callable[[int, NDArray[Any]], None],
) -> None:
    start, pending = chunk
    found = placed.finish(pending)
    if len(found) == 1:  # one piece has its targets in the order that is wanted
        sink(start, found[0])
    else:
        sink(start, np.concatenate(found, axis=1)[:, order])


def targets_of(
    pieces: tuple[Piece, ...], targets: NDArray[np.int64], n_reaches: int
) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    """The local targets of each piece, and the position of each target in the joined results of all pieces."""
    owner = np.empty(n_reaches, np.int64)
    local = np.empty(n_reaches, np.int64)
    for piece in pieces:
        owner[piece.reaches] = piece.number
        local[piece.reaches] = np.arange(piece.reaches.size)
    mine, columns = [], []
    for piece in pieces:
        here = np.flatnonzero(owner[targets] == piece.number)
        mine.append(local[targets[here]])
        columns.append(here)
    order = np.empty(targets.size, np.int64)
    order[np.concatenate(columns)] = np.arange(targets.size)
    return mine, order


def _reference(
    network: RiverNetwork,
    runoff: RunoffReader,
    parameters: Mapping[str, NDArray[np.float64]],
    how: Routing,
    targets: NDArray[np.int64],
) -> NDArray[np.float64]:
    router = Router(
        network,
        how.scheme,
        forcing_step=runoff.step,
        routing_step=how.routing_step,
        engine="reference",
        hillslope="none" if how.hillslope is None else how.hillslope,
        report=how.report,
        targets=targets,
        dtype=torch.float64,
        rounds=how.rounds,
    )
    values = torch.from_numpy(np.array(runoff.read(None, 0, runoff.time.size)))
    tensors = {name: torch.from_numpy(np.array(value, np.float64)) for name, value in parameters.items()}
    with torch.no_grad():
        discharge, _ = router(values, tensors)
    result: NDArray[np.float64] = discharge.numpy()
    return result
