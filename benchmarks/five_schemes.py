"""Five schemes behind one runoff model, each trained end to end on the same small world.

    python benchmarks/five_schemes.py [--schemes hayami,nash_cascade,...] [--folder five_schemes]
        [--set estimate.steps=100 ...] [--output five_schemes.csv]

The world is that of workflows/end_to_end.yaml, whose truth is routed by Muskingum; every scheme learns from the same
forcings and observations, from scratch, runoff and routing together, and then the routing alone. The table has medians
over gauges of NSE and Spearman's correlation of celerity with the truth over the reaches upstream of a training gauge.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
import torch

from rivergrad.config.load import load_workflow
from rivergrad.config.schema import Workflow
from rivergrad.config.sections import SCRATCH, NetworkSection, ObservationsSection
from rivergrad.io import read_network, read_parameters
from rivergrad.run.inputs import prepare_inputs
from rivergrad.run.results import rank_correlation
from rivergrad.run.stages import stages_of
from rivergrad.run.workflow import run_workflow
from rivergrad.rundir.reading import read_parameter_map

SCHEMES = ("hayami", "nash_cascade", "muskingum", "linear_storage", "pure_lag")


@dataclass(frozen=True)
class Row:
    """One scheme; seconds are those of the fit."""

    scheme: str
    engine: str
    reaches: int
    steps: int
    seconds: float
    nse_train: float
    nse_time: float
    nse_gauge: float
    nse_gauge_time: float
    nse_gauge_time_interval: str
    spearman: float
    machine: str


def on_files(config: Workflow, folder: Path, scheme: str) -> Workflow:
    """The workflow on the files of its world, with another scheme."""
    assert config.runoff is not None
    world = folder / "truth" / "world"
    # from scratch, and what follows
    stages = stages_of(config)
    stages = stages[[stage.start for stage in stages].index(SCRATCH) :]
    held_out = tuple(config.gauges.holdout_ids)
    return config.model_copy(
        update={
            "name": f"{config.name}-{scheme}",
            "output": folder / scheme,
            "world": None,
            "network": NetworkSection(path=world / "network.parquet"),
            "observations": ObservationsSection(path=world / "observations.nc"),
            "runoff": config.runoff.model_copy(update={"forcings": world / "forcings.zarr"}),
            "scheme": config.scheme.model_copy(update={"name": scheme}),
            "gauges": config.gauges.model_copy(update={"holdout": 0.0, "holdout_ids": held_out}),
            "parameters": config.parameters.model_copy(update={"spreading": None}),
            "estimate": config.estimate.model_copy(update={"stages": stages}),
            "uncertainty": config.uncertainty.model_copy(update={"enabled": False}),
        }
    )


def carry_out(config: Workflow, folder: Path, scheme: str, machine: str) -> Row:
    """Train one scheme, or take up its run."""
    run_dir = run_workflow(on_files(config, folder, scheme), report=False, show_scores=False)
    info: dict[str, Any] = json.loads((run_dir / "run.json").read_text())
    network = read_network(folder / "truth" / "world" / "network.parquet")
    found = read_parameter_map(run_dir / "parameters.zarr", network)
    truth = read_parameters(folder / "truth" / "world" / "truth.parquet", ["celerity"], network)["celerity"]
    informed = found["informed"] > 0
    summary = info["summary"]
    medians = summary["medians"]
    return Row(
        scheme=scheme,
        engine=summary["engine"],
        reaches=summary["reaches"],
        steps=summary["steps"],
        seconds=info["timings"]["estimate"],
        **{f"nse_{split}": medians[split]["nse_estimate"] for split in medians},
        nse_gauge_time_interval="{:.4f} to {:.4f}".format(*medians["gauge_time"]["nse_estimate_interval"]),
        spearman=rank_correlation(found["celerity"][informed], truth[informed]),
        machine=machine,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workflow", type=Path, default=Path("workflows/end_to_end.yaml"))
    parser.add_argument("--schemes", default=",".join(SCHEMES))
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--folder", type=Path, default=Path("five_schemes"))
    parser.add_argument("--output", type=Path, help="a CSV for the table")
    arguments = parser.parse_args()

    config = load_workflow(arguments.workflow, arguments.overrides)
    inputs = prepare_inputs(config, arguments.folder / "truth")
    names = tuple(str(name) for name in inputs.observations.gauge[inputs.held_out])
    config = config.model_copy(update={"gauges": config.gauges.model_copy(update={"holdout_ids": names})})
    machine = measure.machine(torch.device(config.compute.device))
    for scheme in arguments.schemes.split(","):
        row = carry_out(config, arguments.folder, scheme, machine)
        print(row, flush=True)
        if arguments.output:
            measure.write(arguments.output, [row])


if __name__ == "__main__":
    main()
