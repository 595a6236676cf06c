"""A run says where its scheme is outside its range, and can cap x against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from rivergrad.config.load import load_workflow
from rivergrad.routing import schemes
from rivergrad.routing.outside import outside
from rivergrad.run.workflow import run_workflow

QUICK: dict[str, Any] = {
    "time": {"routing_step": "1d"},
    "estimate": {"steps": 1, "evaluate_every": 1, "checkpoint_every": 1},
    "uncertainty": {"enabled": False},
}


def carry_out(tiny: Any, folder: Path, **scheme: Any) -> tuple[dict[str, Any], dict[str, np.ndarray], str]:
    """Summary, parameters and log of a run at a routing step that is too long for its short reaches."""
    run = run_workflow(
        load_workflow(tiny(folder / "w.yaml", folder / "run", scheme=scheme, **QUICK)), report=False
    )
    with xr.open_zarr(run / "parameters.zarr") as data:
        values = {name: data[name].values for name in ("k", "x", "celerity", "diffusivity", "reach_id")}
    return json.loads((run / "run.json").read_text())["summary"], values, (run / "log.txt").read_text()


def test_it_stands_in_run_json_and_in_the_log(
    tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary, values, log = carry_out(tiny, tmp_path)
    found = outside(schemes.get("muskingum"), {n: values[n] for n in "kx"}, 86400.0, values["reach_id"])
    assert found is not None
    told = summary["outside_range"]
    assert told["reaches"] == found.reach_id.size > 0
    with xr.open_dataset(tmp_path / "run" / "discharge.nc") as data:
        least = float(data["discharge"].min())
    assert told["least_discharge"] == pytest.approx(least, rel=1e-4, abs=1e-6)
    assert f"negative responses at {found.reach_id.size} of" in log
    said = capsys.readouterr().err
    assert ("warning: scheme muskingum" in said) == told["negative"]  # no nuisance where nothing came of it


def test_a_capped_x_is_what_the_run_leaves(tiny: Any, tmp_path: Path) -> None:
    summary, values, _ = carry_out(tiny, tmp_path, cap_x=True)
    half = 86400.0 / (2 * values["k"])
    assert (values["x"] <= np.maximum(np.minimum(half, 1 - half), 0.0) + 1e-6).all()
    inside = 2 * values["k"] >= 86400.0 * (1 + 1e-6)
    assert summary["outside_range"]["reaches"] == int((~inside).sum())
    length = values["k"] * values["celerity"]
    np.testing.assert_allclose(
        values["diffusivity"], values["celerity"] * length * (0.5 - values["x"]), rtol=1e-5
    )
