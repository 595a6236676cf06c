"""`rivergrad inspect` and `import`: what files are, and their content in rivergrad's own form."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rivergrad.cli.options import OutletWords, outlet_words
from rivergrad.cli.runoffoptions import (
    Absent,
    Absents,
    Amounts,
    First,
    Stamp,
    Stamps,
    Step,
    Variables,
    Weights,
    reading,
)

if TYPE_CHECKING:
    from rivergrad.io.observed.gather import ArchiveOptions


class Role(StrEnum):
    """What a file is read as."""

    network = "network"
    runoff = "runoff"
    observations = "observations"


Files = Annotated[
    list[str],
    typer.Argument(metavar="FILE...", help="Files, folders or patterns.", show_default=False),
]


def inspect(files: Files) -> None:
    """Say what files are, how that was told, what they hold, and the lines of a workflow that read them."""
    from rivergrad.files import expanded
    from rivergrad.io.inspecting import inspect_file

    for path in expanded(files):
        for line in inspect_file(path).lines():
            typer.echo(line)


def import_files(
    role: Annotated[Role, typer.Argument(metavar="KIND", help="What it is read as.", show_default=False)],
    files: Files,
    output: Annotated[
        Path, typer.Option("--output", metavar="F", help="The file or store to write.", show_default=False)
    ],
    network: Annotated[
        Path | None,
        typer.Option("--network", metavar="N", help="Whose reaches; needed for runoff.", show_default=False),
    ] = None,
    format: Annotated[str, typer.Option("--format", help="The files' format; auto tells it.")] = "auto",
    variable: Variables = None,
    stamp: Stamps = Stamp.auto,
    accumulated: Amounts = "auto",
    weights: Weights = None,
    absent: Absents = Absent.error,
    runoff_start: First = None,
    runoff_step: Step = None,
    stations: Annotated[
        Path | None,
        typer.Option(
            "--stations", metavar="S", help="A table of stations, for observations.", show_default=False
        ),
    ] = None,
    utc_offset: Annotated[
        str | None,
        typer.Option(
            "--utc-offset",
            metavar="H",
            help="By how much gauges' clocks are ahead of UTC, or file.",
            show_default=False,
        ),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option("--drop", metavar="FLAG", help="Leave out values with this flag.", show_default=False),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep", metavar="FLAG", help="Keep only values with one of these flags.", show_default=False
        ),
    ] = None,
    outlets: OutletWords = None,
) -> None:
    """Write a copy of a network, runoff or observations in rivergrad's own form, with all that is converted."""
    from rivergrad.cli.outputs import claim
    from rivergrad.errors import InputError
    from rivergrad.files import expanded
    from rivergrad.io import importing, read_network
    from rivergrad.io import output as outputs

    paths = expanded(files)
    kinds = {
        Role.network: outputs.NETWORK,
        Role.runoff: outputs.RUNOFF,
        Role.observations: outputs.OBSERVATIONS,
    }
    named = {f"FILE {one}": one for one in paths}
    claim(output, kinds[role], {**named, "--network": network, "--stations": stations}, overwrite=True)
    rivers = None if network is None else read_network(network, outlets=outlet_words(outlets))
    if role is Role.network:
        if len(paths) > 1:
            raise InputError(f"found {len(paths)} files of a network; expected one")
        said = importing.import_network(read_network(paths[0], format, outlets=outlet_words(outlets)), output)
    elif role is Role.runoff:
        if rivers is None:
            raise InputError("runoff is that of the reaches of a network; expected --network")
        options = reading(variable, stamp, weights, absent, accumulated, runoff_start, runoff_step)
        options["format"] = format
        said = importing.import_runoff(paths, rivers, output, **options)
    else:
        said = importing.import_observations(
            paths, rivers, output, format, _archive(stations, utc_offset, stamp, drop, keep)
        )
    typer.echo(f"{output.name}: {said}", err=True)
    typer.echo(output)


def _archive(
    stations: Path | None,
    utc_offset: str | None,
    stamp: Stamp,
    drop: list[str] | None,
    keep: list[str] | None,
) -> ArchiveOptions:
    from rivergrad.clocks import offset_of
    from rivergrad.io.observed.gather import ArchiveOptions
    from rivergrad.io.observed.quality import Quality

    said = utc_offset if utc_offset in (None, "file") else offset_of(utc_offset, "--utc-offset")
    return ArchiveOptions(stations, Quality.of(drop or (), keep or ()), said, stamp.value)
