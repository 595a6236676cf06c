"""A tiny world and a finished run on it, made once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from rivercut.store import read_network
from rivergrad.config.load import load_workflow
from rivergrad.run.workflow import run_workflow

TINY: dict[str, Any] = {
    "name": "tiny",
    "seed": 3,
    "world": {"spec": {"seed": 3, "reaches": 150, "years": 1, "gauge_fraction": 0.08, "start": "2001-01-01"}},
    "time": {
        "routing_step": "6h",
        "warmup": "20d",
        "train": ["2001-01-01", "2001-10-31"],
        "test": ["2001-11-01", "2001-12-30"],
    },
    "gauges": {"holdout": 0.25},
    "parameters": {"trend": ["slope", "upstream_area_m2"], "shrinkage": 0.01},
    "partition": {"parts": 2, "block_reaches": 20, "spread": True},
    "compute": {"kind": "serial"},
    "estimate": {
        "steps": 12,
        "window": "120d",
        "evaluate_every": 4,
        "checkpoint_every": 4,
        "learning_rate": 0.1,
        "uniform_grid": 6,
    },
    "report": {"hydrographs": 2, "discharge": True},
}


def write_tiny(path: Path, output: Path, **sections: dict[str, Any]) -> Path:
    """A workflow file like `TINY`, with keys of some sections replaced."""
    data: dict[str, Any] = {**TINY, "output": str(output)}
    for name, keys in sections.items():
        data[name] = {**data.get(name, {}), **keys}
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


@pytest.fixture(scope="session")
def tiny() -> Any:
    """`write_tiny`."""
    return write_tiny


@pytest.fixture(scope="session", autouse=True)
def _one_commit() -> Iterator[None]:
    """Results name the commit they come from; tests that compare bytes should pass while files are edited."""
    patch = pytest.MonkeyPatch()
    patch.setattr("rivergrad.run.workflow.git_hash", lambda: "0" * 40)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _torch_as_before() -> Iterator[None]:
    """A run sets threads and determinism of the whole process."""
    threads, exact = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(exact)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, _one_commit: None) -> Path:
    """The run directory of the tiny world, carried out in this process. Tests read it only."""
    folder = tmp_path_factory.mktemp("finished")
    return run_workflow(load_workflow(write_tiny(folder / "tiny.yaml", folder / "run")))


@dataclass
class Files:
    """The tiny world as files, for a Gauss-Newton fit.

    Attributes:
        workflow: its file; `run` carries it out with keys of some sections replaced.
        classes: (reach,) the attribute `class`: 7 in the largest basin, 0 elsewhere. The attributes `half` and `gap`
            are no classes: not whole numbers, and missing at a reach.
    """

    folder: Path
    workflow: Path
    classes: np.ndarray

    def run(self, **sections: Any) -> Path:
        data = yaml.safe_load(self.workflow.read_text())
        for name, keys in sections.items():
            data[name] = keys if isinstance(keys, str) else {**data.get(name, {}), **keys}
        path = self.folder / "changed.yaml"
        path.write_text(yaml.safe_dump(data))
        return run_workflow(load_workflow(path), report=False, show_scores=False)


@pytest.fixture
def files(finished: Path, tmp_path: Path) -> Files:
    """The tiny world as files, in a folder of the test's own."""
    table = pd.read_parquet(finished / "world" / "network.parquet")
    network = read_network(finished / "network.zarr")
    position = {int(i): k for k, i in enumerate(network.reach_id)}
    basin = network.basin[[position[int(i)] for i in table["reach_id"]]]
    large = np.bincount(network.basin).argmax()
    table["class"] = np.where(basin == large, 7, 0)
    table["half"] = np.where(basin == large, 7.5, 1.0)
    table["gap"] = np.where(np.arange(len(table)) == 4, np.nan, 1.0)
    table.to_parquet(tmp_path / "network.parquet")
    world = finished / "world"
    data = {
        "name": "files",
        "seed": 3,
        "output": str(tmp_path / "run"),
        "network": {"path": str(tmp_path / "network.parquet")},
        "runoff": {"path": str(world / "runoff.nc")},
        "observations": {"path": str(world / "observations.nc")},
        "time": {"routing_step": "6h", "warmup": "20d", "train": ["2001-01-01", "2001-10-31"]},
        "partition": {"parts": 2, "block_reaches": 20, "spread": True},
        "compute": {"kind": "serial"},
        "estimate": {
            "uniform_grid": 6,
            "window": "120d",
            "method": "gauss_newton",
            "steps": 5,
            "evaluate_every": 1,
        },
    }
    (tmp_path / "w.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    return Files(tmp_path, tmp_path / "w.yaml", np.where(network.basin == large, 7, 0))
