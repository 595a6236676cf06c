"""The CUDA backend of cascades: `cascade.cu`, compiled by CuPy at first use."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from rivercut.compiling import give_place
from rivergrad.errors import InputError
from rivergrad.routing.recurrence.cuda.module import start

if TYPE_CHECKING:
    from rivergrad.routing.hillslope.storage import Coefficients

THREADS = 128


def source() -> str:
    """The CUDA source."""
    return files(__package__).joinpath("cascade.cu").read_text(encoding="utf-8")


def definitions(dtype: torch.dtype, count: int) -> dict[str, str]:
    """What the source is compiled with: the type of runoff, and the number of storages."""
    return {"real": "float" if dtype == torch.float32 else "double", "COUNT": str(count)}


def respond(
    numbers: Coefficients, runoff: Tensor, state: Tensor, room: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The response (batch, time, reach) to runoff, in `room` if given, and the state (batch, storage, reach) after."""
    out, after = (
        torch.empty_like(runoff) if room is None else room,
        state.detach().clone(memory_format=torch.contiguous_format),
    )
    _launch("respond", runoff, numbers, (numbers.keep, numbers.out, runoff, after, out))
    return out, after


def adjoint(numbers: Coefficients, g_out: Tensor, g_after: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of runoff (batch, time, reach) and of the state before."""
    found, before = torch.empty_like(g_out), g_after.detach().clone(memory_format=torch.contiguous_format)
    _launch("adjoint", g_out, numbers, (numbers.keep, numbers.out, g_out, before, found))
    return found, before


def by_residence(
    numbers: Coefficients, runoff: Tensor, state: Tensor, g_out: Tensor, g_after: Tensor
) -> Tensor:
    """Gradient (reach,) of τ/Δ."""
    batch, _, reaches = runoff.shape
    found = torch.zeros(batch, reaches, dtype=torch.float64, device=runoff.device)
    own = (numbers.keep, numbers.out, numbers.d_keep, numbers.d_out)
    _launch("by_residence", runoff, numbers, (*own, runoff, state, g_out, g_after, found))
    return found.sum(dim=0)


@cache
def _compiled(dtype: torch.dtype, count: int, device: int) -> Any:
    try:
        import cupy
    except ImportError:
        raise InputError(
            "a hillslope on device cuda: it needs CuPy to compile its kernels; "
            'install the extra "cuda" (pip install "rivergrad[cuda]"), or take hillslope gamma'
        ) from None
    give_place("CUPY_CACHE_DIR", ".cupy/kernel_cache")
    options = ("--std=c++17", *(f"-D{name}={value}" for name, value in definitions(dtype, count).items()))
    with cupy.cuda.Device(device):
        return cupy.RawModule(code=source(), options=options)


def _launch(name: str, runoff: Tensor, numbers: Coefficients, arguments: tuple[Tensor, ...]) -> None:
    batch, times, reaches = runoff.shape
    if not runoff.numel():
        return
    device = runoff.device.index or 0
    kernel = _compiled(runoff.dtype, numbers.keep.shape[0], device).get_function(name)
    sizes = tuple(np.int64(size) for size in (reaches, times, batch))
    start(kernel, device, -(-reaches * batch // THREADS), THREADS, (*sizes, *arguments))
