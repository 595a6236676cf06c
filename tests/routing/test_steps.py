"""Forcing step and routing step."""

from __future__ import annotations

import pytest

from rivergrad.errors import InputError
from rivergrad.routing import step_ratio


@pytest.mark.parametrize(
    ("forcing", "routing", "ratio"),
    [(86400, 86400, 1), (86400, 3600, 24), (10800, 900, 12), (86400, 86400 / 93, 93), (1.0, 1 / 24, 24)],
)
def test_whole(forcing: float, routing: float, ratio: int) -> None:
    assert step_ratio(forcing, routing) == ratio


@pytest.mark.parametrize(("forcing", "routing"), [(86400, 7000), (3600, 86400), (86400, 0.4167 * 86400)])
def test_not_whole_names_both(forcing: float, routing: float) -> None:
    with pytest.raises(InputError, match=f"forcing step {forcing:g} s .* routing step {routing:g} s"):
        step_ratio(forcing, routing)


@pytest.mark.parametrize(("forcing", "routing"), [(0, 1), (1, 0), (-1, -1), (1, float("nan"))])
def test_not_positive(forcing: float, routing: float) -> None:
    with pytest.raises(InputError, match="expected positive steps"):
        step_ratio(forcing, routing)
