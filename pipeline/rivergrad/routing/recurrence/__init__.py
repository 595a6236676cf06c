"""The recurrence engine: an exact sweep down the tree, on CPUs and GPUs."""

from rivergrad.routing.recurrence.cuda.layout import sweep_order
from rivergrad.routing.recurrence.engine import RecurrenceEngine, RecurrenceState
from rivergrad.routing.recurrence.problem import GridWeights

__all__ = ["GridWeights", "RecurrenceEngine", "RecurrenceState", "sweep_order"]
