"""Does the gauge that is said to help most help more than another? Twins with the best new gauge and with a random one.

    python benchmarks/new_gauge.py [--draws 10] [--reaches 80] [--gauges 6] [--output new_gauge.csv]

Each draw is a network with hidden celerities and a few gauges. It is estimated, and the run names the reach where one
more gauge would help most (`summary.uncertainty.new_gauges`). That one and five others, drawn from those without a
gauge, are compared by the mean posterior variance of ln celerity in two ways. Wanted: the named gauge ahead in 9 of 10
draws.

- `promise`: what the run promises is a posterior with one more gauge, other things equal. So all posteriors are at the
  estimate of the first run, with its noise and prior; the new gauge has the twin's own noise, 10 % of discharge.
- `again` (with --again): all is estimated again with the gauge, so that estimate and noise change too.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from numpy.typing import NDArray
from screening_rates import network, runoff_of

import rivergrad as rg
from rivergrad.pieces.leastsquares import LeastSquares
from rivergrad.run import uncertainty
from rivergrad.run.evidence import posterior
from rivergrad.run.problem import Problem

Float = NDArray[np.float64]
DAYS = 500
NOISE, OTHERS = 0.1, 5


def estimated(
    folder: Path,
    rivers: rg.RiverNetwork,
    runoff: Float,
    observed: Float,
    at: NDArray[np.int64],
    apart: Sequence[int] = (),
) -> Path:
    """A finished run with gauges at some reaches; those of `apart` take no part."""
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
        "gauges": {
            "screening": {"enabled": False},
            "holdout_ids": [f"G{rivers.reach_id[one]}" for one in apart],
        },
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


def promised(
    folder: Path,
    rivers: rg.RiverNetwork,
    runoff: Float,
    observed: Float,
    at: NDArray[np.int64],
    more: Sequence[int],
) -> list[float]:
    """Mean variance of ln celerity at the estimate with the gauges `at`, with each one of `more` besides."""
    found: list[float] = []
    inner = uncertainty._of_reaches

    def looked_at(work: Problem, settings: Any, problem: LeastSquares, weight: Float, *others: Any) -> Any:
        _, result, free, *_ = others
        told = inner(work, settings, problem, weight, *others)
        discharge = problem.linearise(result.shared.values, free)
        latent = work.latent(result.shared, free)[0]
        bounded = work.choice.model.celerity
        slope = uncertainty._slope(bounded, latent) / bounded.value(torch.from_numpy(latent)).numpy()
        reaches = work.case.inputs.observations.reach
        for one in more:
            gauge = int(np.flatnonzero(reaches == one)[0])
            flow = discharge[..., gauge]
            with_it = weight.copy()
            with_it[..., gauge] = 1 / np.maximum(NOISE * flow, 0.1 * NOISE * flow.mean()) ** 2
            got = posterior(work, problem, with_it, result.prior, result.shared, 60)
            found.append(float((got.variance[0] * slope**2).mean()))
        return told

    uncertainty._of_reaches = looked_at
    try:
        estimated(folder, rivers, runoff, observed, np.sort([*at, *more]), more)
    finally:
        uncertainty._of_reaches = inner
    return found


def draw(seed: int, reaches: int, gauges: int, folder: Path, again: bool) -> dict[str, float]:
    """One twin: the variances without a new gauge, with the named one, and with others at random."""
    rng = np.random.default_rng(seed)
    rivers = network(reaches, rng)
    runoff = runoff_of("storms", reaches, DAYS, rng)
    celerity = 0.7 * np.exp(0.4 * rng.standard_normal(reaches))
    given = {"k": torch.from_numpy(np.asarray(rivers.length) / celerity), "x": torch.full((reaches,), 0.2)}
    truth = rg.route(rivers, torch.from_numpy(runoff), given, forcing_step="1d", routing_step="3h").numpy()
    observed = np.maximum(truth, 0.0) * np.exp(NOISE * rng.standard_normal(truth.shape))
    at = np.sort(rng.permutation(reaches)[:gauges])
    first = estimated(folder / "first", rivers, runoff, observed, at)
    summary = json.loads((first / "run.json").read_text())["summary"]["uncertainty"]
    best = rivers.positions([summary["new_gauges"][0]["reach_id"]])[0]
    others = rng.choice(np.setdiff1d(np.arange(reaches), [*at, best]), OTHERS, replace=False)
    without = variance(first)
    named, *rest = promised(folder / "promise", rivers, runoff, observed, at, [best, *others])
    found = {
        "seed": seed,
        "without": without,
        "promised": summary["new_gauges"][0]["gain"],
        "named_promise": 1 - named / without,
        "random_promise": 1 - float(np.mean(rest)) / without,
        "ahead_of": float(sum(named < one for one in rest)),
    }
    if not again:
        return found
    for name, more in (("named", best), ("random", others[0])):
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
    parser.add_argument("--again", action="store_true", help="estimate again with each gauge too")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    rows = []
    for seed in range(asked.draws):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(draw(seed, asked.reaches, asked.gauges, Path(folder), asked.again))
        print(rows[-1], flush=True)
    ahead = sum(row["named_promise"] > row["random_promise"] for row in rows)
    single = sum(row["ahead_of"] for row in rows)
    print(f"the named gauge is ahead of the mean of {OTHERS} others in {ahead} of {len(rows)} draws,")
    print(f"and of {single:g} of {OTHERS * len(rows)} single ones")
    if asked.again:
        ahead = sum(row["named"] < row["random"] for row in rows)
        print(f"estimated again, it is ahead of one other in {ahead} of {len(rows)}")
    if asked.output:
        pd.DataFrame(rows).to_csv(asked.output, index=False, float_format="%.5g")


if __name__ == "__main__":
    main()
