"""Peak memory and time of an estimation against the length of its record: runoff is read as steps need it.

    python benchmarks/stream_runoff.py [--reaches 20000] [--years 5,10,20] [--budget 200MB] [--steps 10]

A generated network, daily runoff in NetCDF, a twin with 1 % gauges, Adam with windows of 120 days. Each record is a
process of its own; its peak is the operating system's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import forests
import measure
import netCDF4
import numpy as np
import pandas as pd
import torch

DAY = 86400
BLOCK = 64
WORKFLOW = """
name: stream
network: {{path: {folder}/network.parquet}}
runoff: {{path: {folder}/runoff.nc}}
twin: {{gauge_fraction: 0.01, noise: 0.05}}
scheme: {{name: muskingum}}
time: {{routing_step: 6h, warmup: 60d, train: [2000-01-01, {last}]}}
parameters: {{celerity: {{initial: 1.0}}}}
compute: {{workers: 0, memory_budget: {budget}}}
estimate: {{method: adam, steps: {steps}, window: 120d, evaluate_every: {steps}}}
uncertainty: {{enabled: false}}
report: {{discharge: false}}
output: {folder}/run
"""


@dataclass(frozen=True)
class Row:
    """One record."""

    reaches: int
    years: int
    record_mb: float
    budget: str
    steps: int
    seconds: float
    cpu_seconds: float
    peak_mb: float
    machine: str


def write(folder: Path, reaches: int, days: int) -> None:
    """The network and its runoff, m³/s."""
    down = forests.river_forest(reaches)
    ids = np.arange(1, reaches + 1)
    random = np.random.default_rng(0)
    pd.DataFrame(
        {
            "reach_id": ids,
            "downstream_id": np.where(down >= 0, down + 1, -1),
            "length_m": random.uniform(1e3, 2e4, reaches),
            "slope": random.uniform(1e-4, 1e-2, reaches),
        }
    ).to_parquet(folder / "network.parquet")
    with netCDF4.Dataset(str(folder / "runoff.nc"), "w") as file:
        file.createDimension("time", days)
        file.createDimension("reach", reaches)
        when = file.createVariable("time", "i8", ("time",))
        when.units = "days since 2000-01-01"
        when[:] = np.arange(days)
        file.createVariable("reach_id", "i8", ("reach",))[:] = ids
        values = file.createVariable("runoff", "f4", ("time", "reach"))
        values.units = "m3 s-1"
        for at in range(0, days, BLOCK):
            values[at : at + BLOCK] = random.gamma(0.5, 1.0, (min(BLOCK, days - at), reaches))


def main() -> None:
    """Every record in turn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--reaches", type=int, default=20_000)
    parser.add_argument("--years", default="5,10,20")
    parser.add_argument("--budget", default="200MB")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    for years in map(int, options.years.split(",")):
        days = years * 365
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            write(folder, options.reaches, days)
            last = str(np.datetime64("2000-01-01") + days - 1)
            workflow = folder / "w.yaml"
            workflow.write_text(
                WORKFLOW.format(folder=folder, last=last, budget=options.budget, steps=options.steps)
            )
            began = time.perf_counter()
            with subprocess.Popen(
                [sys.executable, "-m", "rivergrad", "estimate", str(workflow)], stdout=subprocess.DEVNULL
            ) as process:
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise SystemExit(f"{years} years: exit code {process.returncode}")
            print(json.loads((folder / "run" / "run.json").read_text()).get("timings"))
            row = Row(
                options.reaches,
                years,
                4e-6 * options.reaches * days,
                options.budget,
                options.steps,
                time.perf_counter() - began,
                usage.ru_utime + usage.ru_stime,
                usage.ru_maxrss / 1024,
                measure.machine(torch.device("cpu")),
            )
            print(f"{years} years: peak {row.peak_mb:.0f} MB, CPU {row.cpu_seconds:.1f} s", flush=True)
            measure.write(options.output, [row])


if __name__ == "__main__":
    main()
