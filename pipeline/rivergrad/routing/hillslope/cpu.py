"""The CPU backend of cascades: kernels of Numba, with as many threads as torch has."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from rivergrad.routing.hillslope import kernels

if TYPE_CHECKING:
    from rivergrad.routing.hillslope.storage import Coefficients

SMALL = 1_000_000
"""Numbers below which a second thread costs more than it saves."""


def respond(
    numbers: Coefficients, runoff: Tensor, state: Tensor, room: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The response (batch, time, reach) to runoff, in `room` if given, and the state (batch, storage, reach) after."""
    out, after = (
        torch.empty_like(runoff) if room is None else room,
        state.detach().clone(memory_format=torch.contiguous_format),
    )
    own = [numbers.keep.numpy(), numbers.out.numpy()]
    for b in range(runoff.shape[0]):
        arrays = runoff.detach()[b].numpy(), after[b].numpy(), out[b].numpy()
        _over_reaches(runoff, partial(kernels.respond, *own, *arrays))
    return out, after


def adjoint(numbers: Coefficients, g_out: Tensor, g_after: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of runoff (batch, time, reach) and of the state before."""
    found, before = torch.empty_like(g_out), g_after.detach().clone(memory_format=torch.contiguous_format)
    own = [numbers.keep.numpy(), numbers.out.numpy()]
    for b in range(g_out.shape[0]):
        arrays = g_out.detach()[b].numpy(), before[b].numpy(), found[b].numpy()
        _over_reaches(g_out, partial(kernels.adjoint, *own, *arrays))
    return found, before


def by_residence(
    numbers: Coefficients, runoff: Tensor, state: Tensor, g_out: Tensor, g_after: Tensor
) -> Tensor:
    """Gradient (reach,) of τ/Δ."""
    found = np.zeros(runoff.shape[2])
    own = [one.numpy() for one in (numbers.keep, numbers.out, numbers.d_keep, numbers.d_out)]
    given = [one.detach() for one in (runoff, state, g_out, g_after)]
    for b in range(runoff.shape[0]):  # one after the other: each adds to the same numbers
        _over_reaches(runoff, partial(kernels.by_residence, *own, *(one[b].numpy() for one in given), found))
    return torch.from_numpy(found)


def _over_reaches(runoff: Tensor, work: Callable[[int, int], Any]) -> None:
    """Call work(first, last) on ranges of reaches, a thread each where there is enough to do."""
    reaches = runoff.shape[2]
    blocks = -(-reaches // kernels.BLOCK)
    threads = min(torch.get_num_threads(), blocks) if runoff.shape[1] * reaches >= SMALL else 1
    if threads <= 1:
        work(0, reaches)
        return
    ends = [min(round(k * blocks / threads) * kernels.BLOCK, reaches) for k in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, ends[:-1], ends[1:]))
