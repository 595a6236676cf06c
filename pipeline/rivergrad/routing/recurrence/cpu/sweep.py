"""The CPU backend: the sweep of one problem and its adjoint, of tensors."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from rivergrad.routing.recurrence.cpu.arrays import Adjoint, Record
from rivergrad.routing.recurrence.cpu.plain import PlainSweep, Saved, as_array
from rivergrad.routing.recurrence.cpu.schedule import sweep_backward
from rivergrad.routing.recurrence.problem import Filter, Gradients, Problem


class CpuSweep(PlainSweep):
    """Sweeps through one problem, forward and adjoint, with as many threads as torch has.

    Args:
        problem, most, run: see `PlainSweep`.
        dtype: float32 or float64.
    """

    def __init__(
        self, problem: Problem, dtype: torch.dtype, *, most: int | None = None, run: int | None = None
    ) -> None:
        numbers = np.dtype({torch.float32: np.float32, torch.float64: np.float64}[dtype])
        super().__init__(problem, numbers, most=most, run=run)

    def forward(
        self,
        filter_: Filter,
        runoff: Tensor,
        inflow: Tensor,
        state: Tensor,
        keep: bool,
        room: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Saved | None]:
        """Route some forcing steps.

        Args:
            filter_: what the reaches do.
            runoff: (batch, time, reach or cell) m³/s.
            inflow: (batch, inlet, routing step) m³/s.
            state: (batch, number), see `Filter`.
            keep: whether `backward` will be called.
            room: for the discharge, in place of new memory.

        Returns:
            discharge (batch, time, target), outflow (batch, outlet, routing step), the state after, and what
            `backward` needs.
        """
        batch, time, _ = runoff.shape
        problem = self.problem
        discharge = runoff.new_empty(batch, time, problem.targets.size) if room is None else room
        outflow = runoff.new_empty(batch, problem.outlets.size, time * problem.ratio)
        after = state.detach().clone(memory_format=torch.contiguous_format)
        saved = self.route(
            filter_,
            as_array(runoff),
            as_array(inflow),
            after.numpy(),
            discharge.numpy(),
            outflow.numpy(),
            torch.get_num_threads(),
            keep,
        )
        return discharge, outflow, after, saved if keep else None

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
        """The adjoint of `forward`: gradients of its arguments from those of its results.

        Args:
            filter_, runoff, inflow, state: what `forward` was given.
            saved: what it returned last.
            g_discharge, g_outflow, g_state: gradients of the three others.
            want_runoff: whether that of the runoff is wanted.
        """
        batch, time, _ = runoff.shape
        problem, plan = self.problem, self.plan
        n = problem.n_reaches
        tiles, items = self.schedule(time, batch)
        model = self._model(filter_, tiles)
        g_before = g_state.detach().clone(memory_format=torch.contiguous_format)
        self._turn(filter_, g_before.numpy(), time, False)
        g_runoff = runoff.new_empty(batch, time if want_runoff else 0, n)
        g_inflow = torch.empty_like(inflow, memory_format=torch.contiguous_format)
        sums = np.zeros((3, batch, n))
        adjoint = Adjoint(
            discharge=as_array(g_discharge),
            outflow=as_array(g_outflow),
            runoff=g_runoff.numpy(),
            inflow=g_inflow.numpy(),
            state=g_before.numpy(),
            edges=np.empty_like(saved.edges),
            a=sums[0],
            b=sums[1],
            jump=sums[2],
        )
        sweep_backward(
            self.threads(time * batch),
            items,
            plan,
            tiles,
            model,
            self.recorded(runoff, inflow, saved),
            adjoint,
            partial(self.scratch, filter_.sections, filter_.output_delay, tiles, True),
            problem.ratio,
            want_runoff,
        )
        by_reach = np.empty((3, n))
        by_reach[:, plan.reach] = sums.sum(axis=1)
        a, b, jump = torch.from_numpy(by_reach)
        return Gradients(
            a=a,
            b=b,
            jump=None if filter_.jump is None else jump,
            runoff=g_runoff if want_runoff else None,
            inflow=g_inflow,
            state=g_before,
        )

    def recorded(self, runoff: Tensor, inflow: Tensor, saved: Saved) -> Record:
        """What the adjoint is told of a forward sweep; its results and its state are not asked for again."""
        batch = runoff.shape[0]
        empty = np.zeros((batch, 0, 0), self.dtype)
        return Record(
            runoff=as_array(runoff),
            inflow=as_array(inflow),
            discharge=empty,
            outflow=empty,
            state=np.empty((batch, 0), self.dtype),
            edges=saved.edges,
            starts=saved.starts,
            kept=saved.kept,
        )

    def threads(self, days: int) -> int:
        """How many work on so many forcing steps of all members of a batch."""
        return torch.get_num_threads() if self.is_worth(days) else 1
