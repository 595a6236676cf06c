"""`rivergrad validate` looks into the files: what they hold, and all mistakes at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

from rivergrad.cli import app
from rivergrad.cli.guard import MAX_LINE
from rivergrad.io import write_observations, write_runoff

DAYS = np.datetime64("2001-01-01", "ns") + np.arange(60) * np.timedelta64(1, "D")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "n.csv").write_text(
        "reach_id,downstream_id,length_m,slope,flat\n1,3,5000,0.01,2\n2,3,5000,0.02,2\n3,-1,5000,0.03,2\n"
    )
    write_runoff(tmp_path / "r.nc", [1, 2, 3], DAYS, np.ones((60, 3)))
    write_observations(tmp_path / "o.nc", ["A", "B"], [1, 3], DAYS[10:], np.ones((50, 2)))
    return tmp_path


def workflow(folder: Path, **sections: Any) -> Path:
    data: dict[str, Any] = {
        "name": "small",
        "network": {"path": str(folder / "n.csv")},
        "runoff": {"path": str(folder / "r.nc")},
        "observations": {"path": str(folder / "o.nc")},
        "scheme": {"name": "muskingum"},
        "time": {"routing_step": "6h", "train": ["2001-01-11", "2001-02-20"], "warmup": "10d"},
        "estimate": {"window": "20d"},
    }
    for name, keys in sections.items():
        data[name] = {**data.get(name, {}), **keys}
    path = folder / "w.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def validate(path: Path, *more: str) -> Result:
    return CliRunner().invoke(app, ["validate", str(path), *more])


def mistakes(path: Path, *more: str) -> list[str]:
    """The lines that a command ends with: two at most, nothing on standard output."""
    result = validate(path, *more)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) <= 2
    assert max(map(len, lines)) <= MAX_LINE
    assert lines[0].startswith("rivergrad: error: ")
    return lines


def test_it_says_what_the_files_hold(folder: Path) -> None:
    result = validate(workflow(folder))
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "network: 3 reaches, 1 outlets; attributes slope, flat",
        "runoff: 60 steps of 1 d, 2001-01-01T00:00 to 2001-03-01T00:00",
        "observations: 2 gauges, 2 of 2 gauges have a reach (2 by id); 100 values; "
        "50 steps of 1 d, 2001-01-11T00:00 to 2001-03-01T00:00",
        "common period: 2001-01-11 to 2001-03-01",
        "periods: training of 41 steps after the warm-up",
        f"{folder / 'w.yaml'}: valid (small: muskingum, 3 input files, run directory runs/small)",
    ]


def test_all_mistakes_of_the_files_at_once(folder: Path) -> None:
    path = workflow(
        folder,
        parameters={"trend": ["slope", "width", "flat"]},
        time={"routing_step": "7h", "train": ["1990-01-01", "1990-12-31"]},
    )
    first, others = mistakes(path)
    assert "parameters.trend: the network has no attribute width; it has slope, flat" in first
    assert others.startswith("also ")
    for text in ("flat has no two different", "routing step 25200", "1990-01-01"):
        assert text in others


def test_all_files_that_are_not_there_at_once(folder: Path) -> None:
    path = workflow(folder, runoff={"path": "gone.nc"}, observations={"path": "away.nc"})
    (line,) = mistakes(path)
    assert "runoff.path: gone.nc is not there (nor is away.nc of observations.path); expected it" in line


def test_all_mistakes_of_the_keys_at_once(folder: Path) -> None:
    first, others = mistakes(
        workflow(folder), "--set", "time.trian=3", "--set", "seed=x", "--set", "estimate.steps=-1"
    )
    assert "--set time.trian=3: unknown key; did you mean time.train?" in first
    assert "--set seed=x: found 'x'" in others
    assert "--set estimate.steps=-1: found -1" in others


def test_a_flood_of_mistakes_is_two_lines(folder: Path) -> None:
    assert mistakes(workflow(folder, estimate={f"k{i}": 1 for i in range(500)}))[1].endswith("and 494 more")


def test_what_needs_a_wrong_file_is_not_looked_at(folder: Path) -> None:
    path = workflow(folder)
    (folder / "n.csv").write_text("reach_id,downstream_id\n1,1\n")
    (line,) = mistakes(path)
    assert "n.csv" in line


def test_observations_of_other_years(folder: Path) -> None:
    write_observations(folder / "o.nc", ["A"], [3], DAYS + np.timedelta64(4000, "D"), np.ones((60, 1)))
    (line,) = mistakes(workflow(folder))
    assert "expected a common period" in line


def test_keys_alone(folder: Path) -> None:
    path = workflow(folder)
    (folder / "o.nc").write_bytes(b"")
    assert "o.nc" in mistakes(path)[0]
    result = validate(path, "--no-data")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 1
