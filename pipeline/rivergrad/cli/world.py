"""`rivergrad generate-world`: a planet's files to test on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rivergrad.cli.options import Device
from rivergrad.verbosity import quiet


def generate_world(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write.", show_default=False)],
    reaches: Annotated[int, typer.Option("--reaches", metavar="N", help="The number of reaches.")] = 100_000,
    years: Annotated[float, typer.Option("--years", metavar="Y", help="The length of the record.")] = 1.0,
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="The seed of everything random.")] = 1,
    start: Annotated[str, typer.Option("--start", help="The first day of the record.")] = "2001-01-01",
    gauges: Annotated[
        int | None,
        typer.Option(
            "--gauges",
            metavar="G",
            help="The number of gauges; by default one in 1,000 reaches.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        Device, typer.Option("--device", help="What routes the truth to the gauges.")
    ] = Device.cpu,
) -> None:
    """Generate a world's network, daily runoff on a grid, gauges, and the celerities to be found."""
    import os

    from rivergrad.errors import InputError
    from rivergrad.run.largeworld import generate_world as generate
    from rivergrad.world.large import LargeSpec

    spec = LargeSpec(reaches, years, seed, start, gauges)
    if os.path.lexists(output) and not (output.is_dir() and not any(output.iterdir())):
        raise InputError(f"OUT {output}: is there; expected another place to write to")
    generate(spec, output, lambda said: None if quiet() else typer.echo(said, err=True), device.value)
    typer.echo(output)
