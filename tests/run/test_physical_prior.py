"""A run with a physical prior: its map, its baseline, what is missing, and other networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from tests.small_river import River, call, the_line

from rivergrad.config.load import load_workflow
from rivergrad.io import read_network
from rivergrad.run.flowlaw import with_mean_flow
from rivergrad.run.transfer import transferred
from rivergrad.run.workflow import run_workflow


def files(river: River) -> dict[str, Any]:
    """The files of a river by their whole paths: these runs do not change folders."""
    names = {"network": "n.csv", "runoff": "r.nc", "observations": "o.nc"}
    return {key: {"path": str(river.folder / name)} for key, name in names.items()}


GAUSS_NEWTON = {"method": "gauss_newton", "steps": 3, "uniform_grid": 3, "evaluate_every": 1}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a model without deviations: the prior, scaled."""
    river = River(tmp_path_factory.mktemp("prior")).write()
    path = river.workflow(
        **files(river),
        output=str(river.run_dir),
        parameters={"model": "uniform", "prior": "physical"},
        estimate=GAUSS_NEWTON,
        uncertainty={"enabled": True},
    )
    return run_workflow(load_workflow(path), report=False, show_scores=False)


def columns(run: Path) -> dict[str, Any]:
    with xr.open_zarr(run / "parameters.zarr", consolidated=False) as data:
        return {name: data[name].values for name in data.data_vars}


def test_the_map_has_the_prior_beside_the_estimate(done: Path) -> None:
    found = columns(done)
    prior = found["celerity_prior"]
    assert np.std(np.log(prior)) > 0.1
    # one level moves all reaches the same way, in the order of the prior
    order = np.argsort(prior)
    assert (np.diff(found["celerity"][order]) >= 0).all()
    moved = np.sign(found["celerity"] - prior)
    assert abs(moved.sum()) == moved.size
    assert (found["celerity_lower"] < found["celerity"]).all()


def test_the_prior_as_it_is_routed_is_a_baseline(done: Path) -> None:
    table = pd.read_csv(done / "metrics.csv")
    assert np.isfinite(table[["nse_physical", "kge_physical"]].to_numpy()).all()
    assert not np.allclose(table["nse_physical"], table["nse"])
    assert not np.allclose(table["nse_physical"], table["nse_uniform"])
    assert (
        "nse_gain_over_physical" in json.loads((done / "run.json").read_text())["summary"]["medians"]["train"]
    )


def test_another_network_has_the_same_prior(done: Path) -> None:
    network = read_network(done / "network.zarr")
    told = json.loads((done / "run.json").read_text())["summary"]["model"]["prior"]
    assert (told["relation"], told["flow"]) == ("manning_regime", "mean_flow")
    flow = np.random.default_rng(1).uniform(1, 50, network.n_reaches)
    found = transferred(done, with_mean_flow(network, flow), None)["celerity"]
    some = np.arange(network.n_reaches)[network.basin == network.basin[0]]
    part = transferred(done, with_mean_flow(network, flow).subset(some), None)["celerity"]
    np.testing.assert_allclose(part, found[some], rtol=1e-12)


def test_another_relation_elsewhere_is_one_line(done: Path, tmp_path: Path) -> None:
    code, said = call("apply", done, "--network", done / "network.zarr", "--output", tmp_path / "p.zarr")
    assert code == 2
    assert "expected" in the_line(said)


def test_missing_attributes_and_auto_are_one_line(tmp_path: Path) -> None:
    river = River(tmp_path / "r").write()
    path = river.workflow(**files(river), parameters={"prior": "physical", "model": "auto"})
    code, said = call("validate", path)
    assert code == 2
    the_line(said)
    table = pd.read_csv(river.folder / "n.csv").drop(columns="slope")
    table.assign(other=1.0).to_csv(river.folder / "n.csv", index=False)
    code, _ = call("validate", river.workflow(**files(river), parameters={"prior": "physical"}))
    assert code == 0  # the regime alone, by mean flow
