"""The scripts in examples/ run, learn, and are as short as the pages say."""

from __future__ import annotations

import re
import runpy
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
