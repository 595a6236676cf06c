"""`-q` and `-v`: how much is said on the terminal."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rivergrad.cli import app
from rivergrad.run.progress import Progress
from rivergrad.verbosity import QUIET


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(QUIET, "0")  # so that what a command sets is taken back
    logger = logging.getLogger("rivergrad")
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


def call(*words: object) -> Any:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result


def test_quiet_says_where_the_results_are_and_no_more(tmp_path: Path, tiny: Any) -> None:
    path = tiny(tmp_path / "tiny.yaml", tmp_path / "run", estimate={"steps": 2, "evaluate_every": 1})
    result = call("-q", "estimate", path)
    assert result.stdout == f"{tmp_path / 'run'}\n"
    assert "estimate" not in result.stderr
    assert "reaches" not in result.stderr


def test_verbose_shows_the_log(tmp_path: Path, tiny: Any) -> None:
    path = tiny(tmp_path / "tiny.yaml", tmp_path / "run", estimate={"steps": 2, "evaluate_every": 1})
    result = call("-v", "estimate", path)
    log = (tmp_path / "run" / "log.txt").read_text().splitlines()
    said = [line.split(" ", 3)[3] for line in log if " INFO " in line and "log of rivergrad" not in line]
    assert len(said) > 10
    assert [line for line in said if line not in result.stderr.splitlines()] == []


def test_no_progress_when_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, lines in (("1", 0), ("0", 1)):
        monkeypatch.setenv(QUIET, value)
        out = io.StringIO()
        with Progress(1, "route", stream=out) as progress:
            progress.update(1)
        assert len(out.getvalue().splitlines()) == lines


def test_completion_of_the_shell() -> None:
    environment = {"_RIVERGRAD_COMPLETE": "complete_bash", "COMP_WORDS": "rivergrad va", "COMP_CWORD": "1"}
    result = CliRunner().invoke(app, [], env=environment, prog_name="rivergrad")
    assert result.stdout.split() == ["validate"]
