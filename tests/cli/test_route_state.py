"""`rivergrad route --state-out` and `--state-in`: a record in two jobs is the record in one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner, Result

from rivergrad.cli import app

DAYS, CUT, N = 12, 5, 9


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A forest of nine reaches with a lake, runoff of twelve days, whole and in two files."""
    monkeypatch.chdir(tmp_path)
    ids = np.arange(1, N + 1)
    table = {"reach_id": ids, "downstream_id": [3, 3, 5, 5, 7, 7, 9, -1, -1], "length_m": 4e4 + 3e3 * ids}
    pd.DataFrame(table).to_csv("n.csv", index=False)
    rng = np.random.default_rng(3)
    runoff = pd.DataFrame(rng.exponential(1.0, (DAYS, N)).round(3), columns=ids.astype(str))
    runoff.insert(0, "time", pd.date_range("2001-01-01", periods=DAYS).strftime("%Y-%m-%d"))
    for name, part in (("r", runoff), ("r1", runoff[:CUT]), ("r2", runoff[CUT:])):
        part.to_csv(f"{name}.csv", index=False)
    values = {
        "k": rng.uniform(2e4, 9e4, N), "x": rng.uniform(0, 0.3, N), "tau": rng.uniform(1e4, 1e5, N),
        "delay": [0.0, 8e4, 2e5, 3e3, 1e5, 5e4, 1e4, 9e4, 7e4],
        "celerity": rng.uniform(0.3, 1, N), "diffusivity": np.full(N, 800.0), "length": table["length_m"],
    }  # fmt: skip
    pd.DataFrame({"reach_id": ids, **values}).to_csv("p.csv", index=False)
    lake = np.where(ids == 5, 9e5, np.nan)
    pd.DataFrame({"reach_id": ids, **values, "residence_time": lake}).to_csv("lakes.csv", index=False)
    return tmp_path


def route(
    runoff: str, output: str, *more: str, scheme: str = "muskingum", parameters: str = "p.csv"
) -> Result:
    words = f"route --network n.csv --runoff {runoff} --output {output} --scheme {scheme} --parameters {parameters}"
    return CliRunner().invoke(app, [*words.split(), *more])


def done(result: Result) -> None:
    assert result.exit_code == 0, result.output


def discharge(*names: str) -> np.ndarray:
    found = []
    for name in names:
        with xr.open_dataset(name) as data:
            found.append(data["discharge"].transpose("time", "reach").values)
    return np.concatenate(found)


@pytest.mark.parametrize(
    ("scheme", "parameters", "more"),
    [
        ("muskingum", "p.csv", []),
        ("muskingum", "lakes.csv", []),
        ("muskingum", "p.csv", ["--convention", "rapid"]),
        ("nash_cascade", "p.csv", []),
        ("pure_lag", "lakes.csv", []),
        ("pure_lag", "p.csv", ["--dtype", "float64"]),
    ],
)
def test_two_jobs_are_one_bit_for_bit(folder: Path, scheme: str, parameters: str, more: list[str]) -> None:
    """Where both are cut at the same steps; the second job has two parts, where the first has one."""
    more = [*more, "--chunk-steps", str(CUT)]
    kind = {"scheme": scheme, "parameters": parameters}
    done(route("r.csv", "q.nc", "--state-out", "end.nc", *more, **kind))
    done(route("r1.csv", "q1.nc", "--state-out", "s.zarr", *more, **kind))
    done(
        route(
            "r2.csv", "q2.nc", "--state-in", "s.zarr", "--state-out", "s2.nc", "--parts", "2", *more, **kind
        )
    )
    np.testing.assert_array_equal(discharge("q1.nc", "q2.nc"), discharge("q.nc"))
    with xr.open_dataset("end.nc") as whole, xr.open_dataset("s2.nc") as last:
        xr.testing.assert_identical(whole, last)


def test_other_chunks_differ_by_rounding(folder: Path) -> None:
    done(route("r.csv", "q.nc"))
    done(route("r1.csv", "q1.nc", "--state-out", "s.nc"))
    done(route("r2.csv", "q2.nc", "--state-in", "s.nc"))
    np.testing.assert_allclose(discharge("q1.nc", "q2.nc"), discharge("q.nc"), rtol=2e-6)


@pytest.mark.parametrize(("scheme", "parameters"), [("hayami", "p.csv"), ("nash_cascade", "lakes.csv")])
def test_the_closure_goes_on_too(folder: Path, scheme: str, parameters: str) -> None:
    kind = {"scheme": scheme, "parameters": parameters}
    done(route("r.csv", "q.nc", "--dtype", "float64", **kind))
    done(route("r1.csv", "q1.nc", "--dtype", "float64", "--state-out", "s.nc", **kind))
    done(route("r2.csv", "q2.nc", "--dtype", "float64", "--state-in", "s.nc", **kind))
    np.testing.assert_allclose(discharge("q1.nc", "q2.nc"), discharge("q.nc"), rtol=1e-6)
    refused(route("r2.csv", "q3.nc", "--state-in", "s.nc", "--parts", "2", **kind), "closure's past in")


def refused(result: Result, *said: str) -> None:
    assert result.exit_code == 2, result.output
    for one in said:
        assert one in " ".join(result.output.split())
    lines = result.output.strip().splitlines()
    assert sum("error" in line for line in lines) == 1
    assert "error" in lines[-1]


def test_states_of_something_else_end_in_a_line(folder: Path) -> None:
    done(route("r1.csv", "q1.nc", "--state-out", "s.nc"))
    on = ("r2.csv", "q2.nc", "--state-in", "s.nc")
    refused(route("r.csv", "q2.nc", "--state-in", "s.nc"), "time is 2001-01-06", "expected 2001-01-01")
    refused(route(*on, scheme="linear_storage"), "scheme is muskingum; expected linear_storage")
    refused(route(*on, parameters="lakes.csv"), "expected muskingum with lakes")
    refused(route(*on, "--convention", "rapid"), "expected muskingum (rapid)")
    refused(route(*on, "--routing-step", "30min"), "routing step is 1 h; expected 1800 s")
    refused(route(*on, "--engine", "closure"), "engine is recurrence; expected closure")
    refused(route(*on, "--engine", "reference"), "engine is recurrence; expected reference")
    refused(route("r1.csv", "q2.nc", "--engine", "reference", "--state-out", "t.nc"), "has no state")
    refused(route("r2.csv", "q2.nc", "--state-in", "q1.nc"), "q1.nc: is no state")
    refused(route("r2.csv", "q2.nc", "--state-in", "r1.csv"), "r1.csv: expected a state")
    refused(route("r2.csv", "q2.nc", "--state-in", "none.nc"), "none.nc")
    refused(route(*on, "--state-out", "s.nc"), "--state-out s.nc: is what is read")
    refused(route("r2.csv", "q2.nc", "--state-out", "s.csv"), "ends in .nc or .zarr")
    assert not Path("q2.nc").exists()
    table = pd.read_csv("n.csv")
    table.assign(downstream_id=[3, 3, 5, 5, 7, 7, -1, -1, -1]).to_csv("n.csv", index=False)
    refused(route(*on), "reach ids 7 flow into others")
    table.iloc[:8].assign(downstream_id=[3, 3, 5, 5, 7, 7, -1, -1]).to_csv("n.csv", index=False)
    refused(route(*on), "differ in reach ids 9")


def test_reaches_are_matched_by_id_and_values_are_looked_at(folder: Path) -> None:
    done(route("r1.csv", "q1.nc", "--state-out", "s.nc"))
    done(route("r2.csv", "q2.nc", "--state-in", "s.nc"))
    pd.read_csv("n.csv").sample(frac=1, random_state=1).to_csv("n.csv", index=False)
    done(route("r2.csv", "q3.nc", "--state-in", "s.nc"))
    with xr.open_dataset("q2.nc") as a, xr.open_dataset("q3.nc") as b:
        xr.testing.assert_equal(b.sortby("reach"), a.sortby("reach"))
    with xr.open_dataset("s.nc") as data:
        data = data.load()
    data["state_section_0"][2] += 1.0
    data.to_netcdf("s2.nc")
    refused(route("r2.csv", "q4.nc", "--state-in", "s2.nc"), "not those that were written")


def test_delays_of_another_length_end_in_a_line(folder: Path) -> None:
    done(route("r1.csv", "q1.nc", "--state-out", "s.nc", scheme="pure_lag"))
    table = pd.read_csv("p.csv")
    table.loc[2, "delay"] = 3e5
    table.to_csv("p.csv", index=False)
    refused(route("r2.csv", "q2.nc", "--state-in", "s.nc", scheme="pure_lag"), "delayed steps at the reach")
