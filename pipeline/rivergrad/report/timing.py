"""The estimated delay of the given runoff as a field of the report's map."""

from __future__ import annotations

import numpy as np

from rivergrad.report.fields import Field
from rivergrad.report.panels import Page

HOUR = 3600.0


def runoff_delay(page: Page) -> Field | None:
    """The delay of the runoff of each training gauge's own increment area, with its interval."""
    given = page.run.parameters
    found = given.get("runoff_delay")
    if found is None or not np.isfinite(found).any():
        return None
    return Field(
        "runoff_delay",
        "Delay of the given runoff",
        found / HOUR,
        "hours",
        "linear",
        given["runoff_delay_lower"] / HOUR,
        given["runoff_delay_upper"] / HOUR,
        note=_note(page),
    )


def _note(page: Page) -> str:
    said = "How much later than given the runoff of each gauge's own area fits best; below 0 it has to come earlier."
    told = page.run.summary.get("uncertainty")
    rows = told.get("runoff_delays", []) if isinstance(told, dict) else []
    same = sum(row["told"] == "delay or celerity" for row in rows)
    nothing = sum(row["told"] == "nothing" for row in rows)
    return (
        f"{said} The data tell it at {len(rows) - same - nothing} of {len(rows)} gauges, do not tell it from celerity "
        f"at {same}, and say nothing of it at {nothing}."
    )
