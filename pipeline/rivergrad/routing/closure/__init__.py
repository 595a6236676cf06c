"""The closure engine: any scheme, any device, differentiable; plain torch, or fused kernels on GPUs."""

from rivergrad.routing.closure.engine import ClosureEngine, ClosureState, Kernels, Responses

__all__ = ["ClosureEngine", "ClosureState", "Kernels", "Responses"]
