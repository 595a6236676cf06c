"""The sweep with coefficients by forcing step through one problem, forward and adjoint."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rivergrad.routing.recurrence.cpu.arrays import Record, Scratch
from rivergrad.routing.recurrence.cpu.blocks import Plan
from rivergrad.routing.recurrence.cpu.lanes import bare
from rivergrad.routing.recurrence.cpu.plain import Saved, aligned, as_array
from rivergrad.routing.recurrence.cpu.schedule import PATIENCE, publish, ready, sources, take, work_off
from rivergrad.routing.recurrence.cpu.sweep import CpuSweep
from rivergrad.routing.recurrence.cpu.tiles import Tiles
from rivergrad.routing.recurrence.cpu.varying.items import (
    Coefficients,
    VaryingAdjoint,
    VaryingModel,
    backward_item,
    forward_item,
)
from rivergrad.routing.recurrence.cpu.varying.law import GRADIENTS

Index = NDArray[np.int64]

MOST_UNITS = 8
"""Forcing steps of a lane's run where each has a flow of its own: runoff and flow of a group stay in the cache."""


@dataclass(frozen=True, eq=False)
class VaryingGradients:
    """Of a loss, with respect to a and b (batch, interval, reach), runoff (None unless wanted), inflow and state.

    With a law, a is that of the flow (empty unless wanted), b is empty, and `law` (number, reach) has the others.
    """

    a: Tensor
    b: Tensor
    law: Tensor
    runoff: Tensor | None
    inflow: Tensor
    state: Tensor


class VaryingSweep:
    """Sweeps with coefficients by forcing step, on the plan of a `CpuSweep`.

    The results don't depend on the number of threads, bit for bit.
    """

    def __init__(self, plain: CpuSweep) -> None:
        self._plain = plain

    def forward(
        self,
        a: Tensor,
        b: Tensor,
        law: Tensor,
        hold: int,
        sections: int,
        runoff: Tensor,
        inflow: Tensor,
        state: Tensor,
        keep: bool,
        room: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Saved | None]:
        """Route some forcing steps.

        Args:
            a, b, law: see `VaryingModel`, in the dtype computed in; interval j holds for the forcing steps
                j · hold to (j + 1) · hold.
            room: for the discharge, in place of new memory.
            hold: forcing steps of an interval.
            sections: in series in every reach.
            runoff, inflow, state, keep: as for `CpuSweep.forward`; the state is m of each section.

        Returns:
            As `CpuSweep.forward`.
        """
        plain, problem = self._plain, self._plain.problem
        batch, time, _ = runoff.shape
        tiles, items = plain.schedule(time, batch, MOST_UNITS if hold == 1 else None)
        discharge = runoff.new_empty(batch, time, problem.targets.size) if room is None else room
        outflow = runoff.new_empty(batch, problem.outlets.size, time * problem.ratio)
        after = state.detach().clone(memory_format=torch.contiguous_format)
        saved = plain.room(tiles, batch, sections, 0, keep)
        record = Record(
            runoff=as_array(runoff),
            inflow=as_array(inflow),
            discharge=discharge.numpy(),
            outflow=outflow.numpy(),
            state=after.numpy(),
            edges=saved.edges,
            starts=saved.starts,
            kept=saved.kept,
        )
        model = self._model(a, b, law, hold, sections)
        work_off(
            _forward,
            "routing with celerity by flow",
            plain.threads(time * batch),
            (items, plain.plan, tiles, model, record),
            partial(self._scratch, sections, tiles, False),
            (problem.ratio, keep),
        )
        return discharge, outflow, after, saved if keep else None

    def backward(
        self,
        a: Tensor,
        b: Tensor,
        law: Tensor,
        hold: int,
        sections: int,
        runoff: Tensor,
        inflow: Tensor,
        saved: Saved,
        g_discharge: Tensor,
        g_outflow: Tensor,
        g_state: Tensor,
        want_runoff: bool,
        want_flow: bool = True,
    ) -> VaryingGradients:
        """The adjoint of `forward`; arguments as for it and for `CpuSweep.backward`. Flow is a law's."""
        plain, problem = self._plain, self._plain.problem
        batch, time, _ = runoff.shape
        tiles, items = plain.schedule(time, batch, MOST_UNITS if hold == 1 else None)
        g_before = g_state.detach().clone(memory_format=torch.contiguous_format)
        g_runoff = runoff.new_empty(batch, time if want_runoff else 0, problem.n_reaches)
        g_inflow = torch.empty_like(inflow, memory_format=torch.contiguous_format)
        n, lawful = problem.n_reaches, law.numel() > 0
        g_a = torch.zeros_like(a) if want_flow or not lawful else a.new_zeros(batch, 0, n)
        g_b = torch.zeros_like(b)
        g_law = np.zeros((batch, GRADIENTS, n if lawful else 0))
        adjoint = VaryingAdjoint(
            discharge=as_array(g_discharge),
            outflow=as_array(g_outflow),
            runoff=g_runoff.numpy(),
            inflow=g_inflow.numpy(),
            state=g_before.numpy(),
            edges=np.empty_like(saved.edges),
            a=g_a.numpy(),
            b=g_b.numpy(),
            law=g_law,
        )
        model = self._model(a, b, law, hold, sections)
        work_off(
            _backward,
            "gradient of the routing with celerity by flow",
            plain.threads(time * batch),
            (items, plain.plan, tiles, model, plain.recorded(runoff, inflow, saved), adjoint),
            partial(self._scratch, sections, tiles, True),
            (problem.ratio, want_runoff),
        )
        by_law = torch.from_numpy(g_law.sum(axis=0))
        return VaryingGradients(g_a, g_b, by_law, g_runoff if want_runoff else None, g_inflow, g_before)

    def _model(self, a: Tensor, b: Tensor, law: Tensor, hold: int, sections: int) -> VaryingModel:
        pointer, cell, weight = self._plain.grid
        return VaryingModel(as_array(a), as_array(b), as_array(law), hold, sections, pointer, cell, weight)

    def _scratch(self, sections: int, tiles: Tiles, adjoint: bool) -> tuple[Scratch, Coefficients]:
        """What one thread needs."""
        plain = self._plain
        width = tiles.most_units * plain.lanes
        size = plain.plan.most_rows * width
        back = size if adjoint else 0
        own = Coefficients(
            a=aligned(size, plain.dtype),
            b=aligned(size, plain.dtype),
            into_a=aligned(back, plain.dtype),
            into_b=aligned(back, plain.dtype),
            intervals=np.empty(width, np.int64),
            flow=aligned(size, plain.dtype),
            spots=np.empty(width, np.int64),
            since=aligned(width + plain.lanes, plain.dtype),
            near=aligned(2 * width, plain.dtype),
        )
        return plain.scratch(sections, 0, tiles, adjoint), own


def _compile(sources: int) -> tuple[Any, Any]:
    """The two loops over items, as in `cpu/schedule.py`."""

    @bare(nogil=True, cache=True, no_cpython_wrapper=False)
    def forward(
        pending: int,
        counter: Index,
        done: Index,
        items: Index,
        plan: Plan,
        tiles: Tiles,
        model: VaryingModel,
        record: Record,
        scratch: Scratch,
        own: Coefficients,
        ratio: int,
        keep: bool,
    ) -> int:  # pragma: no cover - compiled
        """Route items until none is left (−1), or one has been waited for too long (its number)."""
        _ = sources
        groups = plan.stage.size
        while True:
            at = pending if pending >= 0 else take(counter)
            pending = -1
            if at >= items.shape[0]:
                return -1
            group, tile, batch = items[at, 0], items[at, 1], items[at, 2]
            looks = 0
            while not ready(done, batch * groups, group, tile, plan.above_start, plan.above):
                looks += 1
                if looks > PATIENCE:
                    return at
            forward_item(group, tile, batch, plan, tiles, model, record, scratch, own, ratio, keep)
            publish(done, batch * groups + group, tile + 1)

    @bare(nogil=True, cache=True, no_cpython_wrapper=False)
    def backward(
        pending: int,
        counter: Index,
        done: Index,
        items: Index,
        plan: Plan,
        tiles: Tiles,
        model: VaryingModel,
        record: Record,
        adjoint: VaryingAdjoint,
        scratch: Scratch,
        own: Coefficients,
        ratio: int,
        want_runoff: bool,
    ) -> int:  # pragma: no cover - compiled
        """The same for the adjoint, items from the last to the first."""
        _ = sources
        groups = plan.stage.size
        last = tiles.day.size - 1
        while True:
            at = pending if pending >= 0 else take(counter)
            pending = -1
            if at >= items.shape[0]:
                return -1
            turn = items.shape[0] - 1 - at
            group, tile, batch = items[turn, 0], items[turn, 1], items[turn, 2]
            looks = 0
            while not ready(done, batch * groups, group, last - tile, plan.below_start, plan.below):
                looks += 1
                if looks > PATIENCE:
                    return at
            backward_item(
                group, tile, batch, plan, tiles, model, record, adjoint, scratch, own, ratio, want_runoff
            )
            publish(done, batch * groups + group, last - tile + 1)

    return forward, backward


_forward, _backward = _compile(sources())
