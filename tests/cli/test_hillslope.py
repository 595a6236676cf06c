"""`rivergrad route --hillslope`: options, columns of the parameter file, and what is wrong with them in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner, Result

from rivergrad.cli import app
from rivergrad.io import write_parameters

DAY = 86400.0


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("n.csv").write_text("reach_id,downstream_id,length_m\n1,2,1000\n2,-1,1000\n")
    rows = [f"2001-01-{day:02d},{8.0 if day == 1 else 0.0},0" for day in range(1, 31)]
    Path("r.csv").write_text("time,1,2\n" + "\n".join(rows) + "\n")


def columns(text: str) -> None:
    Path("p.csv").write_text(text)


def route(*options: str) -> Result:
    arguments = ["--network", "n.csv", "--runoff", "r.csv", "--scheme", "muskingum", "--parameters", "p.csv"]
    return CliRunner().invoke(
        app, ["route", *arguments, "--routing-step", "1d", "--output", "q.nc", "--overwrite", *options]
    )


def discharge(*options: str) -> np.ndarray:
    result = route(*options)
    assert result.exit_code == 0, result.output
    with xr.open_dataset("q.nc") as data:
        found = data["discharge"]
        return found.transpose("time", ...).values


PLAIN = "reach_id,k,x\n1,43200,0.5\n2,43200,0.5\n"


def test_a_delay_of_two_days_by_option_and_by_column() -> None:
    columns(PLAIN)
    without = discharge()
    by_option = discharge("--hillslope", "linear_storage", "--hillslope-delay", "2d")
    mean = lambda q: float((np.arange(len(q)) @ q[:, 0]) / q[:, 0].sum())  # noqa: E731
    assert mean(by_option) - mean(without) == pytest.approx(2.0, abs=1e-3)
    columns("reach_id,k,x,hillslope_delay\n1,43200,0.5,172800\n2,43200,0.5,172800\n")
    assert np.array_equal(discharge("--hillslope", "linear_storage"), by_option)
    nash = discharge("--hillslope", "nash", "--hillslope-shape", "3")
    assert mean(nash) - mean(without) == pytest.approx(2.0, abs=1e-3)
    assert not np.array_equal(nash, by_option)
    columns("reach_id,k,x,hillslope_delay,hillslope_shape\n1,43200,0.5,172800,3\n2,43200,0.5,172800,3\n")
    assert np.array_equal(discharge("--hillslope", "nash"), nash)


def test_columns_that_nobody_asks_for_are_said_and_those_of_a_run_are_used() -> None:
    columns("reach_id,k,x,hillslope_delay\n1,43200,0.5,172800\n2,43200,0.5,172800\n")
    result = route()
    assert result.exit_code == 0
    assert "p.csv: hillslope_delay is not used without --hillslope" in result.stderr
    own = {"k": np.full(2, 43200.0), "x": np.full(2, 0.5), "hillslope_delay": np.full(2, 2 * DAY)}
    write_parameters("p.nc", np.array([1, 2]), own, provenance={"hillslope": "linear_storage"})
    columns(PLAIN)
    expected = discharge("--hillslope", "linear_storage", "--hillslope-delay", "2d")
    result = route("--parameters", "p.nc")
    assert "runoff passes the hillslope linear_storage of its run" in result.stderr
    assert np.array_equal(discharge("--parameters", "p.nc"), expected)
    assert not np.array_equal(discharge("--parameters", "p.nc", "--hillslope", "none"), expected)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--hillslope", "bucket"), "hillslope 'bucket' is not known; expected one of none, linear_storage"),
        (("--hillslope", "nash"), "hillslope nash: found no delay; expected --hillslope-delay, or a column"),
        (("--hillslope-delay", "2d"), "found --hillslope-delay without --hillslope"),
        (("--hillslope", "nash", "--hillslope-delay", "soon"), "--hillslope-delay"),
        (
            ("--hillslope", "nash", "--hillslope-delay", "20000d"),
            "hillslope_delay: expected 0 to 3.1536e+08 s",
        ),
        (
            ("--hillslope", "nash", "--hillslope-delay", "2d", "--hillslope-shape", "0.5"),
            "a whole number of storages",
        ),
        (
            ("--hillslope", "gamma", "--hillslope-delay", "2d", "--hillslope-shape", "0.5"),
            "expected 1 to 100",
        ),
        (
            ("--hillslope", "linear_storage", "--hillslope-delay", "2d", "--hillslope-shape", "2"),
            "found --hillslope-shape with hillslope linear_storage",
        ),
    ],
)
def test_what_is_wrong_is_one_line(options: tuple[str, ...], said: str) -> None:
    columns(PLAIN)
    result = route(*options)
    assert result.exit_code == 2, result.output
    assert said in " ".join(result.stderr.split())
    assert not Path("q.nc").exists()


def test_a_negative_delay_in_a_file_names_the_reach() -> None:
    columns("reach_id,k,x,hillslope_delay\n1,43200,0.5,172800\n2,43200,0.5,-3\n")
    result = route("--hillslope", "linear_storage")
    assert result.exit_code == 2
    assert "p.csv: parameter hillslope_delay: expected 0 to" in result.stderr
    assert "found -3 (reach ids 2)" in " ".join(result.stderr.split())


@pytest.mark.parametrize("name", ["nash", "gamma"])
def test_a_job_goes_on_from_the_state_of_another(name: str) -> None:
    columns("reach_id,k,x,hillslope_delay,hillslope_shape\n1,43200,0.5,172800,3\n2,43200,0.5,86400,1\n")
    whole = discharge("--hillslope", name)
    rows = Path("r.csv").read_text().splitlines()
    Path("a.csv").write_text("\n".join(rows[:9]) + "\n")
    Path("b.csv").write_text("\n".join([rows[0], *rows[9:]]) + "\n")
    first = discharge("--hillslope", name, "--runoff", "a.csv", "--state-out", "s.nc")
    second = discharge("--hillslope", name, "--runoff", "b.csv", "--state-in", "s.nc", "--parts", "2")
    np.testing.assert_allclose(np.concatenate([first, second]), whole, rtol=1e-6, atol=1e-12)
    result = route("--runoff", "b.csv", "--state-in", "s.nc", "--hillslope", "none")
    assert result.exit_code == 2
    assert f"the state's scheme is muskingum behind hillslope {name}" in " ".join(result.stderr.split())
