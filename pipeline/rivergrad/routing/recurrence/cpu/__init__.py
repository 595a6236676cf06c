"""The recurrence engine on CPUs, compiled by Numba."""

from rivergrad.routing.recurrence.cpu.sweep import CpuSweep

__all__ = ["CpuSweep"]
