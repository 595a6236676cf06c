"""The recurrence engine: an exact sweep down the tree, on CPUs and GPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rivergrad.later import names_from

if TYPE_CHECKING:
    from rivergrad.routing.recurrence.cuda.layout import sweep_order
    from rivergrad.routing.recurrence.engine import RecurrenceEngine, RecurrenceState
    from rivergrad.routing.recurrence.problem import GridWeights

_HOMES = {
    "GridWeights": "rivergrad.routing.recurrence.problem",
    "RecurrenceEngine": "rivergrad.routing.recurrence.engine",
    "RecurrenceState": "rivergrad.routing.recurrence.engine",
    "sweep_order": "rivergrad.routing.recurrence.cuda.layout",
}

__all__ = ["GridWeights", "RecurrenceEngine", "RecurrenceState", "sweep_order"]

__getattr__ = names_from(__name__, _HOMES)
