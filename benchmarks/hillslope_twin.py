"""A twin whose runoff takes two days to the reaches: celerities and the delay together, and without the stage.

    python benchmarks/hillslope_twin.py [--reaches 1000] [--seeds 1 2] [--cases stage,everywhere,none,late]
        [--folder hillslope_twin] [--output hillslope_twin.csv]

A generated world of three years, daily runoff, gauges on 20 % of the reaches, observations with 2 % noise. Wanted with
the stage (`stage`): a median error of celerity of 10 % or less over reaches with an identifiability above 0.5, and the
delay within 10 %. `everywhere` has a gauge on every reach. `none` estimates without a hillslope: what it lacks turns
into celerity. `late` has gauges on a few large rivers alone, where delay and celerity are told apart less well.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
import numpy as np
import torch
import yaml

from rivergrad.config.load import load_workflow
from rivergrad.run.workflow import run_workflow
from rivergrad.rundir.reading import read_parameter_map, read_run

DAY = 86400.0
DELAY_DAYS = 2.0
CASES = ("stage", "everywhere", "none", "late")


@dataclass(frozen=True)
class Row:
    """A case with a seed; errors of celerity are medians of |found − true|/true."""

    case: str
    seed: int
    reaches: int
    gauges: int
    uniform_celerity: float
    celerity_error: float
    celerity_error_identified: float
    identified: float
    celerity_bias: float
    delay_days: float
    delay_lower: float
    delay_upper: float
    delay_identifiability: float
    correlation: float
    nse_train: float
    nse_uniform: float
    machine: str


def workflow(case: str, seed: int, reaches: int, output: Path) -> dict[str, Any]:
    """The workflow of a case; the truth is made with the delay of scheme.hillslope."""
    gauges = {"gauge_fraction": 0.2, "gauge_min_upstream": 1}
    if case == "everywhere":
        gauges["gauge_fraction"] = 1.0
    if case == "late":
        gauges = {"gauge_fraction": 0.02, "gauge_min_upstream": 30}
    world = {"seed": seed, "reaches": reaches, "start": "2001-01-01", "years": 3, "noise": 0.02}
    return {
        "name": f"hillslope_{case}",
        "seed": seed,
        "output": str(output),
        "world": {"spec": world | gauges},
        "scheme": {"name": "muskingum", "hillslope": {"name": "linear_storage", "delay": f"{DELAY_DAYS:g}d"}},
        "time": {"routing_step": "6h", "warmup": "60d", "train": ["2001-01-01", "2003-12-31"]},
        "parameters": {"celerity": {"initial": 0.6, "bounds": [0.02, 20.0]}, "hillslope": {}},
        "partition": {"parts": 1},
        "compute": {"kind": "serial"},
        "estimate": {"method": "gauss_newton", "steps": 12},
        "uncertainty": {"enabled": True, "products": 20},
    }


def carry_out(case: str, seed: int, reaches: int, folder: Path, machine: str) -> Row:
    """Run a case and read its numbers."""
    here = folder / f"{case}_{seed}"
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir(parents=True)
    data = workflow(case, seed, reaches, here / "run")
    path = here / "w.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    config = load_workflow(path)
    if case == "none":  # the truth has the delay, the estimate has not
        config = _without(config, here, data)
    run = read_run(run_workflow(config, report=False, show_scores=False))
    maps, truth = read_parameter_map(run.folder / "parameters.zarr", run.network), _truth(run, here)
    known, told = run.informed, run.summary["uncertainty"]
    sure = known & (maps["identifiability"] > 0.5)
    error = np.abs(run.celerity / truth - 1)
    nan = float("nan")
    return Row(
        case=case,
        seed=seed,
        reaches=run.network.n_reaches,
        gauges=int(run.summary["gauges"]),
        uniform_celerity=run.summary["uniform_celerity"],
        celerity_error=float(np.median(error[known])),
        celerity_error_identified=float(np.median(error[sure])),
        identified=float(sure.mean()),
        celerity_bias=float(np.median(run.celerity[sure] / truth[sure])),
        delay_days=told.get("hillslope_delay_s", nan) / DAY,
        delay_lower=told.get("hillslope_delay_lower_s", nan) / DAY,
        delay_upper=told.get("hillslope_delay_upper_s", nan) / DAY,
        delay_identifiability=told.get("hillslope_identifiability", nan),
        correlation=told.get("hillslope_correlation", nan),
        nse_train=run.summary["medians"]["train"]["nse_estimate"],
        nse_uniform=run.summary["medians"]["train"]["nse_uniform"],
        machine=machine,
    )


def _without(config: Any, here: Path, data: dict[str, Any]) -> Any:
    """The files of the world with the delay, and a workflow that knows nothing of it."""
    from rivergrad.run.inputs import prepare_inputs

    prepare_inputs(config, here / "made")
    made = here / "made" / "world"
    plain = {key: value for key, value in data.items() if key not in ("world", "scheme")}
    plain["parameters"] = {"celerity": data["parameters"]["celerity"]}
    plain |= {
        "scheme": {"name": "muskingum"},
        "network": {"path": str(made / "network.parquet")},
        "runoff": {"path": str(made / "runoff.nc")},
        "observations": {"path": str(made / "observations.nc")},
    }
    path = here / "plain.yaml"
    path.write_text(yaml.safe_dump(plain, sort_keys=False))
    return load_workflow(path)


def _truth(run: Any, here: Path) -> Any:
    if run.true_celerity is not None:
        return run.true_celerity
    from rivergrad.io import read_parameters

    return read_parameters(here / "made" / "world" / "truth.parquet", ["celerity"], run.network)["celerity"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reaches", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--cases", type=lambda text: text.split(","), default=list(CASES))
    parser.add_argument("--folder", type=Path, default=Path("hillslope_twin"))
    parser.add_argument("--output", type=Path, help="a CSV for the table")
    arguments = parser.parse_args()

    machine = measure.machine(torch.device("cpu"))
    for seed in arguments.seeds:
        for case in arguments.cases:
            row = carry_out(case, seed, arguments.reaches, arguments.folder, machine)
            print(row, flush=True)
            if arguments.output:
                measure.write(arguments.output, [row])


if __name__ == "__main__":
    main()
