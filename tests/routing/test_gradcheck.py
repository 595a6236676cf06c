"""Gradients against finite differences in float64: runoff, every parameter, inflow and state, every scheme."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from forests import ALL, RATIONAL, Case, case
from torch import Tensor

from rivergrad.routing import ClosureState, RecurrenceState

DOWN = np.array([2, 2, 3, -1, 3, -1])
"""A confluence on a confluence, beside a lone reach."""


def small(name: str, ratio: int, seed: int = 1) -> Case:
    c = case(DOWN, name, ratio, 4, seed, slow=1.0)
    if name == "pure_lag":  # linear between whole steps, with a kink at each
        steps = torch.tensor([0.3, 1.6, 0.5, 2.4, 1.3, 0.7], dtype=torch.float64)
        c.parameters = {"delay": steps * c.step}
    if name == "triangle":  # likewise where it ends
        c.parameters = {"delay": torch.tensor([2.3, 1.6, 3.5, 2.4, 1.3, 1.7], dtype=torch.float64) * c.step}
    return c


def check(function: object, *inputs: Tensor, fast: bool = False) -> None:
    leaves = [one.detach().double().clone().requires_grad_() for one in inputs]
    assert torch.autograd.gradcheck(function, leaves, eps=1e-6, atol=2e-6, rtol=1e-5, fast_mode=fast)


RECURRENCE = {"kind": "recurrence"}
ENGINES = [(name, options) for name in sorted(ALL) for options in ({"block_reaches": 2}, {})]
ENGINES += [(name, RECURRENCE) for name in RATIONAL]
"""Every scheme by the closure in small blocks and in one, and by the recurrence where it is one."""


@pytest.mark.parametrize("ratio", [1, 3])
@pytest.mark.parametrize(("name", "options"), ENGINES)
def test_runoff_and_parameters(name: str, ratio: int, options: dict) -> None:
    """Parameters as multiples of themselves, so that one step size suits all units; discharge and outflow."""
    c = small(name, ratio)
    one = c.engine(outlets=np.array([2]), **options)

    def routed(runoff: Tensor, *scales: Tensor) -> tuple[Tensor, Tensor]:
        p = {key: s * v for s, (key, v) in zip(scales, c.parameters.items(), strict=True)}
        out, flow, _ = one.apply(one.prepare(p, 4), runoff[None])
        return out, flow

    check(routed, c.runoff, *[torch.ones_like(v) for v in c.parameters.values()])


@pytest.mark.parametrize("memory", ["short", "whole record"])
@pytest.mark.parametrize("name", sorted(ALL))
def test_state_and_inflow(name: str, memory: str) -> None:
    c = small(name, 3)
    one = c.engine(block_reaches=2, inlets=np.array([2]), outlets=np.array([3]))
    if memory == "short":
        c.parameters = {k: v if k in ("x", "diffusivity") else v * 0.4 for k, v in c.parameters.items()}
        if name == "hayami":
            c.parameters["celerity"] = c.parameters["celerity"] * 10
    kernels = one.prepare(c.parameters, 4 if memory == "whole record" else 400)
    assert (kernels.memory is None) == (memory == "whole record")
    inflow = torch.rand(1, 1, 6, dtype=torch.float64)
    history = one.apply(kernels, c.runoff[None, :2], inflow)[2].history

    def go_on(runoff: Tensor, inflow: Tensor, *history: Tensor) -> tuple[Tensor, ...]:
        out, flow, after = one.apply(kernels, runoff[None], inflow, ClosureState(history))
        return out, flow, *after.history

    check(go_on, c.runoff[2:], inflow, *history, fast=True)  # linear in all of them


@pytest.mark.parametrize("name", RATIONAL)
def test_state_and_inflow_of_the_recurrence(name: str) -> None:
    c = small(name, 3)
    one = c.engine(inlets=np.array([2]), outlets=np.array([3]), **RECURRENCE)
    prepared = one.prepare(c.parameters)
    inflow = torch.rand(1, 1, 6, dtype=torch.float64)
    values = one.apply(prepared, c.runoff[None, :2], inflow)[2].values

    def go_on(runoff: Tensor, inflow: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        out, flow, after = one.apply(prepared, runoff[None], inflow, RecurrenceState(values))
        return out, flow, after.values

    check(go_on, c.runoff[2:], inflow, values)


@pytest.mark.parametrize(("name", "options"), ENGINES)
def test_parameters_through_the_state(name: str, options: dict) -> None:
    """Two chunks of time: what the first leaves depends on the parameters too."""
    c = small(name, 2, seed=3)
    one = c.engine(targets=np.array([3]), **options)

    def routed(*scales: Tensor) -> Tensor:
        p = {key: s * v for s, (key, v) in zip(scales, c.parameters.items(), strict=True)}
        kernels = one.prepare(p, 4)
        state = one.apply(kernels, c.runoff[None, :2])[2]
        return one.apply(kernels, c.runoff[None, 2:], state=state)[0]

    check(routed, *[torch.ones_like(v) for v in c.parameters.values()])
