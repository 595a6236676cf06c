"""Parameter models, a least-squares optimiser, a format and a runoff model of other people, in whole workflow runs."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

import rivergrad as rg
from rivergrad import registry
from rivergrad.config.load import load_workflow
from rivergrad.io import read_network
from rivergrad.run.transfer import transferred
from rivergrad.run.workflow import run_workflow

HERE = Path(__file__).parent
MODULES = ("outside_models", "outside_format")
WORLD: dict[str, Any] = {
    "name": "outside",
    "seed": 3,
    "output": "run",
    "world": {
        "spec": {"seed": 3, "reaches": 60, "reach_length": 50000.0, "years": 1, "gauge_fraction": 0.15}
    },
    "time": {"routing_step": "1d", "warmup": "30d", "train": ["2001-01-01", "2001-12-30"]},
    "compute": {"kind": "serial", "dtype": "float64"},
    "partition": {"parts": 2, "block_reaches": 10, "spread": True},
    "estimate": {"steps": 6, "window": "90d", "evaluate_every": 2, "checkpoint_every": 2, "uniform_grid": 3},
    "uncertainty": {"products": 3, "checks": 0, "rounds": 1},
    "report": {"hydrographs": 1},
}
BENT = {"model": "outside_models:Bent", "trend": ["slope"]}
BASINS = {"model": "outside_models:Basins", "regions": "basin"}
NEWTON = {"method": "gauss_newton", "evaluate_every": 1, "checkpoint_every": 1, "steps": 4}


def write(folder: Path, **sections: Any) -> Path:
    """A workflow with the user's modules beside it."""
    place = folder / "workflows"
    place.mkdir(parents=True)
    for module in MODULES:
        shutil.copy(HERE / f"{module}.py", place)
    data = copy.deepcopy(WORLD)
    for name, keys in sections.items():
        if keys is None:
            data.pop(name)
        else:
            data[name] = {**data.get(name, {}), **keys}
    path = place / "w.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def rivergrad(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command as a job starts it: nothing of the current directory is importable by itself."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "rivergrad.cli", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def carried(folder: Path, path: Path, *, killed: bool) -> Path:
    """Through validate, run (killed at its second checkpoint and resumed, or whole) and report from elsewhere."""
    checked = rivergrad(folder, "validate", str(path))
    assert checked.returncode == 0, checked.stderr
    if killed:
        died = rivergrad(folder, "run", str(path), DIE_AT_CHECKPOINTS_IN="run/checkpoints")
        assert died.returncode == -9, died.stderr
        assert len(list((folder / "run" / "checkpoints").rglob("*.npz"))) == 2
    done = rivergrad(folder, "run", str(path))
    assert done.returncode == 0, done.stderr
    (folder / "elsewhere").mkdir()
    again = rivergrad(folder / "elsewhere", "report", "../run")
    assert again.returncode == 0, again.stderr
    assert (folder / "run" / "report.html").is_file()
    return folder / "run"


def whole_and_resumed(folder: Path, **sections: Any) -> Path:
    """The run that was killed and resumed, whose parameters and losses are those of one that was not."""
    done = rivergrad(folder / "whole", "run", str(write(folder / "whole", **sections)))
    assert done.returncode == 0, done.stderr
    killed = carried(folder / "killed", write(folder / "killed", **sections), killed=True)
    found = [folder / "whole" / "run", killed]
    losses = [pd.read_csv(run / "history.csv")["loss"].to_numpy() for run in found]
    np.testing.assert_array_equal(losses[0], losses[1])
    assert np.isfinite(losses[0][1:]).all()
    maps = [parameters(run) for run in found]
    for name in maps[0]:
        np.testing.assert_array_equal(maps[0][name], maps[1][name], err_msg=name)
    return found[1]


def parameters(run: Path) -> dict[str, Any]:
    with xr.open_zarr(run / "parameters.zarr", consolidated=False) as data:
        return {str(name): data[name].values for name in data.data_vars}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("method", ["adam", "gauss_newton"])
def test_a_parameter_model_by_import_path_through_validate_run_resume_report_and_apply(
    tmp_path: Path, method: str
) -> None:
    estimate = NEWTON if method == "gauss_newton" else {}
    run = whole_and_resumed(tmp_path, parameters=BENT, estimate=estimate)
    model = json.loads((run / "run.json").read_text())["summary"]["model"]
    assert model["kind"] == "outside_models:Bent"
    assert len(model["shared"]) == 4
    assert np.ptp(parameters(run)["celerity"]) > 0
    assert np.nanmax(parameters(run)["identifiability"]) > 0
    applied = rivergrad(
        run.parent / "elsewhere", "apply", "../run", "--network", "../run/network.zarr", "--output", "p.csv"
    )
    assert applied.returncode == 0, applied.stderr
    assert "deviations of single reaches stay behind" in applied.stderr
    feature, shared = model["features"][0], model["shared"]
    slope = read_network(run / "network.zarr").attributes["slope"]
    by = (np.log(np.maximum(slope, feature["floor"])) - feature["mean"]) / feature["deviation"]
    latent = shared[0] + shared[1] * by + shared[2] * by**2
    expected = np.exp(np.log(0.05) + np.log(100) / (1 + np.exp(-latent)))
    found = pd.read_csv(run.parent / "elsewhere" / "p.csv")["celerity"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_parameter_model_without_any_segment_of_rivergrads_own(tmp_path: Path) -> None:
    """Classes, no level, no deviations; it does not travel."""
    run = carried(tmp_path, write(tmp_path, parameters=BASINS, estimate=NEWTON), killed=False)
    basin = np.asarray(read_network(run / "network.zarr").basin)
    celerity = parameters(run)["celerity"]
    assert len(np.unique(celerity)) > 1
    for one in np.unique(basin):
        assert np.ptp(celerity[basin == one]) < 1e-14  # lanes of a vectorised exp may round otherwise
    applied = rivergrad(tmp_path, "apply", "run", "--network", "run/network.zarr", "--output", "p.csv")
    assert applied.returncode == 2
    said = "found a model of kind outside_models:Basins, which knows only its own reaches"
    assert said in " ".join(applied.stderr.split())


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_registered_parameter_model_in_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.chdir(tmp_path)
    import outside_models

    with registry.forgetting():
        rg.register("parameter_model", "bent", outside_models.Bent)
        path = write(tmp_path, parameters={**BENT, "model": "bent"}, uncertainty={"enabled": False})
        run = run_workflow(load_workflow(path), report=False, show_scores=False)
        assert json.loads((run / "run.json").read_text())["summary"]["model"]["kind"] == "bent"
        assert set(transferred(run, read_network(run / "network.zarr"))) >= {"celerity", "k", "x"}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_least_squares_optimiser_by_import_path_through_validate_run_resume_and_report(
    tmp_path: Path,
) -> None:
    run = whole_and_resumed(tmp_path, estimate={**NEWTON, "method": "outside_models:Damped"})
    losses = pd.read_csv(run / "history.csv")["loss"].to_numpy()[1:]
    assert len(losses) == NEWTON["steps"]
    assert losses[-1] < losses[0]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_format_by_import_path_through_validate_run_resume_and_report(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    n, days = 12, 300
    table = np.column_stack([np.arange(1, n + 1), [*range(2, n + 1), -1], np.full(n, 40000.0)])
    np.savetxt(files / "net.plain", table, fmt="%d")
    runoff = np.random.default_rng(1).gamma(0.3, 5.0, (days, n))
    np.savetxt(files / "runoff.plain", runoff)
    sections = {
        "world": None,
        "network": {"path": str(files / "net.plain"), "format": "outside_format:Plain"},
        "runoff": {"path": str(files / "runoff.plain"), "format": "outside_format:Plain"},
        "twin": {"gauge_fraction": 0.4},
        "time": {"train": ["2001-02-01", "2001-10-01"]},
        "partition": {"parts": 1, "block_reaches": 4},
    }
    run = carried(tmp_path, write(tmp_path, **sections), killed=False)
    assert read_network(run / "network.zarr").n_reaches == n
    assert np.isfinite(parameters(run)["celerity"]).all()
    again = rivergrad(tmp_path, "run", "workflows/w.yaml")  # done already: the same input, by its content
    assert again.returncode == 0, again.stderr
    np.savetxt(files / "runoff.plain", runoff + 1)
    changed = rivergrad(tmp_path, "run", "workflows/w.yaml")
    assert changed.returncode == 2
    assert "runoff.plain" in changed.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_runoff_model_by_import_path_through_validate_run_resume_and_report(tmp_path: Path) -> None:
    sections = {
        "world": {"spec": {**WORLD["world"]["spec"], "weather": True}},
        "runoff": {"kind": "learned", "model": "outside_models:Tank", "options": {"hidden": 2}},
        "parameters": {"trend": ["slope"]},
        "estimate": {
            "stages": [
                {"name": "lumped", "train": ["runoff"], "unrouted": True, "steps": 4},
                {"name": "joint", "train": ["runoff", "routing"], "steps": 4},
            ]
        },
        "uncertainty": {"enabled": False},
    }
    run = whole_and_resumed(tmp_path, **sections)
    told = json.loads((run / "runoff_model.json").read_text())
    assert told["model"] == "outside_models:Tank"


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"model": "outside_models:Missing"}, "module outside_models has no Missing"),
        ({"model": "outside_models:NOT_A_MODEL"}, "expected a subclass of"),
        ({"model": "outside_models:Bent"}, "found model outside_models:Bent without trend"),
        ({**BENT, "regions": "basin"}, "found model outside_models:Bent with regions"),
        ({**BASINS, "trend": ["slope"]}, "found trend with model outside_models:Basins"),
        ({"model": "outside_models:Raises"}, "RuntimeError: a fault of the user's"),
        ({"model": "outside_models:WrongShape"}, "found common of shape (3,)"),
        ({**BENT, "model": "outside_models:TakenName"}, "found a segment volume"),
        ({"model": "hibrid"}, "did you mean hybrid"),
    ],
)
def test_what_is_no_parameter_model_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(registry, "_folders", [])
    monkeypatch.delitem(sys.modules, "outside_models", raising=False)
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, parameters=parameters)
    with pytest.raises(rg.InputError) as caught:
        run_workflow(load_workflow(path), report=False, show_scores=False)
    text = str(caught.value)
    assert said in text
    assert "\n" not in text
    assert len(text) < 300 + len(str(path))
