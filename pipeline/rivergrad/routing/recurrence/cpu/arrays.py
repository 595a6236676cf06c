"""The arrays that the kernels of a sweep work on, by what they are for."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = Any  # of the dtype computed in
Index = NDArray[np.int64]


class Model(NamedTuple):
    """What the reaches do (`Filter`), by row, and where the runoff of each comes from.

    Attributes:
        table, run_keep: see `tiles.coefficients`.
        delay: (row,) whole steps; empty where no reach has any.
        wait_at: (row,) where its ring begins among a state's delayed inflows.
        kept_at: (row,) where what its adjoint needs of the ring begins.
        pointer, cell, weight: see `GridWeights`; empty where the runoff is per reach.
        sections, jumps, lag: their number; whether there is κ; whether the mean lags.
    """

    table: Array
    run_keep: NDArray[np.float64]
    delay: Index
    wait_at: Index
    kept_at: Index
    pointer: Index
    cell: Index
    weight: Array
    sections: int
    jumps: bool
    lag: bool


class Record(NamedTuple):
    """What is routed, and what comes of it; the arrays of `Problem`, batch first, with the state by reach.

    Attributes:
        runoff, inflow, discharge, outflow: as in the interface.
        state: (batch, number), worked on in place.
        edges: (batch, edge × number) series between groups, tile by tile.
        starts: (batch, tile, section × row) states before each tile, or (batch, tile, section × row × lane) where
            each lane starts, if kept (else empty).
        kept: (batch, tile, number) what came out of delays from before each tile, if kept.
    """

    runoff: Array
    inflow: Array
    discharge: Array
    outflow: Array
    state: Array
    edges: Array
    starts: Array
    kept: Array


class Adjoint(NamedTuple):
    """Gradients; those of `state` and `edges` are worked on in place, a, b, jump by row and batch in float64."""

    discharge: Array
    outflow: Array
    runoff: Array
    inflow: Array
    state: Array
    edges: Array
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    jump: NDArray[np.float64]


class Scratch(NamedTuple):
    """What one thread works in; 1-D, aligned to cache lines.

    Attributes:
        slots: the stack of open series, a zero series, and one to write what nobody wants.
        rows: runoff, then mean discharge, of each row.
        errors: (adjoint) e of each row and section.
        gradients, lasts: (adjoint) gradients of each row's means, and those with which the last steps count.
        work: for what crosses lanes.
        units: vectors for each unit: last q, sums.
        line, late: series in order.
        days: forcing step of each unit of each lane.
    """

    slots: Array
    rows: Array
    errors: Array
    gradients: Array
    lasts: Array
    work: Array
    units: Array
    line: Array
    late: Array
    days: Index
