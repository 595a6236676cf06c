"""Learned runoff on workers: one that is killed, and a resumption on another number of them, change no bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from processes import workers_of

from rivergrad.config.load import load_workflow
from rivergrad.run import fit
from rivergrad.run.workflow import run_workflow

WORLD: dict[str, Any] = {
    "name": "learned",
    "seed": 3,
    "world": {
        "spec": {
            "seed": 3,
            "reaches": 60,
            "reach_length": 50000.0,
            "celerity": 0.5,
            "years": 1,
            "gauge_fraction": 0.15,
            "weather": True,
        }
    },
    "runoff": {"kind": "learned", "options": {}, "learning_rate": 0.02, "write": True},
    "time": {"routing_step": "1d", "warmup": "60d", "train": ["2001-01-01", "2001-12-30"]},
    "gauges": {"holdout": 0.25},
    "parameters": {"trend": ["slope"], "shrinkage": 0.01},
    "partition": {"parts": 4, "block_reaches": 10, "spread": True},
    # the closure engine has no kernels to compile in every worker
    "compute": {"engine": "closure", "kind": "local", "workers": 2},
    "estimate": {
        "window": "90d",
        "evaluate_every": 3,
        "checkpoint_every": 2,
        "uniform_grid": 3,
        "stages": [
            {"name": "lumped", "train": ["runoff"], "unrouted": True, "steps": 4},
            {"name": "two_step", "train": ["routing"], "steps": 4},
            {"name": "joint", "train": ["runoff", "routing"], "steps": 6, "start": "lumped"},
        ],
    },
    "uncertainty": {"enabled": False},
}
MODELS = {
    "lstm": {"options": {"hidden": 4}, "attributes": ["soil_depth_mm", "clay_fraction"]},
    "hbv": {"attributes": ["soil_depth_mm"]},
}
LEFT = (
    *(f"parameters.zarr/{name}/c/0" for name in ("celerity", "k", "x")),
    *("runoff_model.safetensors", "runoff.zarr/runoff/c/0/0", "metrics.csv"),
)


@pytest.mark.slow
@pytest.mark.distributed
@pytest.mark.filterwarnings("default")  # of connections that broke
@pytest.mark.parametrize(("model", "killed"), [("lstm", "two_step"), ("hbv", None)])
def test_workers_that_are_lost_or_fewer_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, killed: str | None
) -> None:
    """One is killed in a stage: the run goes on by itself; stopped in the last stage, it ends without any workers."""
    data = {**WORLD, "runoff": {**WORLD["runoff"], "model": model, **MODELS[model]}}
    path = tmp_path / "w.yaml"
    path.write_text(yaml.safe_dump(data))
    serial = ("compute.kind=serial", "compute.workers=0")
    whole = run_workflow(load_workflow(path, [f"output={tmp_path}/whole", *serial]), report=False)

    write, harmed = fit.Checkpoint.write, []

    def harm(self: Any, folder: Path, *keep: int) -> Path:
        found = write(self, folder, *keep)
        where = folder.name if folder.name != "checkpoints" else "joint"
        if not harmed and where == killed and self.step == 2:
            harmed.append(workers_of()[0])
            harmed[0].kill()
        elif where == "joint" and self.step == 4:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(fit.Checkpoint, "write", harm)
    output = f"output={tmp_path}/run"
    with pytest.raises(KeyboardInterrupt):
        run_workflow(load_workflow(path, [output]), report=False)
    run = tmp_path / "run"
    again = "1 of 2 workers ended unexpectedly (out of memory, or killed): setting up again"
    assert (run / "log.txt").read_text().count(again) == len(harmed) == (killed is not None)
    monkeypatch.setattr(fit.Checkpoint, "write", write)
    run_workflow(load_workflow(path, [output, *serial]), report=False)
    assert json.loads((run / "run.json").read_text())["status"] == "done"
    for name in LEFT:
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
