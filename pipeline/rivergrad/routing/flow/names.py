"""Names of the law of flow among parameters, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

EXPONENT, REFERENCE = "flow_exponent", "reference_flow"
"""m and Q₀ (m³/s), in files and in code."""

ROUNDS = 4
"""Rounds after the linear one, where nothing else is said."""

NO_REFERENCE = f"found {EXPONENT} without {REFERENCE}; expected the mean flow of each reach, m3/s"


def without_law(parameters: Mapping[str, T]) -> dict[str, T]:
    """The parameters without m and Q₀."""
    return {name: value for name, value in parameters.items() if name not in (EXPONENT, REFERENCE)}
