"""Celerity that depends on flow: the law, its float64 reference, and the rounds that compute it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivergrad.later import names_from
from rivergrad.routing.flow.names import EXPONENT, REFERENCE

if TYPE_CHECKING:
    from rivergrad.routing.flow.engine import FlowEngine, FlowPrepared, FlowRouted, make_flow_engine
    from rivergrad.routing.flow.law import Rounds, check_law, refuse, split_law, with_law

_HOMES = {
    "FlowEngine": "rivergrad.routing.flow.engine",
    "FlowPrepared": "rivergrad.routing.flow.engine",
    "FlowRouted": "rivergrad.routing.flow.engine",
    "Rounds": "rivergrad.routing.flow.law",
    "check_law": "rivergrad.routing.flow.law",
    "make_flow_engine": "rivergrad.routing.flow.engine",
    "refuse": "rivergrad.routing.flow.law",
    "split_law": "rivergrad.routing.flow.law",
    "with_law": "rivergrad.routing.flow.law",
}
"""Where each name is, imported when it is asked for: they need torch."""

__all__ = [
    "EXPONENT",
    "REFERENCE",
    "FlowEngine",
    "FlowPrepared",
    "FlowRouted",
    "Rounds",
    "check_law",
    "make_flow_engine",
    "refuse",
    "split_law",
    "with_law",
]

__getattr__ = names_from(__name__, _HOMES)
