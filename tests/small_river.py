"""A river of thirty reaches as the files a user brings, and its workflow: a run of it takes a second."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import yaml
from typer.testing import CliRunner

from rivergrad.cli import app

REACHES, DAYS = 30, 120


def tree(n: int = REACHES) -> pd.DataFrame:
    """A table of reaches, each flowing into one of those before it; ids in no order."""
    rng = np.random.default_rng(4)
    ids = rng.permutation(np.arange(100, 100 + n))
    below = np.array([-1, *(ids[rng.integers(max(0, i - 4), i)] for i in range(1, n))])
    return pd.DataFrame(
        {
            "reach_id": ids,
            "downstream_id": below,
            "length_m": rng.uniform(5e3, 4e4, n).round(),
            "slope": rng.uniform(1e-3, 1e-2, n),
        }
    )


@dataclass
class River:
    """The files in a folder. **Arguments**: `folder`; `output`: of the workflow, a path as it stands there."""

    folder: Path
    output: str = "run"

    def write(self) -> River:
        """Write all files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        table, rng = tree(), np.random.default_rng(5)
        table.to_csv(self.folder / "n.csv", index=False)
        time = np.datetime64("2001-01-01", "ns") + np.arange(DAYS) * np.timedelta64(1, "D")
        runoff = rng.gamma(0.5, 4.0, (DAYS, len(table)))
        xr.Dataset(
            {"runoff": (("time", "reach"), runoff, {"units": "m3 s-1"})},
            coords={"time": time, "reach": table["reach_id"].to_numpy()},
        ).to_netcdf(self.folder / "r.nc")
        flow = np.cumsum(runoff[:, :4], axis=1)[:, 1:] * rng.uniform(0.8, 1.2, (DAYS, 3)) + 1.0
        xr.Dataset(
            {"discharge": (("time", "gauge"), flow, {"units": "m3 s-1"})},
            coords={
                "time": time,
                "gauge": np.array(["a", "b", "c"], dtype=object),
                "reach_id": ("gauge", table["reach_id"].to_numpy()[[0, 1, 3]]),
            },
        ).to_netcdf(self.folder / "o.nc")
        self.workflow()
        return self

    def workflow(self, **changes: Any) -> Path:
        """Write w.yaml, with keys of some sections replaced."""
        data: dict[str, Any] = {
            "name": "small",
            "seed": 1,
            "output": self.output,
            "network": {"path": "n.csv"},
            "runoff": {"path": "r.nc"},
            "observations": {"path": "o.nc"},
            "time": {"routing_step": "6h", "warmup": "10d", "train": ["2001-01-01", "2001-04-20"]},
            "gauges": {"screening": {"enabled": False}},
            "partition": {"parts": 1},
            "compute": {"kind": "serial", "dtype": "float64"},
            "estimate": {"steps": 12, "window": "40d", "uniform_grid": 3, "checkpoint_every": 2},
            "uncertainty": {"enabled": False},
        }
        for name, keys in changes.items():
            data[name] = {**data.get(name, {}), **keys} if isinstance(keys, dict) else keys
        path = self.folder / "w.yaml"
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        return path

    def copied(self, folder: Path) -> River:
        """All of it elsewhere, times of files as they are."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return River(folder, self.output)

    @property
    def run_dir(self) -> Path:
        return self.folder / self.output


def call(*words: object) -> tuple[int, str]:
    """Exit code of a command and what it says."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stderr


def contents(folder: Path) -> dict[str, str]:
    """By name, everything below a folder: bytes of files, targets of links."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(folder))] = f"-> {path.readlink()}"
        elif path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes().hex()
        else:
            found[str(path.relative_to(folder))] = "folder"
    return found


def the_line(stderr: str) -> str:
    """What an error says, in at most two lines of at most 300 characters."""
    _, mark, text = stderr.partition("rivergrad: error: ")
    assert mark, stderr
    assert "Traceback" not in stderr
    assert len(text.splitlines()) <= 2
    assert all(len(line) <= 300 for line in text.splitlines()), text
    return text
