"""The sweep of the recurrence engine as plain torch, one reach and one routing step after the other.

The second specification beside the reference: the reference convolves responses and starts from rest; this reads
like the recurrence itself, with its state, and its gradients are autograd's. It has the interface of a backend, so
that it can stand in for one. Slow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from equations import upstream_first
from torch import Tensor

from rivergrad.routing.recurrence.problem import Filter, Gradients, Problem


class NaiveSweep:
    """A backend; `forward` and `backward` as `rivergrad.routing.recurrence.engine.Backend` says."""

    def __init__(self, problem: Problem, dtype: torch.dtype, device: torch.device | None = None) -> None:
        self.problem, self.order = problem, upstream_first(problem.downstream)

    def sweep(
        self, f: Filter, runoff: Tensor, inflow: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Discharge, outflow, state afterwards; and the runoff of the reaches."""
        problem, n, ratio = self.problem, self.problem.n_reaches, self.problem.ratio
        per_reach = runoff if problem.grid is None else self._from_cells(runoff)
        batch, time, _ = per_reach.shape
        steps = time * ratio
        delay = np.zeros(n, np.int64) if f.delay is None else f.delay
        first = n * (f.sections + f.output_delay)
        waiting = torch.split(state[:, first:], delay.tolist(), dim=1)
        external: list[list[int]] = [[] for _ in range(n)]
        for e, i in enumerate(problem.inlets.tolist()):
            external[i].append(e)
        q: list[Any] = [None] * n
        mean, after, last, left = ([None] * n for _ in range(4))  # type: ignore[var-annotated]
        for i in self.order:
            x = per_reach[:, :, i].repeat_interleave(ratio, dim=1)
            for j in np.flatnonzero(problem.downstream == i):
                x = x + q[j]
            for e in external[i]:
                x = x + inflow[:, e]
            late = torch.cat([waiting[i], x], dim=1)
            x, left[i] = late[:, :steps], late[:, steps:]
            after[i] = []
            for j in range(f.sections):
                m, out = state[:, j * n + i], []
                for t in range(steps):
                    if f.jump is not None and t % ratio == 0:
                        m = m + f.jump[i] * per_reach[:, t // ratio, i]
                    e = x[:, t] - m
                    out.append(m + f.a[i] * e)
                    m = m + f.b[i] * e
                    if f.jump is not None and t % ratio == ratio - 1:
                        m = m - f.jump[i] * per_reach[:, t // ratio, i]
                x = torch.stack(out, dim=1)
                after[i].append(m)
            q[i] = x
            reported = x
            if f.output_delay:
                reported = torch.cat([state[:, f.sections * n + i : f.sections * n + i + 1], x], dim=1)
                last[i] = reported[:, -1]
            mean[i] = reported[:, :steps].reshape(batch, time, ratio).mean(dim=2)
        numbers = [after[i][j] for j in range(f.sections) for i in range(n)]
        numbers += last if f.output_delay else []
        ends = torch.cat([torch.stack(numbers, dim=1), *left], dim=1)
        discharge = [mean[i] for i in problem.targets.tolist()]
        outflow = [q[i] for i in problem.outlets.tolist()]
        return (
            torch.stack(discharge, dim=2) if discharge else per_reach[:, :, :0],
            torch.stack(outflow, dim=1) if outflow else inflow[:, :0],
            ends,
            per_reach,
        )

    def _from_cells(self, runoff: Tensor) -> Tensor:
        grid = self.problem.grid
        assert grid is not None
        dense = np.zeros((grid.n_reaches, grid.n_cells))
        owner = np.repeat(np.arange(grid.n_reaches), np.diff(grid.pointer))
        np.add.at(dense, (owner, grid.cell), grid.weight)
        return runoff @ torch.from_numpy(dense).to(runoff).T

    def forward(
        self, f: Filter, runoff: Tensor, inflow: Tensor, state: Tensor, keep: bool
    ) -> tuple[Any, ...]:
        with torch.no_grad():
            return *self.sweep(f, runoff, inflow, state)[:3], None

    def backward(
        self, f: Filter, runoff: Tensor, inflow: Tensor, state: Tensor, saved: Any,
        g_discharge: Tensor, g_outflow: Tensor, g_state: Tensor, want_runoff: bool,
    ) -> Gradients:  # fmt: skip
        leaves = [None if t is None else t.detach().clone().requires_grad_() for t in
                  (f.a, f.b, f.jump, runoff, inflow, state)]  # fmt: skip
        a, b, jump, runoff, inflow, state = leaves
        with torch.enable_grad():
            one = Filter(a, b, jump, f.sections, f.delay, f.output_delay)
            *out, per_reach = self.sweep(one, runoff, inflow, state)
            per_reach.retain_grad()
        torch.autograd.backward(out, [g_discharge, g_outflow, g_state])
        found = [None if t is None else torch.zeros_like(t) if t.grad is None else t.grad for t in
                 (a, b, jump, per_reach, inflow, state)]  # fmt: skip
        sums = [None if t is None else t.double() for t in found[:3]]
        return Gradients(*sums, found[3] if want_runoff else None, found[4], found[5])
