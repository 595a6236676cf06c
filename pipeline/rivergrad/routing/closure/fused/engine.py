"""The closure on a GPU: the whole tree at once, frequency by frequency."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from rivergrad.routing.closure.fused.lasting import (
    Paths,
    growth_of_recurrence,
    growth_of_responses,
    rates_of_recurrence,
    rates_of_responses,
)
from rivergrad.routing.closure.fused.points import Points, Tiling
from rivergrad.routing.closure.fused.sampled import Sampled, differentiable, sample
from rivergrad.routing.closure.fused.solve import Coefficients, Source, Work, solve
from rivergrad.routing.closure.fused.sweeps import DOWN, WIDE_BLOCK, Cut, Net
from rivergrad.routing.closure.fused.transforms import lengths, passes
from rivergrad.routing.closure.window import tolerance
from rivergrad.routing.recurrence.problem import Problem
from rivergrad.routing.schemes.base import Recurrence, Scheme

log = logging.getLogger(__name__)

LONGEST_PAD = 8
"""A record far shorter than the responses is followed by at most as many times its length, and damped."""
DIGITS = 8.0
"""Decades of damping then: what wraps around is 1e-8 of it, and rounding grows tenfold at most."""
LONGEST = 2048
"""Forcing steps of a transform, unless responses take more than a quarter of that."""
PLENTY = 16
"""Blocks for each warp at work, from which on large blocks are better."""
LEAST_BUDGET, MOST_BUDGET = 1 << 29, 1 << 34
"""Spectra worked on at once take an eighth of the memory that is free, within these bounds."""


@dataclass(frozen=True)
class Spectra:
    """Responses for given parameters, differentiable with respect to them."""

    source: Source
    values: tuple[Tensor, ...]
    lead: int
    """Forcing steps for which responses last."""
    memory: int | None
    """Forcing steps of the past that matter; None where the record is shorter than the responses."""
    horizon: int
    length: int
    """Of the transform, where the record (of `horizon` steps) is shorter than the responses."""
    digits: float
    delay: int


class FusedClosure:
    """Routing of one (piece of a) network by sweeps at all frequencies, in float32.

    Args:
        problem: the network and what is wanted of it.
        scheme, forcing_step, routing_step: see `ClosureEngine`.
        device: where; not a CUDA device only under Triton's interpreter.
        keep_bytes: spectra kept at once for the gradient.
        half: keep them in bfloat16; gradients are then good to 1e-3 or so.
    """

    def __init__(
        self,
        problem: Problem,
        scheme: Scheme,
        forcing_step: float,
        routing_step: float,
        device: torch.device,
        keep_bytes: int,
        half: bool = False,
    ) -> None:
        self.scheme, self.forcing_step, self.routing_step = scheme, forcing_step, routing_step
        self.device, self.keep_bytes, self.half = device, keep_bytes, half
        self.ratio = problem.ratio
        self.problem = problem
        self.net = Net(problem, device)
        self.plain = bool(problem.inlets.size or problem.outlets.size)
        self.n_columns = problem.n_reaches
        index, place = self.net.index.cpu().numpy(), self.net.place.cpu().numpy()
        down = np.asarray(problem.downstream)[index]
        self.paths = Paths(np.where(down >= 0, place[np.maximum(down, 0)], -1), device)
        self._points: dict[tuple[int, float, int], Points] = {}
        self._warned = False

    @cached_property
    def _wide(self) -> Net:
        return Net(self.problem, self.device, WIDE_BLOCK)

    # ---- preparing

    def prepare(self, parameters: dict[str, Tensor], horizon: int, scheme: Scheme | None = None) -> Spectra:
        """See `ClosureEngine.prepare`."""
        scheme = self.scheme if scheme is None else scheme
        parameters = {name: value.to(self.device, torch.float64) for name, value in parameters.items()}
        recurrence = scheme.recurrence(parameters, self.routing_step)
        if recurrence is not None:
            source, values, lead = self._rational(recurrence)
        else:
            source, values, lead = self._sampled(scheme, parameters, horizon)
        if lead < horizon:
            return Spectra(source, values, lead, lead, horizon, 0, 0.0, scheme.output_delay)
        length, digits = horizon + lead + 1, 0.0
        if length > LONGEST_PAD * horizon + 8:
            length, digits = LONGEST_PAD * horizon + 8, DIGITS
        return Spectra(source, values, lead, None, horizon, lengths(length)[0], digits, scheme.output_delay)

    def _rational(self, recurrence: Recurrence) -> tuple[Source, tuple[Tensor, ...], int]:
        """Responses as coefficients, and the forcing steps for which they last."""
        with torch.no_grad():
            rate = rates_of_recurrence(recurrence, self.routing_step)
            index, delay = self.net.index, recurrence.delay
            late = None if delay is None else delay[index]
            one = replace(recurrence, a=recurrence.a[index], b=recurrence.b[index], delay=late)
            left = self._left(partial(growth_of_recurrence, one, self.routing_step), rate)
            seconds, b = torch.stack([left, recurrence.b.max()]).tolist()
        values: tuple[Tensor, ...] = ((1 - recurrence.a) / recurrence.b, recurrence.b)
        if recurrence.jump is not None:
            values = (*values, values[0] * (1 - recurrence.jump))
        return Coefficients(recurrence.sections, recurrence.delay, b > 1.5), values, self._lead(seconds)

    def _sampled(
        self, scheme: Scheme, parameters: dict[str, Tensor], horizon: int
    ) -> tuple[Source, tuple[Tensor, ...], int]:
        """Responses as series, and the forcing steps for which they last."""
        step = self.routing_step
        with torch.no_grad():
            lengths, responses = sample(scheme, parameters, step, self.ratio, horizon)
            rate = rates_of_responses(lengths.steps[-1], step, self.device)
            places = [self.net.place[reaches] for reaches in lengths.reaches]
            lead = self._lead(float(self._left(partial(growth_of_responses, places, responses, step), rate)))
        longest, allowed = lengths.steps[-1], tolerance(torch.float32)
        if self.paths.deepest * lengths.missing > allowed:
            if longest == horizon * self.ratio:
                lead = max(lead, horizon)  # nothing that the record sees is cut, but responses go on
            elif not self._warned:
                self._warned = True
                days = longest * step / 86400
                log.warning(
                    "scheme %s: responses are cut after %g days, when %.1e of a reach's water has not left it yet",
                    scheme.name, days, lengths.missing,
                )  # fmt: skip
        values = differentiable(scheme, parameters, step, self.ratio, lengths, responses)
        return Sampled(lengths), values, lead

    def _left(self, grow: Callable[[Tensor], Tensor], rate: Tensor) -> Tensor:
        return self.paths.seconds_left(grow, rate, tolerance(torch.float32))

    def _lead(self, seconds: float) -> int:
        """Forcing steps after which the longest path's response has ended."""
        return math.ceil(min(seconds / self.forcing_step, 1e6)) + 2

    # ---- memory

    def budget(self) -> int:
        """Bytes of spectra worked on at once."""
        free = torch.cuda.mem_get_info(self.device)[0] if self.device.type == "cuda" else 0
        return min(MOST_BUDGET, max(LEAST_BUDGET, free // 8))

    def plan_bytes(self, prepared: Spectra, batch: int, time: int, gradient: bool = False) -> int:
        """Bytes that routing `time` steps takes at most, beside runoff and discharge (and their gradients).

        Runoff and discharge of a group of segments as series and as spectra, of which `torch.fft.irfft` makes a
        copy; with a gradient, those of the gradient besides, and what is kept for it.
        """
        cut = self._cut(prepared, batch, 0, time)
        work = self._work(prepared, cut, batch, gradient)
        first, last = work.groups(batch)[0]
        sweeps = work.sweeps(last - first)
        net, points = work.net, cut.points
        tiles = max(b - a for a, b in work.chunks(sweeps, gradient))
        spectrum, series = 8 * points.n_freq * (last - first), 4 * points.length * (last - first)
        stack = 8 * net.programs(DOWN.programs) * net.depth * sweeps.tiling.sets * sweeps.tiling.points
        between = tiles * sweeps.tile_bytes
        table = tiles * prepared.source.tile_bytes(net, sweeps.tiling)
        table += prepared.source.work_bytes(table, gradient)
        most = max(net.n_slots, net.n_rows) * (2 * spectrum + series)
        if not gradient:
            return max(most, (net.n_slots + net.n_rows) * spectrum + between + stack + table)
        swept = (2 * net.n_slots + net.n_rows) * spectrum + 2 * (between + table) + stack
        swept += sweeps.programs_up * sweeps.block_bytes
        swept += net.n_slots * (36 * tiles * sweeps.tiling.passes + 128)  # gradients of numbers; the numbers
        return max(swept, most + net.n_slots * spectrum + between)

    # ---- routing

    def _cut(self, prepared: Spectra, batch: int, past: int, time: int) -> Cut:
        """How a chunk of time is cut into transforms: the fewest points."""
        if prepared.memory is None:
            return Cut(self._at(prepared, prepared.length), past, time, 1)
        lead = prepared.lead
        tiling, most = Tiling.of(self.ratio), max(LONGEST, 4 * (lead + 2))
        best: tuple[float, int] | None = None
        for length in lengths(lead + 2):
            hop = min(time, length - lead - 1)
            # measured: an alias of a frequency takes as long to sweep as 1/10 of a frequency to lay out or transform
            points = tiling.count(length // 2 + 1) * tiling.frequencies
            cost = -(-time // hop) * (self.ratio * points + (10 + 10 * passes(length)) * (length // 2))
            if best is None or cost < best[0]:
                best = cost, length
            if length >= most or 8 * length >= 9 * (time + lead + 1):
                break
        assert best is not None
        length = best[1]
        hop = min(time, length - lead - 1)
        return Cut(self._at(prepared, length), lead, hop, -(-time // hop))

    def _at(self, prepared: Spectra, length: int) -> Points:
        key = length, prepared.digits, prepared.delay
        if key not in self._points:
            if len(self._points) > 8:
                self._points.clear()
            self._points[key] = Points(
                self.ratio, length, prepared.digits, prepared.delay, self.plain, self.device
            )
        return self._points[key]

    def _work(self, prepared: Spectra, cut: Cut, batch: int = 1, gradient: bool = True) -> Work:
        net = self.net
        if not gradient:
            tiles = batch * cut.n_segments * Tiling.of(self.ratio).count(cut.points.n_freq)
            if self.n_columns * tiles >= PLENTY * net.programs(DOWN.programs) * WIDE_BLOCK:
                net = self._wide
        return Work(net, cut, prepared.source, self.budget(), self.keep_bytes, self.half)

    def apply(
        self, prepared: Spectra, runoff: Tensor, inflow: Tensor | None, history: Sequence[Tensor] | None
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Route some forcing steps.

        Args:
            runoff: (batch, time, reach).
            inflow: (batch, inlet, routing step).
            history: runoff (reach, batch, past) and inflow (inlet · S, batch, past) before.

        Returns:
            discharge (batch, time, target), outflow (batch, outlet, routing step), and the history after.
        """
        batch, time, _ = runoff.shape
        ratio, n_inlets = self.ratio, self.net.n_inlets
        runoff = runoff.to(self.device, torch.float32)
        early = runoff[:, :0]
        entering = runoff.new_zeros(batch, 0, time * ratio) if inflow is None else inflow
        entering = entering.to(self.device, torch.float32).reshape(batch, n_inlets, time, ratio)
        if history is not None:
            early = history[0].to(runoff).permute(1, 2, 0)
            before = history[1].to(runoff).reshape(n_inlets, ratio, batch, early.shape[1])
            entering = torch.cat([before.permute(2, 0, 3, 1), entering], dim=2)
        past = early.shape[1]
        if prepared.memory is None and past + time > prepared.horizon:
            raise ValueError(f"responses for {prepared.horizon} steps applied to {past + time}")
        if prepared.memory is not None and past > prepared.lead:
            early, entering = early[:, past - prepared.lead :], entering[:, :, past - prepared.lead :]
            past = prepared.lead
        cut = self._cut(prepared, batch, past, time)
        spectra = self._entering(cut, entering, past, time)
        given = runoff, early, spectra, *prepared.values
        gradient = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given)
        work = self._work(prepared, cut, batch, gradient)
        found, leaving = solve(work, runoff, early, spectra, prepared.values)
        if self.net.repeated is not None:
            found = found[..., self.net.repeated]
        outflow = self._leaving(cut, leaving, batch, time)
        kept = past + time if prepared.memory is None else min(prepared.memory, past + time)
        from_early = max(0, kept - time)
        recent = runoff[:, max(0, time - kept) :]
        if from_early:
            recent = torch.cat([early[:, past - from_early :], recent], dim=1)
        entered = entering[:, :, past + time - kept :].permute(1, 3, 0, 2)
        return found, outflow, (recent.permute(2, 0, 1), entered.reshape(n_inlets * ratio, batch, kept))

    def _entering(self, cut: Cut, entering: Tensor, past: int, time: int) -> Tensor:
        """Spectra of inflows (batch, inlet, past + time, S): (inlet, batch · segment, alias, frequency)."""
        points = cut.points
        batch, n_inlets = entering.shape[:2]
        n_series = batch * cut.n_segments
        if not n_inlets:
            empty = torch.zeros(0, n_series, points.ratio, points.n_freq, dtype=torch.complex64)
            return empty.to(self.device)
        span = cut.lead + cut.hop
        after = cut.n_segments * cut.hop - time
        padded = torch.nn.functional.pad(entering, (0, 0, cut.lead - past, after))
        some = padded.unfold(2, span, cut.hop)  # (batch, inlet, segment, S, step)
        some = some.permute(1, 0, 2, 4, 3).reshape(n_inlets, n_series, span * points.ratio)
        values = points.contour.spectrum(some.reshape(-1, some.shape[-1]))
        return values.to(torch.complex64).view(n_inlets, n_series, points.ratio, points.n_freq)

    def _leaving(self, cut: Cut, leaving: Tensor, batch: int, time: int) -> Tensor:
        """Series (batch, outlet, routing step) of what leaves."""
        n_outlets = leaving.shape[0]
        ratio = self.ratio
        if not n_outlets:
            return leaving.real.new_zeros(batch, 0, time * ratio)
        values = leaving.reshape(n_outlets * leaving.shape[1], -1).to(torch.complex128)
        series = cut.points.contour.to_routing(values)[:, cut.lead * ratio : (cut.lead + cut.hop) * ratio]
        series = series.reshape(n_outlets, batch, cut.n_segments * cut.hop * ratio)[..., : time * ratio]
        return series.transpose(0, 1).to(torch.float32)
