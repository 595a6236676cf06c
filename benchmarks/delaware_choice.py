"""Which correction of Delaware's given runoff? Chosen blind, among the training gauges, and then scored once.

    python benchmarks/delaware_choice.py [--seeds 5 6 7 8 9] [--candidates none,volume_20d,...] [--inner 3]
        [--folder delaware_choice] [--output delaware_choice.csv]

Nested cross-validation. For each fold of workflows/delaware.yaml training gauges are dealt out to inner folds; every
candidate is trained without the gauges of one inner fold after the other and scored at them. The candidate with the
highest median NSE over all training gauges, each scored where it was not trained on, is then trained on all of them,
and only that one meets the fold's held-out gauges, beside routing alone, which is a candidate too (`none`). A row is a
fold of a seed, or all folds of a seed pooled; the last one says over all seeds how often what was chosen, and
the mean of the pooled medians.

Candidates: `none`, workflows/delaware.yaml as it stands; `volume_10d`, `volume_20d`, `volume_40d`, the factor on the
runoff of every increment area in the scores, with knots so far apart; `network`, a factor by one LSTM for all segments.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import measure
import numpy as np
import torch

from rivergrad.config.load import load_workflow
from rivergrad.config.schema import Workflow
from rivergrad.gauges.bootstrap import bootstrap_median
from rivergrad.gauges.holdout import deal_folds
from rivergrad.run.folds import folds_of
from rivergrad.run.inputs import prepare_inputs
from rivergrad.run.workflow import run_workflow

CANDIDATES: dict[str, tuple[str, ...]] = {
    "none": (),
    **{
        f"volume_{days}d": (f"parameters.nuisance={{knots: {days}d, sd: 0.3, predict: true}}",)
        for days in (10, 20, 40)
    },
    "network": (
        "runoff.kind=learned",
        "runoff.model=correction",
        "parameters.nuisance=null",
        "estimate.stages=[{name: joint, train: [runoff, routing], steps: 100}]",
    ),
}


@dataclass(frozen=True)
class Row:
    """A fold of a seed, or all of them; NSE are medians over gauges, `inner` those that the choice went by."""

    seed: str
    fold: str
    gauges: int
    chosen: str
    inner: str
    nse_chosen: float
    nse_none: float
    gain: float
    gain_interval: str
    better: int
    machine: str


def scores(
    config: Workflow, folder: Path, held_out: Sequence[str], wanted: Sequence[str]
) -> dict[str, float]:
    """NSE in the training time at some of the gauges that an estimate never saw."""
    gauges = config.gauges.model_copy(update={"holdout_ids": tuple(held_out), "folds": 0})
    shutil.rmtree(folder, ignore_errors=True)
    run_workflow(
        config.model_copy(
            update={
                "gauges": gauges,
                "output": folder,
                "uncertainty": config.uncertainty.model_copy(update={"enabled": False}),
            }
        ),
        report=False,
        show_scores=False,
    )
    with (folder / "metrics.csv").open(newline="") as file:
        found = {row["gauge"]: float(row["nse"]) for row in csv.DictReader(file) if row["split"] == "gauge"}
    return {name: found[name] for name in wanted}


def row(seed: str, fold: str, chosen: str, inner: str, pair: np.ndarray, machine: str) -> Row:
    """A row from NSE (gauge, 2) of the chosen candidate and of none."""
    pair = pair[np.isfinite(pair).all(axis=1)]
    gain, low, high = bootstrap_median(pair[:, 0] - pair[:, 1], [0, 404])
    middle = np.median(pair, axis=0)
    return Row(
        seed=seed,
        fold=fold,
        gauges=len(pair),
        chosen=chosen,
        inner=inner,
        nse_chosen=float(middle[0]),
        nse_none=float(middle[1]),
        gain=float(gain),
        gain_interval=f"{low:.4f} to {high:.4f}",
        better=int(np.count_nonzero(pair[:, 0] > pair[:, 1])),
        machine=machine,
    )


def one_seed(arguments: argparse.Namespace, seed: int, machine: str) -> list[Row]:
    """Choose and score in every fold of a seed."""
    folder: Path = arguments.folder / str(seed)
    configs = {
        name: load_workflow(arguments.workflow, [f"seed={seed}", *CANDIDATES[name]])
        for name in arguments.candidates
    }
    inputs = prepare_inputs(configs["none"], folder / "inputs")
    fold_of = folds_of(configs["none"], inputs)
    names = np.array([str(name) for name in inputs.observations.gauge])
    rows: list[Row] = []
    pairs = []
    for fold in range(1, int(fold_of.max()) + 1):
        outer = fold_of == fold
        inner_of = deal_folds(np.arange(names.size), outer, arguments.inner, 100 * seed + fold)
        median = {}
        for name, config in configs.items():
            seen: dict[str, float] = {}
            for inner in range(1, arguments.inner + 1):
                here = names[inner_of == inner]
                seen |= scores(config, folder / "run", [*names[outer], *here], here)
            median[name] = float(np.nanmedian(list(seen.values())))
        chosen = max(median, key=lambda name: median[name])
        final = {
            name: scores(configs[name], folder / "run", names[outer], names[outer])
            for name in dict.fromkeys((chosen, "none"))
        }
        pairs.append(np.array([(final[chosen][name], final["none"][name]) for name in names[outer]]))
        inner_text = " ".join(f"{name} {value:.3f}" for name, value in median.items())
        rows.append(row(str(seed), str(fold), chosen, inner_text, pairs[-1], machine))
        print(rows[-1], flush=True)
    counts = Counter(one.chosen for one in rows)
    chosen = " ".join(f"{name} {count}" for name, count in counts.most_common())
    rows.append(row(str(seed), "all", chosen, "", np.concatenate(pairs), machine))
    print(rows[-1], flush=True)
    return rows


def overall(rows: Sequence[Row], machine: str) -> Row:
    """Over all seeds: how often what was chosen, and means of the pooled medians."""
    pooled = [one for one in rows if one.fold == "all"]
    counts = Counter(one.chosen for one in rows if one.fold != "all")
    ahead = [one.nse_chosen - one.nse_none for one in pooled]
    return Row(
        seed="all",
        fold="all",
        gauges=pooled[0].gauges,
        chosen=" ".join(f"{name} {count}" for name, count in counts.most_common()),
        inner="",
        nse_chosen=float(np.mean([one.nse_chosen for one in pooled])),
        nse_none=float(np.mean([one.nse_none for one in pooled])),
        gain=float(np.mean(ahead)),
        gain_interval=f"{min(ahead):.4f} to {max(ahead):.4f}",
        better=sum(one > 0 for one in ahead),
        machine=machine,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workflow", type=Path, default=Path("workflows/delaware.yaml"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 6, 7, 8, 9])
    parser.add_argument("--candidates", type=lambda text: text.split(","), default=list(CANDIDATES))
    parser.add_argument("--inner", type=int, default=3, help="inner folds of the training gauges")
    parser.add_argument("--folder", type=Path, default=Path("delaware_choice"))
    parser.add_argument("--output", type=Path, help="a CSV for the table")
    arguments = parser.parse_args()

    machine = measure.machine(torch.device("cpu"))
    rows: list[Row] = []
    for seed in arguments.seeds:
        found = one_seed(arguments, seed, machine)
        rows += found
        if arguments.output:
            measure.write(arguments.output, found)
    last = overall(rows, machine)
    print(last)
    if arguments.output:
        measure.write(arguments.output, [last])


if __name__ == "__main__":
    main()
