"""What lets a `Router` stand within the rest of torch: ensembles of parameters, and transforms of functions.

First derivatives are all there is: engines compute adjoint sweeps, not adjoints of those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rivergrad.errors import InputError
from rivergrad.routing.engines import RouterState
from rivergrad.routing.schemes.base import Parameters

SECOND = (
    "Router: it has first derivatives, not second ones; expected a gradient that is not differentiated again "
    "(create_graph=False where only first ones are wanted)"
)
FORWARD_MODE = (
    "Router: derivatives in forward mode are those by runoff; expected parameters without a tangent, or a gradient "
    "(torch.func.vjp, grad or backward)"
)

RouteOne = Callable[[Tensor, Parameters, RouterState | None], tuple[Tensor, RouterState | None]]
Routed = Callable[[Tensor, Parameters], Tensor]


@dataclass(frozen=True)
class EnsembleState:
    """What a later chunk of time needs of the past, of every member of an ensemble of parameters."""

    members: tuple[RouterState | None, ...]


def is_ensemble(parameters: Parameters) -> bool:
    """Whether parameters have dimensions before that of the reaches."""
    return any(value.ndim > 1 for value in parameters.values())


def route_ensemble(
    one: RouteOne, runoff: Tensor, parameters: Parameters, state: EnsembleState | None
) -> tuple[Tensor, EnsembleState]:
    """Route with each member of an ensemble of parameters.

    Args:
        one: routes (..., time, reach) with parameters (reach,).
        runoff: (..., time, reach), whose leading dimensions are broadcast with those of the parameters.
        parameters: (..., reach) each.
        state: of an earlier call with as many members.

    Returns:
        (..., time, target), and the state after.

    Raises:
        InputError: dimensions that do not go together, or the state of another ensemble.
    """
    leads = {name: tuple(value.shape[:-1]) for name, value in parameters.items()}
    try:
        own = tuple(torch.broadcast_shapes(*leads.values()))
        lead = tuple(torch.broadcast_shapes(tuple(runoff.shape[:-2]), own))
    except RuntimeError:
        shapes = ", ".join(f"{name} {tuple(value.shape)}" for name, value in parameters.items())
        raise InputError(
            f"expected leading dimensions of runoff {tuple(runoff.shape)} and of the parameters ({shapes}) "
            "that can be broadcast"
        ) from None
    own = (1,) * (len(lead) - len(own)) + own
    runoff = runoff.expand(*lead, *runoff.shape[-2:])
    values = {name: value.expand(*own, value.shape[-1]) for name, value in parameters.items()}
    members = list(np.ndindex(*own))
    if not members:
        raise InputError(f"expected one member of the ensemble at least, found parameters of shape {own}")
    if state is not None and len(state.members) != len(members):
        raise InputError(f"state: expected that of {len(members)} members, found {len(state.members)}")
    before = [None] * len(members) if state is None else list(state.members)
    varies = [d for d, size in enumerate(own) if size > 1]
    found, after = [], []
    for at, past in zip(members, before, strict=True):
        mine = tuple(i if d in varies else slice(None) for d, i in enumerate(at))
        discharge, left = one(runoff[mine], {name: value[at] for name, value in values.items()}, past)
        found.append(discharge)
        after.append(left)
    whole = torch.stack(found)
    whole = whole.reshape(*(own[d] for d in varies), *whole.shape[1:])
    return whole.movedim(tuple(range(len(varies))), tuple(varies)), EnsembleState(tuple(after))


def under_transform() -> bool:
    """Whether a transform of torch.func (grad, vjp, jvp, vmap …) is at work."""
    return bool(torch._C._are_functorch_transforms_active())


def first_only(values: Parameters) -> dict[str, Tensor]:
    """The same tensors, but a second derivative through them is a clear error."""
    if not torch.is_grad_enabled() or not values:
        return dict(values)
    return dict(zip(values, _FirstOnly.apply(*values.values()), strict=True))


class _FirstOnly(torch.autograd.Function):
    """Identity; its gradient can't be differentiated."""

    @staticmethod
    def forward(ctx: Any, *values: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        return tuple(value.view_as(value) for value in values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        if not torch.is_grad_enabled():  # no graph of the gradient is wanted
            return gradients
        return tuple(None if g is None else _NoSecond.apply(g) for g in gradients)


class _NoSecond(torch.autograd.Function):
    """Identity that has no gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> None:
        raise InputError(SECOND)


def route_transformed(routed: Routed, runoff: Tensor, parameters: Parameters) -> Tensor:
    """Routing from rest under a transform of torch.func.

    Args:
        routed: routes plain tensors, differentiable, ensembles of parameters included.
        runoff: (..., time, reach); parameters: (..., reach) each.
    """
    found: Tensor = _Transformed.apply(routed, tuple(parameters), runoff, *parameters.values())
    return found


class _Transformed(torch.autograd.Function):
    """Routing as an operation with rules for transforms. Its gradient routes again: nothing is kept between levels."""

    @staticmethod
    def forward(routed: Routed, names: tuple[str, ...], runoff: Tensor, *values: Tensor) -> Tensor:
        with torch.no_grad():
            return routed(runoff, dict(zip(names, values, strict=True)))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.set_materialize_grads(False)
        ctx.routed, ctx.names, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None) -> tuple[Any, ...]:
        if gradient is None:
            return (None,) * (2 + len(ctx.saved_tensors))
        found = _Gradient.apply(ctx.routed, ctx.names, gradient, *ctx.saved_tensors)
        return None, None, *found

    @staticmethod
    def jvp(ctx: Any, _routed: None, _names: None, runoff: Tensor | None, *values: Tensor | None) -> Tensor:
        if runoff is None or any(value is not None for value in values):
            raise InputError(FORWARD_MODE)
        found: Tensor = _Transformed.apply(
            ctx.routed, ctx.names, runoff, *ctx.saved_tensors[1:]
        )  # it is linear
        return found

    @staticmethod
    def vmap(
        info: Any, dims: tuple[int | None, ...], routed: Routed, names: tuple[str, ...], *tensors: Tensor
    ) -> tuple[Tensor, int]:
        runoff, *values = _batched(tensors, dims[2:], (2, *(1 for _ in names)), None)
        return _Transformed.apply(routed, names, runoff, *values), 0


class _Gradient(torch.autograd.Function):
    """Gradient of `_Transformed`."""

    @staticmethod
    def forward(
        routed: Routed, names: tuple[str, ...], gradient: Tensor, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        with torch.enable_grad():
            leaves = [tensor.detach().requires_grad_() for tensor in tensors]
            discharge = routed(leaves[0], dict(zip(names, leaves[1:], strict=True)))
        return torch.autograd.grad(discharge, leaves, gradient, materialize_grads=True)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        pass

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> None:
        raise InputError(SECOND)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> None:
        raise InputError(SECOND)

    @staticmethod
    def vmap(
        info: Any, dims: tuple[int | None, ...], routed: Routed, names: tuple[str, ...], *tensors: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
        shapes = [
            tuple(size for d, size in enumerate(tensor.shape) if d != dim)
            for tensor, dim in zip(tensors, dims[2:], strict=True)
        ]
        # each has a gradient of its own for each of the batch, so that each is batched
        ready = _batched(tensors, dims[2:], (2, 2, *(1 for _ in names)), info.batch_size)
        found = _Gradient.apply(routed, names, *ready)
        found = tuple(g.reshape(info.batch_size, *shape) for g, shape in zip(found, shapes[1:], strict=True))
        return found, (0,) * len(found)


def _batched(
    tensors: Sequence[Tensor], dims: Sequence[int | None], own: Sequence[int], size: int | None
) -> list[Tensor]:
    """Tensors with their batch dimension first and ones after it, so that it broadcasts ahead of all others.

    Args:
        own: how many of the last dimensions of each are no leading ones.
        size: of the batch, to give one to those that have none; None leaves them as they are.
    """
    lead = max(
        tensor.ndim - (dim is not None) - mine for tensor, dim, mine in zip(tensors, dims, own, strict=True)
    )
    found = []
    for tensor, dim, mine in zip(tensors, dims, own, strict=True):
        if dim is not None:
            first = tensor.movedim(dim, 0)
        elif size is not None:
            first = tensor.expand(size, *tensor.shape)
        else:
            found.append(tensor)
            continue
        ones = (1,) * (lead + mine - (first.ndim - 1))
        found.append(first.reshape(first.shape[0], *ones, *first.shape[1:]))
    return found
