"""The shipped workflows reach the scores that the project promises for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from rivergrad.config.load import load_workflow
from rivergrad.run.workflow import run_workflow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # profiles are relative to the current directory


def summary(name: str, output: Path) -> dict[str, Any]:
    """run.json's summary of a shipped workflow, run into `output` in this process."""
    settings = [f"output={output}", "compute.kind=serial", "compute.workers=0"]
    run = run_workflow(load_workflow(f"workflows/{name}.yaml", settings), report=False)
    found: dict[str, Any] = json.loads((run / "run.json").read_text(encoding="utf-8"))["summary"]
    return found


@pytest.mark.slow
def test_juniata_in_fifteen_years_it_never_saw(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIVERGRAD_DATA", str(data_dir))
    scores = summary("juniata", tmp_path / "run")["medians"]["time"]
    assert scores["nse_unrouted"] == pytest.approx(0.6947, abs=5e-5)  # published with the data
    assert scores["kge_unrouted"] == pytest.approx(0.8192, abs=5e-5)
    assert scores["nse_uniform"] == pytest.approx(0.862, abs=2e-3)
    assert scores["nse_estimate"] >= 0.865


@pytest.mark.slow
def test_delaware_at_gauges_it_never_saw(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIVERGRAD_DATA", str(data_dir))
    found = summary("delaware", tmp_path / "run")["folds"]["splits"]["gauge"]
    assert sum(fold["gauges"] for fold in found["folds"]) == 61
    assert found["pooled"]["nse_estimate"] >= 0.55
    assert found["pooled"]["nse_estimate"] > found["pooled"]["nse_uniform"]
    for fold in found["folds"]:
        assert fold["nse_estimate"] >= fold["nse_uniform"] - 0.01


@pytest.mark.slow
def test_demo_world(tmp_path: Path) -> None:
    found = summary("demo", tmp_path / "run")
    for split in ("time", "gauge", "gauge_time"):
        scores = found["medians"][split]
        assert scores["nse_estimate"] > max(scores[f"nse_{n}"] for n in ("unrouted", "default", "uniform"))
    assert found["celerity_rank_correlation"] >= 0.9
    maps = xr.open_zarr(tmp_path / "run" / "parameters.zarr").load()
    inside = (maps["celerity_lower"] <= maps["celerity_true"]) & (
        maps["celerity_true"] <= maps["celerity_upper"]
    )
    assert 0.85 <= float(inside.mean()) <= 0.95
