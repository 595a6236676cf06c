"""Uncertainty by an ensemble against Laplace's approximation, of which its members are draws."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from rivergrad.config.load import load_workflow
from rivergrad.run.workflow import run_workflow

MEMBERS = 150
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def carried(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """parameters.zarr of the tiny world under some settings of uncertainty."""
    folder = tmp_path_factory.mktemp("ensembles")

    @cache
    def carry(name: str, **uncertainty: Any) -> xr.Dataset:
        path: Path = tiny(
            folder / f"{name}.yaml",
            folder / name,
            estimate={"method": "gauss_newton", "steps": 6, "evaluate_every": 1},
            compute={"dtype": "float64"},
            report={"discharge": False},
        )
        settings = [f"uncertainty.{key}={value}" for key, value in uncertainty.items()]
        run = run_workflow(load_workflow(path, settings), report=False, show_scores=False)
        return xr.open_zarr(run / "parameters.zarr").load()

    return carry


def log_sd(data: xr.Dataset) -> NDArray[np.float64]:
    found: NDArray[np.float64] = data["celerity_log_sd"].values
    return found


def test_members_spread_as_laplace_says(carried: Any) -> None:
    exact = carried("laplace", products=300)
    found = carried("ensemble", method="ensemble", members=MEMBERS)
    np.testing.assert_array_equal(found["celerity"], exact["celerity"])
    ratio = log_sd(found) / log_sd(exact)
    # of a standard deviation by so many members the standard error is 1/√(2 (members − 1)), 6 % here
    error = 1 / np.sqrt(2 * (MEMBERS - 1))
    assert abs(np.mean(ratio) - 1) < 2 * error
    assert np.abs(ratio - 1).max() < 5 * error
    sure = exact["identifiability"].values
    assert sure.max() > 0.5  # so that there is something to agree on
    assert np.abs(found["identifiability"].values - sure).max() < 10 * error
    assert (found["celerity_lower"] <= found["celerity"]).all()
    assert (found["celerity"] <= found["celerity_upper"]).all()


def test_members_come_from_the_seed_and_gauges_may_be_drawn(carried: Any) -> None:
    first, second = (carried(f"few-{k}", method="ensemble", members=8) for k in range(2))
    np.testing.assert_array_equal(log_sd(first), log_sd(second))
    drawn = carried("drawn", method="ensemble", members=MEMBERS, bootstrap="true")
    whole = carried("ensemble", method="ensemble", members=MEMBERS)
    sure = whole["identifiability"].values > 0.3
    # a gauge that a member did not draw tells it nothing
    assert log_sd(drawn)[sure].mean() > 1.03 * log_sd(whole)[sure].mean()
