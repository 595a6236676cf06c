"""How many observed values a gauge needs to enter the loss."""

from __future__ import annotations

MIN_VALUES = 10
"""A gauge needs this many observed values in the windows of a step to enter its loss. Windows of fewer than twice as
many steps need values at half of their steps."""


def values_needed(steps: int) -> int:
    """The number of observed values that a gauge needs in windows of `steps` steps in all."""
    return min(MIN_VALUES, max(1, steps // 2))
