"""What a workflow may ask of its parameters: classes, mistakes that are named, no uncertainty, other networks, ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
import yaml
from pydantic import ValidationError
from typer.testing import CliRunner

from rivercut.network import RiverNetwork
from rivercut.store import read_network
from rivergrad.cli import app
from rivergrad.config.load import load_workflow
from rivergrad.errors import InputError
from rivergrad.model.bounds import Bounded
from rivergrad.run.results import rank_correlation
from rivergrad.run.transfer import transferred
from rivergrad.run.workflow import run_workflow
from rivergrad.world import WorldSpec, generate_network

TREND = ["slope", "upstream_area_m2"]
FITS: dict[str, Any] = {"method": "gauss_newton", "steps": 5, "evaluate_every": 1}


def read(run: Path) -> xr.Dataset:
    with xr.open_zarr(run / "parameters.zarr") as data:
        return data.load()


def summary(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "run.json").read_text())["summary"]
    return found


def test_one_celerity_a_class(files: Any) -> None:
    estimate = {"method": "gauss_newton", "steps": 5}
    run = files.run(parameters={"model": "regional", "regions": "class"}, estimate=estimate)
    data = read(run)
    for name in ("celerity", "x", "identifiability", "celerity_log_sd"):
        values = data[name].values.round(
            14
        )  # the ends of an array may be computed one by one, off by the last bit
        assert len(np.unique(values)) == 2, name
        for one in (0, 7):
            assert np.ptp(values[files.classes == one]) == 0, name
    sure = data["identifiability"].values
    assert ((sure > 0.5) & (sure <= 1)).all()
    assert summary(run)["model"]["regions"] == 2


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"model": "regional"}, "model regional without regions"),
        ({"model": "hybrid", "regions": "basin"}, "model hybrid with regions"),
        (
            {"model": "regional", "regions": "clasz"},
            "parameters.regions: the network has no attribute clasz; expected basin, or one of slope",
        ),
        ({"model": "regional", "regions": "half"}, "parameters.regions: attribute half is "),
        ({"model": "regional", "regions": "gap"}, "attribute gap is nan at reach "),
        ({"model": "attributes"}, "model attributes without trend"),
        ({"model": "attributes", "trend": ["slop"]}, "parameters.trend: the network has no attribute slop; it has"),
        ({"model": "attributes", "trend": ["gap"]}, "attribute gap has no two different positive values"),
        ({"model": "free", "trend": TREND}, "trend with model free"),
        ({"model": "uniform", "hidden": 3}, "hidden with model uniform"),
        ({"model": "hybrid", "hidden": 3}, "hidden without trend"),
        ({"model": "splines"}, "splines"),
        ({"deviation_sd": 0.0}, "deviation_sd"),
        ({"nuisance": {"sd": -1.0}}, "sd"),
        ({"smoothing": -1.0}, "smoothing"),
    ],
)  # fmt: skip
def test_mistakes_are_named_in_a_line(files: Any, parameters: dict[str, Any], expected: str) -> None:
    data = yaml.safe_load(files.workflow.read_text())
    files.workflow.write_text(yaml.safe_dump(data | {"parameters": parameters}))
    before = sorted(files.folder.rglob("*"))
    result = CliRunner().invoke(app, ["run", str(files.workflow)])
    assert result.exit_code == 2, (result.output, result.exception)
    message = result.stderr.partition("rivergrad: error: ")[2]
    assert 1 <= len(message.splitlines()) <= 2, result.stderr
    assert expected in message
    assert sorted(files.folder.rglob("*")) == before


@pytest.mark.parametrize("scheme", ["hayami", "nash_cascade", "pure_lag"])
@pytest.mark.parametrize("model", ["hybrid", "attributes"])
def test_other_schemes(files: Any, scheme: str, model: str) -> None:
    """With a spreading of their own, or none; through the closure too, whose pieces without gauges route nothing."""
    run = files.run(
        scheme={"name": scheme},
        parameters={"model": model, "trend": TREND},
        estimate={"steps": 4},
        uncertainty={"products": 8, "checks": 1},
    )
    data, scores = read(run), summary(run)["medians"]["train"]
    assert scores["nse_estimate"] > scores["nse_uniform"] + 1e-4
    assert (data["celerity_lower"] <= data["celerity"]).all()
    assert (data["celerity"] <= data["celerity_upper"]).all()
    sure = data["identifiability"].values
    assert ((sure >= 0) & (sure <= 1)).all()
    if model == "hybrid":
        assert not sure[data["informed"].values == 0].any()
    assert ("diffusivity_sd" in data) == (scheme == "hayami")
    assert bool(np.isfinite(data["diffusivity"]).all())
    if scheme == "pure_lag":
        assert not data["diffusivity"].values.any()


def test_without_uncertainty(files: Any) -> None:
    run = files.run(parameters={"model": "hybrid", "trend": TREND}, uncertainty={"enabled": False})
    assert not {
        name for name in read(run) if "sd" in str(name) or "identif" in str(name) or "upper" in str(name)
    }
    assert "uncertainty" not in summary(run)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory, tiny: Any, _one_commit: None) -> Path:
    folder = tmp_path_factory.mktemp("learned")
    path = tiny(
        folder / "tiny.yaml",
        folder / "run",
        world={
            "spec": {
                "seed": 3, "reaches": 150, "years": 1, "gauge_fraction": 0.08, "start": "2001-01-01",
                "celerity_reference": 1.5, "celerity_noise": 0.05,
            }
        },
        parameters={"model": "attributes"},
        estimate=FITS,
    )  # fmt: skip
    return run_workflow(load_workflow(path), report=False, show_scores=False)


class TestTransfer:
    spec = WorldSpec(seed=9, reaches=200, years=1, celerity_reference=1.5, celerity_noise=0.05)

    def test_to_the_same_network_gives_the_same_map(self, learned: Path) -> None:
        found = transferred(learned, read_network(learned / "network.zarr"))
        data = read(learned)
        for name in ("celerity", "diffusivity", "k", "x"):
            np.testing.assert_allclose(found[name], data[name].values, rtol=1e-12, err_msg=name)

    def test_to_another_world(self, learned: Path) -> None:
        """By the statistics of the network it was learned on; the law of celerity is the same in both worlds."""
        world = generate_network(self.spec)
        network = world.network
        found = transferred(learned, network)
        model = summary(learned)["model"]
        assert [feature["name"] for feature in model["features"]] == TREND
        latent = np.full(network.n_reaches, model["shared"][0])
        for coefficient, one in zip(model["shared"][1:3], model["features"], strict=True):
            values = np.maximum(network.attributes[one["name"]], one["floor"])
            latent += coefficient * (np.log(values) - one["mean"]) / one["deviation"]
        expected = Bounded(0.05, 5.0, True).value(torch.from_numpy(latent)).numpy()
        np.testing.assert_allclose(found["celerity"], expected, rtol=1e-12)
        assert network.length is not None
        np.testing.assert_allclose(found["k"], network.length / found["celerity"], rtol=1e-12)
        assert rank_correlation(found["celerity"], world.celerity) > 0.9
        assert np.median(np.abs(found["celerity"] / world.celerity - 1)) < 0.15

    def test_refusals(self, learned: Path, tmp_path: Path) -> None:
        network = read_network(learned / "network.zarr")
        with pytest.raises(
            InputError, match=r"found no run\.json; expected the directory of a run that is done"
        ):
            transferred(tmp_path, network)
        (tmp_path / "run.json").write_text(json.dumps({"status": "running", "summary": {}}))
        with pytest.raises(InputError, match=r"found no parameter model in run\.json"):
            transferred(tmp_path, network)
        for kind in ("free", "regional"):
            model = {**summary(learned)["model"], "kind": kind}
            (tmp_path / "run.json").write_text(json.dumps({"status": "done", "summary": {"model": model}}))
            with pytest.raises(InputError, match=f"kind {kind}, which knows only its own reaches"):
                transferred(tmp_path, network)

    def test_networks_that_lack_something(self, learned: Path) -> None:
        def network(length: Any, *names: str) -> RiverNetwork:
            attributes = {name: np.array([1.0, 2.0]) for name in names}
            return RiverNetwork.from_ids(np.array([1, 2]), np.array([2, -1]), length, attributes)

        with pytest.raises(InputError, match="the network has no lengths"):
            transferred(learned, network(None, *TREND))
        with pytest.raises(InputError, match="the network has no attribute upstream_area_m2; it has slope"):
            transferred(learned, network(np.array([1e3, 1e3]), "slope"))
        assert set(transferred(learned, network(np.array([1e3, 1e3]), *TREND))) >= {"celerity", "k", "x"}

    def test_a_uniform_model_needs_no_attributes(self, files: Any) -> None:
        run = files.run(parameters={"model": "uniform"})
        network = RiverNetwork.from_ids(np.array([1, 2]), np.array([2, -1]), np.array([1e3, 2e3]))
        found = transferred(run, network)
        np.testing.assert_allclose(found["celerity"], read(run)["celerity"].values[0], rtol=1e-12)


def notes(run: Path) -> str:
    return (run / "log.txt").read_text()


@pytest.mark.parametrize(
    ("estimate", "ended", "restarts"),
    [
        ({"method": "adam", "steps": 4, "evaluate_every": 2}, "all steps taken", 0),
        ({"method": "adam", "steps": 30, "evaluate_every": 1, "patience": 3, "learning_rate": 1e-6}, "converged", 0),
        ({"method": "adam", "steps": 30, "evaluate_every": 1, "patience": 3, "learning_rate": 3.0}, "stuck", 0),
        (
            {"method": "adam", "steps": 40, "evaluate_every": 1, "patience": 3, "learning_rate": 8.0, "restarts": 2},
            "stuck", 2,
        ),
        ({"method": "gauss_newton", "steps": 40}, "converged", 0),
    ],
)  # fmt: skip
def test_why_it_ended(files: Any, estimate: dict[str, Any], ended: str, restarts: int) -> None:
    run = files.run(
        parameters={"model": "uniform"},
        estimate=estimate | {"checkpoint_every": 7},
        compute={"dtype": "float64"},
    )
    found = summary(run)
    assert found["ended"] == ended
    assert notes(run).count("with half the rate") == restarts
    assert found["best_step"] <= found["steps"]
    if ended == "all steps taken":
        assert found["steps"] == estimate["steps"]
    else:
        assert found["steps"] < estimate["steps"]
        assert f"stopped at step {found['steps']}: {ended}" in notes(run)


def test_gauss_newton_takes_no_loss() -> None:
    from rivergrad.config.sections import EstimateSection

    assert EstimateSection(method="gauss_newton").loss == "nse"
    with pytest.raises(ValidationError, match="found loss nnse with method gauss_newton"):
        EstimateSection(method="gauss_newton", loss="nnse")
