"""Names of the law of flow among parameters, without torch."""

from __future__ import annotations

EXPONENT, REFERENCE = "flow_exponent", "reference_flow"
"""m and Q₀ (m³/s), in files and in code."""

ROUNDS = 4
"""Rounds after the linear one, where nothing else is said."""
