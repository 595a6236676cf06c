"""A small workflow, and its run on any kind of cluster by the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW: dict[str, Any] = {
    "name": "small",
    "seed": 3,
    "world": {"spec": {"seed": 3, "reaches": 80, "years": 1, "gauge_fraction": 0.15, "start": "2001-01-01"}},
    "time": {"routing_step": "6h", "warmup": "20d", "train": ["2001-01-01", "2001-10-31"]},
    "parameters": {"trend": ["slope"], "shrinkage": 0.01},
    "partition": {"parts": 4, "block_reaches": 20, "spread": True},
    # the closure engine has no kernels to compile in every worker
    "compute": {"engine": "closure"},
    "estimate": {
        "steps": 20,
        "window": "60d",
        "evaluate_every": 20,
        "checkpoint_every": 20,
        "uniform_grid": 3,
    },
    "uncertainty": {"enabled": False},
}
COMMAND = [sys.executable, "-m", "rivergrad.cli"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def write_workflow(folder: Path) -> Path:
    """The workflow's file."""
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(WORKFLOW, sort_keys=False))
    return path


def estimate(output: Path, *settings: str, before: Sequence[str] = ()) -> Path:
    """Carry out the workflow into a folder, by a command that others may precede."""
    workflow = write_workflow(output.parent)
    words = [word for setting in (f"output={output}", *settings) for word in ("--set", setting)]
    done = subprocess.run(
        [*before, *COMMAND, "estimate", str(workflow), *words],
        cwd=ROOT, capture_output=True, text=True, timeout=280, env=ENVIRONMENT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(output)
    return output


def same_results(one: Path, other: Path) -> None:
    """Assert that two runs have the same loss curve and parameters, to the last bit."""
    curves = [pd.read_csv(run / "history.csv")[["step", "loss"]].to_numpy() for run in (one, other)]
    np.testing.assert_array_equal(*curves)
    with (
        xr.open_zarr(one / "parameters.zarr", consolidated=False) as first,
        xr.open_zarr(other / "parameters.zarr", consolidated=False) as second,
    ):
        xr.testing.assert_equal(first, second)
