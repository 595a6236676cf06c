"""Delaware by folds with a delay of runoff on hillslopes: held-out gauges against the best uniform celerity.

    python benchmarks/delaware_hillslope.py [--seeds 0 1 2 3 4] [--cases hybrid,hybrid_hillslope,law,law_hillslope]
        [--folder delaware_hillslope] [--output delaware_hillslope.csv]

workflows/delaware.yaml as it stands (`hybrid`: a deviation of every reach), with one celerity for all (`law`), and both
with a linear storage on hillslopes whose one delay is estimated. `celerity` is there for its baseline: the best uniform
celerity without a hillslope, while that of a run with one has a delay of its own. Five folds of gauges for each seed. A
row is a seed: NSE at gauges that were held out, over all folds; paired differences with 90 % intervals; the median
celerity and the delay of the estimate from all gauges. Best uniform is that of the run.

With several seeds a row of each case follows in *_seeds.csv: the gain of each gauge, its mean over seeds, and the
median of those with the 90 % interval of a bootstrap over gauges. Seeds draw other folds of the same gauges and years.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path

import measure
import numpy as np
import pandas as pd
import torch

from rivergrad.config.load import load_workflow
from rivergrad.gauges.bootstrap import bootstrap_median
from rivergrad.run.workflow import run_workflow
from rivergrad.rundir.reading import read_folds, read_parameter_map, read_run

STAGE = ("scheme.hillslope={name: linear_storage}", "parameters.hillslope={bounds: [3h, 20d]}")
LAW = ("parameters.model=uniform", "parameters.shrinkage=0")
CASES: dict[str, tuple[str, ...]] = {
    "hybrid": (),
    "hybrid_hillslope": STAGE,
    "law": LAW,
    "law_hillslope": (*LAW, *STAGE),
    "celerity": (*LAW, "estimate.steps=1"),
}


@dataclass(frozen=True)
class Row:
    """A case with a seed; NSE are medians over held-out gauges, gain is the median of paired differences."""

    case: str
    seed: int
    gauges: int
    nse: float
    nse_uniform: float
    gain: float
    gain_interval: str
    better: int
    kge: float
    kge_uniform: float
    uniform_celerity: float
    median_celerity: float
    delay_days: float
    machine: str


def carry_out(case: str, seed: int, workflow: Path, folder: Path, machine: str) -> Row:
    """Run all folds of a case and the estimate from all gauges."""
    here = folder / f"{case}_{seed}"
    shutil.rmtree(here, ignore_errors=True)
    overrides = [f"seed={seed}", f"output={here}", "uncertainty.enabled=false", *CASES[case]]
    run = read_run(run_workflow(load_workflow(workflow, overrides), report=False, show_scores=False))
    pooled = run.summary["folds"]["splits"]["gauge"]["pooled"]
    maps = read_parameter_map(run.folder / "parameters.zarr", run.network)
    low, high = pooled["nse_gain_interval"]
    delay = maps.get("hillslope_delay")
    return Row(
        case=case,
        seed=seed,
        gauges=int(pooled["gauges"]),
        nse=pooled["nse_estimate"],
        nse_uniform=pooled["nse_uniform"],
        gain=pooled["nse_gain"],
        gain_interval=f"{low:.4f} to {high:.4f}",
        better=pooled["nse_better"],
        kge=pooled["kge_estimate"],
        kge_uniform=pooled["kge_uniform"],
        uniform_celerity=run.summary["uniform_celerity"],
        median_celerity=float(np.median(maps["celerity"])),
        delay_days=float("nan") if delay is None else float(np.median(delay)) / 86400,
        machine=machine,
    )


@dataclass(frozen=True)
class Pooled:
    """A case over seeds: the median over gauges of the mean gain in NSE over best uniform, its own or another run's."""

    case: str
    baseline: str
    seeds: str
    gauges: int
    gain: float
    low: float
    high: float
    better: int


def over_seeds(case: str, baseline: str, seeds: list[int], folder: Path) -> Pooled:
    """What the folds of all seeds say together, from the run directories; `baseline` is whose best uniform counts."""

    def held_out(name: str, seed: int) -> pd.DataFrame:
        scores = read_folds(folder / f"{name}_{seed}" / "folds.csv")
        return scores[scores["split"] == "gauge"].set_index("gauge")

    gains = [held_out(case, seed)["nse"] - held_out(baseline, seed)["nse_uniform"] for seed in seeds]
    mean = pd.concat(gains, axis=1).mean(axis=1).dropna().to_numpy()
    middle, low, high = bootstrap_median(mean, [0])
    return Pooled(
        case, baseline, " ".join(map(str, seeds)), mean.size, middle, low, high, int((mean > 0).sum())
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workflow", type=Path, default=Path("workflows/delaware.yaml"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--cases", type=lambda text: text.split(","), default=list(CASES))
    parser.add_argument("--folder", type=Path, default=Path("delaware_hillslope"))
    parser.add_argument("--output", type=Path, help="a CSV for the table")
    arguments = parser.parse_args()

    machine = measure.machine(torch.device("cpu"))
    for seed in arguments.seeds:
        for case in arguments.cases:
            row = carry_out(case, seed, arguments.workflow, arguments.folder, machine)
            print(row, flush=True)
            if arguments.output:
                measure.write(arguments.output, [row])
    for case in arguments.cases if len(arguments.seeds) > 1 else ():
        for baseline in sorted({case, "celerity"} & set(arguments.cases)):
            pooled = over_seeds(case, baseline, arguments.seeds, arguments.folder)
            print(pooled, flush=True)
            if arguments.output:
                measure.write(arguments.output.with_name(f"{arguments.output.stem}_seeds.csv"), [pooled])


if __name__ == "__main__":
    main()
