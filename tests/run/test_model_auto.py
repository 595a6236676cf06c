"""`parameters.model: auto`: a ladder of models, a choice by cross-validation, written before the fit."""

from __future__ import annotations

import json
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from small_river import River, call

from rivergrad.config.load import load_workflow
from rivergrad.config.schema import Workflow
from rivergrad.errors import InputError
from rivergrad.io import open_runoff, read_network
from rivergrad.pieces.simulate import Routing, simulate
from rivergrad.report.page import choice_text
from rivergrad.routing import schemes
from rivergrad.routing.hillslope import DELAY, get
from rivergrad.run import choice
from rivergrad.run import workflow as workflows
from rivergrad.run.choice import workflow_of, written_choice
from rivergrad.run.ladder import (
    Extras,
    Rung,
    extras_of,
    resolved_by,
    simplicity,
    uniform_rungs,
    variations,
    varied_rungs,
)
from rivergrad.run.workflow import run_workflow
from rivergrad.rundir.reading import read_parameter_map

DAY = 86400.0
GAUGED = (0, 1, 2, 3, 4, 6, 8, 9)


def watched(river: River, delay: float | None, noise: float = 0.0) -> River:
    """The river's files, observed at eight reaches as one celerity gives it, with a delay on hillslopes or without."""
    network = read_network(river.folder / "n.csv")
    runoff = open_runoff(river.folder / "r.nc", network)
    scheme, n = schemes.get("muskingum"), network.n_reaches
    values = scheme.from_celerity(
        *(
            torch.from_numpy(np.array(one, np.float64))
            for one in (np.full(n, 1.2), np.full(n, 0.2), network.length)
        )
    )
    stage = {} if delay is None else {DELAY: np.full(n, delay)}
    found: list[np.ndarray] = []
    simulate(
        network=network,
        runoff=runoff,
        parameters={**{name: one.numpy() for name, one in values.items()}, **stage},
        how=Routing(scheme, 21600.0, dtype="float64", hillslope=get("linear_storage") if stage else None),
        sink=lambda start, discharge: found.append(discharge.copy()),
        targets=np.array(GAUGED),
    )
    flow = np.concatenate(found)
    flow *= np.exp(noise * np.random.default_rng(7).standard_normal(flow.shape))
    xr.Dataset(
        {"discharge": (("time", "gauge"), flow, {"units": "m3 s-1"})},
        coords={
            "time": runoff.time,
            "gauge": np.array([f"g{at}" for at in GAUGED], dtype=object),
            "reach_id": ("gauge", network.reach_id[list(GAUGED)]),
        },
    ).to_netcdf(river.folder / "o.nc")
    return river


def carried_out(river: River, output: str, **changes: Any) -> Path:
    sections: dict[str, Any] = {
        "output": output,
        "scheme": {"name": "muskingum"},
        "parameters": {"model": "auto", "shrinkage": 0.1},
        "estimate": {"steps": 6, "uniform_grid": 6, "window": "60d", "evaluate_every": 3},
        "uncertainty": {"enabled": False},
    }
    path = river.workflow(**{**sections, **changes})
    with chdir(river.folder):
        return river.folder / run_workflow(load_workflow(path), report=False)


def contents(folder: Path) -> dict[str, bytes]:
    files = [one for one in sorted(folder.rglob("*")) if one.is_file()]
    return {str(one.relative_to(folder)): one.read_bytes() for one in files}


@pytest.fixture(scope="module")
def delayed(tmp_path_factory: pytest.TempPathFactory) -> River:
    return watched(River(tmp_path_factory.mktemp("delayed")).write(), 2 * DAY, noise=0.05)


@pytest.fixture(scope="module")
def done(delayed: River) -> Path:
    return carried_out(delayed, "done")


def test_a_delay_on_hillslopes_is_chosen_where_there_is_one(delayed: River, done: Path) -> None:
    summary = json.loads((done / "run.json").read_text())["summary"]
    found = written_choice(done)
    assert found is not None
    assert summary["choice"] == found
    rung = next(one for one in found["rungs"] if one["name"] == found["chosen"])
    assert rung["stage"]
    assert found["chosen"] in (done / "log.txt").read_text()
    assert {one["name"] for one in found["rungs"]} >= {"uniform", "uniform + hillslope", "hybrid"}
    assert all(one["nse"] <= 1 and one["standard_error"] >= 0 for one in found["rungs"])
    without = next(one for one in found["rungs"] if one["name"] == "uniform")
    assert not without["as_good"]
    assert workflow_of(done).scheme.hillslope is not None
    maps = read_parameter_map(done / "parameters.zarr", read_network(delayed.folder / "n.csv"))
    assert maps["hillslope_delay"][0] == pytest.approx(2 * DAY, rel=0.2)


def test_the_estimate_is_not_below_the_best_baseline_where_that_was_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    river = watched(River(tmp_path).write(), None, noise=0.05)
    found = carried_out(river, "run", gauges={"holdout": 0.25})
    summary = json.loads((found / "run.json").read_text())["summary"]
    assert summary["choice"]["chosen"] == "uniform"
    assert summary["steps"] == 0
    assert summary["ended"] == "the start is the estimate"
    for split in ("train", "gauge"):
        medians = summary["medians"][split]
        assert medians["nse_estimate"] == pytest.approx(medians["nse_uniform"], abs=1e-6)
    assert "Model chosen by cross-validation at 6 training gauges: uniform" in capsys.readouterr().out


def test_a_run_that_was_killed_between_choice_and_fit_goes_on_with_the_written_choice(
    delayed: River, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(workflows, "estimate", killed)
        with pytest.raises(KeyboardInterrupt):
            carried_out(delayed, "killed")
    run = delayed.folder / "killed"
    assert contents(run)["choice.json"] == contents(done)["choice.json"]
    with monkeypatch.context() as patch:
        patch.setattr(choice, "choose", killed)  # it is not made again
        carried_out(delayed, "killed")
    assert contents(run / "parameters.zarr") == contents(done / "parameters.zarr")
    assert (run / "metrics.csv").read_bytes() == (done / "metrics.csv").read_bytes()


def test_a_choice_of_other_input_or_a_damaged_one_is_made_again(delayed: River, done: Path) -> None:
    text = (done / "choice.json").read_text()
    run = delayed.folder / "damaged"
    run.mkdir()
    (run / "choice.json").write_text(text.replace("uniform + hillslope", "uniform + hillslope + flow"))
    assert written_choice(run) is None
    (run / "choice.json").write_text(text[: len(text) // 2])
    assert written_choice(run) is None
    (run / "choice.json").write_text(text)
    assert written_choice(run) == written_choice(done)


def test_the_report_says_what_was_chosen(done: Path) -> None:
    summary = json.loads((done / "run.json").read_text())["summary"]
    assert choice_text(summary) == summary["choice"]["text"]
    assert choice_text({}) == ""


def test_the_run_is_scored_again_and_applied_with_what_was_chosen(
    delayed: River, done: Path, tmp_path: Path
) -> None:
    before = (done / "metrics.csv").read_bytes()
    with chdir(delayed.folder):
        code, said = call("evaluate", "done")
    assert code == 0, said
    assert (done / "metrics.csv").read_bytes() == before
    output = tmp_path / "p.csv"
    files = ("--network", delayed.folder / "n.csv", "--runoff", delayed.folder / "r.nc", "--output", output)
    code, said = call("apply", done, *files)
    assert code == 0, said
    assert "model auto" not in said
    assert "hillslope_delay" in output.read_text().splitlines()[0]


def workflow(tmp_path: Path, **sections: Any) -> Workflow:
    return load_workflow(River(tmp_path).write().workflow(**sections))


def test_what_a_rung_makes_of_a_workflow(tmp_path: Path) -> None:
    given = {"model": "auto", "hillslope": {"bounds": ["3h", "9d"]}, "nuisance": {"sd": 0.2}}
    stage = {"name": "muskingum", "hillslope": {"name": "nash", "delay": "1d"}}
    config = workflow(tmp_path, scheme=stage, parameters=given)
    with_all = resolved_by(config, Rung("hybrid", ("slope",), stage=True, flow=True, volume=True))
    assert with_all.scheme.hillslope == config.scheme.hillslope
    assert with_all.parameters.hillslope == config.parameters.hillslope
    assert with_all.parameters.nuisance == config.parameters.nuisance
    assert with_all.parameters.flow_exponent is not None
    assert (with_all.parameters.model, with_all.parameters.trend) == ("hybrid", ("slope",))
    assert with_all.estimate.steps == config.estimate.steps
    bare = resolved_by(config, Rung("uniform"))
    assert bare.scheme.hillslope is None
    assert bare.parameters.hillslope is bare.parameters.flow_exponent is bare.parameters.nuisance is None
    assert bare.estimate.steps == 0
    about = Rung("hybrid", ("slope",), stage=True, prior=True, shrinkage=10.0)
    assert Rung.of(about.as_dict()) == about
    found = resolved_by(config, about).parameters
    assert (found.prior, found.shrinkage) == ("physical", 10 * config.parameters.shrinkage)
    earlier = {key: value for key, value in about.as_dict().items() if key not in ("prior", "shrinkage")}
    assert Rung.of(earlier) == Rung("hybrid", ("slope",), stage=True)


def test_a_stage_that_is_given_stays_on_all_rungs(tmp_path: Path) -> None:
    stage = {"name": "muskingum", "hillslope": {"name": "nash", "delay": "1d"}}
    config = workflow(tmp_path, scheme=stage, parameters={"model": "auto"})
    network = read_network(tmp_path / "n.csv")
    extras = extras_of(config, network, lakes=False)
    assert extras == Extras(stage=False, flow=True, trend=("slope", "mean_flow"), prior=True)
    assert not any(rung.stage for rung in uniform_rungs(extras))
    assert resolved_by(config, Rung("hybrid")).scheme.hillslope == config.scheme.hillslope
    assert not extras_of(config, network, lakes=True).flow


def test_the_ladder_is_short_and_its_simplest_rungs_come_first(tmp_path: Path) -> None:
    config = workflow(tmp_path, parameters={"model": "auto"})
    extras = Extras(stage=True, flow=True, trend=("slope",))
    names = [rung.name for rung in uniform_rungs(extras)]
    assert names == ["uniform", "uniform + hillslope", "uniform + flow", "uniform + hillslope + flow"]
    varied = varied_rungs(config, extras, Rung("uniform", stage=True))
    assert [rung.name for rung in varied] == ["trend + hillslope", "hybrid", "hybrid + hillslope"]
    assert [one.name for one in varied_rungs(config, Extras(False, False, ()), Rung("uniform"))] == ["hybrid"]
    with_flow = [one.name for one in varied_rungs(config, extras, Rung("uniform", flow=True))]
    assert with_flow == ["trend + flow", "hybrid", "hybrid + flow", "hybrid + hillslope"]
    with_prior = varied_rungs(config, Extras(True, True, (), prior=True), Rung("uniform", stage=True))
    assert [one.name for one in with_prior] == ["prior scaled + hillslope", "hybrid", "hybrid + hillslope"]
    assert with_prior[0].fitted


def test_the_best_is_tried_with_one_thing_another_way(tmp_path: Path) -> None:
    config = workflow(tmp_path, parameters={"model": "auto", "shrinkage": 0.1})
    extras = Extras(stage=True, flow=True, trend=("slope",), prior=True)
    best = Rung("hybrid", stage=True)
    names = [one.name for one in variations(config, extras, best)]
    assert names == [
        "hybrid + hillslope + volume",
        "hybrid + prior + hillslope",
        "hybrid + trend + hillslope",
        "hybrid + hillslope + shrinkage x 10",
    ]
    sorted_names = [one.name for one in sorted([best, *variations(config, extras, best)], key=simplicity)]
    assert sorted_names[:2] == ["hybrid + hillslope + shrinkage x 10", "hybrid + hillslope"]
    alone = variations(config, Extras(False, False, ()), Rung("attributes", ("slope",)))
    assert [one.name for one in alone] == ["trend + volume"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"parameters": {"model": "auto", "regions": "basin"}}, "auto with regions"),
        (
            {
                "parameters": {"model": "auto"},
                "runoff": {"path": "r.nc", "kind": "learned", "model": "correction"},
            },
            "parameters.model auto with learned runoff",
        ),
    ],
)
def test_what_has_no_ladder_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        workflow(tmp_path, **changes)
