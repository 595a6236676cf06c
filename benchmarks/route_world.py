"""`rivergrad route` over a generated world beside its parts: reading alone, and routing alone.

    rivergrad generate-world WORLD --reaches 6840000 --years 10 --device cuda
    python benchmarks/route_world.py WORLD --device cuda [--largest 100000] [--output route_world.csv]

The command routes the whole record with the world's true parameters, and writes discharge at all gauges and at the
largest reaches to Zarr. *Reading alone* is a process that opens the same files and reads the record as a piece does;
*routing alone* one that has the record in memory and drops the discharge, its reading taken off. Each is a process of
its own, from files that are not in the page cache where that is allowed. `ratio` is the command's time over the larger
of the other two. The answer is checked first: what the command wrote at the gauges against what they have observed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import measure
import numpy as np
import pandas as pd
import torch
import xarray as xr
from numpy.typing import NDArray

LEAST_NSE = 0.8  # in the median: gauges have errors of 3 to 25 %
STEP, BLOCK = 3600.0, 64
ALONE = ("reading", "routing")


@dataclass(frozen=True)
class Row:
    """Seconds of the command and of its parts."""

    reaches: int
    days: int
    written: int
    device: str
    command: float
    reading: float
    routing: float
    ratio: float
    peak_mb: float
    median_nse: float
    machine: str


def alone(what: str, world: Path, device: str, largest: int) -> None:
    """Do one part in this process; prints the seconds that do not count."""
    from rivercut.partition import partition
    from rivergrad.cluster.options import ClusterOptions
    from rivergrad.gauges.sizes import river_size
    from rivergrad.io import open_runoff, read_network, read_parameters
    from rivergrad.io.chosen import chosen_reaches
    from rivergrad.pieces.direct import Routing
    from rivergrad.pieces.pieceread import PieceRunoff, piece_runoff
    from rivergrad.pieces.simulate import simulate
    from rivergrad.routing import schemes
    from rivergrad.routing.pieces import make_pieces

    network = read_network(world / "network.parquet")
    source = open_runoff(world / "runoff.zarr", network)
    (piece,) = make_pieces(network, partition(network, 1))
    read, _ = piece_runoff(source, piece, "recurrence", "float32")
    days = len(source.time)
    if what == "reading":
        for start in range(0, days, BLOCK):
            read(start, min(start + BLOCK, days))
        print("aside 0")
        return
    began = time.perf_counter()
    parts = [read(start, min(start + BLOCK, days)) for start in range(0, days, BLOCK)]
    record = np.concatenate(parts)
    PieceRunoff.__call__ = lambda self, start, stop: record[start:stop]  # type: ignore[method-assign]
    aside = time.perf_counter() - began
    simulate(
        network=network,
        runoff=source,
        parameters=read_parameters(world / "parameters.parquet", ["k", "x"], network),
        how=Routing(schemes.get("muskingum"), STEP, "recurrence", device, "float32"),
        sink=lambda start, values: None,
        targets=chosen_reaches([f"largest:{largest}"], network, river_size, "largest"),
        cluster=ClusterOptions(threads=os.cpu_count() or 1),
    )
    print(f"aside {aside}")


def prepare(world: Path) -> int:
    """Write the true parameters and the gauges' reaches as tables; gives the number of gauges."""
    truth = pd.read_parquet(world / "truth.parquet")
    length = pd.read_parquet(world / "network.parquet", columns=["length_m"])["length_m"]
    table = {"reach_id": truth["reach_id"], "k": length / truth["celerity"], "x": truth["spreading"]}
    pd.DataFrame(table).to_parquet(world / "parameters.parquet")
    with xr.open_dataset(world / "observations.nc") as found:
        gauges = found["reach_id"].to_numpy()
    pd.DataFrame({"reach_id": gauges}).to_csv(world / "gauges.csv", index=False)
    return int(gauges.size)


def timed(words: list[str], world: Path) -> tuple[float, float, str]:
    """Seconds and peak memory in MB of a process whose input is not in the page cache, and what it prints."""
    for path in world.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    began = time.perf_counter()
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)}: ended with {process.returncode}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024, said


def median_nse(world: Path, output: Path) -> float:
    """The median over gauges of the NSE of what was written, after 60 days."""
    with (
        xr.open_dataset(world / "observations.nc") as seen,
        xr.open_zarr(output, consolidated=False) as found,
    ):
        ids = seen["reach_id"].to_numpy()
        at = {int(one): place for place, one in enumerate(found["reach"].to_numpy())}
        flow = found["discharge"].isel(reach=[at[int(one)] for one in ids]).to_numpy()[60:]
        return float(np.median(nse(seen["discharge"].transpose("time", "gauge").to_numpy()[60:], flow)))


def nse(seen: NDArray[np.float64], flow: NDArray[np.float64]) -> NDArray[np.float64]:
    """(gauge,) 1 − squared errors over squared departures from the mean."""
    there = np.isfinite(seen)
    with np.errstate(invalid="ignore"):
        mean = np.nanmean(seen, axis=0)
    error = np.where(there, seen - flow, 0.0)
    return 1 - (error**2).sum(0) / np.where(there, seen - mean, 0.0).__pow__(2).sum(0)


def main() -> None:
    """Check and time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("world", type=Path)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--largest", type=int, default=100_000)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".csv"))
    parser.add_argument("--alone", choices=ALONE, help=argparse.SUPPRESS)
    options = parser.parse_args()
    world: Path = options.world
    if options.alone:
        alone(options.alone, world, options.device, options.largest)
        return
    gauges = prepare(world)
    folder = Path(tempfile.mkdtemp())
    try:
        output = folder / "q.zarr"
        command = [
            sys.executable,
            "-m",
            "rivergrad",
            "-q",
            "route",
            "--network",
            str(world / "network.parquet"),
        ]
        command += ["--runoff", str(world / "runoff.zarr"), "--parameters", str(world / "parameters.parquet")]
        command += ["--scheme", "muskingum", "--routing-step", "1h", "--device", options.device]
        command += ["--reaches", str(world / "gauges.csv"), "--reaches", f"largest:{options.largest}"]
        seconds, peak, _ = timed([*command, "--output", str(output)], world)
        found = median_nse(world, output)
        if not found > LEAST_NSE:
            raise SystemExit(
                f"the discharge at gauges has a median NSE of {found:.3f}; expected {LEAST_NSE} and more"
            )
        print(f"route {seconds:.1f} s, {peak:.0f} MB, median NSE {found:.4f} at {gauges} gauges", flush=True)
        with xr.open_zarr(output, consolidated=False) as store:
            days, written = store["discharge"].shape
        parts = {}
        for what in ALONE:
            words = [sys.executable, __file__, str(world), "--alone", what, "--device", options.device]
            whole, _, said = timed([*words, "--largest", str(options.largest)], world)
            parts[what] = whole - float(said.split()[-1])
            print(f"{what} alone {parts[what]:.1f} s", flush=True)
    finally:
        shutil.rmtree(folder)
    ratio = seconds / max(parts.values())
    print(f"ratio {ratio:.2f}")
    reaches = len(pd.read_parquet(world / "network.parquet", columns=["reach_id"]))
    row = Row(
        reaches, int(days), int(written), options.device, round(seconds, 1), round(parts["reading"], 1),
        round(parts["routing"], 1), round(ratio, 2), round(peak), round(found, 4),
        measure.machine(torch.device(options.device)),
    )  # fmt: skip
    measure.write(options.output, [row])


if __name__ == "__main__":
    main()
