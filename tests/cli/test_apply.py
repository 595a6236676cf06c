"""`rivergrad apply`, and `rivergrad route` with a map of celerity and diffusivity: one map for every scheme."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from typer.testing import CliRunner, Result

from rivergrad.cli import app
from rivergrad.config.load import dump_resolved, load_workflow
from rivergrad.io import write_forcings
from rivergrad.io.weights import write_weights
from rivergrad.model.bounds import Bounded
from rivergrad.run.learnedrunoff import SEASON
from rivergrad.runoff import FORCINGS, RunoffSpec

CELERITY, X = Bounded(0.1, 4.0, logarithmic=True), Bounded(0.0, 0.5, logarithmic=False)
LEVEL, PER_SLOPE = CELERITY.free(0.8), 0.7
NETWORK = (
    "reach_id,downstream_id,length_m,slope,lat,lon\n4,2,9000,0.001,1,5\n2,-1,12000,0.008,2,6\n9,2,7000,,3,7\n"
)
DAYS = pd.date_range("2000-01-01", periods=84).strftime("%Y-%m-%d")
RUNOFF = "time,2,4,9\n" + "".join(f"{day},{'9,1,2' if day == DAYS[0] else '0,0,0'}\n" for day in DAYS)


def call(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def refused(*args: str | Path) -> str:
    result = call(*args)
    assert result.exit_code == 2, (result.output, result.exception)
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) <= 2
    return result.stderr


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a run leaves of its model: celerity 0.8 m/s at a slope of 0.004, rising with the slope; x is 0.3."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    write_config(tmp_path / "run", {"model": "hybrid", "trend": ["slope"]})
    slope = {"name": "slope", "floor": 1e-5, "mean": float(np.log(0.004)), "deviation": float(np.log(2))}
    shared = [LEVEL, PER_SLOPE, X.free(0.3)]
    write_model(
        tmp_path / "run",
        {"kind": "hybrid", "features": [slope], "hidden": 0, "regions": 0, "shared": shared},
    )
    (tmp_path / "n.csv").write_text(NETWORK)
    return tmp_path / "run"


def write_config(folder: Path, parameters: dict[str, Any]) -> None:
    data = {
        "name": "river",
        "network": {"path": "n.csv"},
        "runoff": {"path": "r.nc"},
        "observations": {"path": "o.nc"},
        "time": {"routing_step": "1h", "train": ["2000-01-01", "2001-12-31"]},
        "parameters": {"celerity": {"initial": 0.6, "bounds": [0.1, 4.0]}, **parameters},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(data))
    path.write_text(dump_resolved(load_workflow(path)))


def write_model(folder: Path, model: dict[str, Any] | None) -> None:
    summary = {} if model is None else {"model": model}
    (folder / "run.json").write_text(json.dumps({"name": "river", "status": "done", "summary": summary}))


def model_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())["summary"]["model"]
    return found


def test_apply_gives_another_network_the_trend(run: Path, tmp_path: Path) -> None:
    result = call("apply", run, "--network", "n.csv", "--output", "p.csv")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "p.csv\n"
    assert result.stderr == (
        "model hybrid of river: celerity by slope; deviations of single reaches stay behind\n"
    )
    found = pd.read_csv("p.csv", index_col="reach_id")
    # slopes of 0.001 and 0.008 are two halvings and one doubling from 0.004; a missing slope is as the mean
    expected = {4: CELERITY.value_of(LEVEL - 2 * PER_SLOPE), 2: CELERITY.value_of(LEVEL + PER_SLOPE), 9: 0.8}
    length = {4: 9000.0, 2: 12000.0, 9: 7000.0}
    for reach, celerity in expected.items():
        row = found.loc[reach]
        assert row["celerity"] == pytest.approx(celerity, rel=1e-12)
        assert row["k"] == pytest.approx(length[reach] / celerity, rel=1e-12)
        assert row["x"] == pytest.approx(0.3, rel=1e-12)
        assert row["diffusivity"] == pytest.approx(celerity * length[reach] * 0.2, rel=1e-12)
    assert found["lat"].tolist() == [1, 2, 3]


def test_apply_of_a_uniform_model_needs_no_attributes(run: Path, tmp_path: Path) -> None:
    write_config(run, {"model": "uniform"})
    write_model(run, model_of(run) | {"kind": "uniform", "features": [], "shared": [LEVEL, X.free(0.3)]})
    (tmp_path / "n.csv").write_text("reach_id,downstream_id,length_m\n1,-1,4000\n7,1,2000\n")
    result = call("apply", run, "--network", "n.csv", "--output", "p.nc")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == "model uniform of river: the same celerity for all reaches\n"
    with xr.open_dataset("p.nc", decode_timedelta=False) as data:
        np.testing.assert_allclose(data["k"], [5000.0, 2500.0], rtol=1e-12)
        assert data["k"].attrs["units"] == "s"
        assert (data.attrs["workflow"], data.attrs["model"]) == ("river", "uniform")


def test_apply_says_where_it_may_not_hold(run: Path, tmp_path: Path) -> None:
    """The slopes it was fitted on have a standard deviation of a factor of 2 about 0.004."""
    Path("n.csv").write_text(
        "reach_id,downstream_id,length_m,slope\n1,-1,9e3,0.031\n2,1,9e3,0.033\n3,1,9e3,0.00051\n4,1,9e3,0.00049\n5,1,9e3,\n"
    )
    result = call("apply", run, "--network", "n.csv", "--output", "p.csv")
    assert result.exit_code == 0, result.stderr
    assert "\n2 of 5 reaches have attributes more than 3 standard deviations from those" in result.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"kind": "free"},
            "found a model of kind free, which knows only its own reaches; expected uniform, attrib",
        ),
        ({"kind": "regional"}, "found a model of kind regional"),
        (None, "found no parameter model in run.json; expected a run that is done"),
    ],
)
def test_apply_refuses_models_that_do_not_travel(
    run: Path, change: dict[str, Any] | None, message: str
) -> None:
    write_model(run, None if change is None else model_of(run) | change)
    assert message in refused("apply", run, "--network", "n.csv", "--output", "p.csv")
    assert not Path("p.csv").exists()


@pytest.mark.parametrize(
    ("options", "network", "message"),
    [
        (
            {"--output": "p.txt"},
            NETWORK,
            "p.txt: its format is not known by its name; expected .nc, .zarr, .csv",
        ),
        ({"--output": "n.csv"}, NETWORK, "--output n.csv: is what is read"),
        ({"--output": "run/parameters.zarr"}, NETWORK, "--output run/parameters.zarr: is what is read"),
        ({"--network": "nix.csv"}, NETWORK, "nix.csv: no such network file"),
        (
            {},
            "reach_id,downstream_id,length_m\n1,-1,1e4\n",
            "n.csv: parameters.trend: the network has no attribute s",
        ),
    ],
)
def test_apply_refuses(run: Path, options: dict[str, str], network: str, message: str) -> None:
    Path("n.csv").write_text(network)
    options = {"--network": "n.csv", "--output": "p.csv", **options}
    assert message in refused("apply", run, *[text for option in options.items() for text in option])
    assert Path("n.csv").read_text() == network
    assert not Path("p.csv").exists()


def write_rapid(folder: Path) -> Path:
    """The network as RAPID has it, without lengths."""
    folder.mkdir()
    (folder / "rapid_connect.csv").write_text("4,2,0,0,0\n9,2,0,0,0\n2,0,2,4,9\n")
    return folder


def test_apply_refuses_a_network_without_lengths(run: Path, tmp_path: Path) -> None:
    write_rapid(tmp_path / "rapid")
    message = refused("apply", run, "--network", "rapid", "--output", "p.csv")
    assert (
        "rapid: the network has no lengths; expected length_m, to turn celerity into travel times" in message
    )
    assert not Path("p.csv").exists()


def test_apply_refuses_what_is_no_run(tmp_path: Path, run: Path) -> None:
    assert "nix: no such run directory" in refused("apply", "nix", "--network", "n.csv", "--output", "p.csv")
    (run / "run.json").write_text("[half")
    assert "run.json: not JSON" in refused("apply", "run", "--network", "n.csv", "--output", "p.csv")


# --- apply with runoff ----------------------------------------------------------------------------------


def test_apply_routes_given_runoff(run: Path) -> None:
    Path("r.csv").write_text(RUNOFF)
    files = ("--network", "n.csv", "--runoff", "r.csv")
    result = call("apply", run, *files, "--output", "p.csv", "--write-discharge", "q.nc")
    assert (result.exit_code, result.stdout) == (0, "q.nc\np.csv\n"), result.stderr
    command = ("route", *files, "--parameters", "p.csv", "--scheme", "muskingum", "--output", "again.nc")
    assert call(*command).exit_code == 0
    with xr.open_dataset("q.nc") as one, xr.open_dataset("again.nc") as two:
        np.testing.assert_allclose(one["discharge"], two["discharge"], rtol=1e-5, atol=1e-7)
        assert float(one["discharge"].sel(reach=2).sum()) == pytest.approx(12.0, rel=1e-5)


def learns(folder: Path, model: str) -> None:
    """Make it a run that has learned runoff, by weights as they are drawn; forcings and runoff for the network."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["runoff"] = {"kind": "learned", "model": model, "options": {"hidden": 2}, "attributes": ["clay"]}
    config["runoff"] |= {"path": "r.csv"} if model == "correction" else {"forcings": "f.nc"}
    config["runoff"]["season"] = model == "correction"
    forcings = SEASON if model == "correction" else FORCINGS
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    spec = RunoffSpec(model, forcings=forcings, attributes=("clay",), options={"hidden": 2})
    numbers = {
        "forcing_mean": len(forcings),
        "forcing_sd": len(forcings),
        "attribute_mean": 1,
        "attribute_sd": 1,
    }
    told = {"model": model, "forcings": forcings, "attributes": ["clay"], "step_s": 86400.0}
    told |= {"options": {"hidden": 2}, "scaling": {name: [1.0] * count for name, count in numbers.items()}}
    state = {name: value.numpy() for name, value in spec.build().state_dict().items()}
    write_weights(folder / "runoff_model.safetensors", state, told)
    Path("r.csv").write_text(RUNOFF)
    Path("n.csv").write_text(CLAY)
    write_weather("f.nc")


CLAY = "reach_id,downstream_id,length_m,slope,area_m2,clay\n4,2,9000,0.004,1e7,1\n2,-1,12000,0.004,2e7,6\n"
NAMES = {"pr": "mm/day", "temperature": "degC", "potential_evapotranspiration": "mm/day"}


def write_weather(path: str, hours: int = 24, **units: str) -> None:
    values = np.random.default_rng(5).uniform(1.0, 3.0, (84, 2))
    time = np.datetime64("2000-01-01", "ns") + np.arange(84) * np.timedelta64(hours, "h")
    write_forcings(path, np.array([2, 4]), time, {n: (values, u) for n, u in {**NAMES, **units}.items()})


LEARNED = ("--network", "n.csv", "--output", "p.csv", "--write-runoff", "w.nc")
PR = ("--forcing", "precipitation=pr")


def test_apply_corrects_given_runoff(run: Path) -> None:
    """By a factor of 1, as it has learned nothing."""
    learns(run, "correction")
    result = call("apply", run, *LEARNED, "--runoff", "r.csv")
    assert result.exit_code == 0, result.stderr
    assert (
        "\n1 of 2 reaches have attributes more than 3 standard deviations from those of the" in result.stderr
    )
    with xr.open_dataset("w.nc") as data:
        given = pd.read_csv("r.csv", index_col="time")[["4", "2"]]
        np.testing.assert_allclose(data["runoff"].sel(reach=[4, 2]), given, rtol=1e-6)
    assert "runoff model correction stays behind: --write-runoff" in call("apply", run, *LEARNED[:4]).stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--forcings: found none; expected a NetCDF or Zarr file of precipitation, temperature, potential_"),
        (("--forcings", "nix.nc"), "nix.nc: no such file"),
        (("--forcings", "f.nc"), "f.nc: variable 'precipitation' is missing; found .*--forcing precipitation=... tel"),
        (("--forcings", "f.nc", "--forcing", "rain=pr"), "--forcing: found rain; expected one of precipitation, tem"),
        (("--forcings", "f.nc", "--forcing", "pr"), "--forcing pr: expected NAME=IN_FILE, such as precipitation=pr"),
        (PR, "found --forcing without --forcings"),
        (("--forcings", "f.nc", *PR, "--runoff", "r.csv"), "--runoff: found r.csv; expected none, for the runoff mod"),
        (("--forcings", "odd.nc", *PR), "odd.nc: .*temperature.*buckets"),
        (("--forcings", "hours.nc", *PR), "hours.nc: found steps of 1h; expected 1d, those that the runoff model ls"),
        (("--forcings", "f.nc", *PR, "--network", "no_clay.csv"), "no_clay.csv: runoff.attributes: .* attribute clay"),
        (("--forcings", "f.nc", *PR, "--network", "no_area.csv"), "no_area.csv: .*no attribute area_m2"),
        (("--forcings", "f.nc", *PR, "--network", "more.csv"), "f.nc: the forcings lacks the reaches 9"),
        (("--write-runoff", "w.csv"), "--write-runoff w.csv: expected a name that ends in .nc or .zarr"),
        (("--forcings", "w.nc"), "--write-runoff w.nc: is what is read"),
    ],
)  # fmt: skip
def test_apply_refuses_what_a_runoff_model_does_not_take(
    run: Path, options: tuple[str, ...], message: str
) -> None:
    learns(run, "lstm")
    write_weather("odd.nc", temperature="buckets")
    write_weather("hours.nc", hours=1)
    table = pd.read_csv("n.csv")
    table.drop(columns="clay").to_csv("no_clay.csv", index=False)
    table.drop(columns="area_m2").to_csv("no_area.csv", index=False)
    table.assign(reach_id=[9, 2]).to_csv("more.csv", index=False)
    assert re.search(message, refused("apply", run, *LEARNED, *options))
    assert not list(Path().glob("[pw].*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--runoff", "r.csv"), "found --runoff with nothing to make of it; expected --write-runoff or --write-disch"),
        (("--write-discharge", "q.nc"), "--write-discharge: run has learned no runoff; expected --runoff with it"),
        (("--forcings", "f.nc", "--write-discharge", "q.nc"), "--forcings: run has learned no runoff; expected --runo"),
    ],
)  # fmt: skip
def test_apply_has_no_runoff_model_in_a_run_that_took_it_as_given(
    run: Path, options: tuple[str, ...], message: str
) -> None:
    assert message in refused("apply", "run", *LEARNED[:4], *options)


# --- route with what apply wrote ------------------------------------------------------------------------


def routed(scheme: str, *options: str) -> tuple[np.ndarray[Any, Any], str]:
    """Discharge at the outlet (reach 2) and what was said."""
    common = ("--network", "n.csv", "--runoff", "r.csv", "--output", "q.nc", "--routing-step", "15min")
    result = call("route", *common, "--dtype", "float64", "--scheme", scheme, *options)
    assert result.exit_code == 0, result.stderr
    with xr.open_dataset("q.nc") as data:
        return data["discharge"].sel(reach=2).values.astype(np.float64), result.stderr


def test_one_map_serves_every_scheme(run: Path) -> None:
    Path("r.csv").write_text(RUNOFF)
    assert call("apply", run, "--network", "n.csv", "--output", "p.csv").exit_code == 0
    own, said = routed("muskingum", "--parameters", "p.csv")
    assert "from celerity" not in said
    table = pd.read_csv("p.csv").drop(columns=["k", "x"])
    table.to_csv("map.csv", index=False)
    again, said = routed("muskingum", "--parameters", "map.csv")
    assert "map.csv: k and x of muskingum from celerity and diffusivity and the lengths of reaches\n" in said
    np.testing.assert_allclose(again, own, rtol=1e-6)  # the file is float32
    days = np.arange(own.size)
    delay = (days * own).sum() / own.sum()
    for scheme, names in {
        "hayami": "celerity and diffusivity and length of hayami from celerity and diffusivity",
        "pure_lag": "delay of pure_lag from celerity and the lengths",
        "linear_storage": "tau of linear_storage from celerity and the lengths",
        "nash_cascade": "tau of nash_cascade from celerity and the lengths",
    }.items():
        other, said = routed(scheme, "--parameters", "p.csv")
        assert f"p.csv: {names}" in said
        # the same water, after the same time on average (a routing step or two more or less), spread by the scheme
        assert other.sum() == pytest.approx(12.0, rel=1e-5), scheme
        assert (days * other).sum() / other.sum() == pytest.approx(delay, abs=2 / 96), scheme


def test_a_lag_needs_no_diffusivity(run: Path) -> None:
    Path("r.csv").write_text(RUNOFF)
    Path("map.csv").write_text("reach_id,celerity\n2,1\n4,1\n9,1\n")
    assert "delay of pure_lag from celerity" in routed("pure_lag", "--parameters", "map.csv")[1]


ROUTE = ("route", "--runoff", "r.csv", "--output", "q.nc", "--scheme", "muskingum", "--parameters", "map.csv")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("reach_id,celerity\n2,1\n4,1\n9,1\n", "map.csv: column 'k' is missing"),
        ("reach_id,k,celerity\n2,1,1\n4,1,1\n9,1,1\n", "map.csv: column 'x' is missing"),
        ("reach_id,celerity,diffusivity\n2,1,9\n4,1,9\n", "map.csv: the parameters lacks the reaches 9"),
        (
            "reach_id,celerity,diffusivity\n2,1,9\n4,0,9\n9,1,9\n",
            "map.csv: celerity is 0 for the reaches 4; expected above 0",
        ),
        (
            "reach_id,celerity,diffusivity\n2,1,9\n4,1,-1\n9,1,9\n",
            "map.csv: diffusivity is -1 for the reaches 4; expected 0 or more",
        ),
    ],
)
def test_route_refuses_maps(run: Path, table: str, message: str) -> None:
    Path("r.csv").write_text(RUNOFF)
    Path("map.csv").write_text(table)
    assert message in refused(*ROUTE, "--network", "n.csv")
    assert not Path("q.nc").exists()


def test_route_refuses_a_map_for_a_network_without_lengths(run: Path, tmp_path: Path) -> None:
    Path("r.csv").write_text(RUNOFF)
    Path("map.csv").write_text("reach_id,celerity,diffusivity\n2,1,9\n4,1,9\n9,1,9\n")
    message = refused(*ROUTE, "--network", write_rapid(tmp_path / "rapid"))
    assert "map.csv: found no k, x for scheme muskingum, and no reach lengths in the network" in message
    assert not Path("q.nc").exists()
