"""The error a user can mend, and how reach ids are named in it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

MAX_IDS = 5


class InputError(ValueError):
    """Something in the user's input is wrong and can be mended.

    The message is one or two lines: the file, key or reach ids, what was found and what was expected.
    The command line prints it as it stands and exits with 2.
    """


def ids_text(ids: Iterable[object]) -> str:
    """Name at most five ids, then say how many more there are: `3, 7, 9, 12, 40 and 8 more`."""
    items = list(ids)
    text = ", ".join(str(item) for item in islice(items, MAX_IDS))
    return text if len(items) <= MAX_IDS else f"{text} and {len(items) - MAX_IDS} more"
