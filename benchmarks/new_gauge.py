"""Does the gauge that is said to help most help more than another? Twins with the best new gauge and with a random one.

    python benchmarks/new_gauge.py [--draws 10] [--reaches 80] [--gauges 6] [--output new_gauge.csv]

Each draw is a network with hidden celerities and a few gauges. It is estimated, then again with a gauge more: at the
reach that the first run names first (`summary.uncertainty.new_gauges`), and at one drawn from those without a gauge.
The mean posterior variance of ln celerity is compared. Wanted: the named gauge ahead in at least 9 of 10 draws.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from numpy.typing import NDArray
from screening_rates import network, runoff_of

import rivergrad as rg

Float = NDArray[np.float64]
DAYS = 500


def estimated(
    folder: Path, rivers: rg.RiverNetwork, runoff: Float, observed: Float, at: NDArray[np.int64]
) -> Path:
    """A finished run with gauges at some reaches."""
    folder.mkdir()
    times = np.datetime64("2001-01-01", "ns") + np.arange(DAYS) * np.timedelta64(1, "D")
    rg.write_network(folder / "n.csv", rivers)
    rg.write_runoff(folder / "r.nc", rivers.reach_id, times, runoff)
    names = [f"G{reach}" for reach in rivers.reach_id[at]]
    rg.write_observations(folder / "o.nc", names, rivers.reach_id[at], times, observed[:, at])
    workflow = {
        "name": "gauge",
        "seed": 1,
        "output": str(folder / "run"),
        "network": {"path": str(folder / "n.csv")},
        "runoff": {"path": str(folder / "r.nc")},
        "observations": {"path": str(folder / "o.nc")},
        "time": {"routing_step": "3h", "warmup": "30d", "train": ["2001-01-01", "2002-05-15"]},
        "gauges": {"screening": {"enabled": False}},
        "parameters": {"celerity": {"initial": 0.6, "bounds": [0.05, 5.0]}, "deviation_sd": 0.5},
        "compute": {"kind": "serial", "dtype": "float64"},
        "partition": {"parts": 1},
        "estimate": {"method": "gauss_newton", "steps": 8, "evaluate_every": 1},
        "uncertainty": {"products": 60, "checks": 0},
    }
    (folder / "w.yaml").write_text(yaml.safe_dump(workflow))
    return rg.run_workflow(rg.load_workflow(folder / "w.yaml"), report=False, show_scores=False)


def variance(run: Path) -> float:
    """Mean posterior variance of ln celerity."""
    return float((rg.open_run(run).parameters["celerity_log_sd"] ** 2).mean())


def draw(seed: int, reaches: int, gauges: int, folder: Path) -> dict[str, float]:
    """One twin: the variances without a new gauge, with the named one, and with one at random."""
    rng = np.random.default_rng(seed)
    rivers = network(reaches, rng)
    runoff = runoff_of("storms", reaches, DAYS, rng)
    celerity = 0.7 * np.exp(0.4 * rng.standard_normal(reaches))
    given = {"k": torch.from_numpy(np.asarray(rivers.length) / celerity), "x": torch.full((reaches,), 0.2)}
    truth = rg.route(rivers, torch.from_numpy(runoff), given, forcing_step="1d", routing_step="3h").numpy()
    observed = np.maximum(truth, 0.0) * np.exp(0.1 * rng.standard_normal(truth.shape))
    at = np.sort(rng.permutation(reaches)[:gauges])
    first = estimated(folder / "first", rivers, runoff, observed, at)
    summary = json.loads((first / "run.json").read_text())["summary"]["uncertainty"]
    best = rivers.positions([summary["new_gauges"][0]["reach_id"]])[0]
    other = rng.choice(np.setdiff1d(np.arange(reaches), [*at, best]))
    found = {"seed": seed, "without": variance(first), "promised": summary["new_gauges"][0]["gain"]}
    for name, more in (("named", best), ("random", other)):
        run = estimated(folder / name, rivers, runoff, observed, np.sort([*at, more]))
        found[name] = variance(run)
    found["named_gain"] = 1 - found["named"] / found["without"]
    found["random_gain"] = 1 - found["random"] / found["without"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--reaches", type=int, default=80)
    parser.add_argument("--gauges", type=int, default=6)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    rows = []
    for seed in range(asked.draws):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(draw(seed, asked.reaches, asked.gauges, Path(folder)))
        print(rows[-1], flush=True)
    ahead = sum(row["named"] < row["random"] for row in rows)
    print(f"the named gauge is ahead in {ahead} of {len(rows)}")
    if asked.output:
        pd.DataFrame(rows).to_csv(asked.output, index=False, float_format="%.5g")


if __name__ == "__main__":
    main()
