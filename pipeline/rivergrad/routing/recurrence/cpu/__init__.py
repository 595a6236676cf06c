"""The recurrence engine on CPUs, compiled by Numba."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivergrad.later import names_from

if TYPE_CHECKING:
    from rivergrad.routing.recurrence.cpu.sweep import CpuSweep

__all__ = ["CpuSweep"]

__getattr__ = names_from(__name__, {"CpuSweep": "rivergrad.routing.recurrence.cpu.sweep"})
