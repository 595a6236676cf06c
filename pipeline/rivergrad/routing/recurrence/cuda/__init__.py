"""The sweep on CUDA devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivergrad.later import names_from

if TYPE_CHECKING:
    from rivergrad.routing.recurrence.cuda.layout import sweep_order
    from rivergrad.routing.recurrence.cuda.module import missing
    from rivergrad.routing.recurrence.cuda.sweep import CudaSweep

_HOMES = {
    "CudaSweep": "rivergrad.routing.recurrence.cuda.sweep",
    "missing": "rivergrad.routing.recurrence.cuda.module",
    "sweep_order": "rivergrad.routing.recurrence.cuda.layout",
}

__all__ = ["CudaSweep", "missing", "sweep_order"]

__getattr__ = names_from(__name__, _HOMES)
