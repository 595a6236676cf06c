"""The sweeps of one network at the points of one transform: buffers, chunks of tiles, launches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rivergrad.routing.closure.fused import kernels
from rivergrad.routing.closure.fused.points import Points, Tiling
from rivergrad.routing.closure.fused.transforms import padded
from rivergrad.routing.recurrence.cuda.layout import POP, PUSH, make_layout, usual_block
from rivergrad.routing.recurrence.problem import Index, Problem


@dataclass(frozen=True)
class Room:
    """Registers of a lane, and warps for each multiprocessor, for which there are so many."""

    registers: int
    programs: int


DOWN, UP = Room(128, 16), Room(152, 13)
"""The compiler takes 160 and 205 if it is let; so many are enough for all but what passes through memory anyway."""
DOWN_HEAVY, UP_HEAVY = Room(184, 11), Room(224, 9)
"""The same for responses that take more: delays, several sections, series that enter and leave."""
RECORD, NUMBERS, DELAY = 8, 3, 7
"""Words that are told of a reach, and which of them say what its response is; see `kernels`."""
BLOCK_REACHES = 32
"""Reaches of a block, at most: one warp sweeps them for one tile of points. On the way up it keeps them all."""
WIDE_BLOCK = 128
"""The same where there is no way up, and so much to do that blocks which wait for each other do not matter."""


@dataclass(frozen=True)
class Rational:
    """Responses as sections, H = (1 − w)ⁿ z^−delay with w = p d / (b + (1 − b) d); all in the order of slots.

    Attributes:
        record: (slot + 2, RECORD) int32, `Net.record` with the numbers of the responses: float32, three for w, see
            `kernels._section`, and s; and the delays.
        sections: n.
        split: whether runoff enters by 1 − s w instead.
        late: whether there are delays.
        sharp: whether b comes near 2 anywhere.
    """

    record: Tensor
    sections: int
    split: bool
    late: bool
    sharp: bool


@dataclass(frozen=True)
class Tabulated:
    """Responses as they are: 1 − H, (slot, frequency tile, group · alias · frequency) complex64."""

    values: Tensor


class Net:
    """A network as the kernels read it, on a device."""

    def __init__(self, problem: Problem, device: torch.device, block_reaches: int | None = None) -> None:
        n = problem.n_reaches
        if block_reaches is None:
            block_reaches = min(BLOCK_REACHES, usual_block(n))
        layout = make_layout(problem, block_reaches, leaves=True)
        self.device, self.n_slots, self.n_blocks = device, layout.n_slots, layout.n_blocks
        self.n_crossings, self.n_inlets = layout.n_flows, int(problem.inlets.size)
        self.n_outlets = int(problem.outlets.size)
        self.n_flows = self.n_crossings + self.n_inlets + self.n_outlets
        rows, place = np.unique(problem.targets, return_inverse=True)
        self.n_rows = int(rows.size)
        row_of = np.full(n, -1, np.int32)
        row_of[rows] = np.arange(rows.size)
        waiting = np.cumsum(((layout.op & PUSH) > 0).astype(np.int64) - ((layout.op & POP) > 0))
        self.depth = max(1, int(waiting.max(initial=0)) + 1)
        self.most = int(np.diff(layout.start).max(initial=1))
        self.start, self.back = self._put(layout.start), self._put(layout.back)
        record = np.zeros((n + 2, RECORD), np.int32)  # looked ahead to, never worked on
        record[:n, :3] = np.stack([layout.op, row_of[layout.column], layout.column], axis=1)
        self.record = self._put(record)
        self.index = self._put(layout.column).to(torch.int64)
        self.place = torch.empty_like(self.index)
        self.place[self.index] = torch.arange(self.index.numel(), device=device)
        self.enter, self.leave = self._put(layout.enter), self._put(layout.leave)
        inlet, outlet = self.n_crossings, self.n_crossings + self.n_inlets
        self.enter_flow = self._put(self._flow(layout.enter_flow, inlet))
        self.leave_flow = self._put(self._flow(layout.leave_flow, outlet))
        same = np.array_equal(rows, problem.targets)
        self.repeated = None if same else self._put(place.reshape(-1).astype(np.int64))

    @staticmethod
    def _flow(numbers: np.ndarray[Any, Any], first: int) -> np.ndarray[Any, Any]:
        return np.where(numbers >= 0, numbers, first + ~numbers).astype(np.int32)

    def _put(self, values: Index | np.ndarray[Any, Any]) -> Tensor:
        values = np.array(values) if values.size else np.zeros(1, values.dtype)  # no empty pointers
        return torch.from_numpy(values).to(self.device)

    def programs(self, each: int) -> int:
        """Warps at work at once, `each` a multiprocessor."""
        if self.device.type != "cuda":
            return 2
        return each * torch.cuda.get_device_properties(self.device).multi_processor_count


def words(values: Tensor) -> Tensor:
    """Complex numbers as the 64-bit words that the kernels move."""
    return torch.view_as_real(values.contiguous()).view(torch.int64)


@dataclass(frozen=True)
class Sweeps:
    """Sweeps of `n_series` series at once over the points.

    `budget` bounds the bytes of the series between blocks: tiles are taken in as many chunks as that needs; and the
    bytes in which a block is kept on the way up. `half` keeps it in bfloat16.
    """

    net: Net
    points: Points
    n_series: int
    budget: int
    half: bool = False

    @property
    def tiling(self) -> Tiling:
        return Tiling.of(self.points.ratio)

    @property
    def n_tiles(self) -> int:
        return self.tiling.count(self.points.n_freq) * self.n_series

    @property
    def tile_bytes(self) -> int:
        """Bytes of the series between blocks, for one tile of points."""
        return max(1, self.net.n_flows) * self.tiling.groups * self.tiling.points * 8

    @property
    def block_bytes(self) -> int:
        """Bytes in which one program keeps a block on the way up."""
        return self.net.most * self.tiling.sets * self.tiling.points * (4 if self.half else 8)

    @property
    def programs_up(self) -> int:
        return max(1, min(self.net.programs(UP.programs), self.budget // self.block_bytes))

    def chunks(self, gradient: bool, table_bytes: int = 0, tables: int = 0) -> list[tuple[int, int]]:
        """Runs of tiles that stay within the budget; with tables of responses, of whole frequency tiles.

        `tables` bounds their bytes, `table_bytes` for each frequency tile.
        """
        along = self.n_series
        most = max(1, self.budget // (self.tile_bytes * (2 if gradient else 1)))
        if table_bytes:
            bands = max(1, tables // (table_bytes * (2 if gradient else 1)))
            most = max(1, min(most // along, bands)) * along
        count = -(-self.n_tiles // most)
        size = -(-self.n_tiles // count)
        if table_bytes:
            size = -(-size // along) * along
        return [(a, min(a + size, self.n_tiles)) for a in range(0, self.n_tiles, size)]

    def _shared(self, transfer: Rational | Tabulated, width: int, first: int, last: int) -> dict[str, Any]:
        """Arguments that both sweeps take."""
        points, net, tiling = self.points, self.net, self.tiling
        nothing = net.start
        one, two = points.inverse
        return {
            **self._of(transfer),
            "start": net.start,
            "enter": net.enter,
            "enter_flow": net.enter_flow,
            "leave": net.leave,
            "leave_flow": net.leave_flow,
            "first": one,
            "second": two,
            "gain": points.gain if points.real else points.counts,
            "enter_table": nothing if points.real else words(points.enter),
            "leave_table": nothing if points.leave is None else words(points.leave),
            "n_items": net.n_blocks * (last - first),
            "n_tiles": last - first,
            "first_tile": first,
            "n_series": self.n_series,
            "n_freq": points.n_freq,
            "width": width,
            "n_slots": net.n_slots,
            "n_rows": net.n_rows,
            "n_forcing": points.length,
            "bins": points.bins,
            "log_radius": points.contour.log_radius,
            "bound": -(-last // self.n_series) - first // self.n_series,
            "AT": tiling.aliases,
            "SETS": tiling.sets,
            "PASSES": tiling.passes,
            "BF": tiling.frequencies,
            "RATIO": points.ratio,
            "BIG": points.bins > 46_000,
            "PLAIN": points.plain,
            "REAL": points.real,
            "UNIT": points.unit,
            "FAST": net.device.type == "cuda",
            "PADDED": tiling.padded,
            "depth": net.depth,
            "num_warps": 1,
        }

    def _of(self, transfer: Rational | Tabulated) -> dict[str, Any]:
        """Those of them that say what the responses are."""
        points, net = self.points, self.net
        found: dict[str, Any] = {
            "record": net.record,
            "table": net.start,
            "turn": net.start,
            "rest": net.start,
            "SECTIONS": 1,
            "TABLE": False,
            "DELAY": False,
            "SPLIT": False,
            "SHARP": False,
        }
        if isinstance(transfer, Tabulated):
            return found | {"table": words(transfer.values), "TABLE": True}
        found |= {
            "record": transfer.record,
            "SECTIONS": transfer.sections,
            "SPLIT": transfer.split,
            "SHARP": transfer.sharp and points.unit,
        }
        if transfer.late:
            turn, rest = points.turn
            found |= {"turn": words(turn), "rest": words(rest), "DELAY": True}
        return found

    def _heavy(self, transfer: Rational | Tabulated) -> bool:
        if isinstance(transfer, Tabulated):
            return not self.points.real
        return transfer.sections > 1 or transfer.late or transfer.split or not self.points.real

    def _limit(self, room: Room) -> dict[str, int]:
        return {"maxnreg": room.registers} if self.net.device.type == "cuda" else {}

    def _room(self, first: int, last: int, programs: int) -> tuple[Tensor, Tensor, Tensor, tuple[int]]:
        """Flows and their flags, the stack, and the grid."""
        net, tiles = self.net, last - first
        values = self.tiling.groups * self.tiling.points
        flow = torch.empty(max(1, net.n_flows), tiles, values, dtype=torch.complex64, device=net.device)
        ready = torch.zeros(max(1, net.n_flows) * tiles + 4, dtype=torch.int32, device=net.device)
        programs = min(programs, net.n_blocks * tiles)
        size = programs * net.depth * self.tiling.sets * self.tiling.points
        stack = torch.empty(size, dtype=torch.int64, device=net.device)
        return flow, ready, stack, (programs,)

    def _preset(self, flow: Tensor, ready: Tensor, begin: int, values: Tensor, first: int, last: int) -> None:
        """Put series that come from outside, (row, series, alias, frequency), where they are waited for."""
        rows = values.shape[0]
        if rows:
            flow[begin : begin + rows] = self.tiling.pack(values, first, last)
            tiles = last - first
            ready[4 + begin * tiles : 4 + (begin + rows) * tiles] = self.tiling.passes

    def down(
        self,
        transfer: Rational | Tabulated,
        runoff: Tensor,
        inflow: Tensor,
        discharge: Tensor | None,
        first: int,
        last: int,
    ) -> Tensor:
        """One chunk of tiles.

        Args:
            runoff: (series, reach, frequency) complex64.
            inflow: (inlet, series, alias, frequency) complex64.
            discharge: (series, row, frequency), written in place; None where it is not wanted.

        Returns:
            tiles of all series between blocks, of the inflows and of the outflows.
        """
        net = self.net
        room = DOWN_HEAVY if self._heavy(transfer) else DOWN
        flow, ready, stack, grid = self._room(first, last, net.programs(room.programs))
        self._preset(flow, ready, net.n_crossings, inflow, first, last)
        kernels.sweep_down[grid](
            counter=ready,
            ready=ready[4:],
            runoff=words(runoff),
            discharge=net.start if discharge is None else words(discharge),
            flow=words(flow),
            stack=stack,
            OUT=discharge is not None,
            **self._limit(room),
            **self._shared(transfer, runoff.shape[2], first, last),
        )
        return flow

    def outflow(self, flow: Tensor) -> Tensor:
        """Those of them that leave."""
        return flow[self.net.n_crossings + self.net.n_inlets :][: self.net.n_outlets]

    def up(
        self,
        transfer: Rational | Tabulated,
        runoff: Tensor,
        flow: Tensor,
        from_discharge: Tensor,
        from_outflow: Tensor,
        to_runoff: Tensor,
        first: int,
        last: int,
    ) -> tuple[Tensor, Tensor]:
        """The adjoint of one chunk, with what `down` returned; `to_runoff` is written in place.

        Returns:
            tiles of the gradient of the inflows; and sums for `Coefficients`, (number, slot), or the
            gradient of the table, of each series.
        """
        net = self.net
        room = UP_HEAVY if self._heavy(transfer) else UP
        programs = min(self.programs_up, net.programs(room.programs))
        from_flow, ready, stack, grid = self._room(first, last, programs)
        self._preset(from_flow, ready, net.n_crossings + net.n_inlets, from_outflow, first, last)
        tiles, tiling = last - first, self.tiling
        kind = torch.int32 if self.half else torch.int64
        size = grid[0] * net.most * tiling.sets * tiling.points
        kept = torch.empty(size, dtype=kind, device=net.device)
        if isinstance(transfer, Rational):
            found = torch.empty(
                3 if transfer.split else 2, net.n_slots, tiles * tiling.passes, device=net.device
            )
            numbers, table = found, net.start
        else:
            size = tiling.groups * tiling.points
            found = torch.empty(net.n_slots, tiles, size, dtype=torch.complex64, device=net.device)
            numbers, table = net.start, words(found)
        kernels.sweep_up[grid](
            counter=ready,
            ready=ready[4:],
            back=net.back,
            weight=self.points.counts,
            undo=self.points.undo,
            runoff=words(runoff),
            from_discharge=words(from_discharge),
            to_runoff=words(to_runoff),
            flow=words(flow),
            from_flow=words(from_flow),
            stack=stack,
            kept=kept,
            to_coefficient=numbers,
            to_table=table,
            step=net.n_slots * tiles * tiling.passes,
            most=net.most,
            HALF=self.half,
            **self._limit(room),
            **self._shared(transfer, runoff.shape[2], first, last),
        )
        entered = from_flow[net.n_crossings :][: net.n_inlets]
        if isinstance(transfer, Rational):
            return entered, found.to(torch.float64).sum(dim=2)
        return entered, found


@dataclass(frozen=True)
class Cut:
    """How a record is cut into overlapping segments, of each of which the last `hop` steps are wanted.

    Attributes:
        points: of the transform of a segment; it is at least `lead` + `hop` long.
        lead: steps of the past in front.
        hop: from one segment to the next.
        n_segments: of each record.
    """

    points: Points
    lead: int
    hop: int
    n_segments: int


def gather(
    early: Tensor,
    late: Tensor,
    cut: Cut,
    first: int,
    last: int,
    low: int,
    high: int,
    scale: Tensor | None,
) -> Tensor:
    """Segments first to last of records (batch, time, row), (series, row, lag); see `kernels.gather_series`.

    The rows are a view: they begin at whole sectors of memory.
    """
    length, n_rows = padded(cut.points.length), late.shape[2]
    out = torch.empty(last - first, n_rows, length, device=late.device)
    grid = (-(-n_rows // 64), -(-length // 32), last - first)
    if out.numel():
        kernels.gather_series[grid](
            early, late, late if scale is None else scale, out,
            early.shape[1], late.shape[1], n_rows, length, cut.lead, cut.hop, low, high,
            cut.n_segments, first, last - first,
            BT=32, BR=64, SCALED=scale is not None, num_warps=4,
        )  # fmt: skip
    return out[..., : cut.points.length]


def scatter(
    segments: Tensor,
    out: Tensor,
    cut: Cut,
    first: int,
    since: int,
    low: int,
    high: int,
    scale: Tensor | None,
    add: bool = False,
) -> None:
    """Put segments from `first` on back into a record (batch, time, row), in place.

    See `kernels.scatter_series`. Where a step is in one segment only, steps of other segments are left alone.
    """
    batch, time, _ = out.shape
    n_series, n_rows, length = segments.shape
    if not (out.numel() and segments.numel()):
        return
    candidates = -(-(high - low) // cut.hop)
    begin, end = since // cut.hop, (since + time - 1) // cut.hop + 1
    runs = [(0, batch, begin, end)]
    if candidates == 1 and n_series < batch * cut.n_segments:
        each = cut.n_segments
        runs = [
            (b, b + 1, max(begin, first - b * each), min(end, first + n_series - b * each))
            for b in range(first // each, (first + n_series - 1) // each + 1)
        ]
    for b, b_end, begin, end in runs:
        kernels.scatter_series[(-(-n_rows // 64), -(-cut.hop // 32), (b_end - b) * (end - begin))](
            segments, segments if scale is None else scale, out[b:b_end],
            since, time, n_rows, length, cut.hop, low, high,
            cut.n_segments, first - b * cut.n_segments, n_series, begin, end - begin,
            CANDIDATES=candidates, BT=32, BR=64, SCALED=scale is not None, ADD=add and candidates > 1,
            num_warps=4,
        )  # fmt: skip
