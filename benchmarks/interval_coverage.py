"""How often 90 % intervals hold the true celerity, on twins of many seeds, after each optimiser.

    python benchmarks/interval_coverage.py [--methods adam gauss_newton] [--seeds 3] [--reaches 300] [--steps 60]
        [--output interval_coverage.csv]
    python benchmarks/interval_coverage.py --methods "own law" nonlinear --reaches 600 --seeds 2
    python benchmarks/interval_coverage.py --methods --runs runs/global_ddm30

`own law` and `nonlinear` are the twins of nonlinear_twin.py without noise, by Gauss-Newton with an exponent of flow:
the truth is the law itself with an exponent of each reach (0.25 to 0.45), or Muskingum-Cunge with parameters by flow.
`--runs` takes finished runs of a twin, such as that of workflows/global_ddm30.yaml.

Each seed is another generated world: a law of slope and area with a deviation of every reach, routed by the scheme that
estimates. 5 % of the reaches have gauges, with 10 % noise and 30 % gaps. `informed` are reaches upstream of a training
gauge, `identified` those of them with an identifiability above 0.2. `estimate_out` is the share of informed reaches
whose estimate is an end of the interval. The row `all` has all seeds together. Wanted: 85 to 95 %. In the table, `adam
about the estimate` is adam of the version before intervals were about the most probable parameters.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from rivergrad.config.load import load_workflow
from rivergrad.run.workflow import run_workflow
from rivergrad.rundir.reading import RunData, read_parameter_map, read_run

IDENTIFIED = 0.2
LAWS = ("own law", "nonlinear")


def workflow(seed: int, reaches: int, method: str, steps: int, folder: Path) -> dict[str, Any]:
    """A twin of two years, and its estimate."""
    by = {
        "steps": steps,
        "windows_per_step": 2,
        "window": "120d",
        "learning_rate": 0.05,
        "schedule": "cosine",
    }
    newton = {"steps": 15, "evaluate_every": 1}
    spec = {"seed": seed, "reaches": reaches, "start": "2001-01-01", "years": 2}
    errors = {"gauge_fraction": 0.05, "noise": 0.1, "gap_fraction": 0.3}
    return {
        "name": f"coverage_{method}",
        "seed": seed,
        "output": str(folder / "run"),
        "world": {"spec": spec | errors},
        "scheme": {"name": "muskingum"},
        "time": {"routing_step": "6h", "warmup": "60d", "train": ["2001-01-01", "2002-12-30"]},
        "parameters": {
            "celerity": {"initial": 0.6, "bounds": [0.02, 20.0]},
            "trend": ["slope", "upstream_area_m2"],
            "shrinkage": 0.1,
        },
        "gauges": {"screening": {"enabled": False}},
        "partition": {"parts": 1},
        "compute": {"kind": "serial"},
        "estimate": {"method": method, "uniform_grid": 7} | (by if method == "adam" else newton),
    }


def covered(seed: int, reaches: int, method: str, steps: int) -> pd.DataFrame:
    """Informed reaches of a run: whether the interval holds the truth, and the identifiability."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "w.yaml"
        path.write_text(yaml.safe_dump(workflow(seed, reaches, method, steps, Path(folder))))
        return of_run(read_run(run_workflow(load_workflow(path), report=False, show_scores=False)))


def of_nonlinear(seed: int, reaches: int, own: bool) -> pd.DataFrame:
    """The same where celerity depends on flow."""
    import nonlinear_twin as twins

    twin = twins.make_twin(reaches, seed, errors=False, own=own)
    how = argparse.Namespace(newton=10, interval="6h", products=60)
    with tempfile.TemporaryDirectory() as folder:
        return of_run(twins.by_workflow(twin, Path(folder) / "twin", seed, how), twin.true_c)


def of_run(run: RunData, true: NDArray[np.float64] | None = None) -> pd.DataFrame:
    """The same of a finished run, with its own truth by default."""
    maps = read_parameter_map(run.folder / "parameters.zarr", run.network)
    true = maps["celerity_true"] if true is None else true
    low, high = maps["celerity_lower"], maps["celerity_upper"]
    return pd.DataFrame(
        {
            "inside": (low <= true) & (true <= high),
            "identifiability": maps["identifiability"],
            "out": (maps["celerity"] <= low) | (maps["celerity"] >= high),
            "error": np.abs(np.log(maps["celerity"] / true)),
            "width": np.log(high / low),
        }
    )[maps["informed"] > 0]


def row(method: str, seed: object, found: pd.DataFrame, seconds: float) -> dict[str, object]:
    known = found[found["identifiability"] > IDENTIFIED]
    return {
        "method": method,
        "seed": seed,
        "informed": len(found),
        "coverage": found["inside"].mean(),
        "identified": len(known),
        "coverage_identified": known["inside"].mean() if len(known) else np.nan,
        "estimate_out": found["out"].mean(),
        "median_error": found["error"].median(),
        "median_width": found["width"].median(),
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="*", default=["adam", "gauss_newton"])
    parser.add_argument("--runs", nargs="*", type=Path, default=[], help="finished runs of twins")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--reaches", type=int, default=300)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    rows = []
    for method in asked.methods:
        each, began = [], time.perf_counter()
        for seed in range(1, asked.seeds + 1):
            start = time.perf_counter()
            if method in LAWS:
                each.append(of_nonlinear(seed, asked.reaches, method == "own law"))
            else:
                each.append(covered(seed, asked.reaches, method, asked.steps))
            rows.append(row(method, seed, each[-1], time.perf_counter() - start))
            print(rows[-1], flush=True)
        rows.append(row(method, "all", pd.concat(each), time.perf_counter() - began))
        print(rows[-1], flush=True)
    for folder in asked.runs:
        run = read_run(folder)
        rows.append(row(f"adam, {run.name}", "", of_run(run), np.nan))
        print(rows[-1], flush=True)
    if asked.output:
        pd.DataFrame(rows).to_csv(asked.output, index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
