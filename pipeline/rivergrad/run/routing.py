"""How a workflow's records are routed."""

from __future__ import annotations

from rivergrad.config.schema import Workflow
from rivergrad.pieces.direct import Routing
from rivergrad.routing.schemes import Scheme
from rivergrad.run.hillslope import response_of


def routing_of(config: Workflow, scheme: Scheme) -> Routing:
    """Routing by a scheme, with a workflow's routing step, hillslope, engine, arithmetic and kind of discharge."""
    compute = config.compute
    return Routing(
        scheme,
        config.time.routing_step,
        compute.engine,
        compute.device,
        compute.dtype,
        response_of(config),
        "mean" if config.observations is None else config.observations.kind,
    )
