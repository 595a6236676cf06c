"""The closure engine in plain torch: any scheme, any device, differentiable."""

from rivergrad.routing.closure.engine import ClosureEngine, ClosureState, Kernels

__all__ = ["ClosureEngine", "ClosureState", "Kernels"]
