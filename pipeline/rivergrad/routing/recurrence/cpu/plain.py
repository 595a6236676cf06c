"""The sweep of one problem in plain arrays: forward, and what it shares with its adjoint. Nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivergrad.routing.recurrence.cpu.arrays import Model, Record, Scratch
from rivergrad.routing.recurrence.cpu.blocks import make_plan
from rivergrad.routing.recurrence.cpu.lanes import VECTOR_BYTES
from rivergrad.routing.recurrence.cpu.schedule import make_items, sweep_forward
from rivergrad.routing.recurrence.cpu.sections import ROWS
from rivergrad.routing.recurrence.cpu.series import turn
from rivergrad.routing.recurrence.cpu.tiles import Tiles, coefficients, make_tiles
from rivergrad.routing.recurrence.problem import Filter, Problem

Array = NDArray[Any]
Index = NDArray[np.int64]

SMALL = 500_000
"""Reaches × routing steps below which a second thread costs more than it saves."""


@dataclass(frozen=True, eq=False)
class Saved:
    """What the adjoint needs of a forward sweep beside its arguments; see `Record`."""

    edges: Array
    starts: Array
    kept: Array


class PlainSweep:
    """Sweeps through one problem with NumPy arrays.

    The results don't depend on the number of threads, bit for bit.

    Args:
        problem: the network and what is wanted of it.
        dtype: float32 or float64.
        most: reaches a group; chosen by default.
        run: routing steps that a lane runs (a divisor or a multiple of the ratio); chosen by default.
    """

    def __init__(
        self, problem: Problem, dtype: np.dtype[Any], *, most: int | None = None, run: int | None = None
    ) -> None:
        self.problem = problem
        self.dtype = np.dtype(dtype)
        self.lanes = VECTOR_BYTES // self.dtype.itemsize
        self.run = run
        self.plan = make_plan(problem, most)
        grid = problem.grid
        self.grid = (
            (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, self.dtype))
            if grid is None
            else (
                np.array(grid.pointer, np.int64),
                np.array(grid.cell, np.int64),
                np.array(grid.weight, self.dtype),
            )
        )
        self._schedule = lru_cache(maxsize=4)(self._make_schedule)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_schedule"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._schedule = lru_cache(maxsize=4)(self._make_schedule)

    def route(
        self,
        filter_: Filter,
        runoff: Array,
        inflow: Array,
        state: Array,
        discharge: Array,
        outflow: Array,
        threads: int,
        keep: bool = False,
    ) -> Saved:
        """Route some forcing steps; the arrays are contiguous and of this sweep's dtype.

        Args:
            filter_: what the reaches do.
            runoff: (batch, time, reach or cell) m³/s.
            inflow: (batch, inlet, routing step) m³/s.
            state: (batch, number), see `Filter`; changed in place to that after these steps.
            discharge: (batch, time, target), is filled; outflow: (batch, outlet, routing step), is filled.
            threads: at most so many work.
            keep: whether the adjoint will be wanted.

        Returns:
            What the adjoint needs.
        """
        batch, time, _ = runoff.shape
        problem = self.problem
        tiles, items = self.schedule(time, batch)
        saved = self.room(tiles, batch, filter_.sections, _kept(filter_, tiles, self.lanes), keep)
        record = Record(
            runoff=runoff,
            inflow=inflow,
            discharge=discharge,
            outflow=outflow,
            state=state,
            edges=saved.edges,
            starts=saved.starts,
            kept=saved.kept,
        )
        sweep_forward(
            threads if self.is_worth(time * batch) else 1,
            items,
            self.plan,
            tiles,
            self._model(filter_, tiles),
            record,
            partial(self.scratch, filter_.sections, filter_.output_delay, tiles, False),
            problem.ratio,
            keep,
        )
        self._turn(filter_, state, time, True)
        return saved

    def _make_schedule(self, time: int, batch: int, most_units: int | None) -> tuple[Tiles, Index]:
        ratio = self.problem.ratio
        tiles = make_tiles(time, ratio, self.lanes, self.run)
        if most_units is not None and self.run is None and tiles.most_units > most_units:
            tiles = make_tiles(time, ratio, self.lanes, most_units * ratio)
        return tiles, make_items(self.plan, tiles.day.size, batch)

    def schedule(self, time: int, batch: int, most_units: int | None = None) -> tuple[Tiles, Index]:
        """Tiles of so many forcing steps, and the items of a sweep over them; `most_units`: of a lane's run."""
        return self._schedule(time, batch, most_units)

    def is_worth(self, days: int) -> bool:
        """Whether so many forcing steps, of all members of a batch, are work for a second thread."""
        return self.problem.n_reaches * self.problem.ratio * days >= SMALL

    def room(self, tiles: Tiles, batch: int, sections: int, kept: int, keep: bool) -> Saved:
        """Where a forward sweep writes what passes between groups and, if `keep`, what the adjoint needs besides.

        Args:
            kept: numbers of delays for each tile.
        """
        # where every lane starts saves the adjoint a pass: worth a number a forcing step, but not several
        each = self.lanes if tiles.parts.max(initial=1) == 1 else 1
        starts = self.problem.n_reaches * sections * each
        count = tiles.day.size
        return Saved(
            edges=np.empty((batch, self.plan.n_edges * tiles.total), self.dtype),
            starts=np.empty((batch, count, starts if keep else 0), self.dtype),
            kept=np.empty((batch, count, kept if keep else 0), self.dtype),
        )

    def _turn(self, filter_: Filter, state: Array, time: int, to_order: bool) -> None:
        if filter_.delay is not None:
            begin = self.problem.n_reaches * (filter_.sections + filter_.output_delay)
            for one in state:
                turn(one[begin:], filter_.delay, time * self.problem.ratio, to_order)

    def _model(self, filter_: Filter, tiles: Tiles) -> Model:
        plan, n = self.plan, self.problem.n_reaches
        table = np.empty((2, n, 9), self.dtype)
        run_keep = np.empty((2, n))
        steps, units = np.ones(2, np.int64), np.ones(2, np.int64)
        for shape in (0, 1):
            of = np.flatnonzero(tiles.shape == shape)[:1]
            if of.size:
                steps[shape], units[shape] = tiles.steps[of[0]], tiles.units[of[0]]
        used = 2 if bool((tiles.shape == 1).any()) else 1
        jump = np.zeros(0, self.dtype) if filter_.jump is None else as_array(filter_.jump)
        coefficients(
            plan.reach,
            as_array(filter_.a),
            as_array(filter_.b),
            jump,
            steps[:used],
            units[:used],
            table,
            run_keep,
        )
        if filter_.delay is None:
            delay = wait_at = kept_at = np.zeros(0, np.int64)
        else:
            begin = n * (filter_.sections + filter_.output_delay)
            delay = filter_.delay[plan.reach]
            wait_at = (begin + np.cumsum(filter_.delay) - filter_.delay)[plan.reach]
            held = np.minimum(delay, tiles.longest * self.lanes)
            kept_at = np.cumsum(held) - held
        return Model(
            table=table,
            run_keep=run_keep,
            delay=delay,
            wait_at=wait_at,
            kept_at=kept_at,
            pointer=self.grid[0],
            cell=self.grid[1],
            weight=self.grid[2],
            sections=filter_.sections,
            jumps=filter_.jump is not None,
            lag=filter_.output_delay == 1,
        )

    def scratch(self, sections: int, output_delay: int, tiles: Tiles, adjoint: bool) -> Scratch:
        """What one thread needs; arguments as of `Filter`."""
        stride = tiles.stride // self.dtype.itemsize
        most, width = self.plan.most_rows, tiles.most_units * self.lanes
        slots = aligned((self.plan.n_slots + 2) * stride, self.dtype)
        slots[-2 * stride :] = 0
        line = tiles.longest * self.lanes
        return Scratch(
            slots=slots,
            rows=aligned(most * width, self.dtype),
            errors=aligned(most * sections * stride if adjoint else 0, self.dtype),
            gradients=aligned(most * width if adjoint else 0, self.dtype),
            lasts=aligned(most * width if adjoint and output_delay else 0, self.dtype),
            work=aligned(ROWS * self.lanes, self.dtype),
            units=aligned(3 * width, self.dtype),
            line=aligned(line, self.dtype),
            late=aligned(line, self.dtype),
            days=np.empty(width, np.int64),
        )


def _kept(filter_: Filter, tiles: Tiles, lanes: int) -> int:
    """Numbers that the adjoint needs of delays for each tile."""
    return 0 if filter_.delay is None else int(np.minimum(filter_.delay, tiles.longest * lanes).sum())


def as_array(values: Any) -> Array:
    """A tensor or an array as a contiguous array, without a copy where it is one."""
    return np.ascontiguousarray(values) if isinstance(values, np.ndarray) else _of_tensor(values)


def _of_tensor(tensor: Any) -> Array:
    found: Array = tensor.detach().contiguous().numpy()
    return found


def aligned(size: int, dtype: np.dtype[Any]) -> Array:
    """An uninitialised array that begins on a cache line."""
    spare = 64 // dtype.itemsize
    memory = np.empty(size + spare, dtype)
    begin = -memory.ctypes.data % 64 // dtype.itemsize
    return memory[begin : begin + size]
