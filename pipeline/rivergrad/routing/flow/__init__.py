"""Celerity that depends on flow: the law, its float64 reference, and the rounds that compute it."""

from rivergrad.routing.flow.engine import FlowEngine, FlowPrepared, FlowRouted, make_flow_engine
from rivergrad.routing.flow.law import EXPONENT, REFERENCE, Rounds, check_law, refuse

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
]
