"""Routing as one differentiable operation: transforms, the sweeps between them, and the adjoint of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rivergrad.routing.closure.fused.points import Points, Tiling
from rivergrad.routing.closure.fused.sweeps import (
    DELAY,
    NUMBERS,
    Cut,
    Net,
    Rational,
    Sweeps,
    Tabulated,
    gather,
    scatter,
)


class Source(Protocol):
    """Where the responses of the reaches come from, for some frequency tiles at a time."""

    def tile_bytes(self, net: Net, tiling: Tiling) -> int:
        """Bytes of the responses in one frequency tile, made anew for each chunk of them; 0 where they are few."""

    def work_bytes(self, table_bytes: int, gradient: bool) -> int:
        """Bytes that making so many bytes of them takes beside."""

    def transfer(
        self, net: Net, values: Sequence[Tensor], points: Points, tiling: Tiling, first: int, last: int
    ) -> Rational | Tabulated:
        """Responses from the tensors they depend on, in frequency tiles first to last."""

    def gradients(
        self,
        net: Net,
        values: Sequence[Tensor],
        points: Points,
        tiling: Tiling,
        first: int,
        last: int,
        found: Tensor,
    ) -> list[Tensor]:
        """Gradients of those tensors from what `Sweeps.up` found."""


@dataclass(frozen=True)
class Coefficients:
    """Responses that are rational, 1 − r b v (and 1 − s b v for runoff): r, b (and s), (reach,) float64 each.

    See `kernels._section` for v. In r and b, what a change of b does is of second order at low frequencies, where
    all water is that has come far; in any other terms it is a small difference of large ones.
    """

    sections: int
    delay: Tensor | None  # (reach,) int64
    sharp: bool = True
    _made: dict[tuple[Net, bool], Rational] = field(default_factory=dict, repr=False, compare=False)

    def tile_bytes(self, net: Net, tiling: Tiling) -> int:
        return 0

    def work_bytes(self, table_bytes: int, gradient: bool) -> int:
        return 0

    def transfer(
        self, net: Net, values: Sequence[Tensor], points: Points, tiling: Tiling, first: int, last: int
    ) -> Rational:
        # the way up needs the same once more, and so does the next group of segments
        key = net, points.unit
        if key not in self._made:
            self._made[key] = self._make(net, values, points.unit)
        return self._made[key]

    def _make(self, net: Net, values: Sequence[Tensor], unit: bool) -> Rational:
        r, b, *split = (value.detach() for value in values)
        p = _apart_from_zero(r * b)
        if unit:
            k, turn = (2 - b) / (2 * p), b / (2 - b)
            three = [k, k, turn] if self.sharp else [k * turn**2, k * (1 - turn**2), turn]
        else:
            three = [b / p, (1 - b) / p, b]
        numbers = torch.stack([*three, *(s * b / p for s in split)], dim=1)[net.index].to(torch.float32)
        record = net.record.clone()
        record[: net.n_slots, NUMBERS : NUMBERS + numbers.shape[1]] = numbers.view(torch.int32)
        if self.delay is not None:
            # beyond the transform it goes round as it may; damping takes it away or the length was chosen for it
            record[: net.n_slots, DELAY] = self.delay[net.index].clamp(max=1 << 30).to(torch.int32)
        return Rational(record, self.sections, bool(split), self.delay is not None, self.sharp)

    def gradients(
        self,
        net: Net,
        values: Sequence[Tensor],
        points: Points,
        tiling: Tiling,
        first: int,
        last: int,
        found: Tensor,
    ) -> list[Tensor]:
        sums = torch.empty_like(found)
        sums[:, net.index] = found
        r, b = values[0].detach(), values[1].detach()
        by_r, by_b, *split = sums / _apart_from_zero(r * b)
        return [-b * by_r, -by_b / b, *(-b * by_s for by_s in split)]


def _apart_from_zero(p: Tensor) -> Tensor:
    """Sums for the gradients are taken times p; at 1e-10 a reach is as good as not there."""
    return torch.where(p.abs() < 1e-10, 1e-10, p)


TABLES = 4
"""Tables of responses and their gradients take this part of the budget: a chunk of few tiles leaves most warps idle."""


@dataclass(frozen=True)
class Work:
    """What a call of `solve` does besides its tensors.

    Attributes:
        budget: bytes of the spectra of all reaches that are worked on at once.
        kept: bytes of the spectra kept at once for the gradient, and of those between blocks.
    """

    net: Net
    cut: Cut
    source: Source
    budget: int
    kept: int
    half: bool

    def groups(self, batch: int) -> list[tuple[int, int]]:
        """Runs of series whose spectra stay within the budget."""
        n_series = batch * self.cut.n_segments
        length = self.cut.points.length
        one = (self.net.n_slots + self.net.n_rows) * 4 * 2 * (length + 2)
        most = max(1, self.budget // max(1, one))
        count = max(1, -(-n_series // most))
        most = max(1, -(-n_series // count))
        return [(a, min(a + most, n_series)) for a in range(0, n_series, most)]

    def sweeps(self, n_series: int) -> Sweeps:
        return Sweeps(self.net, self.cut.points, n_series, self.kept, self.half)

    def chunks(self, sweeps: Sweeps, gradient: bool) -> list[tuple[int, int]]:
        """Runs of tiles that are swept at once."""
        tables = max(self.kept, self.budget // TABLES)
        return sweeps.chunks(gradient, self.source.tile_bytes(self.net, sweeps.tiling), tables)

    def bands(self, sweeps: Sweeps, chunk: tuple[int, int]) -> tuple[int, int]:
        """Frequency tiles of a chunk."""
        return chunk[0] // sweeps.n_series, -(-chunk[1] // sweeps.n_series)

    def transfer(
        self, values: Sequence[Tensor], sweeps: Sweeps, chunk: tuple[int, int]
    ) -> Rational | Tabulated:
        """Responses for a chunk."""
        bands = self.bands(sweeps, chunk)
        return self.source.transfer(self.net, values, self.cut.points, sweeps.tiling, *bands)


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, work: Work, runoff: Tensor, early: Tensor, inflow: Tensor, *values: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.work, ctx.flows, ctx.transfers = work, None, None
        ctx.save_for_backward(runoff, early, inflow, *values)
        net, cut = work.net, work.cut
        points = cut.points
        batch, time, _ = runoff.shape
        discharge = torch.empty(batch, time, net.n_rows, device=net.device)
        outflow = torch.empty(
            net.n_outlets, batch * cut.n_segments, points.ratio, points.n_freq,
            dtype=torch.complex64, device=net.device,
        )  # fmt: skip
        groups = work.groups(batch)
        for first, last in groups:
            sweeps = work.sweeps(last - first)
            spectra = _to_spectra(work, early, runoff, first, last)
            shape = last - first, net.n_rows, spectra.shape[2]
            found = torch.empty(shape, dtype=torch.complex64, device=net.device)
            flows, transfers = [], []
            gradient = any(ctx.needs_input_grad)
            across, one = sweeps.tiling.count(points.n_freq), work.source.tile_bytes(net, sweeps.tiling)
            keep = gradient and len(groups) == 1 and across * one <= work.kept
            for chunk in work.chunks(sweeps, gradient):
                transfer = work.transfer(values, sweeps, chunk)
                transfers.append(transfer if keep else None)
                wanted = found if net.n_rows else None
                flow = sweeps.down(transfer, spectra, inflow[:, first:last], wanted, *chunk)
                flows.append(flow if gradient else sweeps.outflow(flow))
                del flow, transfer
            del spectra
            if net.n_outlets:
                tiles = torch.cat([sweeps.outflow(f) if gradient else f for f in flows], dim=1)
                outflow[:, first:last] = sweeps.tiling.unpack(tiles, last - first, points.n_freq)
            if gradient and len(groups) == 1 and 2 * sweeps.n_tiles * sweeps.tile_bytes <= work.kept:
                ctx.flows = flows  # spares the way up a way down
            if keep:
                ctx.transfers = transfers
            del flows, transfers
            if net.n_rows:
                series = torch.fft.irfft(found, points.length, norm="forward")
                del found
                scale = points.scale_out if points.digits else None
                scatter(series, discharge, cut, first, 0, cut.lead, cut.lead + cut.hop, scale)
                del series
        return discharge, outflow

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, from_discharge: Tensor, from_outflow: Tensor) -> tuple[Tensor | None, ...]:
        work: Work = ctx.work
        runoff, early, inflow, *values = ctx.saved_tensors
        net, cut, points = work.net, work.cut, work.cut.points
        need_runoff, need_early = ctx.needs_input_grad[1:3]
        to_runoff: Tensor | None = None
        to_early: Tensor | None = None
        to_inflow = torch.empty_like(inflow)
        to_values: list[Tensor] | None = None
        high = cut.lead + cut.hop
        scale_in, scale_out = (points.scale_in, points.scale_out) if points.digits else (None, None)
        from_discharge = from_discharge.contiguous()
        none = from_discharge[:, :0]
        for first, last in work.groups(runoff.shape[0]):
            sweeps = work.sweeps(last - first)
            spectra = _to_spectra(work, early, runoff, first, last)
            wanted = _spectra_of(gather(none, from_discharge, cut, first, last, cut.lead, high, scale_out))
            back = torch.empty_like(spectra)
            entered = []
            for number, chunk in enumerate(work.chunks(sweeps, True)):
                if ctx.transfers is None:
                    transfer = work.transfer(values, sweeps, chunk)
                else:
                    transfer = ctx.transfers[number]
                if ctx.flows is None:
                    flow = sweeps.down(transfer, spectra, inflow[:, first:last], None, *chunk)
                else:
                    flow = ctx.flows[number]
                into, found = sweeps.up(
                    transfer, spectra, flow, wanted, from_outflow[:, first:last], back, *chunk
                )
                del flow, transfer
                entered.append(into)
                parts = work.source.gradients(
                    net, values, points, sweeps.tiling, *work.bands(sweeps, chunk), found
                )
                to_values = (
                    parts if to_values is None else [a + b for a, b in zip(to_values, parts, strict=True)]
                )
            del spectra, wanted
            if net.n_inlets:
                tiles = torch.cat(entered, dim=1)
                to_inflow[:, first:last] = sweeps.tiling.unpack(tiles, last - first, points.n_freq)
            if need_runoff or need_early:
                series = torch.fft.irfft(back, points.length, norm="forward")
                del back
                if first == 0:  # not before: the memory was needed
                    to_runoff = torch.empty_like(runoff) if need_runoff else None
                    to_early = torch.empty_like(early) if need_early else None
                for out, since in ((to_runoff, cut.lead), (to_early, cut.lead - early.shape[1])):
                    if out is not None:
                        scatter(series, out, cut, first, since, 0, high, scale_in, add=first > 0)
                del series
        ctx.flows = ctx.transfers = None
        assert to_values is not None
        return None, to_runoff, to_early, to_inflow, *to_values


def _to_spectra(work: Work, early: Tensor, runoff: Tensor, first: int, last: int) -> Tensor:
    """(series, reach, frequency) of segments first to last of the runoff."""
    cut = work.cut
    scale = cut.points.scale_in if cut.points.digits else None
    high = cut.lead + cut.hop
    return _spectra_of(gather(early, runoff, cut, first, last, 0, high, scale))


def _spectra_of(series: Tensor) -> Tensor:
    """`torch.fft.rfft`, also of no series, which cuFFT and MKL refuse: a piece may have no gauge."""
    if series.numel():
        return torch.fft.rfft(series)
    return series.new_empty(*series.shape[:-1], series.shape[-1] // 2 + 1, dtype=torch.complex64)


def solve(
    work: Work, runoff: Tensor, early: Tensor, inflow: Tensor, values: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Route runoff at the points of one transform.

    Args:
        work: the network, how time is cut, and where the responses come from.
        runoff: (batch, time, reach) float32.
        early: (batch, past, reach) the runoff before it; with `Cut.lead` ≥ past.
        inflow: (inlet, batch · segment, alias, frequency) complex64 spectra of what enters from outside.
        values: the tensors that `work.source` makes responses from.

    Returns:
        discharge (batch, time, row); and spectra of what leaves, (outlet, batch · segment, alias, frequency).
    """
    found: tuple[Tensor, Tensor] = _Solve.apply(
        work, runoff.contiguous(), early.contiguous(), inflow.contiguous(), *values
    )
    return found
