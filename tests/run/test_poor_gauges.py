"""Gauges with nothing to say, in fits that look at every gauge's own noise and at the volume of its runoff."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

MODEL: dict[str, Any] = {
    "model": "hybrid",
    "trend": ["slope", "upstream_area_m2"],
    "smoothing": 1.0,
    "nuisance": {"knots": "120d"},
}


def spoilt(path: Path, folder: Path) -> tuple[Path, Path]:
    """Observations with gauges that say nothing, and the same without them."""
    with xr.open_dataset(path) as data:
        given = data.load()
    order = np.argsort(given["discharge"].mean("time").values)
    empty, single, flat, ignored = order[[1, 3, 5, 7]]
    discharge = given["discharge"].values.copy()
    discharge[:, empty] = np.nan
    discharge[:100, single] = discharge[101:, single] = np.nan
    discharge[:, flat] = 25.0
    weight = np.ones(order.size)
    weight[ignored] = 0.0
    bad = given.copy()
    bad["discharge"] = (given["discharge"].dims, discharge, given["discharge"].attrs)
    bad["weight"] = (given["discharge"].dims[1:], weight)
    bad.to_netcdf(folder / "spoilt.nc")
    good = np.setdiff1d(np.arange(order.size), [empty, single, flat, ignored])
    given.isel({given["discharge"].dims[1]: good}).to_netcdf(folder / "without.nc")
    return folder / "spoilt.nc", folder / "without.nc"


def parameters(run: Path) -> xr.Dataset:
    with xr.open_zarr(run / "parameters.zarr") as data:
        return data.load()


@pytest.mark.parametrize("method", ["gauss_newton", "adam"])
def test_a_fit_learns_what_it_learns_without_them(
    files: Any, finished: Path, tmp_path: Path, method: str
) -> None:
    found = []
    for name, path in zip(("a", "b"), spoilt(finished / "world" / "observations.nc", tmp_path), strict=True):
        run = files.run(
            observations={"path": str(path)},
            parameters=MODEL,
            estimate={"method": method, "steps": 8},
            compute={"dtype": "float64"},
            output=str(tmp_path / name),
        )
        found.append(parameters(run))
    assert "have too few different values to train on" in (tmp_path / "a" / "log.txt").read_text()
    gauges = [json.loads((tmp_path / name / "run.json").read_text())["summary"]["gauges"] for name in "ab"]
    assert gauges[0] == gauges[1] + 4
    assert set(found[0]) == set(found[1])
    assert np.ptp(found[1]["celerity"].values) > 0.1
    for name in found[1]:
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-6, atol=1e-9, err_msg=str(name))


@pytest.mark.slow
@pytest.mark.distributed
def test_workers_find_the_same(files: Any, tmp_path: Path) -> None:
    """Gauss-Newton, the evidence and the uncertainty over two processes."""
    found = []
    for name, compute in (
        ("serial", {"kind": "serial"}),
        ("workers", {"kind": "local", "workers": 2}),
    ):
        run = files.run(
            parameters=MODEL,
            compute={**compute, "dtype": "float64"},
            partition={"block_reaches": 60},
            estimate={"steps": 5, "inner": 8},  # the fifth after the evidence
            uncertainty={"products": 8, "checks": 1},
            output=str(tmp_path / name),
        )
        found.append(parameters(run))
    assert set(found[0]) == set(found[1])
    for name in found[0]:
        np.testing.assert_allclose(found[1][name], found[0][name], rtol=1e-9, atol=1e-12, err_msg=str(name))
