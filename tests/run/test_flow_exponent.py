"""A workflow that estimates how celerity depends on flow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from small_river import REACHES, River, call, the_line

import rivergrad as rg
from rivergrad.inference.posterior import Posterior
from rivergrad.model.layout import FLOW
from rivergrad.pieces.leastsquares import LeastSquares
from rivergrad.pieces.meanflow import mean_flow
from rivergrad.report.fields import fields_of
from rivergrad.report.panels import Page
from rivergrad.run import uncertainty
from rivergrad.run.flowspread import exponent_variance
from rivergrad.run.problem import Problem
from rivergrad.rundir.reading import read_run

TRUE = 0.5


@pytest.fixture(scope="module")
def river(tmp_path_factory: pytest.TempPathFactory) -> River:
    """Observations that a celerity of 0.5 m/s at mean flow and m = 0.5 make."""
    one = River(tmp_path_factory.mktemp("flow") / "river").write()
    network = rg.read_network(one.folder / "n.csv")
    source = rg.open_runoff(one.folder / "r.nc", network)
    runoff = torch.from_numpy(np.array(source.read(None, 0, source.time.size)))
    k = torch.from_numpy(np.array(network.length)) / 0.5
    flow = torch.from_numpy(mean_flow(network, source, 10, 110))
    parameters = {"k": k, "x": torch.full((REACHES,), 0.2)}
    law = {"flow_exponent": TRUE, "reference_flow": flow}
    found = rg.route(network, runoff, parameters, forcing_step=86400, routing_step=21600, **law)
    with xr.open_dataset(one.folder / "o.nc") as old:
        new = old.load()
    at = network.positions(new["reach_id"].to_numpy())
    new["discharge"] = (("time", "gauge"), found[:, at].numpy(), {"units": "m3 s-1"})
    new.to_netcdf(one.folder / "o.nc")
    return one


@pytest.fixture(autouse=True)
def _there(river: River, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(river.folder)


def _run(river: River, name: str, more: dict[str, object], **sections: object) -> Path:
    model = sections.pop("model", "uniform")
    path = river.workflow(output=name, parameters={"model": model, "flow_exponent": more}, **sections)  # type: ignore[arg-type]
    code, said = call("run", path)
    assert code == 0, said
    return river.folder / name


def _exponent(run: Path) -> np.ndarray:
    with xr.open_zarr(run / "parameters.zarr") as found:
        assert (found["reference_flow"] > 0).all()
        return found["flow_exponent"].to_numpy()


def _rounds(run: Path) -> int:
    """What `rounds: auto` chose."""
    return int(json.loads((run / "run.json").read_text())["summary"]["model"]["flow"]["rounds"])


GAUSS_NEWTON = {"method": "gauss_newton", "steps": 8}
ADAM = {"method": "adam", "steps": 30, "learning_rate": 0.1, "evaluate_every": 30}


@pytest.fixture(scope="module")
def whole(river: River) -> Path:
    """A run that finds the exponent, with its interval."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(river.folder)
        return _run(river, "whole", {"sd": 0.3}, estimate=GAUSS_NEWTON, uncertainty={"enabled": True})


def test_the_exponent_is_found_whatever_the_cut(river: River, whole: Path) -> None:
    m = _exponent(whole)
    assert np.ptp(m) == 0
    assert m[0] == pytest.approx(TRUE, abs=0.03)
    parts = _run(
        river,
        "parts",
        {"sd": 0.3},
        estimate=GAUSS_NEWTON,
        partition={"parts": 2},
        uncertainty={"enabled": True},
    )
    assert _exponent(parts)[0] == pytest.approx(m[0], abs=1e-4)
    with xr.open_zarr(whole / "parameters.zarr") as one, xr.open_zarr(parts / "parameters.zarr") as two:
        assert (one["flow_exponent_lower"] < m).all()
        assert (one["flow_exponent_upper"] > m).all()
        np.testing.assert_allclose(one["flow_exponent_upper"], two["flow_exponent_upper"], atol=1e-3)


def test_the_summary_says_how_sure_the_exponent_is(whole: Path) -> None:
    told = json.loads((whole / "run.json").read_text())["summary"]["uncertainty"]
    assert told["flow_exponent_lower"] < told["flow_exponent"] < told["flow_exponent_upper"]
    assert told["flow_exponent_identifiability"] > 0.9
    assert -1 <= told["flow_exponent_correlation"] <= 1


def test_an_unknown_exponent_makes_celerity_less_sure(river: River, whole: Path) -> None:
    given = _run(
        river,
        "given",
        {"prior": float(_exponent(whole)[0]), "sd": 0.3, "estimate": "none"},
        estimate=GAUSS_NEWTON,
        uncertainty={"enabled": True},
    )
    with xr.open_zarr(whole / "parameters.zarr") as one, xr.open_zarr(given / "parameters.zarr") as two:
        assert (one["celerity_log_sd"] > 1.001 * two["celerity_log_sd"]).all()
        assert "flow_exponent_lower" not in two


def test_reaches_with_deviations_have_the_interval_too(river: River, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of m, and intervals of celerity that allow for exponents of single reaches."""
    added = []

    def looked_at(work: Problem, problem: LeastSquares, weight: np.ndarray, found: Posterior) -> np.ndarray:
        law = work.flow.law  # type: ignore[union-attr]
        layout, nothing = work.layout, np.zeros((work.choice.model.n_free, work.n_reaches))
        shared = problem.tangent(
            nothing, layout.fill({FLOW: 1.0})
        )  # at m's coefficient, which all reaches share
        each = problem.tangent_of_exponents(np.ones(work.n_reaches))
        ratio = (shared * each).sum() / (each * each).sum()  # dm / d coefficient
        np.testing.assert_allclose(shared, ratio * each, rtol=1e-3, atol=1e-3 * np.abs(shared).max())
        assert 0 < ratio < law.exponent.upper
        added.append((exponent_variance(work, problem, weight, found), found.variance))
        return added[0][0]

    monkeypatch.setattr(uncertainty, "exponent_variance", looked_at)
    run = _run(
        river,
        "hybrid",
        {"sd": 0.3},
        estimate={"method": "gauss_newton", "steps": 2},
        uncertainty={"enabled": True, "products": 3},
        model="hybrid",
    )
    m = _exponent(run)
    with xr.open_zarr(run / "parameters.zarr") as found:
        assert (found["flow_exponent_lower"] < m).all()
        assert (found["flow_exponent_upper"] > m).all()
    ((more, without),) = added
    assert more.shape == without.shape
    assert (more >= 0).all()
    assert more[0].max() > 0.01 * without[0].min()


def test_the_map_of_the_report_has_the_exponent_with_its_interval(whole: Path) -> None:
    field = next(one for one in fields_of(Page(read_run(whole)), ()) if one.name == "flow_exponent")
    assert field.value[0] == pytest.approx(TRUE, abs=0.03)
    assert field.lower is not None
    assert field.upper is not None
    assert field.lower[0] < field.value[0] < field.upper[0]
    assert "90 % interval" in field.note


def test_apply_takes_the_law_to_other_reaches(river: River, whole: Path, tmp_path: Path) -> None:
    f, table, q = river.folder, tmp_path / "p.csv", tmp_path / "q.nc"
    given = ("apply", whole, "--network", f / "n.csv", "--runoff", f / "r.nc", "--output", table)
    code, said = call(*given, "--write-discharge", q)
    assert code == 0, said
    found = pd.read_csv(table)
    np.testing.assert_allclose(found["flow_exponent"], _exponent(whole))
    network = rg.read_network(f / "n.csv")
    flow = mean_flow(network, rg.open_runoff(f / "r.nc", network))
    np.testing.assert_allclose(found["reference_flow"], flow, rtol=1e-6)
    again = tmp_path / "again.nc"
    more = (
        "--scheme",
        "muskingum",
        "--routing-step",
        "6h",
        "--dtype",
        "float64",
        "--flow-rounds",
        str(_rounds(whole)),
    )
    files = ("--network", f / "n.csv", "--runoff", f / "r.nc", "--parameters", table, "--output", again)
    code, said = call("route", *files, *more)
    assert code == 0, said
    with xr.open_dataset(q) as one, xr.open_dataset(again) as two:
        np.testing.assert_allclose(one["discharge"], two["discharge"], rtol=1e-5)


def test_apply_says_that_the_law_stays_behind_without_runoff(
    river: River, whole: Path, tmp_path: Path
) -> None:
    code, said = call(
        "apply", whole, "--network", river.folder / "n.csv", "--output", table := tmp_path / "p.csv"
    )
    assert code == 0, said
    assert "the exponent of flow stays behind (no --runoff" in said
    assert "flow_exponent" not in pd.read_csv(table).columns


def test_rounds_are_chosen_within_the_bound_and_run_json_says_so(river: River, whole: Path) -> None:
    told = json.loads((whole / "run.json").read_text())["summary"]["flow"]
    assert told["rounds"] == _rounds(whole)
    assert told["change"] > 0
    assert told["bound"] <= 0.012  # chosen at the start's celerity, measured at the estimate's
    few = _run(river, "few", {"rounds": 1, "damping": 0.9}, estimate={"method": "adam", "steps": 1})
    told = json.loads((few / "run.json").read_text())["summary"]["flow"]
    assert (told["rounds"], told["damping"]) == (1, 0.9)
    assert told["bound"] > 0.012


def test_coefficients_stay_for_the_interval_that_is_asked_for(river: River) -> None:
    one_step = {"estimate": {"method": "adam", "steps": 1}}
    runs = [
        _run(river, f"hold{d}", {"rounds": 2, "interval": f"{d}d", "estimate": "none"}, **one_step)
        for d in (1, 8)
    ]
    found = []
    for run in runs:
        with xr.open_dataset(run / "hydrographs.nc") as data:
            found.append(data["estimate"].to_numpy())
    assert np.isfinite(found[0]).all()
    assert not np.allclose(*found, rtol=1e-3)
    path = river.workflow(output="odd", parameters={"model": "uniform", "flow_exponent": {"interval": "36h"}})
    code, said = call("run", path)
    assert code == 2
    assert "expected a multiple of the forcing step" in the_line(said)


def test_adam_moves_the_exponent_and_none_keeps_the_prior(river: River) -> None:
    moved = _exponent(_run(river, "adam", {"sd": 0.3}, estimate=ADAM))
    assert moved[0] > 0.32
    kept = _run(river, "kept", {"estimate": "none"}, estimate=GAUSS_NEWTON)
    assert (_exponent(kept) == 0.3).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"flow_exponent": {"prior": 0.9}}, "expected 0 <= lower < prior < upper <= 1"),
        ({"flow_exponent": {"bounds": [0.1, 1.5]}}, "expected 0 <= lower < prior < upper <= 1"),
        ({"flow_exponent": {"estimate": "regional"}}, "expected regions, or shared"),
        (
            {"flow_exponent": {"bounds": [0.0, 1.5]}},
            "with bounds [0, 1.5]; expected 0 <= lower < prior < upper <= 1",
        ),
        ({"flow_exponent": {"bounds": [-0.2, 0.8]}}, "bounds[0]: found -0.2"),
        ({"flow_exponent": {"rounds": 0}}, "flow_exponent.rounds: found 0; expected auto, or 1 to"),
        ({"flow_exponent": {"rounds": "many"}}, "flow_exponent.rounds: found 'many'; expected auto, or 1 to"),
        ({"flow_exponent": {"damping": 0.0}}, "flow_exponent.damping: found 0.0"),
        (
            {"model": "regional", "regions": "zone", "flow_exponent": {"estimate": "regional"}},
            "no attribute zone",
        ),
        ({"flow_exponent": {"rounds": 3, "gradient_rounds": 9}}, "expected at most 4"),
    ],
)
def test_a_law_outside_its_range_is_one_line(
    river: River, parameters: dict[str, object], message: str
) -> None:
    code, said = call("validate", river.workflow(output="none", parameters=parameters))
    assert code == 2
    assert message in " ".join(the_line(said).split())


def test_mean_flow_is_a_feature_of_every_network(river: River) -> None:
    path = river.workflow(
        output="feature",
        parameters={"model": "attributes", "trend": ["slope", "mean_flow"], "flow_exponent": {}},
        estimate={"method": "gauss_newton", "steps": 3},
    )
    code, said = call("run", path)
    assert code == 0, said
    with xr.open_zarr(river.folder / "feature" / "parameters.zarr") as found:
        celerity = found["celerity"].to_numpy()
    assert celerity.std() > 0
    table = river.folder / "elsewhere.csv"
    given = ("apply", river.folder / "feature", "--network", river.folder / "n.csv", "--output", table)
    code, said = call(*given)
    assert code == 2
    assert "mean_flow" in the_line(said)
    code, said = call(*given, "--runoff", river.folder / "r.nc")
    assert code == 0, said
    # the mean of the record is not quite that of the training period
    np.testing.assert_allclose(pd.read_csv(table)["celerity"], celerity, rtol=0.05)
