"""Every optimiser with every parameter model on the tiny world: better than uniform, resumed, whole under cuts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from rivergrad.config.load import load_workflow
from rivergrad.inference.posterior import Posterior
from rivergrad.run import estimation, uncertainty
from rivergrad.run.evaluation import estimated, training_loss, uniform_given
from rivergrad.run.fit import REASONS
from rivergrad.run.optimisers import AdamOptimiser, GaussNewtonOptimiser
from rivergrad.run.problem import Problem
from rivergrad.run.transfer import transferred
from rivergrad.run.workflow import run_workflow

TREND = ["slope", "upstream_area_m2"]
NONE: list[str] = []
MODELS: dict[str, dict[str, Any]] = {
    "uniform": {"model": "uniform", "trend": NONE},
    "free": {"model": "free", "trend": NONE},
    "regional": {"model": "regional", "trend": NONE, "regions": "basin"},
    "attributes": {"model": "attributes", "trend": TREND},
    "hidden": {"model": "attributes", "trend": TREND, "hidden": 3},
    "hybrid": {"model": "hybrid", "trend": TREND},
    "smooth": {"model": "hybrid", "trend": TREND, "smoothing": 2.0, "nuisance": {"knots": "120d"}},
}
METHODS: dict[str, dict[str, Any]] = {
    "adam": {"method": "adam", "steps": 24, "evaluate_every": 8, "checkpoint_every": 6},
    "gauss_newton": {"method": "gauss_newton", "steps": 10, "evaluate_every": 1, "checkpoint_every": 1},
}
OPTIMISERS = {"adam": AdamOptimiser, "gauss_newton": GaussNewtonOptimiser}
PAIRS = [(method, model) for method in METHODS for model in MODELS]
PARTS: dict[int, dict[str, Any]] = {
    1: {"parts": 1, "spread": False},
    2: {"parts": 2, "block_reaches": 20, "spread": True},
}


@dataclass
class Carried:
    """A finished run, and what it looked like from within."""

    folder: Path
    estimate: float  # loss over the training time
    uniform: float
    posterior: Posterior | None

    @property
    def info(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "run.json").read_text())
        return found

    @property
    def parameters(self) -> xr.Dataset:
        with xr.open_zarr(self.folder / "parameters.zarr") as data:
            return data.load()


Carry = Callable[..., Carried]


def write(tiny: Any, folder: Path, method: str, model: str, parts: int = 2, **sections: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    found: Path = tiny(
        folder / "tiny.yaml",
        folder / "run",
        estimate=METHODS[method],
        parameters=MODELS[model],
        partition=PARTS[parts],
        compute={"kind": "serial", "dtype": "float64"},
        report={"discharge": False},
        **sections,
    )
    return found


@pytest.fixture(scope="module")
def carry(tmp_path_factory: pytest.TempPathFactory, tiny: Any, _one_commit: None) -> Iterator[Carry]:
    """Carries out a run, once each."""
    patch, seen, done = pytest.MonkeyPatch(), {}, {}
    compared, posterior = estimation.compared, uncertainty.posterior

    def look(work: Problem, uniform: float, shared: Any, base: Any = None) -> Any:
        seen["estimate"] = training_loss(work, estimated(work, shared))
        seen["uniform"] = training_loss(work, uniform_given(work, uniform))
        return compared(work, uniform, shared, base)

    def keep(*args: Any, **options: Any) -> Posterior:
        seen["posterior"] = posterior(*args, **options)
        return seen["posterior"]

    patch.setattr(estimation, "compared", look)
    patch.setattr(uncertainty, "posterior", keep)

    def run(method: str, model: str, parts: int = 2) -> Carried:
        key = method, model, parts
        if key not in done:
            seen.update(posterior=None)
            folder = tmp_path_factory.mktemp("carried")
            path = run_workflow(load_workflow(write(tiny, folder, *key)), report=False, show_scores=False)
            done[key] = Carried(path, **seen)
        return done[key]

    yield run
    patch.undo()


def contents(folder: Path) -> dict[str, bytes]:
    found = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    assert found
    return found


@pytest.mark.parametrize(("method", "model"), PAIRS)
def test_better_than_uniform_in_training(carry: Carry, method: str, model: str) -> None:
    found = carry(method, model)
    if model == "uniform" and method == "gauss_newton":
        # it weighs errors by each gauge's noise, while the best uniform is the least of this very loss
        assert found.estimate <= 1.05 * found.uniform
    elif model == "uniform":  # the same model, by another criterion
        assert found.estimate == pytest.approx(found.uniform, abs=5e-4)
    else:
        assert found.estimate < found.uniform - 1e-4
    assert found.info["summary"]["ended"] in REASONS.values()
    assert found.info["summary"]["steps"] <= METHODS[method]["steps"]


@pytest.mark.parametrize(("method", "model"), PAIRS)
def test_what_is_in_the_parameters(carry: Carry, method: str, model: str) -> None:
    found = carry(method, model)
    data = found.parameters
    for name in ("celerity", "diffusivity", "k", "x"):
        assert bool(np.isfinite(data[name]).all()), name
    celerity = data["celerity"]
    assert (data["diffusivity"] >= 0).all()
    assert data["diffusivity"].attrs["units"] == "m2 s-1"
    assert float(celerity.min()) > 0.05
    assert float(celerity.max()) < 5.0
    if model == "uniform":
        assert np.ptp(celerity.values) == 0
    informed = data["informed"].values.astype(bool)
    assert 0 < informed.sum() < informed.size
    if model == "regional":
        text = (found.folder / "log.txt").read_text()
        assert "uncertainty: left out, the model has 52 shared coefficients; expected at most 24" in text
        assert not set(data) & {"celerity_lower", "celerity_log_sd", "identifiability"}
        return
    assert (data["celerity_lower"] <= celerity).all()
    assert (celerity <= data["celerity_upper"]).all()
    assert (data["x_lower"] <= data["x"]).all()
    assert (data["x"] <= data["x_upper"]).all()
    sure = data["identifiability"].values
    assert ((sure >= 0) & (sure <= 1)).all()
    assert sure.max() > 0.01
    assert (data["celerity_log_sd"] > 0).all()
    if found.posterior is None:
        assert model in ("uniform", "attributes", "hidden")
        return
    assert model in ("free", "hybrid", "smooth")
    before = found.posterior.prior_variance + found.posterior.prior_shared_variance
    assert (found.posterior.variance <= before * (1 + 1e-9)).all()
    assert (found.posterior.variance[0][informed] < before[0][informed]).all()
    if model != "smooth":  # along the river, gauges tell of reaches next to those they see
        np.testing.assert_allclose(sure[~informed], 0.0, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", ["free", "hybrid"])
def test_uninformed_reaches_follow_what_all_share(carry: Carry, method: str, model: str) -> None:
    found = carry(method, model)
    data = found.parameters
    outside = ~data["informed"].values.astype(bool)
    if model == "free":
        assert np.ptp(data["celerity"].values[outside]) < 1e-12
        return
    from rivercut.store import read_network

    trend = transferred(found.folder, read_network(found.folder / "network.zarr"))
    np.testing.assert_allclose(data["celerity"].values[outside], trend["celerity"][outside], rtol=1e-9)
    inside = np.abs(data["celerity"].values / trend["celerity"] - 1)[~outside]
    assert inside.max() > 0.005


@pytest.mark.parametrize(
    ("method", "model"),
    [pair for pair in PAIRS if pair[0] == "gauss_newton" or pair[1] in ("uniform", "hybrid", "smooth")],
)
def test_cuts_change_nothing(carry: Carry, method: str, model: str) -> None:
    cut, whole = carry(method, model, 2), carry(method, model, 1)
    assert cut.info["summary"]["parts"] == 2
    assert whole.info["summary"]["steps"] == cut.info["summary"]["steps"]
    found, expected = cut.parameters, whole.parameters
    assert set(found) == set(expected)
    for name in expected:
        np.testing.assert_allclose(
            found[name].values, expected[name].values, rtol=1e-6, atol=1e-6 * float(np.abs(expected[name]).max()),
            err_msg=str(name),
        )  # fmt: skip


class StopHereError(RuntimeError):
    """What a run is killed by."""


@pytest.mark.parametrize(
    ("method", "model", "at"),
    [
        ("adam", "smooth", 10),
        ("adam", "attributes", 7),
        ("gauss_newton", "hidden", 3),
        ("gauss_newton", "hybrid", 3),
        ("gauss_newton", "hybrid", 5),  # after the evidence has set another scale, which it sets anew here
        ("gauss_newton", "hybrid", 6),  # after the scale has settled
        ("gauss_newton", "smooth", 5),
        ("gauss_newton", "regional", 3),
    ],
)
def test_resumed_to_the_same_bytes(
    carry: Carry, tmp_path: Path, tiny: Any, monkeypatch: pytest.MonkeyPatch, method: str, model: str, at: int
) -> None:
    whole = carry(method, model)
    assert at < whole.info["summary"]["steps"]
    path = write(tiny, tmp_path, method, model)
    cls = OPTIMISERS[method]
    step = cls.step

    def dies(self: Any, number: int) -> float:
        if number == at:
            raise StopHereError("killed")
        return float(step(self, number))

    with monkeypatch.context() as patch:
        patch.setattr(cls, "step", dies)
        with pytest.raises(StopHereError):
            run_workflow(load_workflow(path), report=False, show_scores=False)
    folder = tmp_path / "run"
    assert json.loads((folder / "run.json").read_text())["status"] == "failed"
    assert not (folder / "parameters.zarr").exists()
    every = METHODS[method]["checkpoint_every"]
    run_workflow(load_workflow(path), report=False, show_scores=False)
    text = (folder / "log.txt").read_text()
    if at >= every:
        assert f"going on from the checkpoint of step {at // every * every}" in text
    assert contents(folder / "parameters.zarr") == contents(whole.folder / "parameters.zarr")
    assert (folder / "metrics.csv").read_bytes() == (whole.folder / "metrics.csv").read_bytes()
    info, expected = (json.loads((f / "run.json").read_text())["summary"] for f in (folder, whole.folder))
    for key in ("model", "steps", "best_step", "ended", "uncertainty", "medians"):
        assert info[key] == expected[key], key


def test_a_finished_run_is_finished(carry: Carry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Carried out again it takes no further step, whatever ended it."""
    found = carry("gauss_newton", "hybrid")
    before = contents(found.folder / "parameters.zarr")
    ended = found.info["summary"]["ended"]

    def never(self: Any, number: int) -> float:
        raise AssertionError("a step of a run that is done")

    monkeypatch.setattr(GaussNewtonOptimiser, "step", never)
    run_workflow(load_workflow(found.folder / "config.yaml"), report=False, show_scores=False)
    assert found.info["summary"]["ended"] == ended
    assert contents(found.folder / "parameters.zarr") == before
