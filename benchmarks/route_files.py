"""`rivergrad route` beside river_route, from files to files: whole processes on the same network and runoff.

    python benchmarks/route_files.py --peer-python PYTHON [--cases 10-years,1-year-hourly] [--repeats 3]

PYTHON is an interpreter with river-route installed (it needs 3.12). Both read one NetCDF file of runoff, (time,
reach) float32 in m³ per step, and write NetCDF; ours has the options that river_route has: `--scheme muskingum
--convention rapid --routing-step 1h`. The network is DDM30 (RIVERGRAD_DATA/global_ddm30), or one that is generated.

The answers are compared before anything is timed. river_route reports means of the states after each routing step,
RAPID and we those before it: of steps as long as the routing step, ours is river_route's a step later. So both route
ten days of runoff that stays for a day, ours at hourly steps too, and river_route's days are compared with the means
of our hours, moved by one. Then the two take turns (A B A B); the row of a case holds the medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import measure
import netCDF4
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from rivergrad.io import read_network

HOUR, DAY = 3600, 86400
CHECKED_DAYS = 10
TOLERANCE = 1e-4  # relative L2: both compute in float32
BLOCK = 64  # steps of runoff made at once
PEER = """
import sys, river_route as rr
params, runoff, out = sys.argv[1:]
rr.RapidMuskingum(params_file=params, qlateral_files=[runoff], discharge_files=[out], dt_routing=3600,
                  log=False, progress_bar=False).route()
"""


@dataclass(frozen=True)
class Case:
    """So many steps of runoff of some length, s."""

    name: str
    steps: int
    step: int


@dataclass(frozen=True)
class Row:
    """Medians of one case; `speedup` is river_route's time over ours."""

    case: str
    reaches: int
    steps: int
    step_s: int
    speedup: float
    seconds: float
    peer_seconds: float
    cpu_seconds: float
    peer_cpu_seconds: float
    peak_mb: float
    peer_peak_mb: float
    repeats: int
    error: float
    machine: str


CASES = (
    Case("5-years", 1826, DAY),
    Case("10-years", 3652, DAY),
    Case("20-years", 7305, DAY),
    Case("1-year-hourly", 8760, HOUR),
)


@dataclass(frozen=True)
class Files:
    """The network for both, with k and x."""

    network: Path
    parameters: Path
    peer: Path
    reach_id: NDArray[np.int64]


def networks(folder: Path, source: Path) -> Files:
    """Upstream before downstream, as river_route wants it; x such that no coefficient is negative."""
    given = read_network(source)
    order = given.order
    ids = given.reach_id[order]
    below = given.downstream[order]
    down = np.where(below >= 0, given.reach_id[below], -1)
    random = np.random.default_rng(0)
    length = np.asarray(given.length, np.float64)[order]
    k = length / random.uniform(0.5, 2.0, ids.size)
    x = np.minimum(0.3, 0.9 * HOUR / (2 * k)) * random.uniform(0.5, 1.0, ids.size)
    files = Files(folder / "network.parquet", folder / "parameters.parquet", folder / "peer.parquet", ids)
    pd.DataFrame({"reach_id": ids, "downstream_id": down, "length_m": length}).to_parquet(files.network)
    pd.DataFrame({"reach_id": ids, "k": k, "x": x}).to_parquet(files.parameters)
    pd.DataFrame({"river_id": ids, "downstream_river_id": down, "k": k, "x": x}).to_parquet(files.peer)
    return files


def write_runoff(path: Path, ids: NDArray[np.int64], steps: int, step: int, held: int = 1) -> None:
    """Runoff in m³ per step; each number stays for `held` steps."""
    random = np.random.default_rng(1)
    scale = random.gamma(2.0, 50.0, ids.size).astype(np.float32) * np.float32(step)
    with netCDF4.Dataset(str(path), "w") as file:
        file.createDimension("time", steps)
        file.createDimension("river_id", ids.size)
        when = file.createVariable("time", "i8", ("time",))
        when.units = "seconds since 2000-01-01"
        when[:] = np.arange(steps) * step
        file.createVariable("river_id", "i4", ("river_id",))[:] = ids
        values = file.createVariable("qlateral", "f4", ("time", "river_id"))
        values.units = "m3"
        for at in range(0, steps, BLOCK * held):
            end = min(at + BLOCK * held, steps)
            wet = random.gamma(0.5, 1.0, (-(-(end - at) // held), ids.size)).astype(np.float32)
            values[at:end] = np.repeat(wet, held, axis=0)[: end - at] * scale


def ours(files: Files, runoff: Path, output: Path, threads: str | None = None) -> list[str]:
    """Our command."""
    command = [
        sys.executable,
        "-m",
        "rivergrad",
        "route",
        "--network",
        str(files.network),
        "--runoff",
        str(runoff),
    ]
    command += ["--parameters", str(files.parameters), "--scheme", "muskingum", "--convention", "rapid"]
    return command + ["--output", str(output), "--overwrite"] + (["--threads", threads] if threads else [])


def theirs(python: str, files: Files, runoff: Path, output: Path) -> list[str]:
    """river_route's."""
    return [python, "-c", PEER, str(files.peer), str(runoff), str(output)]


@dataclass(frozen=True)
class Spent:
    """What a process took."""

    seconds: float
    cpu: float
    peak_mb: float


def run(command: list[str]) -> Spent:
    """A process to its end; SystemExit where it fails."""
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    taken = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:6])} …: {said.decode(errors='replace')[-2000:]}")
    return Spent(taken, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def discharge(path: Path, name: str) -> NDArray[np.float64]:
    """What was written."""
    with netCDF4.Dataset(str(path)) as file:
        return np.ma.getdata(file[name][:]).astype(np.float64)


def check(folder: Path, files: Files, python: str) -> float:
    """How far the answers are apart, relative L2; an error where that is too far."""
    daily, hourly, out = folder / "days.nc", folder / "hours.nc", folder / "checked.nc"
    write_runoff(daily, files.reach_id, CHECKED_DAYS, DAY)
    hours = CHECKED_DAYS * 24 + 1
    write_runoff(hourly, files.reach_id, hours, HOUR, held=24)
    run(theirs(python, files, daily, out))
    peer = discharge(out, "Q")
    out.unlink()
    run(ours(files, hourly, out))
    ours_hourly = np.maximum(discharge(out, "discharge"), 0)[1:]
    by_day = ours_hourly.reshape(CHECKED_DAYS, 24, -1).mean(axis=1)
    run(ours(files, daily, out))
    days = discharge(out, "discharge")
    before = np.concatenate([np.zeros((1, days.shape[1])), ours_hourly])[:-1]
    own = np.linalg.norm(before.reshape(CHECKED_DAYS, 24, -1).mean(axis=1) - days) / np.linalg.norm(days)
    error = max(own, np.linalg.norm(by_day - peer) / np.linalg.norm(peer))
    for path in (daily, hourly, out):
        path.unlink()
    if not error <= TOLERANCE:
        raise SystemExit(f"the answers differ by {error:.3g} > {TOLERANCE:g}")
    return float(error)


def measured(case: Case, folder: Path, files: Files, options: argparse.Namespace, error: float) -> Row:
    """The two in turns."""
    runoff, out = folder / f"{case.name}.nc", folder / "discharge.nc"
    write_runoff(runoff, files.reach_id, case.steps, case.step)
    mine: list[Spent] = []
    peer: list[Spent] = []
    for _ in range(options.repeats):
        out.unlink(missing_ok=True)
        mine.append(run(ours(files, runoff, out, options.threads)))
        out.unlink(missing_ok=True)
        if options.peer_python:
            peer.append(run(theirs(options.peer_python, files, runoff, out)))
    out.unlink(missing_ok=True)
    runoff.unlink()

    def median(of: list[Spent], name: str) -> float:
        return statistics.median(getattr(one, name) for one in of) if of else float("nan")

    pairs = [b.seconds / a.seconds for a, b in zip(mine, peer, strict=False)]
    return Row(
        case.name,
        files.reach_id.size,
        case.steps,
        case.step,
        statistics.median(pairs) if pairs else float("nan"),
        median(mine, "seconds"),
        median(peer, "seconds"),
        median(mine, "cpu"),
        median(peer, "cpu"),
        median(mine, "peak_mb"),
        median(peer, "peak_mb"),
        options.repeats,
        error,
        measure.machine(torch.device("cpu")),
    )


def main() -> None:
    """Every case in turn; rows are added to the table as each is done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peer-python", help="a Python with river-route; without it, ours alone")
    default = Path(os.environ.get("RIVERGRAD_DATA", ".")) / "global_ddm30" / "network.csv.gz"
    parser.add_argument("--network", type=Path, default=default)
    names = ",".join(case.name for case in CASES)
    parser.add_argument("--cases", default=names, help=f"of {names}")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", help="of ours; as many as cores by default")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        files = networks(folder, options.network)
        error = check(folder, files, options.peer_python) if options.peer_python else float("nan")
        for case in CASES:
            if case.name in options.cases.split(","):
                row = measured(case, folder, files, options, error)
                print(
                    f"{row.speedup:.2f}x river_route  {row.case}: {row.seconds:.2f} s beside {row.peer_seconds:.2f} s, "
                    f"CPU {row.cpu_seconds:.2f} beside {row.peer_cpu_seconds:.2f} s, "
                    f"peak {row.peak_mb:.0f} beside {row.peer_peak_mb:.0f} MB, answers within {row.error:.1e}",
                    flush=True,
                )
                measure.write(options.output, [row])


if __name__ == "__main__":
    main()
