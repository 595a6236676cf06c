"""Linear storage and the Nash cascade on the hillslope: an exact recursion over forcing steps.

n equal storages in series, each with residence time τ = delay / n. Within a step runoff r is constant, so the outflows
y_k of the storages move by a matrix exponential. With s = Δ/τ and d_k = y_k − r before the step,

    y_k  ←  r + Σ_{m<k} p_m d_{k−m}           p_m = e⁻ˢ sᵐ/m!
    r'    =  r + Σ_{m<n} g_m d_{n−m}           g_m = (1 − p_0 − … − p_m) / s

where r' is the exact mean of y_n over the step. Water is conserved: Δ (r − r') is what the storages τ Σ y_k gain.

Source: Nash (1957), IAHS Publ. 45, 114–121.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rivergrad.routing.hillslope.base import Hillslope, delay_parameter, fitted
from rivergrad.routing.hillslope.names import DELAY, SHAPE
from rivergrad.routing.schemes.base import Parameter, Parameters

MOST_STORAGES = 12
"""More storages than that are all but a pure lag."""
FASTEST = 1e-3
"""τ/Δ below which a storage has forgotten everything after a step: e⁻¹⁰⁰⁰ is 0 in double precision."""


@dataclass(frozen=True, eq=False)
class Cascade:
    """A cascade in units of the forcing step.

    Attributes:
        a: (reach,) τ/Δ, float64, differentiable.
        n: (reach,) storages, int64.
    """

    a: Tensor
    n: Tensor


@dataclass(frozen=True, eq=False)
class Coefficients:
    """The numbers of the recursion, and their derivatives by a; all (storage, reach), float64.

    Attributes:
        keep: p_0, p_1, …; out: weight of d_1, d_2, … in r', 0 beyond a reach's last storage.
        d_keep, d_out: derivatives.
    """

    keep: Tensor
    out: Tensor
    d_keep: Tensor
    d_out: Tensor


def coefficients(a: Tensor, n: Tensor) -> Coefficients:
    """The recursion at a = τ/Δ (reach,) for n (reach,) storages; a = 0 lets runoff through as it is."""
    count = int(n.max()) if n.numel() else 1
    s = 1 / a.clamp_min(FASTEST)
    m = torch.arange(count, dtype=torch.float64, device=a.device)[:, None]
    keep = torch.exp(m * torch.log(s) - s - torch.lgamma(m + 1))
    left = torch.cat([-torch.expm1(-s)[None], keep[1:]])
    left[1:] = torch.special.gammainc(
        m[1:] + 1, s.expand(count - 1, -1)
    )  # 1 − p_0 − … − p_m, without loss of digits
    weight = a * left
    d_keep = s * s * (keep - torch.cat([torch.zeros_like(keep[:1]), keep[:-1]]))
    d_weight = left - s * keep
    at = n - 1 - torch.arange(count, device=a.device)[:, None]  # d_{j+1} enters by g_{n−1−j}
    pick, there = at.clamp_min(0), at >= 0
    zero = torch.zeros_like(keep)
    return Coefficients(
        keep.contiguous(),
        torch.where(there, weight.gather(0, pick), zero).contiguous(),
        d_keep.contiguous(),
        torch.where(there, d_weight.gather(0, pick), zero).contiguous(),
    )


class LinearStorage(Hillslope):
    """One linear storage: what leaves is in proportion to what is stored."""

    name = "linear_storage"
    parameters: ClassVar[tuple[Parameter, ...]] = (delay_parameter(86400.0),)

    def storages(self, parameters: Parameters) -> Tensor:
        """(reach,) how many, int64."""
        return torch.ones_like(parameters[DELAY], dtype=torch.int64)

    def prepare(self, parameters: Parameters, forcing_step: float) -> Cascade:
        delay, n = parameters[DELAY].to(torch.float64), self.storages(parameters)
        return Cascade(delay / (n * forcing_step), n.to(delay.device))

    def apply(
        self, prepared: Cascade, runoff: Tensor, state: Tensor | None = None, room: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        batch, _, reaches = runoff.shape
        count = int(prepared.n.max()) if reaches else 1
        before = fitted(state, batch, count, runoff).flip(
            1
        )  # the last storages, which not all reaches have, first
        if room is not None and not torch.is_grad_enabled():
            numbers, runoff = coefficients(prepared.a, prepared.n), runoff.contiguous()
            out, after = _backend(runoff).respond(numbers, runoff, before.contiguous(), room)
            return out, after.flip(1)
        out, after = _Respond.apply(prepared.a, prepared.n, runoff, before, torch.is_grad_enabled())
        return out, after.flip(1)


class Nash(LinearStorage):
    """Equal linear storages in series."""

    name = "nash"
    parameters = (
        delay_parameter(86400.0),
        Parameter(SHAPE, "1", 2.0, 1.0, float(MOST_STORAGES), "The number of storages in series."),
    )

    def storages(self, parameters: Parameters) -> Tensor:
        shape = parameters.get(SHAPE)
        if shape is None:
            return torch.full_like(parameters[DELAY], self.defaults[SHAPE], dtype=torch.int64)
        return shape.detach().round().to(torch.int64)

    def refused(self, name: str, value: Tensor) -> Tensor:
        return value != value.round() if name == SHAPE else super().refused(name, value)

    def expected(self, parameter: Parameter) -> str:
        if parameter.name == SHAPE:
            return f"a whole number of storages, 1 to {MOST_STORAGES}"
        return super().expected(parameter)


class _Respond(torch.autograd.Function):
    """The recursion as one operation. It is linear in runoff, so its gradient needs nothing kept on the way.

    By runoff and state: the recursion back in time. By a: the recursion forward in time once more, with its tangent.
    """

    @staticmethod
    def forward(
        ctx: Any, a: Tensor, n: Tensor, runoff: Tensor, state: Tensor, recorded: bool
    ) -> tuple[Tensor, Tensor]:
        runoff = runoff.contiguous()
        numbers = coefficients(a.detach(), n)
        out, after = _backend(runoff).respond(numbers, runoff, state.contiguous())
        if recorded:
            ctx.numbers = numbers
            ctx.save_for_backward(runoff, state)
        return out, after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        g_out, g_after = (g.contiguous() for g in gradients)
        runoff, state = ctx.saved_tensors
        backend = _backend(runoff)
        by_a = by_runoff = by_state = None
        if ctx.needs_input_grad[0]:
            by_a = backend.by_residence(ctx.numbers, runoff, state.contiguous(), g_out, g_after)
        if ctx.needs_input_grad[2] or ctx.needs_input_grad[3]:
            by_runoff, by_state = backend.adjoint(ctx.numbers, g_out, g_after)
        return by_a, None, by_runoff, by_state, None


def _backend(runoff: Tensor) -> Any:
    """The kernels of a device; imported late, so that each device asks only for what it needs itself."""
    if runoff.device.type == "cuda":
        from rivergrad.routing.hillslope import cuda

        return cuda
    from rivergrad.routing.hillslope import cpu

    return cpu
