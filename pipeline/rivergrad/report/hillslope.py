"""The delay of runoff on hillslopes as a field of the report's map."""

from __future__ import annotations

import numpy as np

from rivergrad.report.fields import DAY, Field
from rivergrad.report.panels import Page

LITTLE = 0.5
MUCH = 0.9
"""Identifiability below which, and correlation with celerity above which, gauges do not say what the delay is."""


def delay(page: Page) -> Field | None:
    """The mean delay of runoff on its way to the reach, with its interval where it was estimated."""
    given = page.run.parameters
    found = given.get("hillslope_delay")
    if found is None or not np.isfinite(found).any():
        return None
    lower, upper = given.get("hillslope_delay_lower"), given.get("hillslope_delay_upper")
    return Field(
        "hillslope_delay",
        "Delay on hillslopes",
        found / DAY,
        "days",
        "log" if np.nanmin(found) > 0 else "linear",
        None if lower is None else lower / DAY,
        None if upper is None else upper / DAY,
        note=_note(page),
    )


def _note(page: Page) -> str:
    told = page.run.summary.get("uncertainty")
    said = "How long runoff takes to the reach on average, before it is routed."
    if not isinstance(told, dict) or "hillslope_delay_s" not in told:
        return f"{said} It was given."
    days = [told[f"hillslope_delay{end}_s"] / DAY for end in ("", "_lower", "_upper")]
    said += f" Its level is {days[0]:.3g} days (nominal 90 % interval {days[1]:.3g} to {days[2]:.3g})."
    if told["hillslope_identifiability"] < LITTLE:
        return f"{said} The gauges say little of it."
    return with_correlation(said, told["hillslope_correlation"])


def with_correlation(said: str, correlation: float) -> str:
    """A note, and whether the gauges tell what it is about from celerity."""
    if abs(correlation) > MUCH:
        return f"{said} The gauges do not tell it from celerity (correlation {correlation:.2f})."
    return f"{said} Its correlation with the level of celerity is {correlation:.2f}."
