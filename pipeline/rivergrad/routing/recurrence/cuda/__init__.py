"""The sweep on CUDA devices."""

from rivergrad.routing.recurrence.cuda.layout import sweep_order
from rivergrad.routing.recurrence.cuda.module import missing
from rivergrad.routing.recurrence.cuda.sweep import CudaSweep

__all__ = ["CudaSweep", "missing", "sweep_order"]
