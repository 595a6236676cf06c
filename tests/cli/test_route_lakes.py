"""`rivergrad route` with lakes in the parameters, and with reaches of zero length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner, Result

import rivergrad as rg
from rivergrad.cli import app

DAYS = 40
DAY = 86400.0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    table = {"reach_id": [1, 2, 3, 4], "downstream_id": [3, 3, 4, -1], "length_m": [9e3, 7e3, 5e3, 8e3]}
    pd.DataFrame(table).to_csv("n.csv", index=False)
    rng = np.random.default_rng(0)
    runoff = pd.DataFrame(rng.exponential(1.0, (DAYS, 4)).round(3), columns=["1", "2", "3", "4"])
    runoff.insert(0, "time", pd.date_range("2001-01-01", periods=DAYS).strftime("%Y-%m-%d"))
    runoff.to_csv("r.csv", index=False)
    return tmp_path


def route(*more: str) -> Result:
    words = (
        "route --network n.csv --runoff r.csv --output q.nc --scheme muskingum --dtype float64 --overwrite"
    )
    return CliRunner().invoke(app, [*words.split(), *more])


def discharge() -> np.ndarray:
    with xr.open_dataset("q.nc") as data:
        return data["discharge"].transpose("time", "reach").values


def write(**columns: list[float]) -> None:
    pd.DataFrame({"reach_id": [1, 2, 3, 4], **columns}).to_csv("p.csv", index=False)


def test_lakes_of_the_file_are_linear_storages(folder: Path) -> None:
    """Empty cells at lakes and at channels; the same from Python, and in two parts."""
    nan = np.nan
    write(k=[9e3, 8e3, nan, 7e3], x=[0.2, 0.1, nan, 0.3], residence_time=[nan, nan, 8 * DAY, nan])
    done = route("--parameters", "p.csv")
    assert done.exit_code == 0, done.output
    assert "1 lakes are linear storages" in done.output
    found = discharge()
    network = rg.read_network("n.csv")
    parameters = {name: pd.read_csv("p.csv")[name].to_numpy() for name in ("k", "x", "residence_time")}
    same = rg.simulate(
        network, rg.open_runoff("r.csv", network), parameters, routing_step="1h", dtype="float64"
    )
    np.testing.assert_allclose(found, same, rtol=2e-7)  # the file has float32
    rough = np.abs(np.diff(found[5:], axis=0)).mean(axis=0)
    assert rough[2] < 0.3 * rough[:2].sum()
    for more in (["--parts", "2"], ["--engine", "closure"], ["--engine", "reference"]):
        assert route("--parameters", "p.csv", *more).exit_code == 0
        np.testing.assert_allclose(discharge(), found, rtol=2e-6)
    assert route("--parameters", "p.csv", "--lakes", "none").exit_code == 2


def test_celerity_and_diffusivity_go_with_lakes(folder: Path) -> None:
    nan = np.nan
    write(
        celerity=[1.0, 0.8, nan, 0.7], diffusivity=[500, 500, nan, 500], residence_time=[nan, nan, 5e5, nan]
    )
    assert route("--parameters", "p.csv").exit_code == 0
    assert np.isfinite(discharge()).all()


def test_a_reach_of_zero_length_passes_water_through(folder: Path) -> None:
    table = pd.read_csv("n.csv")
    table.loc[2, "length_m"] = 0.0
    table.to_csv("n.csv", index=False)
    k = [9e3, 7e3, 0.0, 8e3]
    for columns in (
        {"k": k, "x": [0.0] * 4},
        {"celerity": [1.0] * 4, "diffusivity": [1e9] * 4},  # x = 0
    ):
        write(**columns)
        done = route("--parameters", "p.csv")
        assert done.exit_code == 0, done.output
        assert "1 reaches pass water through" in done.output
        runoff = pd.read_csv("r.csv")["3"].to_numpy()
        q = discharge()
        np.testing.assert_allclose(q[:, 2], q[:, 0] + q[:, 1] + runoff, rtol=1e-6)
    assert route().exit_code == 0
    q = discharge()
    np.testing.assert_allclose(q[:, 2], q[:, 0] + q[:, 1] + runoff, rtol=1e-6)


@pytest.mark.parametrize(
    ("residence", "said"),
    [
        ([np.nan, np.nan, -5.0, np.nan], "residence_time is -5 for the reaches 3; expected 0 to 1e+12 s"),
        ([np.nan, np.inf, 5.0, np.nan], "parameter 'residence_time' has no value (inf) for the reaches 2"),
        ([np.nan, np.nan, np.nan, np.nan], "parameter 'k' has no value for the reaches 3"),
    ],
)
def test_bad_residence_times_end_in_a_line(folder: Path, residence: list[float], said: str) -> None:
    write(k=[9e3, 8e3, np.nan, 7e3], x=[0.2, 0.1, np.nan, 0.3], residence_time=residence)
    done = route("--parameters", "p.csv")
    assert done.exit_code == 2
    assert said in done.output
    assert not Path("q.nc").exists()
