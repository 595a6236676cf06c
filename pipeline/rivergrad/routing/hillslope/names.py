"""Names in files, options and workflows; they need no torch."""

from __future__ import annotations

NONE = "none"
"""Runoff enters the reach as it is."""
DELAY = "hillslope_delay"
SHAPE = "hillslope_shape"
NAMES = (DELAY, SHAPE)
"""Parameters of the hillslope response, with those of the scheme in files and dictionaries."""
MOST_DELAY = 3650 * 86400.0
"""The longest delay, s. Ten years: more is groundwater or a mistaken unit, and no record would show it."""
