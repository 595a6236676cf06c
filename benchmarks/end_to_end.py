"""Learned runoff end to end against lumped and two-step training, in as many steps as fit a time.

    python benchmarks/end_to_end.py [--workflow workflows/end_to_end_national.yaml] [--seconds 200]
        [--set compute.device=cpu ...] [--folder end_to_end] [--output end_to_end.csv]

A short trial of every stage measures what a step costs; the stages then get all their steps, or those of Adam as many
as fit the time, each the same share. A row of the table is a split of the gauges: medians over gauges of NSE and KGE by
lumped (the runoff model trained without routing), two-step (its runoff, the routing fitted afterwards) and end to end,
90 % intervals, and how well both rank the celerities of the reaches upstream of a training gauge; for end to end also
how well those of identified reaches (identifiability above 0.5), and how many of these are within their 90 % interval.
Wanted: end to end beats both on held-out gauges, and Spearman's correlation of its celerity with the truth is 0.7 or
more over identified reaches.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
import numpy as np
import torch
import xarray as xr

from rivergrad.config.load import load_workflow
from rivergrad.config.schema import Workflow
from rivergrad.run.results import rank_correlation
from rivergrad.run.stages import stages_of
from rivergrad.run.workflow import run_workflow

TRIAL_STEPS, SETTLES = 8, 3
IDENTIFIED = 0.5
"""Identifiability of a reach from which on it counts as identified."""
LOOKS = 1.2
"""Time of a fit over that of its steps alone: looks at the validation period, checkpoints."""


@dataclass(frozen=True)
class Row:
    """A split of the gauges in one run; times in seconds, of the run without its input."""

    workflow: str
    reaches: int
    gauges: int
    steps: str
    seconds_per_step: str
    seconds: float
    split: str
    nse_lumped: float
    nse_two_step: float
    nse_estimate: float
    kge_lumped: float
    kge_two_step: float
    kge_estimate: float
    over_lumped: float
    over_lumped_interval: str
    over_two_step: float
    over_two_step_interval: str
    better_than_lumped: int
    better_than_two_step: int
    spearman_two_step: float
    spearman_estimate: float
    identified: int
    spearman_identified: float
    covered: float
    machine: str


def with_steps(config: Workflow, steps: list[int], output: Path, looks: int) -> Workflow:
    """The workflow with so many steps in each stage."""
    stages = tuple(
        stage.model_copy(update={"steps": count})
        for stage, count in zip(stages_of(config), steps, strict=True)
    )
    estimate = config.estimate.model_copy(update={"stages": stages, "evaluate_every": looks})
    return config.model_copy(update={"estimate": estimate, "output": output})


def costs(run_dir: Path) -> list[float]:
    """Seconds of a step in each stage of a trial, but for its first steps and the last, with its look."""
    with (run_dir / "history.csv").open(newline="") as file:
        seconds = {int(row["step"]): float(row["seconds"]) for row in csv.DictReader(file)}
    found, at = [], 0
    for stage in json.loads((run_dir / "run.json").read_text())["summary"]["stages"]:
        first, last = at + SETTLES, at + stage["steps"] - 1
        if first >= last:  # Gauss-Newton has nothing to settle, and may be done before
            first, last = at, at + stage["steps"]
        found.append((seconds[last] - seconds[first]) / (last - first))
        at += stage["steps"]
    return found


def identified_reaches(run_dir: Path) -> dict[str, Any]:
    """How many reaches are identified, and how well."""
    with xr.open_zarr(run_dir / "parameters.zarr", consolidated=False) as data:
        if "identifiability" not in data:
            return {"identified": 0, "spearman_identified": float("nan"), "covered": float("nan")}
        found = data.isel(reach=np.flatnonzero(data["identifiability"].values > IDENTIFIED)).load()
    truth = found["celerity_true"].values
    inside = (found["celerity_lower"].values <= truth) & (truth <= found["celerity_upper"].values)
    several = truth.size > 1
    return {
        "identified": truth.size,
        "spearman_identified": rank_correlation(found["celerity"].values, truth) if several else float("nan"),
        "covered": float(inside.mean()) if several else float("nan"),
    }


def rows(run_dir: Path, config: Workflow, cost: list[float], seconds: float, machine: str) -> list[Row]:
    """The table of a finished run."""
    summary: dict[str, Any] = json.loads((run_dir / "run.json").read_text())["summary"]
    ranks = {one["name"]: one.get("celerity_rank_correlation", float("nan")) for one in summary["stages"]}
    return [
        Row(
            workflow=config.name,
            reaches=summary["reaches"],
            gauges=found["gauges"],
            steps="+".join(str(one["steps"]) for one in summary["stages"]),
            seconds_per_step="+".join(f"{one:.3f}" for one in cost),
            seconds=seconds,
            split=split,
            **{
                f"{score}_{name}": found[f"{score}_{name}"]
                for score in ("nse", "kge")
                for name in ("lumped", "two_step", "estimate")
            },
            **{f"over_{name}": found[f"nse_over_{name}"] for name in ("lumped", "two_step")},
            **{
                f"over_{name}_interval": "{:.4f} to {:.4f}".format(*found[f"nse_over_{name}_interval"])
                for name in ("lumped", "two_step")
            },
            **{f"better_than_{name}": found[f"nse_better_than_{name}"] for name in ("lumped", "two_step")},
            spearman_two_step=ranks["two_step"],
            spearman_estimate=summary["celerity_rank_correlation"],
            **identified_reaches(run_dir),
            machine=machine,
        )
        for split, found in summary["medians"].items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workflow", type=Path, default=Path("workflows/end_to_end_national.yaml"))
    parser.add_argument(
        "--seconds", type=float, default=200.0, help="that the stages may take together, about"
    )
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--folder", type=Path, default=Path("end_to_end"))
    parser.add_argument("--output", type=Path, help="a CSV for the table")
    arguments = parser.parse_args()

    config = load_workflow(arguments.workflow, arguments.overrides)
    stages = stages_of(config)
    trial, folder = arguments.folder / "trial", arguments.folder / "run"
    began = time.perf_counter()
    run_workflow(
        with_steps(config, [min(TRIAL_STEPS, one.steps) for one in stages], trial, 10 * TRIAL_STEPS),
        report=False,
        show_scores=False,
    )
    cost = costs(trial)
    print(f"trial took {time.perf_counter() - began:.0f} s; seconds a step: {cost}", flush=True)
    needed = LOOKS * sum(one.steps * each for one, each in zip(stages, cost, strict=True))
    share = min(1.0, arguments.seconds / needed)
    steps = [
        one.steps if one.method == "gauss_newton" else max(TRIAL_STEPS, round(share * one.steps))
        for one in stages
    ]
    print(f"{needed:.0f} s for all steps; taking {steps}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "world").exists():
        (trial / "world").rename(folder / "world")
    began = time.perf_counter()
    run_workflow(with_steps(config, steps, folder, config.estimate.evaluate_every), report=False)
    machine = measure.machine(torch.device(config.compute.device))
    table = rows(folder, config, cost, time.perf_counter() - began, machine)
    for row in table:
        print(row)
    if arguments.output:
        measure.write(arguments.output, table)


if __name__ == "__main__":
    main()
