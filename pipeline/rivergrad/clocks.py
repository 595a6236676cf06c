"""Offsets of clocks from UTC, as people and files write them."""

from __future__ import annotations

import math
import re
from datetime import datetime
from numbers import Real
from zoneinfo import ZoneInfo

from rivergrad.errors import InputError

MOST = 14 * 3600.0
"""No clock is further from UTC, s."""
_TEXT = re.compile(r"(?:UTC|GMT)?\s*([+\-−]?)(\d{1,2})(?::?(\d{2}))?(?:\.(\d+))?\s*h?")


def offset_of(value: object, what: str) -> float:
    """An offset from UTC in s: hours as a number, or `-5h`, `-05:00`, `UTC+5:30`, or a time zone such as Asia/Tokyo.

    A time zone means its winter time.

    Raises:
        InputError: it is none of them, or beyond 14 hours.
    """
    seconds = _zone(value) if isinstance(value, str) else None
    if seconds is None:
        seconds = _hours(value)
    if seconds is None or not math.isfinite(seconds) or abs(seconds) > MOST:
        raise InputError(
            f"{what}: found the offset {value!r}; expected hours from UTC within 14, such as -5h or +05:30"
        )
    return seconds


def _hours(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, Real):
        return float(value) * 3600.0
    match = _TEXT.fullmatch(str(value).strip())
    if match is None:
        return None
    sign, hours, minutes, rest = match.groups()
    found = float(f"{hours}.{rest}") if rest else float(hours)
    return (-1.0 if sign in ("-", "−") else 1.0) * (found * 3600.0 + float(minutes or 0) * 60.0)


def _zone(name: str) -> float | None:
    if not re.fullmatch(r"[A-Za-z]+(/[A-Za-z0-9_+\-]+)+|UTC|GMT|Z", name.strip()):
        return None
    if name.strip() in ("UTC", "GMT", "Z"):
        return 0.0
    try:
        zone = ZoneInfo(name.strip())
    except (OSError, ValueError, KeyError):
        return None
    found = [datetime(2001, month, 1, tzinfo=zone).utcoffset() for month in (1, 7)]
    return min(one.total_seconds() for one in found if one is not None)
