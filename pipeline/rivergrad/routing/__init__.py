"""Routing: schemes, the float64 reference, the closure engine and the operator over them."""

from rivergrad.routing.closure import ClosureEngine, ClosureState, Kernels
from rivergrad.routing.operator import ENGINES, Router, choose_engine, route
from rivergrad.routing.reference import route_reference
from rivergrad.routing.steps import step_ratio

__all__ = [
    "ENGINES",
    "ClosureEngine",
    "ClosureState",
    "Kernels",
    "Router",
    "choose_engine",
    "route",
    "route_reference",
    "step_ratio",
]
