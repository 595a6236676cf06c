"""A delay of runoff on hillslopes in a workflow: estimated with celerity, told apart from it, resumed, routed again."""

from __future__ import annotations

import json
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from small_river import River, call, the_line

from rivergrad.config.load import load_workflow
from rivergrad.errors import InputError
from rivergrad.io import open_runoff, read_network
from rivergrad.pieces.simulate import Routing, simulate
from rivergrad.report.fields import fields_of
from rivergrad.report.panels import Page
from rivergrad.routing import schemes
from rivergrad.routing.hillslope import DELAY, get
from rivergrad.run.workflow import run_workflow
from rivergrad.rundir.reading import read_parameter_map, read_run

DAY = 86400.0
TRUE_DELAY, TRUE_CELERITY = 2 * DAY, 1.2
STAGE = {"name": "muskingum", "hillslope": {"name": "linear_storage", "delay": "4d"}}
ESTIMATE = {"method": "gauss_newton", "steps": 8, "uniform_grid": 6}


@pytest.fixture(scope="module")
def river(tmp_path_factory: pytest.TempPathFactory) -> River:
    """Observed at three reaches is what runoff gives after two days on hillslopes, at 1.2 m/s."""
    made = River(tmp_path_factory.mktemp("river")).write()
    network = read_network(made.folder / "n.csv")
    runoff = open_runoff(made.folder / "r.nc", network)
    scheme = schemes.get("muskingum")
    n = network.n_reaches
    celerity, x, length = (
        torch.from_numpy(np.array(one, np.float64))
        for one in (np.full(n, TRUE_CELERITY), np.full(n, 0.2), network.length)
    )
    values = {name: one.numpy() for name, one in scheme.from_celerity(celerity, x, length).items()}
    found: list[np.ndarray] = []
    with xr.open_dataset(made.folder / "o.nc") as data:
        at = network.positions(data["reach_id"].values)
        simulate(
            network=network,
            runoff=runoff,
            parameters={**values, DELAY: np.full(n, TRUE_DELAY)},
            how=Routing(scheme, 21600.0, dtype="float64", hillslope=get("linear_storage")),
            sink=lambda start, discharge: found.append(discharge.copy()),
            targets=at,
        )
        data = data.load()
    data["discharge"][:] = np.concatenate(found)
    data.to_netcdf(made.folder / "o.nc")
    return made


def carried_out(river: River, output: str, **changes: Any) -> Path:
    sections: dict[str, Any] = {
        "output": output,
        "scheme": STAGE,
        "parameters": {"model": "uniform", "hillslope": {}},
        "estimate": ESTIMATE,
        "uncertainty": {"enabled": True},
    }
    path = river.workflow(**{**sections, **changes})
    with chdir(river.folder):
        return river.folder / run_workflow(load_workflow(path), report=False)


@pytest.fixture(scope="module")
def done(river: River) -> Path:
    return carried_out(river, "done")


def summary(run_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run_dir / "run.json").read_text())["summary"]
    return found


def maps(river: River, run_dir: Path) -> dict[str, np.ndarray]:
    return read_parameter_map(run_dir / "parameters.zarr", read_network(river.folder / "n.csv"))


def test_the_delay_is_found_with_the_celerity(river: River, done: Path) -> None:
    found, told = maps(river, done), summary(done)
    assert found["hillslope_delay"][0] == pytest.approx(TRUE_DELAY, rel=0.01)
    assert found["celerity"][0] == pytest.approx(TRUE_CELERITY, rel=0.05)
    assert (found["hillslope_delay_lower"] <= found["hillslope_delay"]).all()
    assert (found["hillslope_delay_upper"] >= found["hillslope_delay"]).all()
    assert told["uncertainty"]["hillslope_delay_s"] == pytest.approx(TRUE_DELAY, rel=0.01)
    assert told["uncertainty"]["hillslope_identifiability"] > 0.9
    assert -1 <= told["uncertainty"]["hillslope_correlation"] <= 1
    assert told["medians"]["train"]["nse_estimate"] > 0.9999


def test_the_best_uniform_baseline_has_a_delay_of_its_own_and_is_scored_with_it(done: Path) -> None:
    told = summary(done)
    assert told["uniform"]["delay"] == pytest.approx(TRUE_DELAY, rel=0.1)
    assert told["uniform_celerity"] == told["uniform"]["celerity"] == pytest.approx(TRUE_CELERITY, rel=0.25)
    assert told["medians"]["train"]["nse_uniform"] > 0.99 > 0.95 > told["medians"]["train"]["nse_default"]


def test_the_map_of_the_report_has_the_delay_with_its_interval(done: Path) -> None:
    field = next(one for one in fields_of(Page(read_run(done)), ()) if one.name == "hillslope_delay")
    assert field.unit == "days"
    assert field.value[0] == pytest.approx(2.0, rel=0.01)
    assert field.lower is not None
    assert field.upper is not None
    assert field.lower[0] < field.value[0] < field.upper[0]
    assert "90 % interval" in field.note


def test_a_run_is_routed_again_with_its_hillslope(river: River, done: Path, tmp_path: Path) -> None:
    f = river.folder
    output = tmp_path / "q.nc"
    files = ("--network", f / "n.csv", "--runoff", f / "r.nc", "--parameters", done, "--output", output)
    code, said = call("route", *files, "--scheme", "muskingum", "--routing-step", "6h", "--dtype", "float64")
    assert code == 0, said
    assert "runoff passes the hillslope linear_storage of its run" in said
    with xr.open_dataset(done / "hydrographs.nc") as data:
        expected, ids = data["estimate"].transpose("gauge", "time").values, data["reach_id"].values
    with xr.open_dataset(output) as data:
        found = data["discharge"].sel(reach=ids).transpose("reach", "time").values
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    code, said = call("export", done, "--as", "csv", "--output", tmp_path / "p.csv")
    assert code == 0, said
    assert "hillslope_delay" in (tmp_path / "p.csv").read_text().splitlines()[0]


def test_any_cut_gives_the_same_estimate(river: River, done: Path) -> None:
    cut = carried_out(river, "cut", partition={"parts": 3, "block_reaches": 5, "spread": True})
    for name in ("hillslope_delay", "celerity", "hillslope_delay_upper"):
        np.testing.assert_allclose(maps(river, cut)[name], maps(river, done)[name], rtol=1e-6)


def test_a_run_that_was_stopped_goes_on_to_the_same(river: River) -> None:
    """By Adam, with deviations, and a delay that follows an attribute."""
    parts: dict[str, Any] = {
        # the true delay is out of bounds: else the best uniform parameters are so near that no step brings anything
        "parameters": {"hillslope": {"trend": ["slope"], "bounds": ["3d", "30d"]}, "model": "hybrid"},
        "uncertainty": {"enabled": True, "products": 3},
        "estimate": {"method": "adam", "steps": 6, "window": "40d", "uniform_grid": 3, "checkpoint_every": 2},
    }
    whole = carried_out(river, "whole", **parts)
    again = carried_out(river, "again", **parts)
    newest = sorted((again / "checkpoints").iterdir())
    assert len(newest) > 1
    newest[-1].unlink()
    info = json.loads((again / "run.json").read_text())
    (again / "run.json").write_text(json.dumps({**info, "status": "stopped"}))
    again = carried_out(river, "again", **parts)
    for name in ("hillslope_delay", "celerity"):
        found, expected = maps(river, again)[name], maps(river, whole)[name]
        assert np.array_equal(found, expected)
    assert np.unique(maps(river, whole)["hillslope_delay"]).size > 1
    assert (maps(river, whole)["hillslope_delay_lower"] < maps(river, whole)["hillslope_delay_upper"]).all()


def test_a_given_delay_stays_and_the_baselines_have_it_too(river: River) -> None:
    fixed = {"name": "muskingum", "hillslope": {"name": "nash", "delay": "2d", "shape": 1}}
    run_dir = carried_out(river, "fixed", scheme=fixed, parameters={"model": "uniform"})
    assert (maps(river, run_dir)["hillslope_delay"] == TRUE_DELAY).all()
    assert (maps(river, run_dir)["hillslope_shape"] == 1).all()
    assert summary(run_dir)["uniform_celerity"] == pytest.approx(TRUE_CELERITY, rel=0.05)
    assert "hillslope_delay_s" not in summary(run_dir)["uncertainty"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scheme": {"hillslope": {"delay": "-2d"}}}, "scheme.hillslope.delay"),
        ({"scheme": {"hillslope": {"delay": "20000d"}}}, "found a delay of 20000 days; expected 0 to 3650"),
        ({"scheme": {"hillslope": {"name": "bucket"}}}, "scheme.hillslope.name"),
        (
            {"scheme": {"hillslope": {"name": "nash", "shape": 0.5}}},
            "expected a whole number of storages, 1 to 12",
        ),
        ({"scheme": {"hillslope": {"name": "gamma", "shape": 0.5}}}, "expected a number, 1 to 100"),
        ({"scheme": {"hillslope": {"shape": 2}}}, "found shape with linear_storage"),
        (
            {"scheme": {"name": "muskingum", "hillslope": None}},
            "parameters.hillslope without scheme.hillslope",
        ),
        ({"parameters": {"hillslope": {"bounds": ["5d", "2d"]}}}, "found bounds of 5 and 2 days"),
        ({"parameters": {"hillslope": {"bounds": ["5d", "9d"]}}}, "found scheme.hillslope.delay 4d outside"),
        ({"parameters": {"hillslope": {"bounds": ["0d", "9d"]}}}, "parameters.hillslope.bounds"),
    ],
)
def test_what_is_wrong_in_a_workflow_is_one_line(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    made = River(tmp_path)
    sections: dict[str, Any] = {"scheme": dict(STAGE), "parameters": {"hillslope": {}}}
    for name, keys in changes.items():
        sections[name] = {**sections[name], **keys}
    with pytest.raises(InputError) as caught:
        load_workflow(made.workflow(**sections))
    text = str(caught.value)
    assert said in text, text
    assert len(text.splitlines()) <= 2


def test_an_attribute_that_is_not_there_is_one_line(river: River) -> None:
    path = river.workflow(
        output="lacks", scheme=STAGE, parameters={"hillslope": {"trend": ["depth"]}}, estimate=ESTIMATE
    )
    with chdir(river.folder):
        code, said = call("run", path)
    assert code == 2
    assert "the network has no attribute depth" in the_line(said)
    assert "parameters.hillslope" in said


def test_each_reach_may_have_a_deviation_of_its_own(river: River, tmp_path: Path) -> None:
    """Delays differ between headwaters, which have gauges: what all share misses them, deviations find them."""
    own = river.copied(tmp_path / "own")
    network = read_network(own.folder / "n.csv")
    n = network.n_reaches
    heads = np.flatnonzero(np.bincount(network.downstream[network.downstream >= 0], minlength=n) == 0)[:8]
    true = np.full(n, TRUE_DELAY)
    true[heads] *= np.geomspace(0.5, 2.0, heads.size)
    found: list[np.ndarray] = []
    simulate(
        network=network,
        runoff=open_runoff(own.folder / "r.nc", network),
        parameters={"k": network.length / TRUE_CELERITY, "x": np.full(n, 0.2), DELAY: true},
        how=Routing(schemes.get("muskingum"), 21600.0, dtype="float64", hillslope=get("linear_storage")),
        sink=lambda start, discharge: found.append(discharge.copy()),
        targets=heads,
    )
    with xr.open_dataset(own.folder / "r.nc") as data:
        time = data["time"].to_numpy()
    xr.Dataset(
        {"discharge": (("time", "gauge"), np.concatenate(found), {"units": "m3 s-1"})},
        coords={
            "time": time,
            "gauge": np.array([f"g{i}" for i in heads], dtype=object),
            "reach_id": ("gauge", network.reach_id[heads]),
        },
    ).to_netcdf(own.folder / "o.nc")
    run = carried_out(
        own, "each", parameters={"model": "uniform", "hillslope": {"regions": "reach", "sd": 2.0}}
    )
    with chdir(own.folder):
        code, said = call("validate", own.folder / "w.yaml")
    assert code == 0, said
    maps_ = maps(own, run)
    np.testing.assert_allclose(maps_["hillslope_delay"][heads], true[heads], rtol=0.1)
    width = np.log(maps_["hillslope_delay_upper"] / maps_["hillslope_delay_lower"])
    others = np.setdiff1d(np.arange(n), heads)
    # reaches that no gauge is downstream of follow what all share, and are less sure
    assert np.ptp(maps_["hillslope_delay"][others]) == pytest.approx(0.0, abs=1.0)
    assert width[others].min() > 5 * width[heads].max()


def test_deviations_of_each_reach_of_a_large_network_are_refused(
    river: River, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rivergrad.model.regions.MOST_EACH", 29)
    path = river.workflow(scheme=STAGE, parameters={"model": "uniform", "hillslope": {"regions": "reach"}})
    from rivergrad.run.hillslope import choose_hillslope

    with pytest.raises(InputError, match=r"regions reach: expected 29 reaches at most, .* found 30"):
        choose_hillslope(load_workflow(path), read_network(river.folder / "n.csv"))


def test_a_short_warmup_is_said(river: River, caplog: pytest.LogCaptureFixture) -> None:
    from rivergrad.run.hillslope import choose_hillslope

    network = read_network(river.folder / "n.csv")
    stage = {"name": "muskingum", "hillslope": {"delay": "9d"}}
    config = load_workflow(river.workflow(scheme=stage, parameters={"model": "uniform"}))
    choose_hillslope(config, network)
    assert "time.warmup of 10 days is short for a hillslope delay of 9 days" in caplog.text
