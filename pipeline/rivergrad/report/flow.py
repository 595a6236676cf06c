"""The exponent of celerity by flow as a field of the report's map."""

from __future__ import annotations

import numpy as np

from rivergrad.report.fields import Field
from rivergrad.report.hillslope import LITTLE, with_correlation
from rivergrad.report.panels import Page


def exponent(page: Page) -> Field | None:
    """The exponent m of c = c₀ (Q/Q₀)^m, with its interval where it was estimated."""
    given = page.run.parameters
    found = given.get("flow_exponent")
    if found is None or not np.isfinite(found).any():
        return None
    return Field(
        "flow_exponent",
        "Exponent of celerity by flow",
        found,
        lower=given.get("flow_exponent_lower"),
        upper=given.get("flow_exponent_upper"),
        note=_note(page),
    )


def _note(page: Page) -> str:
    said = "Celerity is that of the map times (Q/Q₀)^m, Q₀ the mean flow of the reach."
    told = page.run.summary.get("uncertainty")
    if "flow_exponent_lower" not in page.run.parameters:
        return f"{said} m has no interval: it was given, or the run estimates no uncertainty."
    if not isinstance(told, dict) or "flow_exponent" not in told:
        return f"{said} Each class of reaches has its own m."
    level, low, high = (told[f"flow_exponent{end}"] for end in ("", "_lower", "_upper"))
    said += f" m is {level:.3g} (nominal 90 % interval {low:.3g} to {high:.3g})."
    if told["flow_exponent_identifiability"] < LITTLE:
        return f"{said} The gauges say little of it: it is near its prior."
    return with_correlation(said, told["flow_exponent_correlation"])
