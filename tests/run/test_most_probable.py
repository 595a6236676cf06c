"""After adam, intervals are about the most probable parameters, and hold the estimate all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from rivergrad.config.load import load_workflow
from rivergrad.run import mostprobable, uncertainty
from rivergrad.run.mostprobable import holding
from rivergrad.run.workflow import run_workflow


def test_an_interval_is_widened_to_hold_the_estimate() -> None:
    columns = {
        "celerity_lower": np.array([1.0, 1.0, 1.0, np.nan]),
        "celerity_upper": np.array([2.0, 2.0, 2.0, np.nan]),
        "x_lower": np.array([0.1] * 4),
    }
    found = holding(
        columns, {"celerity": np.array([0.5, 1.5, 3.0, np.nan]), "k": np.ones(4), "x": np.ones(4)}
    )
    np.testing.assert_array_equal(found["celerity_lower"], [0.5, 1.0, 1.0, np.nan])
    np.testing.assert_array_equal(found["celerity_upper"], [2.0, 2.0, 3.0, np.nan])
    np.testing.assert_array_equal(found["x_lower"], columns["x_lower"])  # no such interval
    assert columns["celerity_lower"][0] == 1.0


def columns(run: Path) -> dict[str, Any]:
    with xr.open_zarr(run / "parameters.zarr", consolidated=False) as data:
        return {name: data[name].values for name in data.data_vars}


def test_intervals_do_not_depend_on_where_adam_stopped(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two ends of the same fit: the estimates differ, the most probable parameters hardly do."""
    places: list[np.ndarray[Any, Any]] = []

    def kept(*given: Any, **more: Any) -> Any:
        found = mostprobable.most_probable(*given, **more)
        places.append(found[1])
        return found

    monkeypatch.setattr(uncertainty, "most_probable", kept)
    runs = []
    for steps in (2, 12):
        folder = tmp_path / str(steps)
        path = tiny(
            tmp_path / f"{steps}.yaml",
            folder,
            partition={"parts": 1, "spread": False},
            estimate={"steps": steps, "evaluate_every": steps},
            parameters={"deviation_sd": 0.3},
            report={"discharge": False},
        )
        runs.append(columns(run_workflow(load_workflow(path), report=False, show_scores=False)))
    informed = runs[0]["informed"] > 0
    apart = np.abs(np.log(runs[0]["celerity"] / runs[1]["celerity"]))[informed]
    most = np.abs(places[0] - places[1])[0][informed]
    assert np.median(apart) > 0.03
    assert np.median(most) < 0.3 * np.median(apart)
    for run in runs:
        assert (run["celerity_lower"] <= run["celerity"]).all()
        assert (run["celerity"] <= run["celerity_upper"]).all()
