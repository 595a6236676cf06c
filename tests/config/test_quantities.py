"""Durations, distances and sizes: what people write, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rivergrad.config.quantities import (
    format_distance,
    format_duration,
    format_size,
    parse_distance,
    parse_duration,
    parse_size,
)
from rivergrad.errors import InputError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("900s", 900.0), ("15min", 900.0), ("3h", 10800.0), ("1d", 86400.0), (" 0.1 d ", 8640.0), ("0s", 0.0)],
)
def test_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["900", "", "3 weeks", "-1d", "h", "1h30min", "1D", "3m", 900, 900.0, True, None]
)
def test_not_a_duration(text: object) -> None:
    with pytest.raises(InputError, match=r"found .*; expected a duration such as 900s, 15min, 3h or 1d"):
        parse_duration(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (1.0, "1s"),
        (60.0, "1min"),
        (900.0, "15min"),
        (5400.0, "90min"),
        (86400.0, "1d"),
        (0.5, "0.5s"),
    ],
)
def test_duration_text(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(min_value=0.0, max_value=1e12))
def test_duration_round_trip(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "metres"), [("5km", 5000.0), ("800 m", 800.0), ("0.25km", 250.0), ("1500m", 1500.0)]
)
def test_distance(text: str, metres: float) -> None:
    assert parse_distance(text) == metres
    assert parse_distance(format_distance(metres)) == metres


def test_distance_text() -> None:
    assert [format_distance(metres) for metres in (5000.0, 1500.0, 0.5)] == ["5km", "1500m", "0.5m"]


@given(st.floats(min_value=0.0, max_value=1e12))
def test_distance_round_trip(metres: float) -> None:
    assert parse_distance(format_distance(metres)) == metres


@pytest.mark.parametrize("text", ["5", "5 miles", "-5km", 5, None])
def test_not_a_distance(text: object) -> None:
    with pytest.raises(InputError, match=r"found .*; expected a distance such as 800m or 5km"):
        parse_distance(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "size"), [("2GB", 2 * 10**9), ("500 MB", 5 * 10**8), ("2GiB", 2**31), ("0.5kB", 500), ("7B", 7)]
)
def test_size(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["2", "2gb", "2G", "-2GB", 2, None])
def test_not_a_size(text: object) -> None:
    with pytest.raises(InputError, match=r"found .*; expected a size such as 500MB, 2GB or 2GiB"):
        parse_size(text)  # type: ignore[arg-type]


@given(st.integers(min_value=0, max_value=2**60))
def test_size_round_trip(size: int) -> None:
    assert parse_size(format_size(size)) == size
