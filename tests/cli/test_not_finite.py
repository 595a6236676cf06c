"""`route` with a scheme that makes something of runoff that is no discharge: told, and no file is left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from rivergrad.cli import app

SCHEMES = """
import torch
from rivergrad.routing.schemes import CustomScheme, Parameter

def response(value):
    def function(parameters, times):
        h = torch.zeros(parameters["k"].shape[0], len(times), dtype=parameters["k"].dtype)
        h[:, 0], h[1, 1:2] = 1.0, value
        return h
    return function

K = (Parameter("k", "s", 1.0, 0.1, 10.0, "not used"),)
INFINITE = CustomScheme("infinite", K, response(1e39), conserves_mass=False)
NONE = CustomScheme("none", K, response(float("nan")), conserves_mass=False)
"""


@pytest.mark.parametrize("output", ["q.nc", "q.zarr"])
@pytest.mark.parametrize(
    ("scheme", "engine", "message"),
    [
        ("INFINITE", "reference", "discharge would be inf for the reaches 20, 30, first at 2001-01-02"),
        ("NONE", "reference", "discharge would be nan for the reaches 20, 30, first at"),
        ("NONE", "closure", "scheme none: its function returned a response that is not finite"),
    ],
)
def test_discharge_that_is_not_finite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, engine: str, message: str, output: str
) -> None:
    (tmp_path / "schemes_of_this_test.py").write_text(SCHEMES)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "n.csv").write_text("reach_id,downstream_id,length_m\n10,30,8000\n20,30,9000\n30,-1,9000\n")
    xr.Dataset(
        {"runoff": (("time", "reach"), np.ones((4, 3)), {"units": "m3 s-1"})},
        coords={
            "time": np.datetime64("2001-01-01", "ns") + np.arange(4) * np.timedelta64(1, "D"),
            "reach": [10, 20, 30],
        },
    ).to_netcdf(tmp_path / "r.nc", engine="netcdf4")
    folder = tmp_path / "out"
    folder.mkdir()
    files = [
        "--network",
        str(tmp_path / "n.csv"),
        "--runoff",
        str(tmp_path / "r.nc"),
        "--output",
        str(folder / output),
    ]
    how = ["--scheme", f"schemes_of_this_test:{scheme}", "--engine", engine, "--routing-step", "1d"]
    result = CliRunner().invoke(app, ["route", *files, *how])
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.stderr.split())
    assert not list(folder.iterdir())
