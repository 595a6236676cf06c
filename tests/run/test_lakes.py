"""A workflow on a network with lakes: their residence times are found, and celerities are those of channels alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import rivergrad as rg
from rivergrad.config.load import load_workflow
from rivergrad.errors import InputError
from rivergrad.run.workflow import run_workflow

DAY = 86400.0
N, STEPS = 24, 240
LAKES = [7, 15]


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A main stem with a tributary at every second reach, two lakes, a reach of zero length, and gauges around."""
    folder = tmp_path_factory.mktemp("lakes")
    rng = np.random.default_rng(1)
    ids = np.arange(1, N + 1)
    down = np.where(ids % 2 == 0, ids + 1, ids + 2)
    down = np.where(down > N, -1, down)
    length = rng.uniform(2e4, 4e4, N)
    length[10] = 0.0
    runoff = rng.exponential(1.0, (STEPS, N)) * (rng.random((STEPS, N)) < 0.3) * 30
    residence = np.full(N, np.nan)
    residence[[i - 1 for i in LAKES]] = [6 * DAY, 12 * DAY]
    celerity = np.exp(0.2 * rng.standard_normal(N))
    volume = residence * [3.0] * 30 * 0.3 * 6
    table = pd.DataFrame(
        {"reach_id": ids, "downstream_id": down, "length_m": length, "lake_volume_m3": volume,
         "slope": rng.uniform(1e-4, 1e-3, N)}
    )  # fmt: skip
    table.to_csv(folder / "n.csv", index=False)
    network = rg.read_network(folder / "n.csv")
    time = np.datetime64("2001-01-01", "ns") + np.arange(STEPS) * np.timedelta64(1, "D")
    rg.write_runoff(folder / "r.nc", ids, time, runoff)
    values = {
        "k": length / celerity,
        "x": np.full(N, 0.2),
        "residence_time": np.where(length == 0, 0.0, residence),
    }
    gauged = ids[[4, 6, 8, 12, 14, 16, 20, 22]]
    q = rg.simulate(
        network, rg.open_runoff(folder / "r.nc", network), values, routing_step="12h", reaches=gauged.tolist()
    )
    rg.write_observations(folder / "o.nc", [f"g{i}" for i in gauged], gauged, time, q)
    return folder


def run(folder: Path, name: str, **sections: dict[str, Any]) -> rg.Run:
    data: dict[str, Any] = {
        "name": name, "seed": 1, "output": str(folder / name),
        "network": {"path": str(folder / "n.csv")},
        "runoff": {"path": str(folder / "r.nc")},
        "observations": {"path": str(folder / "o.nc")},
        "time": {"routing_step": "12h", "warmup": "60d", "train": ["2001-01-01", "2001-08-28"]},
        "gauges": {"holdout": 0.0},
        "parameters": {"model": "hybrid", "trend": ["slope"]},
        "estimate": {"method": "gauss_newton", "steps": 6},
        "compute": {"kind": "serial"},
    }  # fmt: skip
    for key, more in sections.items():
        data[key] = {**data.get(key, {}), **more}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(data))
    return rg.open_run(run_workflow(load_workflow(path), report=False, show_scores=False))


def test_residence_times_are_found_by_gauss_newton(twin: Path) -> None:
    """In two parts too; with intervals; a lake has no celerity, and a reach of zero length neither."""
    found = run(twin, "gn").parameters
    lakes = found.loc[LAKES]
    np.testing.assert_allclose(lakes["residence_time"], [6 * DAY, 12 * DAY], rtol=0.05)
    assert (lakes["residence_time_lower"] < lakes["residence_time_upper"]).all()
    assert (lakes["identifiability"] > 0.9).all()
    assert lakes[["celerity", "k", "x", "celerity_lower"]].isna().all(axis=None)
    assert found.loc[11, "residence_time"] == 0.0
    assert np.isnan(found.loc[11, "celerity"])
    channels = found.drop(index=[*LAKES, 11])
    assert channels["celerity"].notna().all()
    assert channels[["residence_time", "residence_time_lower"]].isna().all(axis=None)
    two = run(twin, "parts", partition={"parts": 2, "block_reaches": 6, "spread": True}).parameters
    np.testing.assert_allclose(two["residence_time"], found["residence_time"], rtol=1e-3)


def test_residence_times_are_found_by_adam_with_smoothing(twin: Path) -> None:
    found = run(
        twin, "adam",
        estimate={"method": "adam", "steps": 40, "window": "90d", "learning_rate": 0.15, "evaluate_every": 20},
        parameters={"model": "hybrid", "trend": ["slope"], "shrinkage": 1e-3, "smoothing": 1.0},
        uncertainty={"enabled": False},
    ).parameters  # fmt: skip
    np.testing.assert_allclose(found.loc[LAKES, "residence_time"], [6 * DAY, 12 * DAY], rtol=0.2)


def test_lakes_none_is_channels_alone(twin: Path) -> None:
    found = run(twin, "none", scheme={"lakes": "none"}, estimate={"steps": 1}).parameters
    assert found.loc[LAKES, "celerity"].notna().all()
    assert found.loc[11, "residence_time"] == 0.0  # of zero length


def test_the_run_is_routed_again_as_it_was(twin: Path) -> None:
    """`route --parameters RUN` takes the lakes of a run."""
    from typer.testing import CliRunner

    from rivergrad.cli import app

    words = ["route", "--network", twin / "n.csv", "--runoff", twin / "r.nc", "--scheme", "muskingum", "--routing-step",
             "12h", "--parameters", twin / "gn", "--output", twin / "q.nc"]  # fmt: skip
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    assert "2 lakes are linear storages of their residence_time; 1 reaches pass water through" in done.output


def test_a_forecast_goes_on_from_a_run(twin: Path) -> None:
    """`report.state`: routing a day more from it is the end of the longer record; with snapshots or not."""
    from typer.testing import CliRunner

    from rivergrad.cli import app

    done = run(twin, "kept", report={"state": True, "discharge": True}, estimate={"steps": 1})
    network = rg.read_network(twin / "n.csv")
    last = np.datetime64("2001-01-01", "ns") + np.timedelta64(STEPS, "D")
    rng = np.random.default_rng(5)
    more = rng.exponential(1.0, (2, N))
    before = rg.open_runoff(twin / "r.nc", network).read(None, 0, STEPS)
    rg.write_runoff(twin / "more.nc", network.reach_id, last + np.arange(2) * np.timedelta64(1, "D"), more)
    values = {name: done.parameters[name].to_numpy() for name in ("k", "x", "residence_time")}
    time = np.datetime64("2001-01-01", "ns") + np.arange(STEPS + 2) * np.timedelta64(1, "D")
    rg.write_runoff(twin / "all.nc", network.reach_id, time, np.concatenate([before, more]))
    whole = rg.simulate(network, rg.open_runoff(twin / "all.nc", network), values, routing_step="12h")
    words = ["route", "--network", twin / "n.csv", "--runoff", twin / "more.nc", "--scheme", "muskingum"]
    words += ["--routing-step", "12h", "--parameters", twin / "kept", "--output", twin / "q2.nc"]
    words += ["--state-in", twin / "kept" / "state.nc"]
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert found.exit_code == 0, found.output
    import xarray as xr

    with xr.open_dataset(twin / "q2.nc") as data:
        np.testing.assert_allclose(data["discharge"].transpose("time", "reach"), whole[-2:], rtol=1e-5)


def test_a_lake_without_an_outlet_ends_in_a_line(twin: Path) -> None:
    table = pd.read_csv(twin / "n.csv")
    table.loc[N - 1, "lake_volume_m3"] = 1e6
    table.to_csv(twin / "terminal.csv", index=False)
    network = {"path": str(twin / "terminal.csv")}
    with pytest.raises(InputError, match="lakes of reach ids 24 have no outlet"):
        run(twin, "terminal", network=network)
    found = run(twin, "end", network=network, scheme={"lakes": "terminal"}, estimate={"steps": 1}).parameters
    assert found.loc[24, "residence_time"] > 0


def test_another_network_has_lakes_of_its_own(twin: Path) -> None:
    """`apply`: at their prior residence times, of which a file of parameters makes lakes again."""
    from typer.testing import CliRunner

    from rivergrad.cli import app

    law = run(
        twin, "law", parameters={"model": "attributes", "trend": ["slope"]}, estimate={"steps": 1}
    ).parameters
    assert (law.loc[LAKES, "identifiability"] == 0).all()  # it has no deviations: lakes stay at their prior
    assert (law.loc[LAKES, "residence_time_log_sd"] == 1.0).all()
    other = pd.read_csv(twin / "n.csv").assign(lake_volume_m3=np.nan, is_lake=0)
    other.loc[3, "is_lake"] = 1
    other.to_csv(twin / "other.csv", index=False)

    def call(*words: object) -> None:
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exit_code == 0, done.output

    call("apply", twin / "law", "--network", twin / "other.csv", "--output", twin / "p.csv")
    found = pd.read_csv(twin / "p.csv").set_index("reach_id")
    assert found.loc[4, "residence_time"] == pytest.approx(456 * DAY)
    assert np.isnan(found.loc[4, "celerity"])
    assert found.loc[11, "residence_time"] == 0.0
    assert found["k"].isna().sum() == 2
    call(
        "route", "--network", twin / "other.csv", "--runoff", twin / "r.nc", "--scheme", "muskingum",
        "--parameters", twin / "p.csv", "--output", twin / "q3.nc",
    )  # fmt: skip
