"""Progress: what is shown, how often, and what is left."""

from __future__ import annotations

import io

import pytest

from rivergrad.errors import InputError
from rivergrad.run.progress import Progress, time_text, track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_step_that_was_found_done_has_no_rate() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress(42, "uncertainty", stream=stream, clock=clock) as progress:
        clock.now += 5e-5
        progress.update(1)
        clock.now += 9.99995
        progress.update(2)
    assert stream.getvalue().splitlines() == ["uncertainty 1/42", "uncertainty 2/42  5 s each  3m 20s left"]


def test_plain_lines_come_every_few_seconds() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress(100, "estimate", stream=stream, clock=clock) as progress:
        for step in range(1, 41):
            clock.now += 0.5
            progress.update(step, loss=0.123456, validation_nse=0.5)
    lines = stream.getvalue().splitlines()
    assert lines == [
        "estimate 1/100  loss 0.1235  validation nse 0.5",
        "estimate 11/100  loss 0.1235  validation nse 0.5  2/s  44s left",
        "estimate 21/100  loss 0.1235  validation nse 0.5  2/s  40s left",
        "estimate 31/100  loss 0.1235  validation nse 0.5  2/s  34s left",
        "estimate 40/100  loss 0.1235  validation nse 0.5  2/s  30s left",
    ]


def test_slow_steps_are_shown_in_seconds_each() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress(10, "cut", stream=stream, clock=clock) as progress:
        clock.now += 40.0
        progress.update(2)
    assert stream.getvalue() == "cut 2/10  20 s each  2m 40s left\n"


def test_a_resumed_run_does_not_count_what_was_done_before() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress(100, "estimate", start=50, stream=stream, clock=clock) as progress:
        clock.now += 10.0
        progress.update(60)
        assert progress.rate() == 1.0
    assert "60/100  1/s  40s left" in stream.getvalue()


def test_a_terminal_gets_a_bar() -> None:
    clock, stream = Clock(), Terminal()
    with Progress(10, "estimate", stream=stream, clock=clock) as progress:
        clock.now += 1.0
        progress.update(10, loss=0.25)
    assert "10/10" in stream.getvalue()
    assert "loss 0.25" in stream.getvalue()


def test_an_error_passes_through_and_the_last_step_is_shown() -> None:
    clock, stream = Clock(), io.StringIO()

    def fail() -> None:
        with Progress(10, "write", stream=stream, clock=clock) as progress:
            for step in (1, 2):
                clock.now += 1.0
                progress.update(step)
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert stream.getvalue().splitlines()[-1].startswith("write 2/10")


def test_track_writes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with track(2, "route") as progress:
        progress.update(1)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("route 1/2")


def test_nothing_to_do_is_an_error() -> None:
    with pytest.raises(InputError, match="progress over 0 steps; expected 1 or more"):
        track(0, "route")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0s"), (59.4, "59s"), (59.6, "1m 00s"), (200, "3m 20s"), (7500, "2h 05m"), (273600, "3d 4h")],
)
def test_time_text(seconds: float, text: str) -> None:
    assert time_text(seconds) == text
