"""The CUDA backend of the recurrence engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rivergrad.errors import InputError
from rivergrad.routing.recurrence.cuda import module
from rivergrad.routing.recurrence.cuda.layout import Layout, make_layout, usual_block
from rivergrad.routing.recurrence.cuda.scales import Chains, chains, coefficients, powers
from rivergrad.routing.recurrence.problem import Filter, Gradients, Problem

SERIES_BYTES = 1 << 30
"""Without a gradient, time is cut where the series between blocks would take more than this and more than a
quarter of the memory that is free."""
SLOW = 0.01
"""A b below which it keeps its own digits rather than those of 1 − b."""
LEG = 50
"""Tiles of time for which a warp keeps a block in `simulate.cu`."""
SCRATCH_BYTES = 1 << 30
"""Scratch memory of the backward pass, about."""


@dataclass(frozen=True)
class Saved:
    """What the backward pass needs of the forward pass."""

    flow: Tensor  # (batch, flow, tile, step + 1, lane) series between blocks
    kept: Tensor  # (batch, tile, section, slot) states at the starts of tiles
    kept_line: Tensor  # (batch, tile, delayed inflow)
    coefficients: Tensor  # (slot, column)


class CudaSweep:
    """Sweeps of one network on one CUDA device.

    Args:
        problem: the network and what is wanted of it.
        dtype: float32 or float64.
        device: a CUDA device.
        block_reaches: reaches that one warp takes; chosen by the size of the network by default.
        share: of the device, how much kernels may take.

    Raises:
        InputError: CuPy is not installed.
    """

    def __init__(
        self,
        problem: Problem,
        dtype: torch.dtype,
        device: torch.device,
        block_reaches: int | None = None,
        share: float = 1.0,
    ) -> None:
        self.problem, self.dtype, self.share = problem, dtype, share
        self.device = self._device(device)
        self.block_reaches = usual_block(problem.n_reaches) if block_reaches is None else block_reaches
        self._layouts: dict[bool, tuple[Layout, dict[str, Tensor]]] = {}
        self._places: dict[tuple[int, ...], tuple[Tensor, Tensor, int]] = {}
        self._simulated: tuple[Filter, Tensor] | None = None
        self._chains: Chains | None = None
        # each wanted reach once; repeats and the order asked for come afterwards
        rows, place = np.unique(problem.targets, return_inverse=True)
        self.n_rows = rows.size
        ordered = np.array_equal(rows, problem.targets)
        self._order = None if ordered else self._put(place.reshape(-1))
        self._row_of = np.full(problem.n_reaches, -1, np.int32)
        self._row_of[rows] = np.arange(rows.size)
        self._grid: tuple[Tensor | None, ...] = (None, None, None)
        if problem.grid is not None:
            self._grid = (
                self._put(problem.grid.pointer.astype(np.int64)),
                self._put(problem.grid.cell.astype(np.int32)),
                self._put(problem.grid.weight).to(dtype),
            )

    @staticmethod
    def _device(device: torch.device) -> torch.device:
        if (reason := module.missing()) is not None:
            raise InputError(reason)
        return torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)

    # what runs on the device; a test on a machine without one puts its own here
    _launch = staticmethod(module.launch)
    _resident = staticmethod(module.resident)
    _lanes = 32
    _leg = LEG

    def _series_bytes(self) -> int:
        return max(SERIES_BYTES, torch.cuda.mem_get_info(self.device)[0] // 4)

    def _put(self, values: np.ndarray[Any, Any]) -> Tensor:
        return torch.from_numpy(np.array(values)).to(self.device)

    def _case(self, filter_: Filter, keep: bool = True) -> module.Case:
        """What runs: without a gradient the simulation, where there is one."""
        case = module.Case(
            dtype=self.dtype,
            ratio=self.problem.ratio,
            sections=filter_.sections,
            jump=filter_.jump is not None,
            late=bool(filter_.output_delay),
            delay=filter_.delay is not None,
            grid=self.problem.grid is not None,
            lanes=self._lanes,
        )
        return case if keep or not case.plain else replace(case, source="simulate")

    def layout(self, leaves: bool) -> tuple[Layout, dict[str, Tensor]]:
        """How the network lies on warps, here and on the device."""
        if leaves not in self._layouts:
            layout = make_layout(self.problem, self.block_reaches, leaves)
            names = ("start", "back", "column", "enter", "enter_flow", "leave", "leave_flow")
            arrays = {name: self._put(getattr(layout, name)) for name in names}
            arrays["target"] = self._put(self._row_of[layout.column])
            self._layouts[leaves] = layout, arrays
        return self._layouts[leaves]

    def _place(self, case: module.Case) -> tuple[Tensor, Tensor, int]:
        """What to do at each slot, where its errors stand in scratch memory, and the rows of the largest block."""
        key = case.leaves, case.plain and case.panel, case.error_rows
        if key not in self._places:
            layout, _ = self.layout(case.leaves)
            op = layout.op
            if case.plain:
                op, place, most = layout.kept(case.panel, case.error_rows)
            else:
                place, most = layout.places(case.error_rows)
            self._places[key] = self._put(op), self._put(place), most
        return self._places[key]

    def forward(
        self, filter_: Filter, runoff: Tensor, inflow: Tensor, state: Tensor, keep: bool
    ) -> tuple[Tensor, Tensor, Tensor, Saved | None]:
        """Discharge, outflow and the state afterwards; and what `backward` needs besides, if `keep`."""
        case = self._case(filter_, keep)
        batch, time, _ = runoff.shape
        ratio = self.problem.ratio
        discharge = runoff.new_empty((batch, time, self.n_rows))
        outflow = runoff.new_empty((batch, self.problem.outlets.size, time * ratio))
        state = state.clone()
        n_flows = self.layout(case.leaves)[0].n_flows
        a_day = max(1, batch * n_flows * ratio * self.dtype.itemsize)
        size = time
        if not keep and a_day * time > SERIES_BYTES:
            tiles = max(1, self._series_bytes() // (a_day * case.tile_days))
            size = min(time, tiles * case.tile_days)
        if size >= time:
            saved = self._forward(case, filter_, runoff, inflow, state, discharge, outflow, keep)
            return self._ordered(discharge), outflow, state, saved
        for start in range(0, time, size):
            stop = min(start + size, time)
            steps = slice(start * ratio, stop * ratio)
            parts = (
                runoff[:, start:stop].contiguous(),
                inflow[:, :, steps].contiguous(),
                discharge[:, start:stop].contiguous(),
                outflow[:, :, steps].contiguous(),
            )
            self._forward(case, filter_, parts[0], parts[1], state, parts[2], parts[3], False)
            if batch > 1:  # a slice of one series is contiguous: the kernel has written in place
                discharge[:, start:stop] = parts[2]
            if outflow.numel():
                outflow[:, :, steps] = parts[3]
        return self._ordered(discharge), outflow, state, None

    def _ordered(self, rows: Tensor) -> Tensor:
        return rows if self._order is None else rows[:, :, self._order]

    def _forward(
        self,
        case: module.Case,
        filter_: Filter,
        runoff: Tensor,
        inflow: Tensor,
        state: Tensor,
        discharge: Tensor,
        outflow: Tensor,
        keep: bool,
    ) -> Saved | None:
        """Route; `state` is moved on in place."""
        batch, time, _ = runoff.shape
        layout, _ = self.layout(case.leaves)
        tiles = -(-time // case.tile_days)
        new = runoff.new_empty
        flow = new((batch, layout.n_flows, tiles, case.steps + 1, case.lanes))
        done = torch.zeros((batch, layout.n_flows), dtype=torch.int32, device=self.device)
        delay, delay_at, line = self._delays(filter_)
        if self._simulated is None or self._simulated[0] is not filter_ or case.source != "simulate":
            self._simulated = None  # before there are others
            columns = self._coefficients(case, filter_)
        else:
            columns = self._simulated[1]
        if case.source == "simulate":  # likely wanted again, for the next chunk of time
            self._simulated = filter_, columns
        kept = new((batch, tiles, case.sections, layout.n_slots)) if keep else None
        kept_line = new((batch, tiles, line)) if keep else None
        series: tuple[Any, ...] = (
            runoff,
            np.int32(runoff.shape[2]),
            discharge,
            np.int32(self.n_rows),
            inflow,
            np.int32(inflow.shape[1]),
            outflow,
            np.int32(outflow.shape[1]),
            flow,
            np.int32(layout.n_flows),
            done,
            state,
            np.int64(state.shape[1]),
        )
        if case.source == "simulate" and layout.n_blocks and batch and time:
            blocks = self._blocks(case, "simulate", layout.n_blocks * batch)
            # where each block has a warp of its own, that one may as well go on to the end
            leg = self._leg if blocks * module.WARPS < layout.n_blocks * batch else tiles
            arguments: tuple[Any, ...] = (
                *self._network(case),
                *self._grid,
                columns,
                *series,
                np.int32(time),
                np.int32(tiles),
                np.int32(batch),
                np.int32(leg),
                torch.zeros(layout.n_blocks * batch, dtype=torch.int32, device=self.device),
                torch.zeros(1, dtype=torch.int32, device=self.device),
            )
            self._launch(case, self.device.index, "simulate", blocks, arguments)
        elif layout.n_blocks and batch and time:
            blocks = self._blocks(case, "forward", layout.n_blocks * batch)
            room = new(blocks * module.WARPS * case.lanes * case.steps if case.delay else 0)
            arguments = (
                *self._network(case),
                *self._grid,
                columns,
                delay,
                delay_at,
                np.int32(self.problem.n_reaches),
                *series,
                kept,
                kept_line,
                np.int64(line),
                room,
                np.int32(time),
                np.int32(tiles),
                np.int32(batch),
                torch.zeros(1, dtype=torch.int32, device=self.device),
            )
            self._launch(case, self.device.index, "forward", blocks, arguments)
        return Saved(flow, kept, kept_line, columns) if kept is not None and kept_line is not None else None

    def backward(
        self,
        filter_: Filter,
        runoff: Tensor,
        inflow: Tensor,
        state: Tensor,
        saved: Saved,
        g_discharge: Tensor,
        g_outflow: Tensor,
        g_state: Tensor,
        want_runoff: bool,
    ) -> Gradients:
        """Gradients of everything, given those of everything that `forward` returned."""
        case = self._case(filter_)
        if case.plain:
            case = replace(case, source="adjoint")
        batch, time, _ = runoff.shape
        n = self.problem.n_reaches
        layout, arrays = self.layout(case.leaves)
        tiles = -(-time // case.tile_days)
        if self._order is not None:
            rows = runoff.new_zeros((batch, time, self.n_rows))
            g_discharge = rows.index_add_(2, self._order, g_discharge)
        new = runoff.new_empty
        g_flow = new((batch, layout.n_flows, tiles, case.steps, case.lanes))
        done = torch.zeros((batch, layout.n_flows), dtype=torch.int32, device=self.device)
        delay, delay_at, line = self._delays(filter_)
        g_a = torch.zeros((batch, n), dtype=torch.float64, device=self.device)
        g_b = torch.zeros_like(g_a)
        g_jump = None if filter_.jump is None else torch.zeros_like(g_a)
        g_runoff = new((batch, time, n)) if want_runoff else None
        g_inflow = torch.empty_like(inflow)
        g_before = self._turned(filter_, g_state.clone())
        if layout.n_blocks and batch and time:
            blocks, scratch, scratch_rows = self._scratch(case, layout.n_blocks * batch)
            series = (
                np.int32(n),
                runoff,
                np.int32(runoff.shape[2]),
                g_discharge,
                np.int32(self.n_rows),
                inflow,
                g_inflow,
                np.int32(inflow.shape[1]),
                g_outflow,
                np.int32(g_outflow.shape[1]),
                saved.flow,
                g_flow,
                np.int32(layout.n_flows),
                done,
                g_before,
                np.int64(state.shape[1]),
                saved.kept,
            )
            size = np.int32(time), np.int32(tiles), np.int32(batch)
            ticket = torch.zeros(1, dtype=torch.int32, device=self.device)
            start = *self._network(case), arrays["back"], *self._grid, saved.coefficients
            results: tuple[Any, ...]
            if case.plain:
                results = g_a, g_b, g_runoff, scratch, np.int64(scratch_rows)
                arguments: tuple[Any, ...] = (*start, *series, *results, *size, ticket)
            else:
                lines = saved.kept_line, np.int64(line), new((batch, line))
                results = g_a, g_b, g_jump, g_runoff, scratch, np.int64(scratch_rows)
                arguments = (*start, delay, delay_at, *series, *lines, *results, *size, ticket)
            self._launch(case, self.device.index, "backward", blocks, arguments)
        return Gradients(
            a=_summed(g_a),
            b=_summed(g_b),
            jump=None if g_jump is None else g_jump.sum(0),
            runoff=g_runoff,
            inflow=g_inflow,
            state=self._turned(filter_, g_before),
        )

    def _scratch(self, case: module.Case, items: int) -> tuple[int, Tensor, int]:
        """CUDA blocks of the backward pass, their scratch memory, and the rows of a warp in it."""
        _, _, rows = self._place(case)
        room = 0 if case.plain else case.steps  # for a tile in the order of time
        one = module.WARPS * (rows + room) * case.lanes
        blocks = self._blocks(case, "backward", items)
        # fewer than half of what fits would leave the device idle for less than the memory is worth
        affordable = max(1, SCRATCH_BYTES // (one * self.dtype.itemsize))
        blocks = min(blocks, max(affordable, blocks // 2))
        return blocks, torch.empty(blocks * one, dtype=self.dtype, device=self.device), rows

    def _blocks(self, case: module.Case, name: str, items: int) -> int:
        """CUDA blocks to start: as many as its share of the device holds at once, or as there is work for."""
        room = max(1, int(self.share * self._resident(case, self.device.index, name)))
        return min(-(-items // module.WARPS), room)

    def _network(self, case: module.Case) -> tuple[Any, ...]:
        layout, arrays = self.layout(case.leaves)
        names = ("enter", "enter_flow", "leave", "leave_flow")
        op, place, _ = self._place(case)
        return (
            arrays["start"],
            op,
            arrays["column"],
            arrays["target"],
            place,
            *(arrays[name] for name in names),
            np.int32(layout.n_slots),
            np.int32(layout.n_blocks),
        )

    def _coefficients(self, case: module.Case, filter_: Filter) -> Tensor:
        """(slot, column): a, b, and what follows from them for the run of a lane (the sources have the columns)."""
        # b such that 1 - b is exact in the dtype, so that both can be used side by side; and a such that the mean
        # delay, (1 - a) / b steps, stays what it was: thousands of reaches in a row add up their delays. Where b is
        # small this would cost it its digits, and the difference counts only within a lane.
        given = filter_.b.to(torch.float64)
        b = torch.where(given < SLOW, given, 1 - (1 - given).to(self.dtype).to(torch.float64))
        a = 1 - (1 - filter_.a.to(torch.float64)) * torch.where(given > 0, b / given, 1.0)
        a = a.to(self.dtype).to(torch.float64)
        steps = case.steps
        layout, arrays = self.layout(case.leaves)
        if case.source == "simulate":
            if self._chains is None:
                self._chains = chains(layout, self.device)
            return coefficients(self._chains, a, b, steps, self.dtype)
        decay = 1 - b
        jump = torch.zeros_like(a) if filter_.jump is None else filter_.jump.to(torch.float64)
        columns = [
            a,
            b,
            decay**steps,
            (1 - a) * powers(b, steps),
            steps * decay ** (steps - 1),
            jump,
            decay ** (steps // 2),
            torch.where(b > 0, (1 - a) / torch.where(b > 0, b, 1.0), torch.inf),
        ]
        return torch.stack(columns, dim=1).to(self.dtype).index_select(0, arrays["column"])

    def _delays(self, filter_: Filter) -> tuple[Tensor | None, Tensor | None, int]:
        """Steps each reach delays by, where its line begins, and the length of all lines."""
        if filter_.delay is None:
            return None, None, 0
        begin = np.cumsum(filter_.delay) - filter_.delay
        return (
            self._put(filter_.delay.astype(np.int32)),
            self._put(begin.astype(np.int64)),
            int(filter_.delay.sum()),
        )

    def _turned(self, filter_: Filter, state: Tensor) -> Tensor:
        """The delay lines in a state the other way round: the adjoint runs back in time."""
        if filter_.delay is None:
            return state
        begin = np.cumsum(filter_.delay) - filter_.delay
        within = np.arange(int(filter_.delay.sum())) - np.repeat(begin, filter_.delay)
        back = np.repeat(begin + filter_.delay - 1, filter_.delay) - within
        first = state.shape[1] - back.size
        state[:, first:] = state[:, first + self._put(back)]
        return state


def _summed(series: Tensor) -> Tensor:
    """The sum over the batch; memory is tight here, and most batches are of one."""
    return series[0] if series.shape[0] == 1 else series.sum(0)
