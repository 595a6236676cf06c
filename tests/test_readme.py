"""The README: its examples run, and what it says about make and the commands is so."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

sys.path.insert(0, str(Path(__file__).parent))  # examples.py, whatever pytest's import mode

from examples import ROOT, blocks, carry_out, prose

README = ROOT / "README.md"


def test_examples_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = carry_out(README)
    assert capsys.readouterr().out.startswith("torch.Size([365, 3]) tensor([")
    assert [line.split()[1] for line in printed] == ["route", "partition"]
    with xr.open_dataset("discharge.nc") as data:
        assert data["discharge"].dims == ("time", "reach")
        assert data["reach"].values.tolist() == [10, 20, 30]
        assert str(data["time"].values[0])[:10] == "2001-01-01"
        discharge = data["discharge"].values
    assert (discharge > 0).all()
    assert np.all(discharge[:, 0] < [4.0, 9.0, 9.0])  # a reservoir that starts empty never tops its inflow
    assert Path("partition.zarr").is_dir()


def test_the_python_example_is_short() -> None:
    (example,) = (block.text for block in blocks(README) if block.language == "python")
    assert len([line for line in example.splitlines() if line]) <= 12
    assert "import rivergrad as rg" in example


def test_the_workflow_is_valid(tmp_path: Path) -> None:
    from rivergrad.config.load import load_workflow

    (text,) = (block.text for block in blocks(README) if block.language == "yaml")
    path = tmp_path / "basin.yaml"
    path.write_text(text, encoding="utf-8")
    assert str(load_workflow(path).output) == "runs/basin"


def test_commands_are_those_there_are() -> None:
    from rivergrad.cli import app

    named = set(re.findall(r"`rivergrad ([\w-]+)", prose(README)))
    there = {command.name for command in app.registered_commands}
    assert named == there


def _plan(*arguments: str) -> str:
    """What make would do."""
    command = ["make", "--no-print-directory", "-n", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_demo_leaves_the_development_tools_out(tmp_path: Path) -> None:
    demo, test = (_plan(target, f"VENV={tmp_path}") for target in ("demo", "test"))
    assert "install -e .\n" in demo
    assert "[dev]" not in demo
    assert "install -e '.[dev]'\n" in test
    assert test.index("install -e .\n") < test.index("install -e '.[dev]'\n") < test.index("-m pytest ")
    assert all(" -q install " in line for line in test.splitlines() if " -m pip " in line)


def test_make_hands_torch_to_pip_as_it_stands(tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")

    def plan(*settings: str) -> str:
        return _plan("demo", f"VENV={tmp_path}", *settings)

    default = re.search(r"`(torch==[\d.]+)`", prose(README))
    assert default is not None
    assert f"install {default[1]}\n" in plan()
    other = "torch --index-url <the index of your build>"
    assert f'make demo TORCH="{other}"' in README.read_text(encoding="utf-8")
    assert f"install {other}\n" in plan(f"TORCH={other}")
    assert plan().rstrip().endswith("rivergrad run workflows/demo.yaml")
