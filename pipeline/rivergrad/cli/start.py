"""`rivergrad demo` and `rivergrad init`: what a new user starts from, wherever rivergrad is installed."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rivergrad.cli.options import Fresh, Settings
from rivergrad.packaged import KINDS

DEMO = Path("rivergrad-demo")


class Kind(StrEnum):
    """What `rivergrad init` writes."""

    BASIN, LEARNED, TWIN, GLOBAL = KINDS


def demo(
    output: Annotated[
        Path, typer.Option("--output", metavar="RUN", help="The run directory that the demo writes.")
    ] = DEMO,
    settings: Settings = None,
    fresh: Fresh = False,
) -> None:
    """Estimate the celerities of a generated world and write a report; it needs no files and takes a minute or two."""
    import json

    from rivergrad.cli.estimate import carry_out
    from rivergrad.packaged import demo_workflow

    carry_out(demo_workflow(), [f"output={json.dumps(str(output))}", *(settings or ())], fresh, report=True)


def init(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help=f"{', '.join(KINDS)}.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="W.yaml", help="The file to write; KIND.yaml by default.", show_default=False
        ),
    ] = None,
) -> None:
    """Write a commented workflow to change and run."""
    from rivergrad.errors import InputError
    from rivergrad.packaged import starting_workflow

    path = Path(f"{kind.value}.yaml") if output is None else output
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(starting_workflow(kind.value))
    except FileExistsError:
        raise InputError(f"{path}: is there already; expected another --output, or nothing there") from None
    typer.echo(f"{path}: change its paths and periods, then: rivergrad validate {path}")
