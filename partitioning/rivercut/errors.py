"""The error a user can mend, and how reach ids are named in it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, Self

MAX_IDS = 5
MAX_QUOTED = 60
"""Characters of what is quoted from a user's input: a cell, a key, a name."""
MAX_MESSAGE = 1000
"""Characters of a message, wherever it is printed or kept."""


class InputError(ValueError):
    """Something in the user's input is wrong and can be mended.

    The text is one or two lines: the file, key or reach ids, what was found and what was expected. The command line
    prints it as it stands and exits with 2. The fields are for code and tests; nobody has to read the text. A text
    of more than `MAX_MESSAGE` characters loses its middle: it quotes something that was not meant to be quoted, such
    as a damaged file.

        >>> str(InputError("has no rows", where="net.csv", expected="a reach a row"))
        'net.csv: has no rows; expected a reach a row'
        >>> str(InputError(key="seed", found=-1, expected="an integer, 0 or more"))
        'seed: found -1; expected an integer, 0 or more'

    Args:
        what: what is wrong; by default "found" and the value.
        key: the key of a workflow, the option of a command or the argument that it is about.
        where: the file that it is in, or the `--set` of the key.
        found: the value that is wrong; with `what`, it stands behind the key.
        expected: what is right, in words.
        advice: what to do now, in words.
    """

    what: str
    key: str | None
    where: str | None
    found: Any
    expected: str | None
    advice: str | None

    def __init__(
        self,
        what: object = "",
        *,
        key: str | None = None,
        where: object = None,
        found: Any = None,
        expected: str | None = None,
        advice: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = shortened(what, MAX_MESSAGE)
        self.key = key
        self.where = None if where is None else str(where)
        self.found = found
        self.expected = expected
        self.advice = advice

    def __str__(self) -> str:
        said = self.what or f"found {value_text(self.found)}"
        for word, text in (("expected ", self.expected), ("", self.advice)):
            said += f"; {word}{text}" if text else ""
        if self.key is not None and not (self.where or "").startswith(f"--set {self.key}="):
            behind = f" {self.found}" if self.what and self.found is not None else ""
            said = f"{self.key}{behind}: {said}"
        return said if self.where is None else f"{self.where}: {said}"

    def at(self, where: object = None, key: str | None = None) -> Self:
        """The same error with the file that it is in, or the key that it is about, put before what it says."""
        places = [str(one) for one in (where, self.where) if one is not None]
        keys = [one for one in (key, self.key) if one is not None]
        # not copy.copy, which gives the same object back once a library has made exceptions picklable in its own way
        return type(self)(
            self.what,
            key=".".join(keys) or None,
            where=": ".join(places) or None,
            found=self.found,
            expected=self.expected,
            advice=self.advice,
        )


def value_text(value: object) -> str:
    """A value as messages show it: `nothing` for None, and no more than `MAX_QUOTED` characters."""
    try:
        text = "nothing" if value is None else repr(value)
    except ValueError:  # integers of thousands of digits have no text
        text = f"a value of type {type(value).__name__} too long to show"
    return shortened(text)


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
