"""Compiling the kernels at run time, once for each case; needs CuPy and no compiler on the machine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np
import torch

from rivercut.compiling import give_place
from rivergrad.errors import InputError
from rivergrad.routing.recurrence.cuda.layout import DEPTH
from rivergrad.routing.recurrence.cuda.scales import COLUMNS

MOST_STEPS = 24
"""Routing steps that a lane holds in registers, about."""
WARPS = 2
"""Warps of a CUDA block. They share nothing: what fits on the device counts in units of this."""
BLOCKS = {torch.float32: 6, torch.float64: 4}
"""CUDA blocks of `simulate.cu` and `adjoint.cu` that a multiprocessor holds: more would have too few registers."""
SHELF_BYTES = 10_000
"""Shared memory of a warp for series that wait."""


def missing() -> str | None:
    """What to tell a user whose machine has a GPU but not what compiles for it; None where all is there."""
    try:
        import cupy  # noqa: F401
    except ImportError:
        return (
            "engine recurrence on device cuda: it needs CuPy to compile its kernels; "
            'install the extra "cuda" (pip install "rivergrad[cuda]"), or take the engine closure'
        )
    return None


@dataclass(frozen=True)
class Case:
    """What the kernels are compiled for."""

    dtype: torch.dtype
    ratio: int
    sections: int
    jump: bool
    late: bool
    delay: bool
    grid: bool
    lanes: int = 32
    source: Literal["sweep", "simulate", "adjoint"] = "sweep"

    @property
    def plain(self) -> bool:
        """Whether `simulate.cu` and `adjoint.cu` do this: a lane holds a forcing step, and a reach is one section."""
        plain = self.sections == 1 and not (self.delay or self.jump or self.late)
        return plain and self.steps == self.ratio and self.ratio > MOST_STEPS // 2

    @property
    def kernels(self) -> tuple[str, ...]:
        if self.source == "simulate":
            return ("simulate",)
        if self.source == "adjoint":
            return ("backward",)
        return ("forward",) if self.plain else ("forward", "backward")

    @property
    def steps(self) -> int:
        """Routing steps of a lane: a multiple of the ratio, or a divisor of it that a tile has room for."""
        if self.ratio <= MOST_STEPS // 2:
            return self.ratio * (MOST_STEPS // self.ratio)
        divisors = [d for d in range(1, self.ratio + 1) if self.ratio % d == 0]
        fitting = [d for d in divisors if self.ratio // d <= self.lanes]
        return max((d for d in fitting if d <= MOST_STEPS + MOST_STEPS // 3), default=fitting[0])

    @property
    def panel(self) -> int:
        """Reaches whose runoff is in shared memory at once: 128 bytes of a row of it."""
        return min(self.lanes, 128 // self.dtype.itemsize)

    @property
    def shelves(self) -> int:
        """Series of a warp that may wait in shared memory."""
        return min(1, SHELF_BYTES // ((self.steps + 3) * self.lanes * self.dtype.itemsize))

    @property
    def tile_days(self) -> int:
        """Forcing steps of a tile."""
        if self.steps > self.ratio:
            return self.lanes * (self.steps // self.ratio)
        return self.lanes // (self.ratio // self.steps)

    @property
    def tile_steps(self) -> int:
        return self.tile_days * self.ratio

    @property
    def leaves(self) -> bool:
        """Whether headwaters have a closed form: inflow constant in a lane, and a single section."""
        return self.sections == 1 and not self.delay and self.steps <= self.ratio

    @property
    def error_rows(self) -> int:
        """Rows of lanes that the errors of a reach take in scratch memory."""
        width = 16 // self.dtype.itemsize  # numbers that `adjoint.cu` writes at once
        return -(-self.steps // width) * width if self.plain else self.sections * self.steps

    @property
    def definitions(self) -> dict[str, str]:
        return {
            "real": "float" if self.dtype == torch.float32 else "double",
            "LANES": str(self.lanes),
            "WARPS": str(WARPS),
            "RATIO": str(self.ratio),
            "STEPS": str(self.steps),
            "SECTIONS": str(self.sections),
            "PANEL": str(self.panel),
            "DEPTH": str(DEPTH),
            "SHELVES": str(self.shelves),
            "TINY": "1e-8" if self.dtype == torch.float32 else "1e-19",
            "JUMP": str(int(self.jump)),
            "LATE": str(int(self.late)),
            "DELAY": str(int(self.delay)),
            "GRID": str(int(self.grid)),
            "PLAIN": str(int(self.plain)),
            "BLOCKS": str(BLOCKS[self.dtype]),
            "COLUMNS": str(COLUMNS if self.source == "simulate" else 8),
        }


def source(case: Case) -> str:
    """The CUDA source of a case."""
    names = ("common.cu", f"{case.source}.cu")
    return "\n".join(files(__package__).joinpath(name).read_text(encoding="utf-8") for name in names)


@cache
def compiled(case: Case, device: int) -> Any:
    """The kernels of a case on a device (CuPy keeps compiled code on disk between runs).

    Raises:
        InputError: CuPy is not installed.
    """
    if (reason := missing()) is not None:
        raise InputError(reason)
    import cupy

    give_place("CUPY_CACHE_DIR", ".cupy/kernel_cache")
    options = ("--std=c++17", *(f"-D{name}={value}" for name, value in case.definitions.items()))
    with cupy.cuda.Device(device):
        return cupy.RawModule(code=source(case), options=options)


@cache
def resident(case: Case, device: int, name: str) -> int:
    """CUDA blocks of a kernel that the device holds at once."""
    kernel = compiled(case, device).get_function(name)
    properties = torch.cuda.get_device_properties(device)
    registers = -(-kernel.num_regs * 32 // 256) * 256 * WARPS
    each = min(
        65536 // registers,
        properties.shared_memory_per_multiprocessor // (kernel.shared_size_bytes + 1024),
        properties.max_threads_per_multi_processor // (32 * WARPS),
    )
    return max(1, each) * int(properties.multi_processor_count)


@dataclass(frozen=True)
class _Stream:
    """A stream by the protocol by which libraries hand them to each other (not every torch does it itself)."""

    address: int

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.address


def launch(case: Case, device: int, name: str, blocks: int, arguments: tuple[Any, ...]) -> None:
    """Start a kernel of a case, see `start`."""
    start(compiled(case, device).get_function(name), device, blocks, 32 * WARPS, arguments)


def start(kernel: Any, device: int, blocks: int, threads: int, arguments: tuple[Any, ...]) -> None:
    """Start a kernel on torch's current stream; tensors go as their addresses, None as the null pointer."""
    import cupy

    def argument(value: Any) -> Any:
        if value is None:
            return np.uint64(0)
        return np.uint64(value.data_ptr()) if isinstance(value, torch.Tensor) else value

    stream = torch.cuda.current_stream(device).cuda_stream
    foreign = getattr(cupy.cuda.Stream, "from_external", None)  # CuPy 14 and later
    with cupy.cuda.Device(device), foreign(_Stream(stream)) if foreign else cupy.cuda.ExternalStream(stream):
        kernel((blocks,), (threads,), tuple(map(argument, arguments)))
