"""What estimates are worth among lakes: a twin with linear storages on 2 % of its reaches.

    python benchmarks/lakes_twin.py [--reaches 2000] [--seeds 1,2,3] [--folder lakes_twin] [--output lakes_twin.csv]

A generated world; lakes on 2 % of the reaches that water of some size flows through. Residence times are drawn about 8
days, within a factor of 3 (1 sd). The network gives the volume of each lake with an error of a factor of 2. Every reach
has a celerity of its own about a law of slope and area; discharge at 10 % of the reaches is observed with 5 % noise.

Wanted: residence times within 20 % in the median where identified (identifiability above 0.9: a tenth of the prior's
variance is left); celerity of reaches above lakes as accurate as elsewhere.
The same with `lakes: none`, for comparison.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

import rivergrad as rg
from rivercut import graph
from rivercut.network import RiverNetwork
from rivergrad.config.load import load_workflow
from rivergrad.run.workflow import run_workflow
from rivergrad.world.planet import generate_network
from rivergrad.world.runoff import generate_runoff
from rivergrad.world.spec import WorldSpec

Float = NDArray[np.float64]

DAY = 86_400.0
SHARE, MEDIAN_DAYS, SPREAD, VOLUME_ERROR = 0.02, 8.0, 0.8, 0.7
GAUGES, NOISE, WELL_KNOWN = 0.1, 0.05, 0.9


def make_twin(folder: Path, reaches: int, seed: int, years: int = 3) -> pd.DataFrame:
    """Write network.csv, runoff.nc and observations.nc; returns the truth (celerity, residence time) by reach."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = WorldSpec(seed=seed, reaches=reaches, years=years)
    world = generate_network(spec)
    network = world.network
    time, runoff = generate_runoff(spec, network)
    rng = np.random.default_rng([seed, 7])
    flow = graph.accumulate(network.downstream, network.order, runoff.mean(axis=0))
    inner = network.downstream >= 0
    large = np.flatnonzero(inner & (flow > np.quantile(flow, 0.5)))
    lake = np.zeros(network.n_reaches, bool)
    lake[rng.choice(large, round(SHARE * network.n_reaches), replace=False)] = True
    residence = np.where(lake, MEDIAN_DAYS * DAY * np.exp(SPREAD * rng.standard_normal(lake.size)), np.nan)
    volume = np.where(lake, residence * flow * np.exp(VOLUME_ERROR * rng.standard_normal(lake.size)), np.nan)
    whole = RiverNetwork(
        network.reach_id, network.downstream, network.length, {**network.attributes, "lake_volume_m3": volume}
    )
    rg.write_network(folder / "network.parquet", whole)
    rg.write_runoff(folder / "runoff.nc", network.reach_id, time, runoff)
    source = rg.open_runoff(folder / "runoff.nc", whole)
    parameters = {
        "k": np.asarray(network.length) / world.celerity, "x": np.full(lake.size, 0.2), "residence_time": residence,
    }  # fmt: skip
    gauged = np.sort(rng.choice(lake.size, round(GAUGES * lake.size), replace=False))
    q = rg.simulate(whole, source, parameters, routing_step="6h", reaches=network.reach_id[gauged].tolist())
    q = q * np.exp(NOISE * rng.standard_normal(q.shape))
    rg.write_observations(
        folder / "observations.nc", [f"g{i}" for i in gauged], network.reach_id[gauged], time, q
    )
    above = np.zeros(lake.size, bool)
    for i in network.order[::-1]:
        down = network.downstream[i]
        above[i] = down >= 0 and (lake[down] or above[down])
    truth = pd.DataFrame(
        {
            "reach_id": network.reach_id,
            "celerity": world.celerity,
            "residence_time": residence,
            "above": above,
        }
    )
    truth.to_csv(folder / "truth.csv", index=False)
    return truth


def workflow(folder: Path, lakes: str, **sections: dict[str, Any]) -> Path:
    """The workflow of a twin, written next to its data."""
    first = pd.Timestamp("2001-01-01")
    data: dict[str, Any] = {
        "name": f"lakes-{lakes}", "seed": 1, "output": str(folder / f"run-{lakes}"),
        "network": {"path": str(folder / "network.parquet")},
        "runoff": {"path": str(folder / "runoff.nc")},
        "observations": {"path": str(folder / "observations.nc")},
        "scheme": {"name": "muskingum", "lakes": lakes},
        "time": {"routing_step": "6h", "warmup": "120d", "train": [str(first.date()), "2002-12-31"],
                 "test": ["2003-01-01", "2003-12-31"]},
        "gauges": {"holdout": 0.1},
        "parameters": {"model": "hybrid", "trend": ["slope", "upstream_area_m2"]},
        "estimate": {"method": "gauss_newton", "steps": 15},
        "uncertainty": {"enabled": True},
        "compute": {"kind": "serial"},
    }  # fmt: skip
    for name, keys in sections.items():
        data[name] = {**data.get(name, {}), **keys}
    path = folder / f"{lakes}.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def measured(truth: pd.DataFrame, run: Path) -> dict[str, float]:
    """Errors of a run: medians of |ln(estimate / truth)|."""
    found = rg.open_run(run)
    values = {name: column.to_numpy() for name, column in found.parameters.loc[truth["reach_id"]].items()}
    informed = values["informed"] > 0
    sure = values["identifiability"]
    row: dict[str, float] = {}
    lake = ~np.isnan(truth["residence_time"].to_numpy())
    if "residence_time" in values:
        off = np.abs(np.log(values["residence_time"] / truth["residence_time"].to_numpy()))
        known = lake & informed & (sure > WELL_KNOWN)
        lower, upper = values["residence_time_lower"], values["residence_time_upper"]
        true = truth["residence_time"].to_numpy()
        within = (lower <= true) & (true <= upper)
        row |= {
            "lakes": float(lake.sum()), "lakes_informed": float((lake & informed).sum()),
            "lakes_identified": float(known.sum()), "residence_error": float(np.median(off[known])),
            "residence_error_p90": float(np.quantile(off[known], 0.9)),
            "within_20_percent": float((off[known] < np.log(1.2)).mean()),
            "coverage_90": float(within[lake & informed].mean()),
        }  # fmt: skip
    off = np.abs(np.log(values["celerity"] / truth["celerity"].to_numpy()))
    channel = ~lake & informed & (sure > 0.5)
    above = truth["above"].to_numpy()
    row["celerity_error_above"] = float(np.median(off[channel & above]))
    row["celerity_error_elsewhere"] = float(np.median(off[channel & ~above]))
    row["celerity_error_above_informed"] = float(np.median(off[~lake & informed & above]))
    row["celerity_error_elsewhere_informed"] = float(np.median(off[~lake & informed & ~above]))
    scores = pd.read_csv(run / "metrics.csv")
    for split in ("time", "gauge"):
        row[f"nse_{split}"] = float(scores["nse"][scores["split"] == split].median())
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reaches", type=int, default=2000)
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--folder", type=Path, default=Path("lakes_twin"))
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("lakes_twin.csv"))
    asked = parser.parse_args()
    rows = []
    for seed in (int(one) for one in asked.seeds.split(",")):
        folder = asked.folder / str(seed)
        truth = make_twin(folder, asked.reaches, seed)
        for lakes in ("auto", "none"):
            run = run_workflow(load_workflow(workflow(folder, lakes)), report=False, show_scores=False)
            rows.append({"seed": seed, "reaches": asked.reaches, "lakes_as": lakes, **measured(truth, run)})
            print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(asked.output, index=False, float_format="%.6g")


if __name__ == "__main__":
    main()
