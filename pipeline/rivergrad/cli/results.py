"""`rivergrad status`, `report` and `export`: looking at a run, and taking its results elsewhere."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rivergrad.cli.options import RunPath


def status(run: RunPath) -> None:
    """Say how far a run is: state, step, loss, rate, time left, workers, Slurm job; of a job array, each element."""
    from rivergrad.run.status import status_lines

    for line in status_lines(run):
        typer.echo(line)


class MapFormat(StrEnum):
    """What the maps of a report are drawn as."""

    png = "png"
    pdf = "pdf"
    svg = "svg"


def report(
    run: RunPath,
    maps: Annotated[
        MapFormat, typer.Option("--maps", help="Format of the pictures in maps/; PNG is always there.")
    ] = MapFormat.png,
) -> None:
    """Draw the maps and write report.html of a run again."""
    from rivergrad.run.status import require_run

    require_run(run)
    from rivergrad.report import write_report

    typer.echo(write_report(run, maps.value))


def export(
    run: RunPath,
    output: Annotated[
        Path,
        typer.Option("--output", metavar="O", help="The file or folder to write.", show_default=False),
    ],
    format: Annotated[
        str | None,
        typer.Option(
            "--as",
            "--format",
            metavar="F",
            help="What to write, such as rapid, geopackage or netcdf; by default what the name's ending says.",
            show_default=False,
        ),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(
            "--like",
            metavar="THEIR_FILE",
            help="Your own file (or folder) of the model: its order, ids, types and attributes stay, and only the "
            "parameters change.",
            show_default=False,
        ),
    ] = None,
    flow: Annotated[
        str | None,
        typer.Option(
            "--flow",
            metavar="Q",
            help="The flow at which celerity becomes Manning's n, for routelink and mizuroute: such as 1.2mm/day of "
            "runoff, or a file of discharge.",
            show_default=False,
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option("--licence", metavar="TEXT", help="The licence of the result.", show_default=False),
    ] = None,
) -> None:
    """Write a run's estimate as another model, or a tool of GIS, reads it."""
    from rivergrad.run.status import require_run

    require_run(run)
    from rivergrad.run.export import export_run

    for sentence in export_run(run, output, name=format, like=like, flow=flow, licence=licence):
        typer.echo(f"{output.name}: {sentence}", err=True)
    typer.echo(output)
