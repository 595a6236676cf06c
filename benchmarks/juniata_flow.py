"""Juniata with a celerity that depends on flow: one gauge, trained on 1980 to 1995, NSE of 1995 to 2010.

    RIVERGRAD_DATA=... python benchmarks/juniata_flow.py [--cases law,hybrid] [--folder juniata_flow] [--output F.csv]

`linear` is a law of slope, mean flow and x; `law` has an exponent m besides; `hybrid` deviations of every reach, too;
`hillslope` a storage before routing; `volume` the volume error of runoff taken out while fitting, `corrected` in scores
too. By Gauss-Newton with the defaults of a workflow.
"""

from __future__ import annotations

import argparse
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
import torch
import yaml

from rivergrad.config.load import load_workflow
from rivergrad.run.workflow import run_workflow
from rivergrad.rundir.reading import read_run

HERE = Path(__file__).resolve().parents[1]
LAW: dict[str, Any] = {
    "model": "attributes",
    "trend": ["slope", "mean_flow"],
    "flow_exponent": {"gradient_rounds": 2},
}
CASES: dict[str, dict[str, Any]] = {
    "linear": {key: value for key, value in LAW.items() if key != "flow_exponent"},
    "law": LAW,
    "hybrid": {**LAW, "model": "hybrid"},
    "hillslope": {**LAW, "hillslope": {}},
    "volume": {**LAW, "nuisance": {"predict": False}},
    "corrected": {**LAW, "nuisance": {"predict": True}},
}


@dataclass(frozen=True)
class Row:
    """A case: NSE in training and test time, of the estimate and of the best uniform parameters."""

    case: str
    nse_train: float
    nse_test: float
    nse_uniform_test: float
    exponent: float
    rounds: int
    bound: float
    seconds: float
    machine: str


def carry_out(case: str, folder: Path) -> Row:
    data = yaml.safe_load((HERE / "workflows" / "juniata.yaml").read_text())
    shutil.rmtree(folder / case, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    data |= {
        "name": case,
        "output": str(folder / case),
        "compute": {"kind": "serial"},
        "parameters": {"celerity": data["parameters"]["celerity"], **CASES[case]},
        "estimate": {"method": "gauss_newton", "steps": 12},
    }
    if "hillslope" in CASES[case]:
        data["scheme"] = {**data["scheme"], "hillslope": {"name": "linear_storage"}}
    path = folder / f"{case}.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    began = time.perf_counter()
    run = read_run(run_workflow(load_workflow(path), report=False, show_scores=False))
    medians, flow = run.summary["medians"], run.summary.get("flow", {})
    told = run.summary["model"].get("flow") or {"exponent": [0.0]}
    return Row(
        case,
        medians["train"]["nse_estimate"],
        medians["time"]["nse_estimate"],
        medians["time"]["nse_uniform"],
        told["exponent"][0],
        flow.get("rounds", 0),
        flow.get("bound", 0.0),
        time.perf_counter() - began,
        measure.machine(torch.device("cpu")),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=lambda text: text.split(","), default=list(CASES))
    parser.add_argument("--folder", type=Path, default=Path("juniata_flow"))
    parser.add_argument("--output", type=Path, help="a CSV for the table")
    arguments = parser.parse_args()
    for case in arguments.cases:
        row = carry_out(case, arguments.folder)
        print(row, flush=True)
        if arguments.output:
            measure.write(arguments.output, [row])


if __name__ == "__main__":
    main()
