"""The CPU sweep with coefficients that change over time: forward and adjoint."""

from rivergrad.routing.recurrence.cpu.varying.sweep import VaryingGradients, VaryingSweep

__all__ = ["VaryingGradients", "VaryingSweep"]
