"""`rivergrad generate-world`, and the workflow that reads what it makes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import rivergrad as rg
from rivergrad.cli import app

WORKFLOW = Path(__file__).resolve().parents[2] / "workflows" / "global.yaml"
SHORT = (
    "time.train=[2001-01-01, 2001-06-30]",
    "time.test=[2001-07-01, 2001-08-31]",
    "time.warmup=20d",
    "time.routing_step=6h",
    "estimate.steps=4",
    "estimate.window=40d",
    "estimate.evaluate_every=2",
    "uncertainty.products=2",
    "uncertainty.rounds=1",
)


def call(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, list(words))
    return found.exit_code, found.output


def test_a_world_is_made_checked_and_estimated_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RIVERGRAD_DATA", str(tmp_path))
    code, said = call("generate-world", "world", "--reaches", "1500", "--years", "0.7", "--seed", "2")
    assert code == 0, said
    assert said.splitlines()[-1] == "world"
    assert "observations: " in said
    words = [word for one in SHORT for word in ("--set", one)]
    code, said = call("validate", str(WORKFLOW), *words)
    assert code == 0, said
    chunk = tmp_path / "world/runoff.zarr/runoff/c/0/0/0"
    content = chunk.read_bytes()
    chunk.write_bytes(content[: len(content) // 2])
    code, said = call("run", str(WORKFLOW), *words)
    assert code == 2
    assert "(chunk runoff/c/0/0/0 of 2001-01-01 to 2001-09-13: " in said
    chunk.write_bytes(content)
    code, said = call("run", str(WORKFLOW), *words)
    assert code == 0, said
    run = tmp_path / "runs" / "global"
    parameters = rg.open_run(run).parameters
    assert np.isfinite(parameters["celerity_log_sd"]).all()
    assert (run / "report.html").is_file()
    info = json.loads((run / "run.json").read_text())
    assert list(info["timings"]) == list(info["peak_mb"])
    assert set(info["timings"]) >= {"inputs", "setup", "uncertainty", "report"}
    assert info["summary"]["world"] == "generated"  # no coasts of the Earth on its map


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("there",), "OUT there: is there"),
        (("new", "--reaches", "3"), "--reaches 3: expected"),
        (("new", "--years", "1e9"), "--years 1e+09: expected"),
        (("there/file/world",), "not a folder"),
    ],
)
def test_nothing_is_written_where_it_may_not_be(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("mine")
    code, text = call("generate-world", *words)
    assert code == 2
    assert said in text
    assert [one.name for one in tmp_path.rglob("*")] == ["there", "file"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_a_world_is_not_begun_for_a_device_that_is_not_there(tmp_path: Path) -> None:
    code, said = call("generate-world", str(tmp_path / "world"), "--reaches", "1500", "--device", "cuda")
    assert code == 2
    assert "no CUDA device was found; expected one, or device cpu" in said
    assert not (tmp_path / "world").exists()
