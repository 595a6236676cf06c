"""Learned runoff in a workflow: stages and baselines, what a run leaves, its resumption, and bad input."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
import yaml
from typer.testing import CliRunner

from rivergrad.cli import app
from rivergrad.config.load import load_workflow
from rivergrad.io import open_forcings, read_network, write_forcings
from rivergrad.run import estimation as run
from rivergrad.run import fit
from rivergrad.run.evaluate import evaluate_run
from rivergrad.run.learnedrunoff import PieceForcings, _moments
from rivergrad.run.runoffmodel import load_runoff_model
from rivergrad.run.stages import stages_of
from rivergrad.run.uncertainty import Uncertainty, estimate_uncertainty
from rivergrad.run.workflow import run_workflow
from rivergrad.runoff import FORCINGS, depth_to_discharge

WORLD: dict[str, Any] = {
    "name": "learned",
    "seed": 3,
    "world": {
        "spec": {
            "seed": 3,
            "reaches": 80,
            "reach_length": 50000.0,
            "celerity": 0.5,
            "years": 1.3,
            "gauge_fraction": 0.15,
            "weather": True,
        }
    },
    "runoff": {
        "kind": "learned",
        "model": "lstm",
        "options": {"hidden": 4},
        "attributes": ["soil_depth_mm", "clay_fraction"],
        "learning_rate": 0.02,
        "weight_decay": 0.01,
        "write": True,
    },
    "time": {
        "routing_step": "1d",
        "warmup": "60d",
        "train": ["2001-01-01", "2001-12-31"],
        "test": ["2002-01-01", "2002-04-15"],
    },
    "gauges": {"holdout": 0.25},
    "parameters": {"trend": ["slope", "upstream_area_m2"], "shrinkage": 0.01},
    "partition": {"parts": 2, "block_reaches": 12, "spread": True},
    "compute": {"kind": "serial", "dtype": "float64"},
    "estimate": {
        "window": "90d",
        "evaluate_every": 3,
        "checkpoint_every": 2,
        "uniform_grid": 4,
        "clip": 5.0,
        "stages": [
            {"name": "lumped", "train": ["runoff"], "unrouted": True, "steps": 6},
            {"name": "two_step", "train": ["routing"], "steps": 4, "learning_rate": 0.1},
            {"name": "joint", "train": ["runoff", "routing"], "steps": 6, "start": "lumped"},
            {"name": "rivers", "train": ["routing"], "method": "gauss_newton", "steps": 3},
        ],
    },
    "uncertainty": {"products": 4, "checks": 0, "rounds": 1},
    "report": {"hydrographs": 1, "discharge": True},
}


def written(folder: Path, name: str = "run", **sections: Any) -> Path:
    """A workflow file like WORLD, with keys of some sections replaced; None takes a section out."""
    data = {**WORLD, "output": str(folder / name)}
    for key, keys in sections.items():
        if keys is None:
            data.pop(key, None)
        else:
            data[key] = {**data.get(key, {}), **keys}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


SURE: dict[bool, Uncertainty] = {}
"""How sure the run is, by whether its runoff counts as learned."""


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory, _one_commit: None) -> Path:
    def both(*about: Any, learned: bool) -> Uncertainty:
        SURE.update({one: estimate_uncertainty(*about, learned=one) for one in (False, True)})
        return SURE[learned]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "estimate_uncertainty", both)
        return run_workflow(load_workflow(written(tmp_path_factory.mktemp("learned"))))


def test_stages_are_scored_as_baselines(learned: Path) -> None:
    with (learned / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"nse_lumped", "kge_lumped", "nse_two_step", "kge_two_step"} <= set(rows[0])
    # without any given runoff the unrouted baseline is that of the lumped model
    assert all(row["nse_unrouted"] == row["nse_lumped"] for row in rows)
    assert any(row["nse_two_step"] != row["nse_lumped"] for row in rows)
    summary = json.loads((learned / "run.json").read_text())["summary"]
    assert [stage["name"] for stage in summary["stages"]] == ["lumped", "two_step", "joint", "rivers"]
    for found in summary["medians"].values():
        assert found["nse_over_lumped"] == pytest.approx(found["nse_estimate"] - found["nse_lumped"])
        assert len(found["nse_over_two_step_interval"]) == 2
    page = (learned / "report.html").read_text()
    assert "two-step" in page
    assert "lumped" in page
    # all stages in one history; what a stage freezes does not move
    with (learned / "history.csv").open(newline="") as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == list(range(20))
    with xr.open_zarr(learned / "parameters.zarr", consolidated=False) as data:
        assert "identifiability" in data


def test_stages_by_default(tmp_path: Path) -> None:
    """Gauss-Newton ends what is learned from scratch; it has no other loss than its own."""
    config = load_workflow(written(tmp_path, estimate={"stages": [], "steps": 7}))
    names = ["lumped", "two_step", "joint", "rivers"]
    newton = [stage.method == "gauss_newton" for stage in stages_of(config)]
    assert [stage.name for stage in stages_of(config)] == names
    assert newton == [False, True, False, True]
    other = config.model_copy(update={"estimate": config.estimate.model_copy(update={"loss": "kge"})})
    assert [stage.name for stage in stages_of(other)] == names[:3]
    assert {stage.method for stage in stages_of(other)} == {"adam"}


def test_a_correction_may_go_by_the_given_runoff_alone() -> None:
    assert [found.shape for found in _moments(PieceForcings(None, 5, None), 40)] == [(0,), (0,)]


def test_frozen_parts_stay(learned: Path) -> None:
    stages = ("lumped", "two_step", "joint", ".")
    files = {name: max((learned / "checkpoints" / name).glob("*.npz")) for name in stages}
    with np.load(files["lumped"]) as lumped, np.load(files["two_step"]) as two_step:
        summary = json.loads((learned / "run.json").read_text())["summary"]
        at = len(summary["model"]["shared"])
        assert np.array_equal(two_step["shared"][at:], lumped["shared_best"][at:])
        assert not np.array_equal(two_step["shared"][:at], lumped["shared"][:at])
        assert not lumped["piece_free"].any()
    with np.load(files["joint"]) as joint, np.load(files["."]) as rivers:
        assert np.array_equal(rivers["shared_best"][at:], joint["shared_best"][at:])
        assert not np.array_equal(rivers["shared"][:at], joint["shared_best"][:at])
        assert not np.array_equal(rivers["piece_free"], joint["piece_best"])


def test_a_reach_is_known_as_well_as_where_the_trend_has_it(learned: Path) -> None:
    """Whatever made a reach slow makes it look better known; it does not count as that."""
    plain, careful = SURE[False].columns, SURE[True].columns
    assert (careful["identifiability"] <= plain["identifiability"]).all()
    assert (careful["celerity_log_sd"] >= plain["celerity_log_sd"]).all()
    told = plain["identifiability"] > 0.05 * plain["identifiability"].max()
    share = careful["identifiability"][told] / plain["identifiability"][told]
    assert share.min() < 0.9995  # this run has hardly learned anything: its deviations are small
    assert share.max() == 1.0
    with xr.open_zarr(learned / "parameters.zarr", consolidated=False) as data:
        celerity = data["celerity"].values
        for name, sign in (("celerity_lower", 1), ("celerity_upper", -1)):
            assert (sign * (celerity - careful[name]) > 0).all()
            assert np.array_equal(data[name].values, careful[name])


def test_intervals_lie_about_what_celerities_are_whatever_the_delay_of_runoff(learned: Path) -> None:
    late, sd = (SURE[True].summary[name] for name in ("runoff_late_s", "runoff_late_sd_s"))
    assert 0 < sd <= 0.5 * 86400
    assert abs(late) > 0
    middle = [np.log(one.columns["celerity_lower"] * one.columns["celerity_upper"]) for one in SURE.values()]
    assert np.abs(middle[1] - middle[0]).max() > 1e-4  # this run's deviations and their intervals hardly move
    assert "runoff_late_s" not in SURE[False].summary
    with xr.open_zarr(learned / "parameters.zarr", consolidated=False) as data:
        assert np.array_equal(data["celerity_lower"].values, SURE[True].columns["celerity_lower"])


def test_the_saved_model_gives_the_runoff_of_the_run(learned: Path) -> None:
    module, spec = load_runoff_model(learned)
    network = read_network(learned / "world" / "network.parquet")
    forcings = open_forcings(learned / "world" / "forcings.zarr", network, FORCINGS)
    given = torch.from_numpy(forcings.read(None, 0, forcings.time.size)).to(torch.float32)
    attributes = np.stack([network.attributes[name] for name in spec.attributes], axis=1)
    with torch.no_grad():
        depth = module(given, torch.from_numpy(attributes).to(torch.float32))
    area = torch.from_numpy(np.array(network.attributes["area_m2"]))
    found = depth_to_discharge(depth.to(torch.float64), area, spec.step).numpy()
    with xr.open_zarr(learned / "runoff.zarr", consolidated=False) as data:
        assert data["runoff"].attrs["units"] == "m3 s-1"
        np.testing.assert_allclose(data["runoff"].values, found, rtol=2e-4)
    assert not list(learned.rglob("*.p*kl"))


def test_apply_gives_another_network_runoff_and_discharge(learned: Path, tmp_path: Path) -> None:
    """A basin alone, its forcings under other names and in other units: as the whole run has it there."""
    network = pd.read_parquet(learned / "world" / "network.parquet")
    whole = read_network(learned / "world" / "network.parquet")
    basin = np.flatnonzero(whole.basin == np.bincount(whole.basin).argmax())[::-1]
    own = network.set_index("reach_id").loc[whole.reach_id[basin]].reset_index()
    own.to_parquet(tmp_path / "n.parquet")
    with xr.open_zarr(learned / "world" / "forcings.zarr", consolidated=False) as data:
        found = {name: data[name].values[:, basin] for name in FORCINGS}
        time = data["time"].values
    other = {
        "pr": (found["precipitation"] / 86400.0, "kg m-2 s-1"),
        "tas": (found["temperature"] + 273.15, "K"),
        "potential_evapotranspiration": (found["potential_evapotranspiration"], "mm/day"),
    }
    write_forcings(tmp_path / "f.nc", whole.reach_id[basin], time, other)
    at = {name: str(tmp_path / name) for name in ("n.parquet", "f.nc", "p.csv", "r.zarr", "q.nc", "again.nc")}
    words = ["apply", str(learned), "--network", at["n.parquet"], "--output", at["p.csv"]]
    words += ["--forcings", at["f.nc"], "--forcing", "precipitation=pr", "--forcing", "temperature=tas"]
    words += ["--write-runoff", at["r.zarr"], "--write-discharge", at["q.nc"]]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, (result.stderr, result.exception)
    assert result.stdout.split() == [at["r.zarr"], at["q.nc"], at["p.csv"]]
    assert "runoff model lstm: from rest, so the first 60d are its warm-up\n" in result.stderr
    with (
        xr.open_zarr(at["r.zarr"], consolidated=False) as made,
        xr.open_zarr(learned / "runoff.zarr", consolidated=False) as run,
    ):
        expected = run["runoff"].sel(reach=made["reach"].values)
        assert made["runoff"].attrs["units"] == "m3 s-1"
        np.testing.assert_allclose(made["runoff"], expected, rtol=1e-3, atol=1e-5 * float(expected.max()))
        assert np.array_equal(made["time"], run["time"])
    words = ["route", "--network", at["n.parquet"], "--runoff", at["r.zarr"], "--scheme", "muskingum"]
    words += ["--parameters", at["p.csv"], "--routing-step", "1d", "--output", at["again.nc"]]
    assert CliRunner().invoke(app, words).exit_code == 0
    with xr.open_dataset(at["q.nc"]) as one, xr.open_dataset(at["again.nc"]) as two:
        np.testing.assert_allclose(one["discharge"], two["discharge"], rtol=1e-4, atol=1e-5)
        assert one.attrs["workflow"] == "learned"


def test_evaluate_scores_the_same(learned: Path) -> None:
    before = (learned / "metrics.csv").read_bytes()
    evaluate_run(learned)
    assert (learned / "metrics.csv").read_bytes() == before


def test_a_run_that_was_stopped_ends_with_the_same_bytes(
    learned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path)
    write, count = fit.Checkpoint.write, [0]

    def stop(self: Any, *where: Any) -> Path:
        found = write(self, *where)
        count[0] += 1
        if count[0] in (2, 5, 7, 9):  # once in every stage
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(fit.Checkpoint, "write", stop)
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            run_workflow(load_workflow(path), report=False)
    again = run_workflow(load_workflow(path), report=False)
    for name in ("metrics.csv", "runoff_model.safetensors", "parameters.zarr/celerity/c/0"):
        assert (again / name).read_bytes() == (learned / name).read_bytes(), name


def test_gauges_may_decide_when_to_stop(tmp_path: Path) -> None:
    """They do not train, and all of the training time does."""
    stages = {"stages": [], "steps": 2}
    path = written(
        tmp_path,
        runoff=None,
        gauges={"validation": 0.3},
        estimate=stages,
        report={"discharge": False},
        uncertainty={"enabled": False},
    )
    folder = run_workflow(load_workflow(path), report=False, show_scores=False)
    summary = json.loads((folder / "run.json").read_text())["summary"]
    train = pd.read_csv(folder / "metrics.csv").query("split == 'train'")
    assert summary["validation_gauges"] == round(0.3 * len(train))
    with (folder / "history.csv").open(newline="") as file:
        assert [row["validation_nse"] != "" for row in csv.DictReader(file)] == [True, False, True]


class Wrong(torch.nn.Module):
    """A user's module that returns what is no runoff."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what, self.weight = what, torch.nn.Parameter(torch.ones(()))

    def forward(self, forcings: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
        found = self.weight * forcings[..., 0].abs()
        if self.what == "shape":
            return found.transpose(-1, -2)
        return torch.where(found > 1.0, found.new_tensor(float("nan")), found)


Change = Callable[[dict[str, Any], Path], None]


def _no_units(data: dict[str, Any], folder: Path) -> None:
    with xr.open_zarr(folder / "forcings.zarr", consolidated=False) as found:
        found = found.load()
    del found["temperature"].attrs["units"]
    found.to_netcdf(folder / "bad.nc")
    data["runoff"]["forcings"] = str(folder / "bad.nc")


def _odd_units(data: dict[str, Any], folder: Path) -> None:
    with xr.open_zarr(folder / "forcings.zarr", consolidated=False) as found:
        found = found.load()
    found["precipitation"].attrs["units"] = "buckets"
    found.to_netcdf(folder / "bad.nc")
    data["runoff"]["forcings"] = str(folder / "bad.nc")


def _missing_day(data: dict[str, Any], folder: Path) -> None:
    with xr.open_zarr(folder / "forcings.zarr", consolidated=False) as found:
        found.load().drop_isel(time=30).to_netcdf(folder / "bad.nc")
    data["runoff"]["forcings"] = str(folder / "bad.nc")


def _missing_value(data: dict[str, Any], folder: Path) -> None:
    with xr.open_zarr(folder / "forcings.zarr", consolidated=False) as found:
        found = found.load()
    found["precipitation"][40, 3] = np.nan
    found.to_netcdf(folder / "bad.nc")
    data["runoff"]["forcings"] = str(folder / "bad.nc")


def _attribute(data: dict[str, Any], folder: Path) -> None:
    data["runoff"]["attributes"] = ["clay_fraction", "height"]


def _attribute_missing(data: dict[str, Any], folder: Path) -> None:
    table = pd.read_parquet(folder / "network.parquet")
    table.loc[table["reach_id"] == 1004, "clay_fraction"] = np.nan
    table.to_parquet(folder / "bad.parquet")
    data["network"]["path"] = str(folder / "bad.parquet")


def _no_area(data: dict[str, Any], folder: Path) -> None:
    table = pd.read_parquet(folder / "network.parquet").drop(columns="area_m2")
    table.to_parquet(folder / "bad.parquet")
    data["network"]["path"] = str(folder / "bad.parquet")


def _model(name: str, **options: Any) -> Change:
    def change(data: dict[str, Any], folder: Path) -> None:
        data["runoff"] |= {"model": name, "options": options}

    return change


def _method(data: dict[str, Any], folder: Path) -> None:
    data["estimate"] = {"method": "gauss_newton"}


def _newton_stage(**keys: Any) -> Change:
    def change(data: dict[str, Any], folder: Path) -> None:
        stage = {"name": "rivers", "train": ["routing"], "method": "gauss_newton", "steps": 1}
        data["estimate"] = {"stages": [stage | {name: keys[name] for name in keys if name in stage}]}
        data["estimate"] |= {name: keys[name] for name in keys if name not in stage}

    return change


BAD: dict[str, tuple[Change, str]] = {
    "no units": (_no_units, "temperature.*units"),
    "unknown units": (_odd_units, "precipitation.*buckets"),
    "a missing day": (_missing_day, r"bad\.nc.*2001-01-3"),
    "a missing value": (_missing_value, r"bad\.nc.*precipitation.*NaN.*1004"),
    "no such attribute": (_attribute, "no attribute height"),
    "an attribute that a reach lacks": (_attribute_missing, "clay_fraction is missing for the reaches 1004"),
    "no areas": (_no_area, "no attribute area_m2"),
    "an unknown model": (_model("lstmm"), r"bad\.yaml: runoff\.model 'lstmm'.*did you mean lstm"),
    "no such module": (
        _model("nix.models:Own"),
        r"bad\.yaml: runoff\.model nix\.models:Own: .*can't be imported",
    ),
    "a module of the wrong shape": (
        _model("test_learned:Wrong", what="shape"),
        r"bad\.yaml: runoff\.model test_learned:Wrong.*shape",
    ),
    "a module that returns NaN": (
        _model("test_learned:Wrong", what="nan"),
        r"bad\.yaml: runoff\.model test_learned:Wrong.*NaN",
    ),
    "another optimiser": (_method, "gauss_newton with learned runoff; expected adam"),
    "a stage that is for the routing alone": (
        _newton_stage(train=["runoff", "routing"]),
        r"stage rivers with method gauss_newton and train \[runoff, routing\]; expected train \[routing\]",
    ),
    "a stage with its own loss": (_newton_stage(loss="kge"), "loss kge with method gauss_newton"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line(
    learned: Path, tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    world = learned / "world"
    for name in ("forcings.zarr", "network.parquet", "observations.nc"):
        (tmp_path / name).symlink_to(world / name)
    data = yaml.safe_load(written(tmp_path, world=None).read_text())
    data["network"] = {"path": str(tmp_path / "network.parquet")}
    data["observations"] = {"path": str(tmp_path / "observations.nc")}
    data["runoff"]["forcings"] = str(tmp_path / "forcings.zarr")
    change, message = BAD[case]
    change(data, tmp_path)
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(data))
    result = CliRunner().invoke(app, ["estimate", str(path)])
    assert result.exit_code == 2, result.exception
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("rivergrad: error: "))
    assert re.search(message, line)
    wrong = next(iter(tmp_path.glob("bad.[!y]*")), path)  # the line names the file that is to be mended
    assert line.startswith((f"rivergrad: error: {path}: ", f"rivergrad: error: {wrong}: "))
    assert not (tmp_path / "run").exists()
    if case == "no such module":  # which needs no input to be seen
        assert line in CliRunner().invoke(app, ["validate", str(path)]).stderr


def test_forcings_are_read_in_the_units_of_the_models(learned: Path, tmp_path: Path) -> None:
    network = read_network(learned / "world" / "network.parquet")
    time = np.datetime64("2000-01-01", "ns") + np.arange(4) * np.timedelta64(6, "h")
    values = np.arange(4.0 * network.n_reaches).reshape(4, -1) / 64
    units = {"a": ("m/day", 250.0), "b": ("kg m-2 s-1", 21600.0), "c": ("mm", 1.0), "d": ("W m-2", 1.0)}
    write_forcings(
        tmp_path / "f.nc",
        network.reach_id,
        time,
        {name: (values, unit) for name, (unit, _) in units.items()} | {"t": (values + 273.0, "K")},
    )
    source = open_forcings(tmp_path / "f.nc", network, (*units, "t")).select(np.array([5, 2]))
    found = source.read(None, 1, 3)
    assert found.shape == (2, 2, 5)
    for i, (_, factor) in enumerate(units.values()):
        np.testing.assert_allclose(found[..., i], factor * values[1:3][:, [5, 2]], rtol=1e-6)
    np.testing.assert_allclose(found[..., 4], values[1:3][:, [5, 2]] - 0.15, atol=1e-4)
