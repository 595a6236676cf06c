"""Hillslope responses by name: what delays runoff before it enters the reach. One file a family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivergrad.later import names_from
from rivergrad.routing.hillslope.names import DELAY, NAMES, NONE, SHAPE

if TYPE_CHECKING:
    from rivergrad.routing.hillslope.base import Hillslope, split
    from rivergrad.routing.hillslope.gamma import Gamma
    from rivergrad.routing.hillslope.named import HILLSLOPES, get
    from rivergrad.routing.hillslope.stage import StagedEngine, StagedPrepared, StagedState
    from rivergrad.routing.hillslope.storage import LinearStorage, Nash

_HOMES = {
    "Gamma": "rivergrad.routing.hillslope.gamma",
    "HILLSLOPES": "rivergrad.routing.hillslope.named",
    "Hillslope": "rivergrad.routing.hillslope.base",
    "LinearStorage": "rivergrad.routing.hillslope.storage",
    "Nash": "rivergrad.routing.hillslope.storage",
    "StagedEngine": "rivergrad.routing.hillslope.stage",
    "StagedPrepared": "rivergrad.routing.hillslope.stage",
    "StagedState": "rivergrad.routing.hillslope.stage",
    "get": "rivergrad.routing.hillslope.named",
    "split": "rivergrad.routing.hillslope.base",
}
"""Where each name is, imported when it is asked for: they need torch."""

__all__ = [
    "DELAY",
    "HILLSLOPES",
    "NAMES",
    "NONE",
    "SHAPE",
    "Gamma",
    "Hillslope",
    "LinearStorage",
    "Nash",
    "StagedEngine",
    "StagedPrepared",
    "StagedState",
    "get",
    "split",
]

__getattr__ = names_from(__name__, _HOMES)
