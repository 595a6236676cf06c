"""`rivergrad route --report end`: discharge at the ends of steps, with their times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from typer.testing import CliRunner

import rivergrad as rg
from rivergrad.cli import app


def test_ends_are_written_with_their_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In parts and chunks, and after a state; the whole record is that of a `Router`."""
    monkeypatch.chdir(tmp_path)
    ids = np.arange(1, 7)
    table = {"reach_id": ids, "downstream_id": [3, 3, 5, 5, -1, -1], "length_m": 3e4}
    pd.DataFrame(table).to_csv("n.csv", index=False)
    runoff = np.random.default_rng(0).exponential(1.0, (10, 6)).round(3)
    frame = pd.DataFrame(runoff, columns=ids.astype(str))
    frame.insert(0, "time", pd.date_range("2001-01-01", periods=10).strftime("%Y-%m-%d"))
    for name, part in (("r", frame), ("r1", frame[:4]), ("r2", frame[4:])):
        part.to_csv(f"{name}.csv", index=False)

    def route(runoff: str, output: str, *more: str) -> xr.DataArray:
        words = f"route --network n.csv --runoff {runoff} --output {output} --scheme muskingum --report end"
        done = CliRunner().invoke(app, [*words.split(), *more])
        assert done.exit_code == 0, done.output
        with xr.open_dataset(output) as data:
            return data["discharge"].transpose("time", "reach").load()

    found = route("r.csv", "q.nc")
    assert found.attrs["cell_methods"] == "time: point"
    assert found["time"].values[0] == np.datetime64("2001-01-02")
    assert found["time"].values[-1] == np.datetime64("2001-01-11")
    router = rg.Router(
        rg.read_network("n.csv"), forcing_step=86400, routing_step=3600, report="end", dtype=torch.float64
    )
    parameters = {"k": torch.full((6,), 9000.0), "x": torch.full((6,), 0.2)}
    expected, _ = router(torch.from_numpy(runoff), parameters)
    np.testing.assert_allclose(found, expected, rtol=2e-6)
    np.testing.assert_allclose(
        route("r.csv", "q1.nc", "--parts", "2", "--chunk-steps", "3"), expected, rtol=2e-6
    )
    first = route("r1.csv", "a.nc", "--state-out", "s.nc")
    second = route("r2.csv", "b.nc", "--state-in", "s.nc")
    np.testing.assert_allclose(np.concatenate([first, second]), expected, rtol=2e-6)
