"""The recipe refuses what it cannot make, and streams of different purposes are independent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from rivergrad.world import WorldSpec
from rivergrad.world.streams import PURPOSES, stream


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reaches", 0),
        ("land_fraction", 1.0),
        ("gap_fraction", 1.0),
        ("holdout_fraction", -0.1),
        ("forcing_step", "7h"),
        ("forcing_step", "2D"),
        ("forcing_step", "soon"),
        ("start", "yesterday-ish"),
        ("start", "NaT"),
        ("continents", 7),
        ("gauge_fraction", 1.01),
        ("runoff_bias", 1.0),
        ("runoff_error", -0.1),
        ("celerity_reference", 0.0),
    ],
)
def test_refuses(field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=field):
        WorldSpec(**{field: value})


def test_refuses_gaps_that_leave_no_room_between_them() -> None:
    with pytest.raises(ValidationError, match=r"at most 0\.5"):
        WorldSpec(gap_fraction=0.8, gap_days=1.0)
    assert WorldSpec(gap_fraction=0.8, gap_days=5.0).gap_days == 5.0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"reaches": 200_000, "years": 100.0, "forcing_step": "1min"}, "reaches times steps must be at most"),
        ({"start": "2250-01-01", "years": 100.0}, "within 1678..2262"),
        ({"start": "1500-01-01"}, "within 1678..2262"),
    ],
)
def test_refuses_what_is_too_large_before_it_is_made(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WorldSpec(**fields)


def test_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        WorldSpec().seed = 2  # type: ignore[misc]


def test_every_field_has_a_sentence() -> None:
    for name, field in WorldSpec.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


def test_steps_and_time() -> None:
    spec = WorldSpec(forcing_step="6h", years=1.0, start="1999-12-31")
    assert spec.step == 21_600.0
    assert spec.n_steps == 1461
    assert spec.start_time == np.datetime64("1999-12-31", "ns")
    assert spec.start_time.dtype == np.dtype("datetime64[ns]")


def test_streams_repeat_and_differ() -> None:
    draws = {purpose: stream(3, purpose).random(4).tobytes() for purpose in PURPOSES}
    assert len(set(draws.values())) == len(PURPOSES)
    assert stream(3, "storms").random(4).tobytes() == draws["storms"]
    assert stream(4, "storms").random(4).tobytes() != draws["storms"]


def test_parts_of_a_stream_repeat_and_differ() -> None:
    draws = {part: stream(3, "runoff_noise", part).random(4).tobytes() for part in range(4)}
    assert len({*draws.values(), stream(3, "runoff_noise").random(4).tobytes()}) == 5
    assert stream(3, "runoff_noise", 2).random(4).tobytes() == draws[2]


def test_streams_are_the_spawned_children() -> None:
    children = np.random.SeedSequence(3).spawn(len(PURPOSES))
    for child, purpose in zip(children, PURPOSES, strict=True):
        assert np.random.default_rng(child).random() == stream(3, purpose).random()
