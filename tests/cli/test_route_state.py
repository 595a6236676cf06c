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


def qinit(path: str, ids: np.ndarray, discharge: np.ndarray) -> None:
    """An initial state as RAPID has it: discharge by rivid, in an order of its own."""
    back = slice(None, None, -1)
    values = {"Qout": (("time", "rivid"), discharge[None, back], {"units": "m3 s-1"})}
    xr.Dataset(values, {"rivid": ("rivid", ids[back].astype(np.int32))}).to_netcdf(path)


@pytest.mark.parametrize("convention", ["rapid", "standard"])
def test_the_initial_state_of_rapid_is_a_warm_start(folder: Path, convention: str) -> None:
    """What RAPID starts from holds all that Muskingum needs, where the runoff before is that of the first step."""
    table = pd.read_csv("r1.csv")
    table.iloc[-1, 1:] = pd.read_csv("r2.csv").iloc[0, 1:].to_numpy()
    table.to_csv("r1.csv", index=False)
    more = ["--convention", convention, "--dtype", "float64", "--report", "end"]
    done(route("r1.csv", "q1.nc", "--state-out", "s.nc", *more))
    with xr.open_dataset("s.nc") as state, xr.open_dataset("q1.nc") as before:
        flow = before["discharge"].isel(time=-1).sel(reach=state["reach_id"].values).values
        qinit("Qinit.nc", state["reach_id"].values, flow)
    done(route("r2.csv", "right.nc", "--state-in", "s.nc", *more))
    result = route("r2.csv", "warm.nc", "--state-in", "Qinit.nc", *more)
    done(result)
    assert "starts from the discharge in Qinit.nc" in result.output
    np.testing.assert_allclose(discharge("warm.nc"), discharge("right.nc"), rtol=1e-5)
    done(route("r2.csv", "cold.nc", *more))
    assert np.abs(discharge("cold.nc") - discharge("right.nc")).max() > 0.1


def test_what_discharge_alone_does_not_tell_ends_in_a_line(folder: Path) -> None:
    ids = np.arange(1, N + 1)
    qinit("Qinit.nc", ids, np.ones(N))
    for more, kind in (
        ([], {"scheme": "pure_lag"}),
        (["--engine", "closure"], {}),
        ([], {"parameters": "lakes.csv"}),
    ):
        result = route("r2.csv", "q.nc", "--state-in", "Qinit.nc", *more, **kind)
        assert result.exit_code == 2, result.output
        assert "holds discharge alone" in result.output
    qinit("Qinit.nc", ids[1:], np.ones(N - 1))
    result = route("r2.csv", "q.nc", "--state-in", "Qinit.nc")
    assert result.exit_code == 2
    assert "lacks" in result.output


def test_rapids_own_discharge_from_its_own_state(data_dir: Path, tmp_path: Path) -> None:
    folder = data_dir / "formats" / "rapid1" / "sandbox"
    if not folder.is_dir():
        pytest.skip(f"samples of formats not found at {folder}")
    (runoff,), (state,), (theirs,) = (list(folder.glob(f"{one}_*.nc4")) for one in ("Qext", "Qinit", "Qout"))
    output = tmp_path / "q.nc"
    words = f"route --network {folder} --runoff {runoff} --scheme muskingum --parameters {folder} --output {output}"
    words += f" --routing-step 15min --convention rapid --dtype float64 --state-in {state}"
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 0, result.output
    with xr.open_dataset(theirs, decode_times=False) as rapid, xr.open_dataset(output) as ours:
        found = ours["discharge"].sel(reach=rapid["rivid"].values).transpose("time", "reach").values
        np.testing.assert_allclose(found, rapid["Qout"].values, rtol=2e-7)
        assert found.sum() == pytest.approx(11199.998046875, rel=1e-6)
