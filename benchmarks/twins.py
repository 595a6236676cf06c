"""What estimates are worth where the truth is known: twin worlds with ideal, foreign and poor observations.

    python benchmarks/twins.py [--only free,attributes,sparse] [--models hybrid,uniform] [--reaches 3000]
        [--folder twins] [--set estimate.steps=300 ...] [--write] [--output twins.csv]

- free: every reach is observed, without noise or gaps; every reach is free. Wanted: median NSE of 0.99995 or
  more, median relative error of celerity of 1 % or less.
- attributes: celerity is a law of slope and upstream area. It is learned on one continent, and applied to another
  one (another seed, the same law) that was never looked at. Wanted: median NSE of 0.9999 or more there.
- sparse: gauges on 2 % of the reaches, 10 % noise, 30 % gaps, runoff with an error of 20 %, volume errors estimated
  with the parameters, once for every model, in five worlds (15 held-out gauges in each are few). Wanted: hybrid best
  on the held-out gauges of all; in each world Spearman's correlation of its celerity with the truth 0.85 or more over
  reaches with an identifiability above 0.5, and intervals that claim 90 % cover 85 to 95 % of the true values.

The workflows are written into the folder as YAML (`--write` does no more than that), runs go below it and are taken
up where they were. Errors of celerity are over the reaches upstream of a training gauge.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import measure
import numpy as np
import pandas as pd
import torch
import yaml
from numpy.typing import NDArray

from rivergrad.config.load import load_workflow
from rivergrad.gauges.scores import nse
from rivergrad.pieces.direct import Routing
from rivergrad.pieces.simulate import simulate
from rivergrad.routing import schemes
from rivergrad.run.inputs import Inputs, prepare_inputs
from rivergrad.run.results import rank_correlation
from rivergrad.run.workflow import run_workflow
from rivergrad.rundir.reading import RunData, read_parameter_map, read_run
from rivergrad.rundir.record import write_rows

Float = NDArray[np.float64]

HERE, THERE = 1, 2  # seeds of the world to learn on, and of the one never seen
ATTRIBUTES = ["slope", "upstream_area_m2"]
SPARSE_MODELS = ("hybrid", "free", "attributes", "uniform")
SPARSE_SEEDS = (1, 2, 3, 4, 5)
IDENTIFIED = 0.5
STEPS = 15
DAY = 86_400.0


@dataclass(frozen=True)
class Case:
    """One run: its workflow, and the workflow of the world that its model is applied to, where there is one."""

    name: str
    model: str
    workflow: dict[str, Any]
    other: dict[str, Any] | None = None


@dataclass(frozen=True)
class Row:
    """One run's result; NaN where a run has no such number. NSE are medians over the gauges of a split."""

    case: str
    model: str
    seed: int
    reaches: int
    gauges: int
    held_out: int
    steps: int
    best_step: int
    seconds: float
    nse_train: float
    nse_time: float
    nse_gauge: float
    nse_gauge_time: float
    nse_gauge_uniform: float
    nse_other: float
    celerity_error: float
    celerity_error_other: float
    spearman: float
    spearman_identified: float
    identified: float
    coverage_90: float
    machine: str


def base(name: str, seed: int, reaches: int, folder: Path) -> dict[str, Any]:
    """What all workflows have in common: a world of three years, the last of them held out."""
    return {
        "name": name,
        "seed": seed,
        "output": str(folder / name),
        "world": {"spec": {"seed": seed, "reaches": reaches, "start": "2001-01-01", "years": 3}},
        "scheme": {"name": "muskingum"},
        "time": {
            "routing_step": "3h",
            "warmup": "60d",
            "train": ["2001-01-01", "2002-12-31"],
            "test": ["2003-01-01", "2003-12-31"],
        },
        "parameters": {"celerity": {"initial": 0.6, "bounds": [0.02, 20.0]}},
        "partition": {"parts": 1},
        "compute": {"kind": "serial", "threads_per_worker": 2},
        "estimate": {"method": "gauss_newton", "steps": STEPS, "evaluate_every": 1},
    }


def observed_everywhere(data: dict[str, Any]) -> dict[str, Any]:
    """The same with a gauge on every reach, without noise or gaps."""
    data["world"]["spec"] |= {
        "gauge_fraction": 1.0,
        "gauge_min_upstream": 1,
        "noise": 0.0,
        "gap_fraction": 0.0,
    }
    return data


def lawful(data: dict[str, Any]) -> dict[str, Any]:
    """The same where celerity is a law of slope and upstream area, the same law for all seeds."""
    data["world"]["spec"] |= {"celerity_noise": 0.0, "muskingum_x_noise": 0.0, "celerity_reference": 1.5}
    return data


def cases(reaches: int, folder: Path, models: Sequence[str] = SPARSE_MODELS) -> list[Case]:
    """All runs."""
    free = observed_everywhere(base("free", HERE, reaches, folder))
    free["parameters"] |= {"model": "free"}
    made = [Case("free", "free", free)]

    learned, other = (
        lawful(observed_everywhere(base(name, seed, reaches, folder)))
        for name, seed in (("attributes", HERE), ("attributes_other", THERE))
    )
    learned["parameters"] |= {"model": "attributes", "trend": ATTRIBUTES}
    made.append(Case("attributes", "attributes", learned, other))

    for seed, model in product(SPARSE_SEEDS, models):
        sparse = base(f"sparse_{model}_{seed}", seed, reaches, folder)
        sparse["world"]["spec"] |= {
            "gauge_fraction": 0.02,
            "noise": 0.1,
            "gap_fraction": 0.3,
            "runoff_error": 0.2,
        }
        sparse["gauges"] = {"holdout": 0.25}
        sparse["parameters"] |= {"model": model, "nuisance": {"knots": "90d", "sd": 0.3}}
        if model in ("attributes", "hybrid"):
            sparse["parameters"]["trend"] = ATTRIBUTES
        made.append(Case("sparse", model, sparse))
    return made


def write(case: Case, folder: Path) -> Path:
    """Write the case's workflows; returns that of the run."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in (case.workflow, case.other):
        if data is not None:
            (folder / f"{data['name']}.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    return folder / f"{case.workflow['name']}.yaml"


def carry_out(case: Case, folder: Path, overrides: Sequence[str], machine: str) -> Row:
    """Run a case, or take up what there is of it, and read its numbers."""
    path = write(case, folder)
    config = load_workflow(path, overrides)
    run = read_run(run_workflow(config, report=False))
    row = read(case, run, machine)
    if case.other is not None:
        config = load_workflow(folder / f"{case.other['name']}.yaml")
        scores, error = elsewhere(run.folder, prepare_inputs(config, config.output), config.time)
        row = replace(row, nse_other=float(np.nanmedian(scores)), celerity_error_other=error)
    return row


def read(case: Case, run: RunData, machine: str) -> Row:
    """The numbers of a finished run."""
    summary, splits = run.summary, run.summary["medians"]
    maps = read_parameter_map(run.folder / "parameters.zarr", run.network)
    truth, nan = run.true_celerity, float("nan")
    assert truth is not None
    sure = maps.get("identifiability", np.full(truth.size, np.nan)) > IDENTIFIED
    covered = nan
    if "celerity_lower" in maps:
        known = np.isfinite(maps["celerity_lower"]) & np.isfinite(maps["celerity_upper"])
        inside = (maps["celerity_lower"] <= truth) & (truth <= maps["celerity_upper"])
        covered = float(inside[known].mean())

    def median(split: str, method: str = "estimate") -> float:
        return float(splits[split][f"nse_{method}"]) if split in splits else nan

    return Row(
        case=case.name,
        model=case.model,
        seed=int(case.workflow["seed"]),
        reaches=run.network.n_reaches,
        gauges=int(summary["gauges"]),
        held_out=int(summary["held_out_gauges"]),
        steps=int(summary["steps"]),
        best_step=int(summary["best_step"]),
        seconds=float(run.history["seconds"].iloc[-1]),
        nse_train=median("train"),
        nse_time=median("time"),
        nse_gauge=median("gauge"),
        nse_gauge_time=median("gauge_time"),
        nse_gauge_uniform=median("gauge", "uniform"),
        nse_other=nan,
        celerity_error=relative_error(run.celerity[run.informed], truth[run.informed]),
        celerity_error_other=nan,
        spearman=correlation(run.celerity[run.informed], truth[run.informed]),
        spearman_identified=correlation(run.celerity[sure], truth[sure]),
        identified=float(sure.mean()),
        coverage_90=covered,
        machine=machine,
    )


def relative_error(found: Float, true: Float) -> float:
    """Median of |found − true|/true."""
    return float(np.median(np.abs(found / true - 1)))


def correlation(found: Float, true: Float) -> float:
    """Spearman's; NaN where there is nothing to rank."""
    constant = found.size < 3 or np.ptp(found) <= 1e-9 * np.abs(found).max()
    return float("nan") if constant else rank_correlation(found, true)


def elsewhere(run_dir: Path, there: Inputs, time: Any) -> tuple[Float, float]:
    """A run's model on another world: NSE of each of its gauges after warm-up, and the median error of celerity."""
    from rivergrad.run.transfer import transferred

    given = transferred(run_dir, there.network)
    chunks: list[Float] = []
    simulate(
        network=there.network,
        runoff=there.runoff,
        parameters={name: given[name] for name in ("k", "x")},
        how=Routing(schemes.get("muskingum"), time.routing_step, dtype="float64"),
        sink=lambda start, discharge: chunks.append(discharge),
        targets=there.observations.reach,
    )
    assert there.true_celerity is not None
    after = round(time.warmup / DAY)
    scores = nse(np.concatenate(chunks)[after:], there.observed[after:])
    return scores, relative_error(given["celerity"], there.true_celerity)


def held_out_scores(case: Case) -> Float:
    """NSE at each held-out gauge in training time, in the order of the gauges."""
    table = pd.read_csv(Path(case.workflow["output"]) / "metrics.csv")
    return table.loc[table["split"] == "gauge"].sort_values("gauge")["nse"].to_numpy(np.float64)


def verdicts(rows: Sequence[Row], pooled: Mapping[str, Float]) -> list[tuple[bool, str]]:
    """What was wanted, whether it was reached, and by what numbers.

    `pooled` has the scores at the held-out gauges of all sparse worlds, by model.
    """
    found: list[tuple[bool, str]] = []
    by = {(row.case, row.model): row for row in rows if row.case != "sparse"}
    if free := by.get(("free", "free")):
        found += [
            (free.nse_train >= 0.99995, f"free: median NSE {free.nse_train:.6f}, wanted 0.99995"),
            (free.celerity_error <= 0.01, f"free: celerity off by {free.celerity_error:.3%}, wanted 1 %"),
            (True, f"free: {free.steps} steps (best {free.best_step}) in {free.seconds:.0f} s"),
        ]
    if learned := by.get(("attributes", "attributes")):
        text = f"attributes: median NSE {learned.nse_other:.6f} on another continent, wanted 0.9999"
        found.append((learned.nse_other >= 0.9999, text))
    if "hybrid" in pooled:
        best = float(np.nanmedian(pooled["hybrid"]))
        for model, scores in pooled.items():
            if model != "hybrid":
                other, ahead = float(np.nanmedian(scores)), int((pooled["hybrid"] > scores).sum())
                text = f"sparse: held-out NSE hybrid {best:.4f}, {model} {other:.4f}"
                found.append((best > other, f"{text}; ahead at {ahead} of {scores.size} gauges"))
        for row in rows:
            if row.case == "sparse" and row.model == "hybrid":
                text = f"sparse, world {row.seed}: Spearman {row.spearman_identified:.3f} over identified reaches"
                found.append((row.spearman_identified >= 0.85, f"{text}, wanted 0.85"))
                text = f"sparse, world {row.seed}: 90 % intervals cover {row.coverage_90:.1%}"
                found.append((0.85 <= row.coverage_90 <= 0.95, f"{text}, wanted 85 % to 95 %"))
    return found


def digits(value: Any) -> str:
    """Numbers to six digits: what is wanted of NSE differs from 1 in the fifth."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def show(rows: Sequence[Row]) -> None:
    """Print rows as a table, a column a run: there are more numbers than runs."""
    names = [f.name for f in fields(Row) if f.name != "machine"]
    cells = [[name, *(digits(getattr(row, name)) for row in rows)] for name in names]
    width = [max(len(line[i]) for line in cells) for i in range(len(rows) + 1)]
    for line in cells:
        print("  ".join(cell.ljust(w) for cell, w in zip(line, width, strict=True)).rstrip())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="free,attributes,sparse")
    parser.add_argument("--models", default=",".join(SPARSE_MODELS), help="of the sparse case")
    parser.add_argument("--reaches", type=int, default=3000)
    parser.add_argument("--folder", type=Path, default=Path("twins"))
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--write", action="store_true", help="write the workflows and stop")
    parser.add_argument("--output", type=Path, help="a CSV for the table")
    arguments = parser.parse_args()

    wanted = arguments.only.split(",")
    chosen = [
        case
        for case in cases(arguments.reaches, arguments.folder, arguments.models.split(","))
        if case.name in wanted
    ]
    if arguments.write:
        for case in chosen:
            print(write(case, arguments.folder))
        return
    cuda = any(text.replace(" ", "") == "compute.device=cuda" for text in arguments.overrides)
    machine = measure.machine(torch.device("cuda" if cuda else "cpu"))
    rows = [carry_out(case, arguments.folder, arguments.overrides, machine) for case in chosen]
    show(rows)
    pooled = {
        model: np.concatenate([held_out_scores(c) for c in chosen if c.name == "sparse" and c.model == model])
        for model in {case.model: None for case in chosen if case.name == "sparse"}
    }
    for reached, text in verdicts(rows, pooled):
        print("reached" if reached else "MISSED ", text)
    if arguments.output:
        write_rows(arguments.output, [asdict(row) for row in rows], [f.name for f in fields(Row)])


if __name__ == "__main__":
    main()
