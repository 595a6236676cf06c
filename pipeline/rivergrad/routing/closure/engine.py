"""The closure engine: closure inside blocks, block-sparse causal convolution, series between blocks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from rivergrad.errors import InputError
from rivergrad.routing.closure.contour import Contour
from rivergrad.routing.closure.convolve import block_sparse_convolution
from rivergrad.routing.closure.kernels import Leftover, chunk_tiles
from rivergrad.routing.closure.plan import Level, Plan, make_plan
from rivergrad.routing.closure.window import USER_TOLERANCE, first_guess, good_size, tolerance
from rivergrad.routing.recurrence.problem import Problem
from rivergrad.routing.schemes.base import Scheme
from rivergrad.routing.setup import EngineSetup

if TYPE_CHECKING:  # needs Triton
    from rivergrad.routing.closure.fused.engine import FusedClosure, Spectra

log = logging.getLogger(__name__)

MEASURING_DIGITS = 3.0
"""Damping (decades over the padded length) where the window is chosen so that nothing is left beyond it:
little, so that rounding stays below the tail that is looked for."""


@dataclass(frozen=True)
class Kernels:
    """Tiles of aggregated responses for given parameters; differentiable with respect to them."""

    tiles: tuple[tuple[Tensor, ...], ...]  # by level, by chunk: (window, tile, row, column)
    window: int
    memory: int | None
    """Forcing steps of the past that matter; None where the window was cut at the horizon and all may."""


Responses: TypeAlias = "Kernels | Spectra"
"""What `ClosureEngine.prepare` makes: tiles for plain torch, coefficients or tables for the fused kernels."""


@dataclass(frozen=True)
class ClosureState:
    """What a later chunk of time needs of the past: the last inputs of each level, oldest first.

    `history[level]` is (column, batch, steps): runoff of the level's reaches, then its inflows by phase (the fused
    kernels have two: runoff, and inflows by phase). It is differentiable like any other input.
    """

    history: tuple[Tensor, ...]


@dataclass
class ClosureEngine(EngineSetup):
    """Routing of one (piece of a) network by the closure of its impulse responses.

    Memory: `kernel_bytes` says what the responses take for a window; computing them takes `work_bytes` more,
    whatever the size of the network; routing B series of T steps takes runoff and discharge, as much again
    for the history, and at most `convolve.GATHER_BYTES` twice. All this is of plain torch: see
    `FusedClosure.plan_bytes` for the kernels that stand in for it on a GPU, where float32 is wanted and neither a
    window nor blocks were asked for. `path` says which of them this is, and why; so does the log.

    Args:
        downstream to device: see `EngineSetup`; responses are computed in float64 in any case.
        window: kept length of responses in forcing steps; None chooses it.
        block_reaches: see `make_plan`.
        keep_bytes: path responses (or spectra) are kept for the backward pass up to this size, else computed again.
        fused: whether the fused kernels compute; by default wherever they can, on a CUDA device.
        half: the fused kernels keep spectra for the gradient in bfloat16: half the memory, gradients good to 1e-2.

    Raises:
        InputError: `fused` asked for what the kernels can't do.
    """

    window: int | None = None
    block_reaches: int | None = None
    keep_bytes: int = 1 << 29
    fused: bool | None = None
    half: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        on_gpu = self.device.type == "cuda"
        unfit = self._unfit() if on_gpu or self.fused else None
        if self.fused and unfit is not None:
            raise InputError(
                f"closure engine, fused kernels: {unfit}; expected fused to be left out, or false"
            )
        fused = on_gpu and unfit is None if self.fused is None else self.fused
        self.path = "fused kernels" if fused else "plain torch"
        if not fused and on_gpu:
            self.path += f": {unfit or 'they were not wanted'}"
        self._fused: FusedClosure | None = None
        if fused:
            from rivergrad.routing.closure.fused.engine import FusedClosure

            problem = Problem(self.downstream, self.ratio, self.targets, self.inlets, self.outlets)
            self._fused = FusedClosure(
                problem,
                self.scheme,
                self.forcing_step,
                self.routing_step,
                device=self.device,
                keep_bytes=self.keep_bytes,
                half=self.half,
            )
        log.info("closure engine: %s", self.path)

    def _unfit(self) -> str | None:
        """Why the fused kernels can't do this; None where they can."""
        try:
            import triton  # noqa: F401
        except ImportError:
            return "they need Triton, which is not installed"
        if self.dtype != torch.float32:
            return "they compute in float32 only"
        given = {"window": self.window, "block_reaches": self.block_reaches}
        if options := [key for key, value in given.items() if value is not None]:
            return f"they have no {' and '.join(options)}, which was given"
        if self.scheme.separate_runoff:
            one = {p.name: torch.tensor([p.default], dtype=torch.float64) for p in self.scheme.parameters}
            if self.scheme.recurrence(one, self.routing_step) is None:
                return f"{self.scheme.name} has another response for runoff and is no recurrence"
        return None

    @cached_property
    def plan(self) -> Plan:
        """Blocks, levels, paths and tiles for plain torch."""
        return make_plan(
            self.downstream,
            self.ratio,
            targets=self.targets,
            inlets=self.inlets,
            outlets=self.outlets,
            block_reaches=self.block_reaches,
            device=self.device,
        )

    def work_bytes(self, window: int) -> int:
        """Bytes that computing one chunk of responses takes beside its result."""
        paths = max((c.n_paths for level in self.plan.levels for c in level.chunks), default=0)
        return 6 * 16 * paths * Contour(self.ratio, window).points

    def kernel_bytes(self, window: int) -> int:
        """Bytes that the responses of a window take."""
        return self.plan.n_tile_values * window * self.dtype.itemsize

    def prepare(self, parameters: dict[str, Tensor], horizon: int, scheme: Scheme | None = None) -> Responses:
        """Responses for these parameters, long enough for a record of `horizon` forcing steps.

        Nothing beyond the record's own length can matter, so the window never exceeds it. `scheme` stands in
        for the engine's own.

        Raises:
            InputError: the window given leaves out more than 1e-4 of a path's response.
        """
        parameters = {name: value.to(self.device, torch.float64) for name, value in parameters.items()}
        scheme = self.scheme if scheme is None else scheme
        if self._fused is not None:
            return self._fused.prepare(parameters, horizon, scheme)
        if self.window is not None:
            return self._given_window(scheme, parameters, self.window)
        allowed = tolerance(self.dtype)
        with torch.no_grad():
            moments = scheme.moments(parameters, self.routing_step)
            window = first_guess(self.plan.inside, self.plan.order, moments, self.forcing_step, allowed)
        while window < horizon:
            contour = Contour(self.ratio, window, digits=MEASURING_DIGITS, device=self.device)
            kernels, leftover = self._compute(scheme, parameters, contour)
            whole = not scheme.conserves_mass or leftover.missing <= max(10 * allowed, 1e-10)
            if leftover.tail <= allowed and whole:
                return kernels
            window = good_size(window + window // 2)
        # The record is shorter than the response: exact, if what lies beyond the padding is damped for good.
        padding, digits = (4, 12.0) if self.dtype == torch.float64 else (2, 8.0)
        contour = Contour(self.ratio, horizon, padding, digits, self.device)
        return replace(self._compute(scheme, parameters, contour, measure=False)[0], memory=None)

    def _given_window(self, scheme: Scheme, parameters: dict[str, Tensor], window: int) -> Kernels:
        kernels, leftover = self._compute(scheme, parameters, Contour(self.ratio, window, device=self.device))
        if not scheme.conserves_mass:
            outside = leftover.tail
        else:
            outside = leftover.missing
        if outside <= USER_TOLERANCE:
            return kernels
        wanted = window
        while wanted < 1 << 20:
            wanted *= 2
            with torch.no_grad():
                _, more = self._compute(scheme, parameters, Contour(self.ratio, wanted, device=self.device))
            if (more.missing if scheme.conserves_mass else more.tail) <= USER_TOLERANCE:
                wanted = min(wanted, more.enough) if scheme.conserves_mass else wanted
                break
        days = self.forcing_step / 86400
        raise InputError(
            f"window: {window} forcing steps ({window * days:g} d) leave {outside:.2g} of a path's response "
            f"outside; expected at most {USER_TOLERANCE:g}: "
            f"a window of {wanted} ({wanted * days:g} d) would do"
        )

    def _compute(
        self, scheme: Scheme, parameters: dict[str, Tensor], contour: Contour, measure: bool = True
    ) -> tuple[Kernels, Leftover]:
        leftover = Leftover()
        recompute = 2 * 16 * self.plan.n_paths * contour.points > self.keep_bytes
        tiles = tuple(
            tuple(
                chunk_tiles(
                    chunk,
                    scheme,
                    parameters,
                    self.routing_step,
                    contour,
                    contour.window,
                    self.dtype,
                    leftover if measure else None,
                    USER_TOLERANCE,
                    recompute,
                )
                for chunk in level.chunks
            )
            for level in self.plan.levels
        )
        return Kernels(tiles, contour.window, contour.window - 1), leftover

    def apply(
        self,
        kernels: Responses,
        runoff: Tensor,
        inflow: Tensor | None = None,
        state: ClosureState | None = None,
    ) -> tuple[Tensor, Tensor, ClosureState]:
        """Route some forcing steps.

        Args:
            kernels: from `prepare`, for a horizon of at least the past in `state` plus these steps.
            runoff: (batch, time, reach) m³/s.
            inflow: (batch, inlet, routing step) m³/s, where there are inlets.
            state: the past; None starts from rest.

        Returns:
            discharge (batch, time, target), outflow (batch, outlet, routing step), and the state after.
        """
        if not isinstance(kernels, Kernels):
            assert self._fused is not None
            before = None if state is None else state.history
            mean, leaving, recent = self._fused.apply(kernels, runoff, inflow, before)
            return mean, leaving, ClosureState(recent)
        batch, time, _ = runoff.shape
        runoff = runoff.to(self.device, self.dtype)
        flows: list[Tensor | None] = [None] * self.plan.n_flows
        for e in range(self.plan.n_inlets):
            assert inflow is not None
            flows[e] = inflow[:, e].to(self.device, self.dtype)
        columns = runoff.permute(2, 0, 1)  # (reach, batch, time)
        discharge: list[Tensor] = []
        history: list[Tensor] = []
        for d, (level, tiles) in enumerate(zip(self.plan.levels, kernels.tiles, strict=True)):
            inputs = self._inputs(level, columns, flows, batch, time)
            if state is not None:
                inputs = torch.cat([state.history[d].to(inputs), inputs], dim=2)
            past = inputs.shape[2] - time
            if kernels.memory is None and past + time > kernels.window:
                raise ValueError(f"kernels for {kernels.window} steps applied to {past + time}")
            kept = past + time if kernels.memory is None else kernels.memory
            history.append(inputs[:, :, max(0, past + time - kept) :])
            rows = self._convolve(level, tiles, inputs, kernels.window, past, time)
            m = len(level.targets)
            discharge.append(rows[:m])
            if len(level.flows):
                out = rows[m:].reshape(len(level.flows), self.ratio, batch, time)
                out = out.permute(0, 2, 3, 1).reshape(len(level.flows), batch, time * self.ratio)
                for f, series in zip(level.flows.tolist(), out, strict=True):
                    flows[f] = series
        where = torch.cat([level.targets for level in self.plan.levels])
        back = torch.empty_like(where)
        back[where] = torch.arange(where.numel(), device=where.device)
        result = torch.cat(discharge)[back].permute(1, 2, 0)
        leaving = _stack([flows[f] for f in self.plan.outlet_flow.tolist()], (batch, 0, time * self.ratio))
        return result, leaving.to(result), ClosureState(tuple(history))

    def _inputs(
        self, level: Level, columns: Tensor, flows: Sequence[Tensor | None], batch: int, time: int
    ) -> Tensor:
        """(column, batch, time) what enters a level: runoff, then inflows by phase."""
        own = columns[level.reaches]
        if not len(level.inflows):
            return own
        series = _stack([flows[f] for f in level.inflows.tolist()], (0,)).transpose(0, 1)
        phases = series.reshape(-1, batch, time, self.ratio).permute(0, 3, 1, 2)
        return torch.cat([own, phases.reshape(-1, batch, time)])

    def _convolve(
        self, level: Level, tiles: tuple[Tensor, ...], inputs: Tensor, window: int, past: int, time: int
    ) -> Tensor:
        """(row, batch, time): the level's rows, all batches laid end to end so that products are long."""
        n, batch, _ = inputs.shape
        lead = window - 1
        inputs = torch.nn.functional.pad(inputs, (max(0, lead - past), 0))[:, :, -(lead + time) :]
        rows = []
        for chunk, tile in zip(level.chunks, tiles, strict=True):
            short = chunk.tiles.n_tile_columns * chunk.tiles.columns - n
            series = torch.nn.functional.pad(inputs, (0, 0, 0, 0, 0, short)).reshape(n + short, -1)
            out = block_sparse_convolution(tile, series, chunk.tiles)
            out = torch.nn.functional.pad(out, (lead, 0)).view(out.shape[0], batch, lead + time)
            rows.append(out[: chunk.n_rows, :, lead:])
        if not rows:
            return inputs.new_zeros(0, batch, time)
        return torch.cat(rows)


def _stack(series: Sequence[Tensor | None], empty: tuple[int, ...]) -> Tensor:
    """Stack series on axis 1, or an empty tensor of that shape."""
    present = [s for s in series if s is not None]
    assert len(present) == len(series)
    return torch.stack(present, dim=1) if present else torch.zeros(empty)
