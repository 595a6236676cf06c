"""Routing a record from reader to sink on the CPUs of this process, without torch, tensors or workers.

What the engine `recurrence` computes in one part needs nothing else than its sweep: runoff is read ahead as float32,
routed by all cores, and handed to the sink behind, chunk by chunk of time. The numbers are those of the piece that
`rivergrad.pieces.simulate` makes of the whole network, bit for bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivercut.partition import Partition, partition
from rivergrad.io.ahead import Behind, ahead
from rivergrad.io.readers import RunoffReader
from rivergrad.pieces.pieceread import piece_runoff
from rivergrad.routing.allocator import keep_pages
from rivergrad.routing.arrays import filter_of, given_to
from rivergrad.routing.choice import choose_engine
from rivergrad.routing.flow.names import EXPONENT
from rivergrad.routing.pieces import make_pieces
from rivergrad.routing.recurrence.cpu.plain import PlainSweep
from rivergrad.routing.recurrence.problem import Filter, Problem
from rivergrad.routing.schemes.base import Scheme
from rivergrad.routing.steps import step_ratio

if TYPE_CHECKING:
    from rivergrad.cluster.executor import Executor
    from rivergrad.cluster.options import ClusterOptions
    from rivergrad.routing.flow import Rounds
    from rivergrad.routing.hillslope import Hillslope

Sink = Callable[[int, NDArray[Any]], None]

CHUNK_BYTES = 32 << 20
"""Bytes of runoff that are read at once, at most (but see `FEWEST`): a few such arrays, and as many of discharge, are
in memory. The C library gives pages of larger ones back after each use, see `keep_pages`."""
EVEN = 128
"""Steps of a chunk are a multiple of this where so many fit: of the chunks of a file, and of the sweep's tiles."""
FEWEST = 32
"""Steps of a chunk at least: with fewer the sweep costs several times as much."""


@dataclass(frozen=True)
class Routing:
    """How a record is routed.

    Attributes:
        scheme: the scheme; routing_step: δ, s.
        engine: one of `rivergrad.routing.engines.ENGINES`.
        device: `cpu` or `cuda`; dtype: `float32` or `float64`.
        hillslope: what runoff passes before it enters a reach; its parameters are among the others.
        report: `mean`, discharge over each forcing step, or `end`, at its end.
        rounds: how a celerity that depends on flow is computed, where parameters have a `flow_exponent`; None as
            `rivergrad.routing.flow.Rounds` has it.
    """

    scheme: Scheme
    routing_step: float
    engine: str = "auto"
    device: str = "cpu"
    dtype: str = "float32"
    hillslope: Hillslope | None = None
    report: Literal["mean", "end"] = "mean"
    rounds: Rounds | None = None


def simulate(
    *,
    network: RiverNetwork,
    runoff: RunoffReader,
    parameters: Mapping[str, NDArray[np.float64]],
    how: Routing,
    sink: Sink,
    parts: int = 1,
    cut: Partition | None = None,
    targets: NDArray[np.int64] | None = None,
    chunk_steps: int | None = None,
    cluster: ClusterOptions | int = 0,
    executor: Executor | None = None,
    threads: int | None = None,
    **others: Any,
) -> dict[str, NDArray[np.float64]] | None:
    """As `rivergrad.pieces.simulate.simulate`, which routes what cannot be routed here.

    Args:
        network, runoff, parameters, how, sink, parts, cut, targets, chunk_steps, cluster, executor, others: see there.
        threads: that route, where it is done here; by default one for each core that this process may use.

    Returns:
        What that function returns.
    """
    if (
        (parts, cut, cluster, executor) == (1, None, 0, None)
        and _is_for_here(how)
        and EXPONENT not in parameters
        and not any(others.values())
    ):
        wanted = np.arange(network.n_reaches) if targets is None else targets
        _route(network, runoff, parameters, how, sink, wanted, chunk_steps, threads or cores())
        return None
    from rivergrad.pieces import simulate as general

    return general.simulate(
        network=network,
        runoff=runoff,
        parameters=parameters,
        how=how,
        sink=sink,
        parts=parts,
        cut=cut,
        targets=targets,
        chunk_steps=chunk_steps,
        cluster=cluster,
        executor=executor,
        **others,
    )


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def chunk_of(n_columns: int, steps: int, most: int = CHUNK_BYTES) -> int:
    """Steps of a chunk of at most so many bytes, for so many values in a step."""
    fit = most // (4 * max(1, n_columns))
    whole = fit // EVEN * EVEN if fit >= EVEN else max(FEWEST, 1 << max(fit, 1).bit_length() - 1)
    return max(1, min(steps, whole))


def file_chunk(n_columns: int, steps: int) -> int:
    """Steps of a chunk of a file that discharge of so many columns is written to: each is written at once."""
    return min(EVEN, chunk_of(n_columns, steps))


def _is_for_here(how: Routing) -> bool:
    plain = Routing(how.scheme, how.routing_step, how.engine, how.device, how.dtype)
    return how == plain and how.device == "cpu" and choose_engine(how.engine, how.scheme)[0] == "recurrence"


def _route(
    network: RiverNetwork,
    runoff: RunoffReader,
    parameters: Mapping[str, NDArray[np.float64]],
    how: Routing,
    sink: Sink,
    targets: NDArray[np.int64],
    chunk_steps: int | None,
    threads: int,
) -> None:
    keep_pages()
    ratio = step_ratio(runoff.step, how.routing_step)
    how.scheme.check(given_to(how.scheme, parameters), network.reach_id)
    (piece,) = make_pieces(network, partition(network, 1))
    local = np.empty(network.n_reaches, np.int64)
    local[piece.reaches] = np.arange(network.n_reaches)
    read, grid = piece_runoff(runoff, piece, "recurrence", how.dtype)
    none = np.zeros(0, np.int64)
    problem = Problem(piece.downstream, ratio, local[targets], none, none, grid=grid)
    sweep = PlainSweep(problem, np.dtype(how.dtype))
    own = {name: np.asarray(value)[piece.reaches] for name, value in parameters.items()}
    filter_ = filter_of(how.scheme, own, how.routing_step, sweep.dtype)
    assert filter_ is not None  # its engine was chosen
    steps = runoff.time.size
    size = chunk_steps or chunk_of(network.n_reaches, steps)
    _in_chunks(
        sweep, filter_, read, [(at, min(at + size, steps)) for at in range(0, steps, size)], sink, threads
    )


def _in_chunks(
    sweep: PlainSweep,
    filter_: Filter,
    read: Callable[[int, int], NDArray[Any]],
    spans: list[tuple[int, int]],
    sink: Sink,
    threads: int,
) -> None:
    state = np.zeros((1, filter_.state_size), sweep.dtype)
    with ExitStack() as stack:
        behind = stack.enter_context(Behind(sink))
        chunks = stack.enter_context(closing(ahead(read, spans)))
        for (start, stop), values in zip(spans, chunks, strict=True):
            discharge = np.empty((1, stop - start, sweep.problem.targets.size), sweep.dtype)
            nothing = np.empty((1, 0, (stop - start) * sweep.problem.ratio), sweep.dtype)
            runoff = np.ascontiguousarray(values, sweep.dtype)[None]
            sweep.route(filter_, runoff, nothing, state, discharge, nothing, threads)
            behind(start, discharge[0])
