"""The types of workflow fields: what a value may be, how it is read from YAML and written back.

Numbers are strict: `"150"` and `true` are not integers, and a date is not a number. A mistake in a workflow
should be named, not guessed around.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, ValidationInfo, WithJsonSchema

from rivergrad import registry
from rivergrad.clocks import offset_of
from rivergrad.config.quantities import (
    DISTANCE_PATTERN,
    DURATION_PATTERN,
    SIZE_PATTERN,
    format_distance,
    format_duration,
    format_size,
    parse_distance,
    parse_duration,
    parse_size,
)
from rivergrad.errors import InputError, shortened
from rivergrad.inference.loss_spec import LOSS_TERMS, loss_terms
from rivergrad.registry import IMPORT_PATH

FROM_DOCUMENT = "from_document"
"""In the context of a validation: the data is YAML, which has to say units."""


def _bare(value: Any, info: ValidationInfo) -> bool:
    """Whether a value is a number in SI as Python callers may hand it over; YAML has to say the unit."""
    return isinstance(value, float) and not (info.context or {}).get(FROM_DOCUMENT, False)


def _duration(value: Any, info: ValidationInfo) -> Any:
    return value if _bare(value, info) else parse_duration(value)


def _positive(seconds: float) -> float:
    if seconds <= 0:
        raise InputError(f"found {format_duration(seconds)}; expected a duration longer than 0s")
    return seconds


def _distance(value: Any, info: ValidationInfo) -> Any:
    return value if _bare(value, info) else parse_distance(value)


def _day(value: Any) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise InputError(f"found {value!r}; expected a date such as 1980-10-01") from None


def _period(days: tuple[date, date]) -> tuple[date, date]:
    if days[1] < days[0]:
        raise InputError(f"found {days[0]} .. {days[1]}; expected the first day, then the last day")
    return days


def _period_shape(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise InputError(f"found {value!r}; expected two dates, [first day, last day], both included")
    return value


def _bounds(bounds: tuple[float, float]) -> tuple[float, float]:
    if not bounds[0] < bounds[1]:
        raise InputError(f"found [{bounds[0]}, {bounds[1]}]; expected [lower, upper] with lower < upper")
    return bounds


def _bounds_shape(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise InputError(f"found {value!r}; expected two numbers, [lower, upper]")
    return value


def _path(value: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise InputError(f"found {value!r}; expected a path")
    path = Path(value)
    with suppress(RuntimeError):  # no such user: it is a name as any other
        return path.expanduser()  # as shells and some libraries do; the others would make a folder called ~
    return path


def _paths(value: Any) -> Path | tuple[Path, ...]:
    if not isinstance(value, list | tuple):
        return _path(value)
    if not value:
        raise InputError("found an empty list; expected a path, or several")
    return tuple(_path(one) for one in value)


def _clock(value: Any) -> str:
    if value != "file":
        offset_of(value, "utc_offset")
    return str(value)


def _several(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _basin(value: Any) -> Any:
    if isinstance(value, list | tuple) and len(value) == 4:
        if all(isinstance(one, int | float) and not isinstance(one, bool) for one in value):
            return tuple(float(one) for one in value)
    elif isinstance(value, int) and not isinstance(value, bool):
        return value
    raise InputError(f"found {value!r}; expected the id of a reach, or [west, south, east, north] in degrees")


def _name(value: Any) -> Any:
    # A gauge called 1567000 is an integer to YAML. (One called 01567000 is text already: see `documents`.)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _accumulated(value: object, info: ValidationInfo) -> object:
    if value is False:  # a bare no in YAML 1.1
        return "no"
    if value in ("auto", "no", "run") or _bare(value, info):
        return value
    try:
        found = _positive(_duration(value, info))
    except InputError:
        raise InputError(
            f"found {value!r}; expected auto, no, run, or a duration such as 12h or 1d"
        ) from None
    return found


def _accumulated_text(value: str | float) -> str:
    return value if isinstance(value, str) else format_duration(value)


def _auto_or_count(value: Any) -> Any:
    if value != "auto" and (not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MANY):
        raise InputError(f"found {value!r}; expected auto, or 1 to {MANY}")
    return value


def _auto_or_switch(value: Any) -> Any:
    if value != "auto" and not isinstance(value, bool):  # a Literal alone would take 1 for true
        raise InputError(f"found {value!r}; expected auto, true or false")
    return value


def _format(name: str) -> str:
    if name != "auto":
        found = registry.entry("format", name)
        if found.outside:
            found.load()
    return name


def _optimiser(name: str) -> str:
    return _part("optimiser", name)


def _parameter_model(name: str) -> str:
    return _part("parameter_model", name)


def _part(kind: str, name: str) -> str:
    """A name that is known; a part of the user's own is imported and checked."""
    found = registry.entry(kind, name)
    if found.outside:
        found.load()
    return name


def _loss_as_given(terms: str | tuple[tuple[str, float], ...]) -> str | dict[str, float]:
    return terms if isinstance(terms, str) else dict(terms)


def _pairs(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple((str(name), one) for name, one in value.items())
    if not isinstance(value, tuple):
        raise InputError(f"found {value!r}; expected names with their values, such as {{hidden: 64}}")
    return value


def require_line(text: str, key: str | None = None) -> str:
    """Raise an `InputError` where a text would be more than a line of a script, or act on the terminal."""
    bad = next((sign for sign in text if not sign.isprintable()), None)
    if bad is not None:
        raise InputError(
            f"found {shortened(repr(text))}, with the character {bad!r}; expected one line of plain text",
            key=key,
        )
    return text


def _name_in_queue(text: str) -> str:
    if not re.fullmatch(r"[\w.,@+:/=%-]+", text):
        raise InputError(
            f"found {shortened(repr(text))}; expected a name as Slurm has it, without spaces or quotes"
        )
    return text


def _directive(text: str) -> str:
    if not require_line(text).startswith("-"):
        raise InputError(
            f"found {shortened(repr(text))}; expected an option of sbatch, such as --constraint=ib"
        )
    return text


def _shell_lines(text: str) -> str:
    for line in text.split("\n"):
        require_line(line.replace("\t", " "))
    return text


def _launcher(text: str) -> str:
    if not require_line(text).strip():
        raise InputError(f"found {text!r}; expected a command, such as srun --mpi=pmi2")
    if any(mark in text for mark in (";", "|", "&", "`", "$(")):
        raise InputError(
            f"found {shortened(repr(text))}; expected one command, with the lines before it in prologue"
        )
    return text


def _words(value: Any) -> Any:
    many = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(one, int | str) and not isinstance(one, bool) for one in many):
        raise InputError(f"found {value!r}; expected ids or texts, such as [0, -9999] or outside")
    return tuple(many)


def _flag_words(value: Any) -> Any:
    words = tuple(str(word) for word in _words(value))
    if any(len(word) > LONGEST_FLAG for word in words):
        raise InputError(
            f"found a word of more than {LONGEST_FLAG} characters; expected quality flags, such as [A]"
        )
    return words


def listed(kind: str) -> str:
    """The names of a kind of parts, for a description: `pure_lag, linear_storage, ...`."""
    return ", ".join(registry.names(kind))


LONGEST_FLAG = 100
"""Characters of a quality flag."""

MOST, MANY = 10**9, 10**5
"""The most that anything is counted to: what is made of a count is bounded before it is made."""

Count = Annotated[int, Field(gt=0, le=MOST, strict=True)]
"""A positive integer."""

NonNegativeCount = Annotated[int, Field(ge=0, le=MOST, strict=True)]
"""An integer, 0 or more."""

SmallCount = Annotated[int, Field(gt=0, le=MANY, strict=True)]
"""A positive integer of things that each take memory or a process."""

NonNegativeSmallCount = Annotated[int, Field(ge=0, le=MANY, strict=True)]
"""As `SmallCount`, or 0."""

Seed = Annotated[int, Field(ge=0, lt=2**63, strict=True)]
"""What a generator of random numbers starts from."""

PortNumber = Annotated[int, Field(ge=0, le=65535, strict=True)]
"""A TCP port, 0 for any free one."""

Share = Annotated[float, Field(ge=0.0, le=1.0, strict=True, allow_inf_nan=False)]
"""A share of a whole, 0 to 1."""

PositiveShare = Annotated[float, Field(gt=0.0, le=1.0, strict=True, allow_inf_nan=False)]

PositiveNumber = Annotated[float, Field(gt=0.0, strict=True, allow_inf_nan=False)]
"""A finite number above 0."""

Factor = Annotated[float, Field(gt=1.0, strict=True, allow_inf_nan=False)]
"""A finite number above 1: how many times as large, or as small."""

NonNegativeNumber = Annotated[float, Field(ge=0.0, strict=True, allow_inf_nan=False)]
"""A finite number, 0 or more."""

Switch = Annotated[bool, Field(strict=True)]
"""true or false."""

AutoCount = Annotated[Literal["auto"] | int, BeforeValidator(_auto_or_count)]
"""A positive integer, or auto: chosen."""

AutoSwitch = Annotated[Literal["auto", True, False], BeforeValidator(_auto_or_switch)]
"""true, false, or auto: told from the data."""

Duration = Annotated[
    float,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN}),
]
"""Seconds, written with a unit: 900s, 15min, 3h, 1d."""

Accumulated = Annotated[
    Literal["auto", "no", "run"] | float,
    BeforeValidator(_accumulated),
    PlainSerializer(_accumulated_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^(auto|no|run)$|{DURATION_PATTERN}"}),
]
"""auto, no, run (since the first step), or how long amounts accumulate: 12h, 1d."""

PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
"""A `Duration` longer than nothing."""

Distance = Annotated[
    float,
    BeforeValidator(_distance),
    Field(gt=0, allow_inf_nan=False),
    PlainSerializer(format_distance, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DISTANCE_PATTERN}),
]
"""Metres, more than none, written with a unit: 800m, 5km."""

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    Field(gt=0),
    PlainSerializer(format_size, return_type=str),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN}),
]
"""Bytes, written with a unit: 500MB, 2GB, 2GiB."""

Day = Annotated[date, BeforeValidator(_day)]
"""A calendar day, UTC."""

Period = Annotated[tuple[Day, Day], BeforeValidator(_period_shape), AfterValidator(_period)]
"""The first and the last day of a period, both included."""

Bounds = Annotated[
    tuple[NonNegativeNumber, NonNegativeNumber], BeforeValidator(_bounds_shape), AfterValidator(_bounds)
]
"""The lower and the upper end of what a parameter may become."""

GaugeName = Annotated[str, BeforeValidator(_name)]
"""The name of a gauge, such as 01567000."""

LossTerms = Annotated[
    str | tuple[tuple[str, float], ...],
    BeforeValidator(loss_terms),
    PlainSerializer(_loss_as_given, return_type=str | dict[str, float]),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(LOSS_TERMS), "type": "string"},
                {"pattern": IMPORT_PATH, "type": "string"},
                {
                    "type": "object",
                    "properties": {name: {"type": "number", "exclusiveMinimum": 0} for name in LOSS_TERMS},
                    "patternProperties": {IMPORT_PATH: {"type": "number", "exclusiveMinimum": 0}},
                    "additionalProperties": False,
                    "minProperties": 1,
                },
            ]
        }
    ),
]
"""The name of a loss, or weights by name; the latter as (name, weight) pairs once loaded, which do not change."""

Options = Annotated[
    tuple[tuple[str, bool | int | float | str], ...],
    BeforeValidator(_pairs),
    PlainSerializer(dict, return_type=dict[str, Any]),
    WithJsonSchema({"type": "object"}),
]
"""Arguments by name; as pairs once loaded, which do not change."""

Names = Annotated[
    tuple[tuple[str, str], ...],
    BeforeValidator(_pairs),
    PlainSerializer(dict, return_type=dict[str, str]),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "string"}}),
]
"""Names by name; as pairs once loaded."""

QueueName = Annotated[str, AfterValidator(_name_in_queue)]
"""A word in a job's options: a partition, an account."""

Directive = Annotated[str, AfterValidator(_directive)]
"""An option of sbatch, one line."""

ShellLines = Annotated[str, AfterValidator(_shell_lines)]
"""A line of a job script, or several."""

Launcher = Annotated[str, AfterValidator(_launcher)]
"""A command with options, one line."""

OutletWords = Annotated[
    tuple[int | str, ...],
    BeforeValidator(_words),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": ["integer", "string"]},
                {"type": "array", "items": {"type": ["integer", "string"]}},
            ]
        }
    ),
]
"""One or several downstream ids, or texts."""

FlagWords = Annotated[
    tuple[str, ...],
    BeforeValidator(_flag_words),
    WithJsonSchema({"type": "array", "items": {"type": ["string", "integer"]}}),
]
"""Words of quality flags; 40 is the word `40`."""

FilePath = Annotated[Path, BeforeValidator(_path)]
"""A path; it need not exist for a workflow to be valid as such."""

FilePaths = Annotated[
    Path | tuple[Path, ...],
    BeforeValidator(_paths),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "path"},
                {"type": "array", "items": {"type": "string", "format": "path"}},
            ]
        }
    ),
]
"""A path, a pattern such as `gauges/*.csv`, or a list of them."""

ClockOffset = Annotated[
    str, BeforeValidator(_clock), WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "number"}]})
]
"""By how much a clock is ahead of UTC, such as -5h, or `file`."""

Several = Annotated[
    tuple[str, ...],
    BeforeValidator(_several),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""A name, or a list of them."""

SeveralPaths = Annotated[
    tuple[Annotated[Path, BeforeValidator(_path)], ...],
    BeforeValidator(_several),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""A path, or a list of them."""

BasinChoice = Annotated[
    int | tuple[float, float, float, float],
    BeforeValidator(_basin),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "number"}}]}),
]
"""The id of a reach, or a box in degrees."""

FormatName = Annotated[str, AfterValidator(_format)]
"""`auto`, the name of a format, or its import path."""

OptimiserName = Annotated[str, AfterValidator(_optimiser)]
"""The name of an optimiser, or its import path."""

ParameterModelName = Annotated[
    str,
    AfterValidator(_parameter_model),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(registry.names("parameter_model")), "type": "string"},
                {"pattern": IMPORT_PATH, "type": "string"},
            ]
        }
    ),
]
"""The name of a kind of parameter models, or its import path."""
