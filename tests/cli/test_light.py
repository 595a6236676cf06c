"""What only looks at files starts without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rivergrad.io import write_runoff

CODE = """
import sys
from rivergrad.cli import app
try:
    app(sys.argv[1:], standalone_mode=False)
except SystemExit:
    pass
heavy = ("torch", "matplotlib", "distributed")
if sys.argv[1] == "status":  # JSON and CSV files are all that it reads
    heavy += ("pandas", "xarray", "numba", "scipy")
print([name for name in heavy if name in sys.modules])
"""


@pytest.mark.parametrize("command", ["version", "validate", "status"])
def test_it_does_not_import_torch(command: str, tmp_path: Path) -> None:
    (tmp_path / "network.csv").write_text("reach_id,downstream_id,length_m\n1,-1,1000\n")
    workflow = tmp_path / "w.yaml"
    table, runoff = str(tmp_path / "network.csv"), str(tmp_path / "runoff.nc")
    days = np.datetime64("2000-01-01", "ns") + np.arange(900) * np.timedelta64(1, "D")
    write_runoff(runoff, [1], days, np.ones((900, 1)))
    workflow.write_text(
        f"name: light\nnetwork: {{path: {table}}}\nrunoff: {{path: {runoff}}}\ntwin: {{gauge_fraction: 0.5}}\n"
        "scheme: {name: muskingum}\ntime: {routing_step: 1h, train: [2000-01-01, 2001-12-31]}\n"
    )
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"status": "done", "name": "light"}))
    arguments = {
        "version": ["--version"],
        "validate": ["validate", str(workflow)],
        "status": ["status", str(run)],
    }
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments[command]], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert len(done.stdout.splitlines()) > 1  # it said what was asked for
