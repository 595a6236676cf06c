"""The scripts in examples/ run, learn, and are as short as the pages say; so does the profile of a training step."""

from __future__ import annotations

import csv
import importlib.util
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


def test_a_router_behind_a_network_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    script = ROOT / "examples" / "routed_network.py"
    assert len(script.read_text(encoding="utf-8").splitlines()) <= 40
    torch.manual_seed(0)
    found = runpy.run_path(str(script))
    scores = [
        float(score) for score in re.findall(r"gauges (-?[\d.]+)$", capsys.readouterr().out, re.MULTILINE)
    ]
    assert len(scores) == 31
    assert scores[-1] > max(0.2, scores[0] + 0.5)
    assert all(parameter.grad.abs().max() > 0 for parameter in found["model"].parameters())


def test_profile_of_a_training_step(tmp_path: Path) -> None:
    table = tmp_path / "parts.csv"
    script = str(ROOT / "benchmarks" / "end_to_end_profile.py")
    sizes = ["--reaches", "200", "--days", "20", "--hidden", "4", "--chunk", "64", "--repeats", "1"]
    found = subprocess.run(
        [sys.executable, script, *sizes, "--output", str(table)], check=True, capture_output=True, text=True
    )
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["part"] for row in rows if row["part"].startswith("routing")] == [
        "routing forward", "routing backward",
    ]  # fmt: skip
    assert sum(float(row["share"]) for row in rows[:-1]) == pytest.approx(1.0, abs=1e-2)
    assert re.search(r"routing takes [\d.]+ % of the step", found.stdout)


@pytest.mark.parametrize("script", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_a_benchmark_has_no_name_that_a_library_imports(script: Path) -> None:
    """Its folder comes first on the path: a coverage.py in it is what numba finds under that name."""
    found = importlib.util.find_spec(script.stem)
    own = (ROOT / "benchmarks", ROOT / "tests")  # modules that tests import are no libraries
    origin = None if found is None else found.origin
    assert origin is None or any(Path(origin).is_relative_to(folder) for folder in own)
