"""Durations, distances and sizes as people write them in a workflow: `3h`, `15min`, `5km`, `2GB`."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction

from rivergrad.errors import InputError, value_text

LONGEST, LARGEST = 1000, 2**63
"""Characters of a quantity, and seconds, metres or bytes: numbers beyond are no quantities of anything."""
SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
METRES = {"m": 1, "km": 1000}
BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
DURATION_PATTERN = r"^\s*\d+(\.\d+)?\s*(s|min|h|d)\s*$"
DISTANCE_PATTERN = r"^\s*\d+(\.\d+)?\s*(m|km)\s*$"
SIZE_PATTERN = r"^\s*\d+(\.\d+)?\s*(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)\s*$"


def parse_duration(text: str) -> float:
    """Seconds of a duration such as `900s`, `15min`, `3h` or `1d`.

    **Raises:** `InputError` saying what was found and what was expected. A bare number is refused: whether
    it means seconds, hours or days is what the unit is for.
    """
    return float(_parse(text, DURATION_PATTERN, SECONDS, "a duration such as 900s, 15min, 3h or 1d"))


def step_seconds(step: float | str, key: str) -> float:
    """A step as Python takes it, seconds or a duration such as `1h`, in s.

    **Raises:** `InputError` naming the key, unless it is longer than 0 s.
    """
    found = parse_duration(step) if isinstance(step, str) else float(step)
    if not found > 0:
        raise InputError(key=key, found=step, expected="a duration longer than 0s")
    return found


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads back as the same number of seconds."""
    if math.isfinite(seconds) and float(seconds).is_integer():
        for unit in ("d", "h", "min"):
            if seconds >= SECONDS[unit] and seconds % SECONDS[unit] == 0:
                return f"{int(seconds) // SECONDS[unit]}{unit}"
        return f"{int(seconds)}s"
    return f"{Decimal(repr(seconds)):f}s"


def parse_distance(text: str) -> float:
    """Metres of a distance such as `800m` or `5km`.

    **Raises:** `InputError` saying what was found and what was expected. A bare number is refused.
    """
    return float(_parse(text, DISTANCE_PATTERN, METRES, "a distance such as 800m or 5km"))


def format_distance(metres: float) -> str:
    """The shortest text that `parse_distance` reads back as the same number of metres."""
    if math.isfinite(metres) and float(metres).is_integer():
        return f"{int(metres) // 1000}km" if metres >= 1000 and metres % 1000 == 0 else f"{int(metres)}m"
    return f"{Decimal(repr(metres)):f}m"


def parse_size(text: str) -> int:
    """Bytes of a size such as `500MB`, `2GB` (powers of ten) or `2GiB` (powers of two).

    **Raises:** `InputError` saying what was found and what was expected.
    """
    return int(_parse(text, SIZE_PATTERN, BYTES, "a size such as 500MB, 2GB or 2GiB"))


def format_size(size: int) -> str:
    """The shortest text that `parse_size` reads back as the same number of bytes."""
    texts = [f"{size // factor}{unit}" for unit, factor in BYTES.items() if size and size % factor == 0]
    return min(texts, key=len, default=f"{size}B")


def _parse(text: object, pattern: str, units: dict[str, int], expected: str) -> Fraction:
    match = re.match(pattern, text) if isinstance(text, str) and len(text) <= LONGEST else None
    if not isinstance(text, str) or match is None:
        raise InputError(f"found {value_text(text)}; expected {expected}")
    unit = match.group(2)
    number = text.strip().removesuffix(unit).strip()
    # Fractions, so that 0.1d is 8640 s and not 8640.000000000002.
    value = Fraction(number) * units[unit]
    if value >= LARGEST:
        raise InputError(f"found {value_text(text)}; expected {expected}, less than 9.2e18 in all")
    return value
