"""What `parameters.model: auto` chooses, and what that is worth where it was not trained, beside the best baseline.

    python benchmarks/model_auto.py juniata delaware nonlinear hillslope [--seeds 0 1 2] [--folder model_auto]
        [--output model_auto.csv]

`juniata`: workflows/juniata.yaml, scored on the fifteen years after training. `delaware`: workflows/delaware.yaml, five
folds, scored at the gauges that each held out; every fold chooses for itself. `nonlinear`: hourly Muskingum-Cunge with
parameters by flow (`benchmarks/nonlinear_twin.py`), ten gauges, trained on two quiet months and scored on floods at 290
reaches without a gauge. `hillslope`: a world of 500 reaches whose runoff takes two days to them, by a workflow that
says nothing of hillslopes; with `uniform` and `hybrid` in place of auto besides, for the caution.

`--models auto hybrid` says which models; a row is a case with a seed and a model. `best` is the best baseline by the
median NSE of the same gauges, `difference` the difference of medians with its paired 90 % interval over the gauges
of all folds. `ceiling`, of a cross-validation, is the median NSE of the last fit, which trained on all gauges.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
import numpy as np
import pandas as pd
import torch
import xarray as xr
import yaml

from rivergrad.config.load import load_workflow
from rivergrad.gauges.comparison import compare
from rivergrad.run.workflow import run_workflow
from rivergrad.rundir.reading import RunData, read_run

BASELINES = ("unrouted", "default", "uniform")
TEN, OTHERS = 10, 290


@dataclass(frozen=True)
class Row:
    """A case with a seed and a model; NSE and KGE are medians over gauges."""

    case: str
    seed: int
    model: str
    chosen: str
    gauges: int
    nse: float
    best: str
    nse_best: float
    difference: float
    interval: str
    better: int
    kge: float
    kge_best: float
    ceiling: float
    largest_tenth: float
    largest_tenth_uniform: float
    least_flow: float
    at_bounds: float
    cautions: int
    hillslope_caution: bool
    seconds: float
    machine: str


def carry_out(case: str, seed: int, model: str, folder: Path, machine: str) -> Row:
    """Run a case and read its numbers."""
    here = folder / f"{case}_{model}_{seed}"
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir(parents=True)
    path, changes = CASES[case](here, seed)
    settings = [f"output={here / 'run'}", "uncertainty.enabled=false", f"parameters.model={model}", *changes]
    began = time.perf_counter()
    run = read_run(run_workflow(load_workflow(path, settings), report=False, show_scores=False))
    took = time.perf_counter() - began
    table = run.folds if run.folds is not None else run.metrics
    split = next(one for one in ("gauge_time", "gauge", "time", "train") if (table["split"] == one).any())
    return row_of(case, seed, model, run, table[table["split"] == split], took, machine)


def row_of(
    case: str, seed: int, model: str, run: RunData, table: pd.DataFrame, took: float, machine: str
) -> Row:
    """The numbers of a run, at the gauges of a table of scores."""
    nse = compare(table["nse"].to_numpy(), {one: table[f"nse_{one}"].to_numpy() for one in BASELINES}, seed)
    kge = compare(table["kge"].to_numpy(), {one: table[f"kge_{one}"].to_numpy() for one in BASELINES}, seed)
    assert nse is not None
    assert kge is not None
    size = pd.Series(run.network.attributes.get("upstream_area_m2", np.ones(run.network.n_reaches)))
    at = size[run.network.positions(table["reach_id"].to_numpy())].to_numpy()
    train = run.metrics.loc[run.metrics["split"] == "train", "nse"]
    large = table[at >= np.quantile(at, 0.9)]
    low, high = run_bounds(run)
    found = run.celerity[np.isfinite(run.celerity)]
    observed = run.hydrographs.discharge["observed"]
    flow = run.hydrographs.discharge["estimate"]
    mean = np.nanmean(np.where(np.isnan(observed), flow, observed), axis=0)
    cautions = run.summary["cautions"]
    return Row(
        case=case,
        seed=seed,
        model=model,
        chosen=chosen_of(run),
        gauges=nse.gauges,
        nse=nse.estimate,
        best=nse.baseline,
        nse_best=nse.best,
        difference=nse.difference,
        interval=f"{nse.low:.4f} to {nse.high:.4f}",
        better=nse.better,
        kge=kge.estimate,
        kge_best=kge.best,
        ceiling=float(train.median()) if run.folds is not None else float("nan"),
        largest_tenth=float(large["nse"].median()),
        largest_tenth_uniform=float(large["nse_uniform"].median()),
        least_flow=float(np.nanmin(np.nanmin(flow, axis=0) / mean)),
        at_bounds=float(((found < low * 1.05) | (found > high * 0.95)).mean()),
        cautions=len(cautions),
        hillslope_caution=any("hillslope" in text for text in cautions),
        seconds=took,
        machine=machine,
    )


def run_bounds(run: RunData) -> tuple[float, float]:
    """The bounds of celerity of a run, m/s."""
    low, high = yaml.safe_load(run.config)["parameters"]["celerity"]["bounds"]
    return float(low), float(high)


def chosen_of(run: RunData) -> str:
    """What was chosen: by the run, and by its folds, if any."""
    import json

    folds = [json.loads(one.read_text()) for one in sorted(run.folder.glob("folds/*/run.json"))]
    names = [one["summary"]["choice"]["chosen"] for one in folds if "choice" in one["summary"]]
    if names:
        return ", ".join(f"{name} {count}" for name, count in Counter(names).most_common())
    return str(run.summary["choice"]["chosen"]) if "choice" in run.summary else ""


def juniata(here: Path, seed: int) -> tuple[Path, list[str]]:
    return Path("workflows/juniata.yaml"), [f"seed={seed}"]


def delaware(here: Path, seed: int) -> tuple[Path, list[str]]:
    return Path("workflows/delaware.yaml"), [f"seed={seed}"]


def nonlinear(here: Path, seed: int) -> tuple[Path, list[str]]:
    """Ten gauges of a nonlinear twin, and other reaches that are held out."""
    import nonlinear_twin as twins

    from rivergrad.io import write_network_table

    twin = twins.make_twin(800, seed, errors=False)
    rng = np.random.default_rng([seed, 5])
    drawn = rng.permutation(twin.network.n_reaches)[: TEN + OTHERS]
    ids = twin.network.reach_id
    write_network_table(here / "n.parquet", twin.network)
    hours = np.datetime64("2001-01-01", "ns") + np.arange(len(twin.runoff)) * np.timedelta64(1, "h")
    unit = {"units": "m3 s-1"}
    xr.Dataset(
        {"runoff": (("time", "reach"), twin.runoff.astype(np.float32), unit)}, {"time": hours, "reach": ids}
    ).to_netcdf(here / "r.nc")
    names = np.array([f"g{i}" for i in ids[drawn]], dtype=object)
    xr.Dataset(
        {"discharge": (("time", "gauge"), twin.observed[:, drawn], unit)},
        {"time": hours, "gauge": names, "reach_id": ("gauge", ids[drawn])},
    ).to_netcdf(here / "o.nc")
    day = [str(hours[at])[:10] for at in (0, twins.QUIET - 1, twins.QUIET, -1)]
    data = {
        "name": "nonlinear",
        "seed": seed,
        "network": {"path": str(here / "n.parquet")},
        "runoff": {"path": str(here / "r.nc")},
        "observations": {"path": str(here / "o.nc")},
        "scheme": {"name": "muskingum", "cap_x": True},
        "time": {"routing_step": "1h", "warmup": "10d", "train": day[:2], "test": day[2:]},
        "gauges": {"screening": {"enabled": False}, "holdout_ids": [str(one) for one in names[TEN:]]},
        "parameters": {"celerity": {"initial": 1.0, "bounds": [0.05, 10.0]}, "shrinkage": 0.1},
        "partition": {"parts": 1},
        "compute": {"kind": "serial"},
        "estimate": {"steps": 60, "window": "20d", "uniform_grid": 8, "evaluate_every": 10},
    }
    return _written(here, data), []


def hillslope(here: Path, seed: int) -> tuple[Path, list[str]]:
    """The files of a world with a delay of two days on hillslopes, and a workflow that says nothing of it."""
    from rivergrad.run.inputs import prepare_inputs

    world = {"seed": seed, "reaches": 500, "start": "2001-01-01", "years": 3, "noise": 0.02}
    common: dict[str, Any] = {
        "name": "hillslope",
        "seed": seed,
        "time": {"routing_step": "6h", "warmup": "60d", "train": ["2001-01-01", "2003-12-31"]},
        "parameters": {"celerity": {"initial": 0.6, "bounds": [0.02, 20.0]}, "shrinkage": 0.1},
        "gauges": {"holdout": 0.2},
        "partition": {"parts": 1},
        "compute": {"kind": "serial"},
        "estimate": {"steps": 60, "evaluate_every": 10},
    }
    stage = {"name": "muskingum", "hillslope": {"name": "linear_storage", "delay": "2d"}}
    spec = world | {"gauge_fraction": 0.2, "gauge_min_upstream": 1}
    with_stage = _written(here, {**common, "world": {"spec": spec}, "scheme": stage})
    prepare_inputs(load_workflow(with_stage), here / "made")
    made = here / "made" / "world"
    files = {"network": "network.parquet", "runoff": "runoff.nc", "observations": "observations.nc"}
    plain = {key: {"path": str(made / name)} for key, name in files.items()}
    return _written(here, {**common, **plain, "scheme": {"name": "muskingum"}}), []


def _written(here: Path, data: dict[str, Any]) -> Path:
    path = here / "w.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


CASES = {"juniata": juniata, "delaware": delaware, "nonlinear": nonlinear, "hillslope": hillslope}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="+", choices=list(CASES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--models", nargs="+", default=["auto"])
    parser.add_argument("--folder", type=Path, default=Path("model_auto"))
    parser.add_argument("--output", type=Path, help="a CSV for the table")
    arguments = parser.parse_args()

    machine = measure.machine(torch.device("cpu"))
    for case in arguments.cases:
        for seed in arguments.seeds:
            for model in arguments.models:
                row = carry_out(case, seed, model, arguments.folder, machine)
                print(row, flush=True)
                if arguments.output:
                    measure.write(arguments.output, [row])


if __name__ == "__main__":
    main()
