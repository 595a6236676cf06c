"""`rivergrad apply`: what a run learned of attributes, applied to the reaches of another network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rivergrad.cli.options import NetworkPath, RunPath


def apply(
    run: RunPath,
    network: NetworkPath,
    output: Annotated[
        Path,
        typer.Option(
            "--output", metavar="P", help="The .csv, .parquet, .nc or .zarr to write.", show_default=False
        ),
    ],
) -> None:
    """Write the parameters that a run's model gives another network, from its attributes alone."""
    from rivergrad.errors import InputError
    from rivergrad.io.datasets import kind_of
    from rivergrad.io.parameters import STORE
    from rivergrad.workflow.status import require_run

    require_run(run)
    kind_of(output, writing=True)
    if output.absolute() in (network.absolute(), (run / STORE).absolute()):
        raise InputError(f"--output {output}: is what is read; expected another place to write to")

    from rivergrad.io import read_network, write_parameters
    from rivergrad.workflow.load import load_workflow
    from rivergrad.workflow.record import versions
    from rivergrad.workflow.transfer import FAR, fitted_model, strange_reaches, transferred

    model, config = fitted_model(run), load_workflow(run / "config.yaml")
    rivers = read_network(network)
    try:
        values = transferred(run, rivers)
    except InputError as error:
        raise InputError(f"{network}: {error}") from None
    trend = " and ".join(feature["name"] for feature in model["features"])
    said = f"celerity by {trend}" if trend else "the same celerity for all reaches"
    alone = "; deviations of single reaches stay behind" if model["kind"] == "hybrid" else ""
    typer.echo(f"model {model['kind']} of {config.name}: {said}{alone}", err=True)
    if far := strange_reaches(model, rivers):
        typer.echo(
            f"{far:,} of {rivers.n_reaches:,} reaches have attributes more than {FAR:g} standard deviations from "
            "those of the reaches it was fitted on, where it may not hold",
            err=True,
        )
    places = {name: rivers.attributes[name] for name in ("lat", "lon") if name in rivers.attributes}
    write_parameters(
        output,
        rivers.reach_id,
        # length is the network's own, here as in the parameters of a run
        places | {name: value for name, value in values.items() if name != "length"},
        provenance={
            "workflow": config.name,
            "model": model["kind"],
            "scheme": config.scheme.name,
            "convention": config.scheme.convention,
            "rivergrad_version": versions()["rivergrad"],
        },
    )
    typer.echo(output)
