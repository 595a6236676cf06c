"""How much is said on the terminal: `-q` sets RIVERGRAD_QUIET, `-v` shows the log."""

from __future__ import annotations

import logging
import os
import sys

QUIET = "RIVERGRAD_QUIET"


def quiet() -> bool:
    """Whether to leave out progress, summaries and scores; warnings, errors and results' paths are always said."""
    return os.environ.get(QUIET) == "1"


def say_more() -> None:
    """Show the lines of the log on standard error too."""
    logger = logging.getLogger("rivergrad")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
