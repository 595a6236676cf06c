"""`rivergrad route` outside a scheme's range: a warning beside the result, and `--cap-x` against it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner, Result

from rivergrad.cli import app


def route(
    folder: Path, k: float, *options: str, runoff: str = "1000", convention: str = "standard"
) -> Result:
    (folder / "n.csv").write_text("reach_id,downstream_id,length_m\n1,2,1000\n2,-1,1000\n")
    (folder / "p.csv").write_text(f"reach_id,k,x\n1,{k},0.45\n2,{k},0.45\n")
    rows = [
        f"2001-01-{day:02d},{runoff if day == 1 else runoff if runoff == '1' else 0},0"
        for day in range(1, 21)
    ]
    (folder / "r.csv").write_text("time,1,2\n" + "\n".join(rows) + "\n")
    arguments = ["--network", "n.csv", "--runoff", "r.csv", "--scheme", "muskingum", "--parameters", "p.csv"]
    result = CliRunner().invoke(
        app, ["route", *arguments, "--output", "q.nc", "--convention", convention, *options]
    )
    assert result.exit_code == 0, result.output
    assert result.stdout == "q.nc\n"
    return result


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("convention", ["standard", "rapid"])
@pytest.mark.parametrize("engine", ["closure", "recurrence"])
def test_a_warning_says_how_many_reaches_and_how_far_below_zero(
    tmp_path: Path, convention: str, engine: str
) -> None:
    said = route(tmp_path, 4e5, "--engine", engine, convention=convention).stderr
    warning = next(line for line in said.splitlines() if line.startswith("warning: "))
    with xr.open_dataset(tmp_path / "q.nc") as data:
        least = float(data["discharge"].min())
    if convention == "standard":
        assert least < -400
    assert f"down to {least:.4g} m3/s" in warning
    assert "at 2 of 2 reaches (1, 2)" in warning


def test_x_capped(tmp_path: Path) -> None:
    said = route(tmp_path, 4e5, "--cap-x").stderr
    assert "x is capped at 2 reaches" in said
    assert "warning" not in said
    with xr.open_dataset(tmp_path / "q.nc") as data:
        q = data["discharge"].values
    assert np.nanmin(q) >= -1e-3
    assert q[:, 1].sum() > 0


def test_nothing_is_said_where_no_discharge_is_negative(tmp_path: Path) -> None:
    assert "warning" not in route(tmp_path, 1500.0, runoff="1").stderr
    assert "warning" not in route(tmp_path, 3600.0, "--routing-step", "1h").stderr


def test_chunks_of_time_are_all_looked_at(tmp_path: Path) -> None:
    whole = route(tmp_path, 4e5).stderr
    chunked = route(tmp_path, 4e5, "--chunk-steps", "3", "--parts", "2").stderr
    pick = [[line for line in said.splitlines() if "warning" in line] for said in (whole, chunked)]
    assert pick[0] == pick[1]
    assert len(pick[0]) == 1
