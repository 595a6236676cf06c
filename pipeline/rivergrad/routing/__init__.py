"""Routing: schemes, the float64 reference, the engines closure and recurrence, and the operator over them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivergrad.later import names_from

if TYPE_CHECKING:
    from rivergrad.routing.closure import ClosureEngine, ClosureState, Kernels
    from rivergrad.routing.compose import EnsembleState
    from rivergrad.routing.engines import ENGINES, Engine, Prepared, RouterState, choose_engine, make_engine
    from rivergrad.routing.operator import Router, route
    from rivergrad.routing.recurrence import GridWeights, RecurrenceEngine, RecurrenceState
    from rivergrad.routing.reference import route_reference
    from rivergrad.routing.steps import step_ratio

_HOMES = {
    "ClosureEngine": "rivergrad.routing.closure",
    "ClosureState": "rivergrad.routing.closure",
    "ENGINES": "rivergrad.routing.engines",
    "Engine": "rivergrad.routing.engines",
    "EnsembleState": "rivergrad.routing.compose",
    "GridWeights": "rivergrad.routing.recurrence",
    "Kernels": "rivergrad.routing.closure",
    "Prepared": "rivergrad.routing.engines",
    "RecurrenceEngine": "rivergrad.routing.recurrence",
    "RecurrenceState": "rivergrad.routing.recurrence",
    "Router": "rivergrad.routing.operator",
    "RouterState": "rivergrad.routing.engines",
    "choose_engine": "rivergrad.routing.engines",
    "make_engine": "rivergrad.routing.engines",
    "route": "rivergrad.routing.operator",
    "route_reference": "rivergrad.routing.reference",
    "step_ratio": "rivergrad.routing.steps",
}
"""Where each name is, imported when it is asked for: most of them need torch, which some commands do without."""

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

__getattr__ = names_from(__name__, _HOMES)
