"""The weather that drives runoff models."""

from __future__ import annotations

FORCINGS = ("precipitation", "temperature", "potential_evapotranspiration")
"""Names of the forcings that the built-in models of rainfall and runoff take, in the order of their last axis."""
FORCING_UNITS = {
    "precipitation": "mm per step",
    "temperature": "degC",
    "potential_evapotranspiration": "mm per step",
}
