"""How many observed values a gauge has to have before it says anything."""

from __future__ import annotations

MIN_VALUES = 10
"""A gauge with fewer observed values in the windows of a step contributes nothing to it (in windows of fewer than
twice as many steps: with values for less than half of them)."""


def values_needed(steps: int) -> int:
    """Observed values that a gauge has to have in windows of so many steps altogether."""
    return min(MIN_VALUES, max(1, steps // 2))
