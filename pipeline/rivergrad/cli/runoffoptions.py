"""Options that say how runoff is read: those of `route` and of `import`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rivergrad.io.accumulated import Accumulated


class Stamp(StrEnum):
    """What times label."""

    auto = "auto"
    start = "start"
    middle = "middle"
    end = "end"


class Absent(StrEnum):
    """What of reaches that the runoff lacks."""

    error = "error"
    zero = "zero"


Variables = Annotated[
    list[str] | None,
    typer.Option(
        "--variable",
        metavar="V",
        help="The runoff variable, if there are several; several times for those to sum.",
        show_default=False,
    ),
]
Stamps = Annotated[
    Stamp, typer.Option("--stamp", help="What its times label; auto: as the file says, else the start.")
]
Weights = Annotated[
    list[Path] | None,
    typer.Option(
        "--weights",
        metavar="W",
        help="A table of the cells or catchments that drain to each reach; twice for two that follow one another.",
        show_default=False,
    ),
]
Absents = Annotated[Absent, typer.Option("--absent", help="What of reaches that the runoff lacks.")]
Amounts = Annotated[
    str,
    typer.Option(
        "--accumulated",
        metavar="D",
        help="How long amounts accumulate: no, run, 12h or 1d; auto: as the file and its values say.",
    ),
]
First = Annotated[
    str | None,
    typer.Option(
        "--runoff-start",
        metavar="T",
        help="The first time of runoff that has no times, such as 1980-01-01.",
        show_default=False,
    ),
]
Step = Annotated[
    str | None,
    typer.Option(
        "--runoff-step",
        metavar="D",
        help="The step of runoff that has no times, or a single one, such as 1h.",
        show_default=False,
    ),
]


def reading(
    variable: list[str] | None,
    stamp: Stamp,
    weights: list[Path] | None,
    absent: Absent,
    accumulated: str,
    start: str | None,
    step: str | None,
) -> dict[str, Any]:
    """The arguments of `open_runoff` that these options make."""
    from rivergrad.config.quantities import step_seconds
    from rivergrad.errors import InputError

    try:
        seconds = None if step is None else step_seconds(step, "--runoff-step")
    except InputError as error:
        raise error.at(key="--runoff-step") from None
    return {
        "variable": variable or None,
        "stamp": stamp.value,
        "weights": tuple(weights or ()),
        "absent": absent.value,
        "accumulated": accumulation(accumulated),
        "start": start,
        "step": seconds,
    }


def accumulation(given: str) -> Accumulated:
    """What `--accumulated` says: a word, or s.

    Raises:
        InputError: neither a word nor a duration.
    """
    from rivergrad.config.quantities import parse_duration
    from rivergrad.errors import InputError

    words: dict[str, Accumulated] = {"auto": "auto", "no": "no", "run": "run"}
    if given in words:
        return words[given]
    try:
        length = parse_duration(given)
    except InputError:
        length = 0.0
    if length <= 0:
        raise InputError(
            f"found {given}; expected auto, no, run, or a duration such as 12h or 1d", key="--accumulated"
        )
    return length
