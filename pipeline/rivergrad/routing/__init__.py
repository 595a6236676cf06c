"""Routing: schemes, the float64 reference, the engines closure and recurrence, and the operator over them."""

from rivergrad.routing.closure import ClosureEngine, ClosureState, Kernels
from rivergrad.routing.compose import EnsembleState
from rivergrad.routing.engines import ENGINES, Engine, Prepared, RouterState, choose_engine, make_engine
from rivergrad.routing.operator import Router, route
from rivergrad.routing.recurrence import GridWeights, RecurrenceEngine, RecurrenceState
from rivergrad.routing.reference import route_reference
from rivergrad.routing.steps import step_ratio

__all__ = [
    "ENGINES",
    "ClosureEngine",
    "ClosureState",
    "Engine",
    "EnsembleState",
    "GridWeights",
    "Kernels",
    "Prepared",
    "RecurrenceEngine",
    "RecurrenceState",
    "Router",
    "RouterState",
    "choose_engine",
    "make_engine",
    "route",
    "route_reference",
    "step_ratio",
]
