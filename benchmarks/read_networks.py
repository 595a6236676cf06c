"""How long a network of the world's size takes to read, and how much memory: Parquet, Zarr and CSV.

Each is read in a process of its own. Writes a table: format, seconds, seconds of computing (all threads), peak
memory in GB, reaches.

    python benchmarks/read_networks.py --reaches 6840000 --output benchmarks/read_networks.csv
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from rivercut import store
from rivercut.network import RiverNetwork
from rivergrad.io import write_network_table

READ = """
import resource, sys, time
import rivergrad as rg
rg.RiverNetwork.from_ids([1, 2], [2, -1], [1e3, 1e3])  # compiles
begin, computing = time.perf_counter(), time.process_time()
network = rg.read_network(sys.argv[1])
seconds, computing = time.perf_counter() - begin, time.process_time() - computing
print(seconds, computing, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, network.n_reaches)
"""


def forest(reaches: int) -> RiverNetwork:
    """A forest of many basins, with ids as GEOGLOWS has them and four attributes, in no order."""
    rng = np.random.default_rng(1)
    at = np.arange(reaches)
    below = at + 1 + rng.integers(0, 40, reaches)  # a reach flows into one of the next forty
    ends = (below >= reaches) | (rng.random(reaches) < 1e-4)
    ids = 110_000_000 + rng.permutation(9 * reaches)[:reaches]
    return RiverNetwork(
        ids,
        np.where(ends, -1, below),
        rng.lognormal(8.0, 0.7, reaches),
        {
            "lat": rng.uniform(-55, 80, reaches),
            "lon": rng.uniform(-180, 180, reaches),
            "area_m2": rng.lognormal(16.5, 0.8, reaches),
            "slope": rng.lognormal(-6.0, 1.0, reaches),
        },
    )


def main() -> None:
    """Generate, write, and read in a process each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reaches", type=int, default=6_840_000)
    parser.add_argument("--output", type=Path, default=Path("read_networks.csv"))
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        network = forest(given.reaches)
        for name in ("network.parquet", "network.zarr", "network.csv"):
            path = Path(folder) / name
            if path.suffix == ".zarr":
                store.write_network(network, path)
            else:
                write_network_table(path, network)
            done = subprocess.run(
                [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True
            )
            seconds, computing, memory, reaches = done.stdout.split()
            rows.append(
                [
                    path.suffix[1:],
                    f"{float(seconds):.1f}",
                    f"{float(computing):.1f}",
                    f"{float(memory):.2f}",
                    reaches,
                ]
            )
            print(*rows[-1])
    with given.output.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["format", "seconds", "cpu_seconds", "peak_gb", "reaches"], *rows])


if __name__ == "__main__":
    main()
