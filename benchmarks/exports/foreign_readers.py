"""Exports read and routed by the packages that they are for: river-route, RAPID 2 and DiffRoute.

river-route and RAPID 2 are asked in an interpreter of their own, as they need Python 3.12; of DiffRoute the reader and
the kernel are taken from its folder, as its convolution wants a GPU:

    python benchmarks/exports/foreign_readers.py --river-route /path/to/python3.12 --diffroute /path/to/diffroute

A network of 300 reaches with k and x of a run is exported; the package reads the file with its own reader and routes 60
days by steps of an hour. `results.csv` has the relative L2 difference of all discharge from rivergrad's.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import xarray as xr

import rivergrad as rg
from rivercut.network import RiverNetwork
from rivercut.store import write_network
from rivergrad.io import write_parameters_store
from rivergrad.run.export import export_run

REACHES, DAYS, HOUR = 300, 60, 3600.0

RIVER_ROUTE = """
import sys, river_route as rr
rr.RapidMuskingum(params_file=sys.argv[1], qlateral_files=[sys.argv[2]], discharge_files=[sys.argv[3]],
                  dt_routing=3600, log=False).route()
"""
RAPID2 = """
import sys, numpy as np
from rapid2.core.run import run
from rapid2.prep.coldinit import coldinit
folder, qext, out = sys.argv[1:4]
coldinit(qext, out + ".q0.nc")
files = [folder + "/" + one + ".parquet" for one in ("con", "kpr", "xpr", "bas")]
run(out + ".q0.nc", qext, *files, np.int32(3600), out, out + ".qf.nc")
"""
DIFFROUTE = """
import sys, types, pathlib, importlib.util, numpy as np, pandas as pd, torch
folder = pathlib.Path(sys.argv[4])  # its own files, without the kernels that a GPU needs
bar = types.ModuleType("tqdm.auto"); bar.tqdm = lambda rows: rows
sys.modules.setdefault("tqdm", types.ModuleType("tqdm")); sys.modules.setdefault("tqdm.auto", bar)
for name in ("structs", "graph_utils"):
    stub = types.ModuleType("diffroute." + name)
    stub.RivTree = stub.RivTreeCluster = stub.define_schedule = None
    sys.modules["diffroute." + name] = stub
package = types.ModuleType("diffroute"); package.__path__ = [str(folder)]; sys.modules["diffroute"] = package
def load(name):
    spec = importlib.util.spec_from_file_location("diffroute." + name, folder / (name + ".py"))
    module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module); return module
graph, params = load("io")._read_rapid_graph(pathlib.Path(sys.argv[1]))
runoff = pd.read_parquet(sys.argv[2])
import networkx as nx
ids = list(nx.topological_sort(graph))
table = torch.tensor(params.loc[ids, ["x", "k"]].to_numpy())  # their order of parameters
kernel = load("irfs").irf_kernel_muskingum(table, time_window=60, dt=1 / 24).numpy()
hours = np.repeat(runoff.to_numpy(), 24, axis=0)
inflow = {one: hours[:, runoff.columns.get_loc(str(one))].copy() for one in ids}
out = {}
for i, one in enumerate(ids):
    n = len(hours)
    out[one] = np.fft.irfft(np.fft.rfft(inflow[one], 4 * n) * np.fft.rfft(kernel[i][:n], 4 * n), 4 * n)[:n]
    for to in graph.successors(one):
        inflow[to] += out[one]
pd.DataFrame({str(one): out[one].reshape(-1, 24).mean(axis=1) for one in ids}).to_parquet(sys.argv[3])
"""


def make_run(folder: Path) -> tuple[RiverNetwork, np.ndarray, np.ndarray]:
    """A run directory with k and x within the range of Muskingum at one hour."""
    rng = np.random.default_rng(7)
    ids = rng.permutation(np.arange(1000, 1000 + REACHES))
    below = np.array([-1 if i == 0 else int(rng.integers(0, i)) for i in range(REACHES)])
    network = RiverNetwork(ids, below, rng.uniform(4e3, 2e4, REACHES))
    celerity = rng.uniform(0.5, 1.5, REACHES)
    k = np.asarray(network.length) / celerity
    x = np.minimum(0.45, 0.5 * HOUR / (2 * k))
    folder.mkdir()
    write_network(network, folder / "network.zarr")
    write_parameters_store(folder / "parameters.zarr", ids, {"celerity": celerity, "k": k, "x": x})
    (folder / "run.json").write_text('{"name": "foreign", "status": "done"}')
    return network, k, x


def relative(theirs: np.ndarray, ours: np.ndarray) -> float:
    """Relative L2 difference."""
    return float(np.linalg.norm(theirs - ours) / np.linalg.norm(ours))


def _rapid2(
    folder: Path, network: RiverNetwork, runoff: np.ndarray, expected: np.ndarray, python: Path
) -> tuple[str, str, float]:
    """RAPID 2 of the same interpreter, on its own files."""
    export_run(folder / "run", folder / "r2", name="rapid2")
    order = network.order
    zeros = np.zeros(REACHES)
    begins = np.arange(DAYS, dtype=np.int32) * 86400
    seconds = {
        "units": "seconds since 1970-01-01 00:00:00 +00:00",
        "calendar": "gregorian",
        "bounds": "time_bnds",
    }
    file = xr.Dataset(
        {
            "Qext": (("time", "rivid"), runoff[:, order].astype(np.float32), {"units": "m3 s-1"}),
            "time_bnds": (("time", "nv"), np.stack([begins, begins + 86400], axis=1).astype(np.int32)),
            "lon": ("rivid", zeros),
            "lat": ("rivid", zeros),
            "crs": ((), np.int32(0)),
        },
        {"time": ("time", begins, seconds), "rivid": ("rivid", network.reach_id[order].astype(np.int32))},
    )
    none = {name: {"_FillValue": None} for name in ("lon", "lat", "Qext")}
    file.to_netcdf(folder / "qext.nc", engine="netcdf4", encoding=none)
    words = [str(folder / one) for one in ("r2", "qext.nc", "r2out.nc")]
    subprocess.run([str(python), "-c", RAPID2, *words], check=True)
    with xr.open_dataset(folder / "r2out.nc", decode_times=False) as found:
        theirs = found["Qout"].sel(rivid=network.reach_id).transpose("time", "rivid").to_numpy()
    return "RAPID 2.0.0b5", "its routing, float32 in its files", relative(theirs, expected)


def main() -> None:
    """Carry it out and write results.csv."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--river-route", type=Path)
    parser.add_argument("--diffroute", type=Path, help="the folder diffroute/ of the package")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network, k, x = make_run(folder / "run")
        runoff = np.random.default_rng(8).gamma(0.3, 10.0, (DAYS, REACHES))
        parameters = {"k": torch.from_numpy(k), "x": torch.from_numpy(x)}

        def hourly(convention: str) -> np.ndarray:
            rows = np.concatenate([np.repeat(runoff, 24, axis=0), np.zeros((1, REACHES))])
            found = rg.route(
                network,
                torch.from_numpy(rows),
                parameters,
                forcing_step=HOUR,
                routing_step=HOUR,
                convention=convention,
            )
            return found.numpy()

        def daily(values: np.ndarray) -> np.ndarray:
            return values.reshape(DAYS, 24, REACHES).mean(axis=1)

        if given.river_route is not None:
            export_run(folder / "run", folder / "p.parquet", name="river-route")
            order = network.order
            time = np.datetime64("2001-01-01", "ns") + np.arange(DAYS) * np.timedelta64(1, "D")
            xr.Dataset(
                {"qlateral": (("time", "river_id"), (runoff * 86400)[:, order])},
                coords={"time": time, "river_id": network.reach_id[order]},
            ).to_netcdf(folder / "q.nc", engine="netcdf4")
            words = [str(folder / one) for one in ("p.parquet", "q.nc", "out.nc")]
            subprocess.run([str(given.river_route), "-c", RIVER_ROUTE, *words], check=True)
            with xr.open_dataset(folder / "out.nc") as found:
                theirs = found["Q"].sel(river_id=network.reach_id).transpose("time", "river_id").to_numpy()
            # RAPID gives the discharge before each step, river-route that after it
            expected = daily(hourly("rapid")[1:])
            rows.append(("river-route 2.1.1", "RapidMuskingum, float32", relative(theirs, expected)))
            rows.append(_rapid2(folder, network, runoff, daily(hourly("rapid")[:-1]), given.river_route))
        if given.diffroute is not None:
            import pandas as pd

            export_run(folder / "run", folder / "dr", name="diffroute")
            pd.DataFrame(runoff, columns=network.reach_id.astype(str)).to_parquet(folder / "r.parquet")
            words = [str(folder / one) for one in ("dr", "r.parquet", "o.parquet")]
            subprocess.run([sys.executable, "-c", DIFFROUTE, *words, str(given.diffroute)], check=True)
            theirs = pd.read_parquet(folder / "o.parquet")[network.reach_id.astype(str)].to_numpy()
            expected = daily(hourly("standard")[:-1])
            rows.append(
                ("DiffRoute 0.1.0", "its reader and its kernel of Muskingum", relative(theirs, expected))
            )
    out = Path(__file__).with_name("results.csv")
    with out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("package", "what", "relative_l2"))
        writer.writerows((a, b, f"{c:.2e}") for a, b, c in rows)
    print(out.read_text(), end="")


if __name__ == "__main__":
    main()
