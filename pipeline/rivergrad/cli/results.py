"""`rivergrad status`, `report` and `export`: looking at a run, and taking its results elsewhere."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rivergrad.cli.options import RunPath


class ExportFormat(StrEnum):
    """What parameters can be exported as."""

    netcdf = "netcdf"
    zarr = "zarr"
    csv = "csv"
    parquet = "parquet"


def status(run: RunPath) -> None:
    """Say how far a run is: state, step, loss, rate, time left, workers, Slurm job; of a job array, each element."""
    from rivergrad.run.status import status_lines

    for line in status_lines(run):
        typer.echo(line)


def report(run: RunPath) -> None:
    """Draw the maps and write report.html of a run again."""
    from rivergrad.run.status import require_run

    require_run(run)
    from rivergrad.report import write_report

    typer.echo(write_report(run))


def export(
    run: RunPath,
    format: Annotated[ExportFormat, typer.Option("--format", help="Its format.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", metavar="O", help="The file or store to write.", show_default=False)
    ],
) -> None:
    """Write a run's parameters in another format."""
    from rivergrad.run.status import require_run

    require_run(run)
    from rivergrad.cli.outputs import claim
    from rivergrad.io import export_parameters
    from rivergrad.io.output import PARAMETERS
    from rivergrad.io.parameters import STORE

    claim(output, PARAMETERS, {"the run": run / STORE})
    export_parameters(run, format.value, output)
    typer.echo(output)
