"""The error a user can mend, and how reach ids are named in it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

MAX_IDS = 5
MAX_QUOTED = 60
"""Characters of what is quoted from a user's input: a cell, a key, a name."""
MAX_MESSAGE = 1000
"""Characters of a message, wherever it is printed or kept."""


class InputError(ValueError):
    """Something in the user's input is wrong and can be mended.

    The message is one or two lines: the file, key or reach ids, what was found and what was expected.
    The command line prints it as it stands and exits with 2. A message of more than `MAX_MESSAGE` characters
    loses its middle: it quotes something that was not meant to be quoted, such as a damaged file.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(shortened(message, MAX_MESSAGE))


def shortened(text: object, limit: int = MAX_QUOTED) -> str:
    """At most `limit` characters of a text: its beginning and its end."""
    found = str(text)
    if len(found) <= limit:
        return found
    tail = (limit - 1) // 3
    return f"{found[: limit - 1 - tail]}…{found[len(found) - tail :]}"


def ids_text(ids: Iterable[object]) -> str:
    """Name at most five ids, then say how many more there are: `3, 7, 9, 12, 40 and 8 more`."""
    items = list(ids)
    text = ", ".join(shortened(item) for item in islice(items, MAX_IDS))
    return text if len(items) <= MAX_IDS else f"{text} and {len(items) - MAX_IDS} more"
