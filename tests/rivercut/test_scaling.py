"""The size of a planet, through the benchmark itself: seconds, memory, balance, and the same bytes again."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "partition_scaling.py"


@pytest.mark.slow
def test_seven_million_reaches_into_64_parts(tmp_path: Path) -> None:
    table = tmp_path / "row.csv"
    # A process of its own, so that its peak memory is its own.
    subprocess.run([sys.executable, str(SCRIPT), "--output", str(table)], check=True, capture_output=True)
    with table.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert int(row["reaches"]) == 7_000_000
    assert int(row["largest_basin"]) > 500_000
    assert float(row["seconds"]) <= 20
    assert float(row["peak_rss_gb"]) <= 4
    assert float(row["balance"]) <= 1.05
    assert row["acyclic"] == row["reproducible"] == "True"
    assert int(row["cut_edges"]) < 64 * 4
