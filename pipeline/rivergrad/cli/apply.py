"""`rivergrad apply`: what a run learned, applied to the reaches of another network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rivergrad.cli.options import NetworkPath, OutletWords, Overwrite, RunPath, outlet_words

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

    from rivercut.network import RiverNetwork
    from rivergrad.config.schema import Workflow
    from rivergrad.io import RunoffReader
    from rivergrad.routing.schemes import Scheme


def apply(
    run: RunPath,
    network: NetworkPath,
    output: Annotated[
        Path,
        typer.Option(
            "--output", metavar="P", help="The .csv, .parquet, .nc or .zarr to write.", show_default=False
        ),
    ],
    forcings: Annotated[
        Path | None,
        typer.Option(
            "--forcings",
            metavar="F",
            help="NetCDF or Zarr forcings of the network, for the runoff model of a learned run.",
            show_default=False,
        ),
    ] = None,
    forcing: Annotated[
        list[str] | None,
        typer.Option(
            "--forcing",
            metavar="NAME=IN_FILE",
            help="What a forcing is called in that file; can be given several times.",
            show_default=False,
        ),
    ] = None,
    runoff: Annotated[
        Path | None,
        typer.Option(
            "--runoff",
            metavar="R",
            help="Given runoff of the network: to be routed, corrected where the run learned that, or averaged where "
            "celerity depends on flow.",
            show_default=False,
        ),
    ] = None,
    write_runoff: Annotated[
        Path | None,
        typer.Option(
            "--write-runoff",
            metavar="R.nc",
            help="Write the learned runoff of every reach, NetCDF or Zarr.",
            show_default=False,
        ),
    ] = None,
    write_discharge: Annotated[
        Path | None,
        typer.Option(
            "--write-discharge",
            metavar="Q.nc",
            help="Write the discharge of every reach, NetCDF or Zarr.",
            show_default=False,
        ),
    ] = None,
    outlets: OutletWords = None,
    overwrite: Overwrite = False,
) -> None:
    """Write what a run's models give another network: parameters by its attributes; if asked, runoff and discharge."""
    from rivergrad.errors import InputError
    from rivergrad.io.datasets import kind_of
    from rivergrad.io.parameters import STORE
    from rivergrad.run.choice import workflow_of
    from rivergrad.run.status import require_run

    require_run(run)
    config = workflow_of(run)
    kind_of(output, writing=True)
    read = {"--network": network, "the run": run / STORE, "--forcings": forcings, "--runoff": runoff}
    written = {"--output": output, "--write-runoff": write_runoff, "--write-discharge": write_discharge}
    _claim_all({option: path for option, path in written.items() if path is not None}, read, overwrite)
    _check_together(run, config, forcings, forcing, runoff, write_runoff, write_discharge)

    from rivergrad.io import read_network, write_parameters
    from rivergrad.io.parameters import refuse_not_finite
    from rivergrad.pieces.meanflow import mean_flow
    from rivergrad.routing.flow.names import EXPONENT
    from rivergrad.routing.outside import effective
    from rivergrad.routing.schemes import RESIDENCE_TIME
    from rivergrad.run.flowlaw import takes_mean_flow, with_mean_flow
    from rivergrad.run.lakes import scheme_for
    from rivergrad.run.transfer import FAR, fitted_model, leaves_deviations, strange_reaches, transferred
    from rivergrad.rundir.record import versions

    model = fitted_model(run)
    rivers = read_network(network, outlets=outlet_words(outlets))
    flow = None
    if takes_mean_flow(config) and runoff is not None:
        flow = mean_flow(rivers, _runoff(run, config, rivers, network, None, {}, runoff))
        rivers = with_mean_flow(rivers, flow)
    try:
        values = transferred(run, rivers, flow)
    except InputError as error:
        raise error.at(network) from None
    refuse_not_finite(values, rivers.reach_id, output, tuple(set(values) - {RESIDENCE_TIME}))
    scheme = scheme_for(config, rivers)
    values = effective(scheme, values, config.time.routing_step)
    trend = " and ".join(feature["name"] for feature in model["features"])
    said = f"celerity by {trend}" if trend else "the same celerity for all reaches"
    alone = "; deviations of single reaches stay behind" if leaves_deviations(model) else ""
    typer.echo(f"model {model['kind']} of {config.name}: {said}{alone}", err=True)
    if far := strange_reaches(model, rivers):
        typer.echo(
            f"{far:,} of {rivers.n_reaches:,} reaches have attributes more than {FAR:g} standard deviations from "
            "those of the reaches it was fitted on, where it may not hold",
            err=True,
        )
    if config.parameters.flow_exponent is not None and EXPONENT not in values:
        why = "no --runoff to take the mean flow of" if flow is None else f"{run} does not say what it is"
        typer.echo(f"the exponent of flow stays behind ({why}): celerity is that at mean flow", err=True)
    provenance = {
        "workflow": config.name,
        "model": model["kind"],
        "scheme": config.scheme.name,
        "convention": config.scheme.convention,
        "rivergrad_version": versions()["rivergrad"],
    }
    if write_runoff is not None or write_discharge is not None:
        source = _runoff(run, config, rivers, network, forcings, _names(forcing), runoff)
        if write_discharge is not None:
            told = model.get("flow")
            _route(config, scheme, rivers, source, values, write_discharge, provenance, told)
        if write_runoff is not None:
            from rivergrad.io import write_runoff as write
            from rivergrad.io.readers import HeldRunoff

            assert isinstance(source, HeldRunoff)
            write(write_runoff, rivers.reach_id, source.time, source.values, attributes=provenance)
    elif config.runoff is not None and config.runoff.learned:
        typer.echo(
            f"its runoff model {config.runoff.model} stays behind: --write-runoff and --write-discharge apply it too",
            err=True,
        )
    places = {name: rivers.attributes[name] for name in ("lat", "lon") if name in rivers.attributes}
    write_parameters(
        output,
        rivers.reach_id,
        # length is the network's own, here as in the parameters of a run
        places | {name: value for name, value in values.items() if name != "length"},
        provenance=provenance,
    )
    for path in (write_runoff, write_discharge, output):
        if path is not None:
            typer.echo(path)


def _claim_all(written: dict[str, Path], read: Mapping[str, Path | None], overwrite: bool) -> None:
    """Raise an InputError where something would be written over what is read, or over what else is written."""
    from rivergrad.cli.outputs import claim
    from rivergrad.errors import InputError
    from rivergrad.io.output import DISCHARGE, PARAMETERS, RUNOFF

    kinds = {"--output": PARAMETERS, "--write-runoff": RUNOFF, "--write-discharge": DISCHARGE}
    for option, path in written.items():
        if option != "--output" and path.suffix not in (".nc", ".zarr"):
            raise InputError(f"{option} {path}: expected a name that ends in .nc or .zarr")
        claim(path, kinds[option], read, overwrite=overwrite, option=option)
        read = {**read, option: path}


def _check_together(
    run: Path,
    config: Workflow,
    forcings: Path | None,
    forcing: list[str] | None,
    runoff: Path | None,
    write_runoff: Path | None,
    write_discharge: Path | None,
) -> None:
    """Raise an InputError where options do not go together, or not with the run."""
    from rivergrad.errors import InputError
    from rivergrad.run.flowlaw import takes_mean_flow

    written = write_runoff is not None or write_discharge is not None
    averaged = takes_mean_flow(config) and forcings is None
    given = [name for name, one in (("--forcings", forcings), ("--runoff", runoff)) if one is not None]
    if given and not written and not averaged:
        raise InputError(
            f"found {' and '.join(given)} with nothing to make of it; expected --write-runoff or --write-discharge"
        )
    if forcing and forcings is None:
        raise InputError("found --forcing without --forcings; expected the file that it is about")
    if config.runoff is not None and config.runoff.learned:
        return
    if forcings is not None or write_runoff is not None:
        option = "--forcings" if forcings is not None else "--write-runoff"
        raise InputError(f"{option}: {run} has learned no runoff; expected --runoff with --write-discharge")
    if written and runoff is None:
        raise InputError(f"--write-discharge: {run} has learned no runoff; expected --runoff with it")


def _names(forcing: list[str] | None) -> dict[str, str]:
    from rivergrad.errors import InputError

    found = {}
    for text in forcing or ():
        name, equals, in_file = text.partition("=")
        if not (name and equals and in_file):
            raise InputError(f"--forcing {text}: expected NAME=IN_FILE, such as precipitation=pr")
        found[name] = in_file
    return found


def _runoff(
    run: Path,
    config: Workflow,
    rivers: RiverNetwork,
    network: Path,
    forcings: Path | None,
    names: dict[str, str],
    given: Path | None,
) -> RunoffReader:
    """The runoff that is routed: what the run's model makes of the input, or what is given."""
    from rivergrad.config.quantities import format_duration
    from rivergrad.io import open_runoff
    from rivergrad.run.progress import track
    from rivergrad.run.transfer import FAR
    from rivergrad.run.transferrunoff import RunoffElsewhere

    if config.runoff is None or not config.runoff.learned:
        assert given is not None
        for section, error in (
            (config.parameters.nuisance, "volume error"),
            (config.parameters.timing, "delay"),
        ):
            if section is not None and section.predict:
                typer.echo(f"the {error} of the runoff stays behind: it is of single gauges", err=True)
        if config.runoff is None:
            return open_runoff(given, rivers)
        return open_runoff(given, rivers, stamp=config.runoff.stamp, accumulated=config.runoff.accumulated)
    model = RunoffElsewhere(run, config, rivers, network, forcings=forcings, names=names, given=given)
    typer.echo(
        f"runoff model {model.model}: from rest, so the first {format_duration(config.time.warmup)} are its warm-up",
        err=True,
    )
    if far := model.strange_reaches():
        typer.echo(
            f"{far:,} of {rivers.n_reaches:,} reaches have attributes more than {FAR:g} standard deviations from "
            "those of the reaches it was trained on, where it may not hold",
            err=True,
        )
    with track(rivers.n_reaches, "runoff") as progress:
        return model.compute(_device(config), progress.update)


def _route(
    config: Workflow,
    scheme: Scheme,
    rivers: RiverNetwork,
    source: RunoffReader,
    values: dict[str, NDArray[float64]],
    path: Path,
    provenance: dict[str, Any],
    told: dict[str, Any] | None,
) -> None:
    """Write the discharge of every reach by the run's scheme, routing step and engine; `told` is its law of flow."""
    from rivergrad.io import DischargeWriter
    from rivergrad.pieces.direct import simulate
    from rivergrad.routing.flow.names import EXPONENT, REFERENCE
    from rivergrad.routing.hillslope import NAMES
    from rivergrad.routing.outside import outside, watched
    from rivergrad.run.flowlaw import rounds_of
    from rivergrad.run.progress import track
    from rivergrad.run.routing import routing_of

    parameters = {name: values[name] for name in scheme.parameter_names}
    others = {name: values[name] for name in (*NAMES, EXPONENT, REFERENCE) if name in values}
    beyond = outside(scheme, parameters, config.time.routing_step, rivers.reach_id)
    with (
        DischargeWriter(path, rivers.reach_id, attributes=provenance) as writer,
        track(len(source.time), "route") as progress,
    ):
        simulate(
            network=rivers,
            runoff=source,
            parameters={**parameters, **others},
            how=replace(
                routing_of(config, scheme),
                device=_device(config),
                report="mean",
                rounds=rounds_of(config, told),
            ),
            sink=watched(writer.along(source.time, progress.update), beyond, rivers.reach_id),
        )
    if beyond is not None and beyond.is_negative:
        typer.echo(f"warning: {beyond.text()}", err=True)


def _device(config: Workflow) -> str:
    """The run's, where it is there."""
    import torch

    return "cuda" if config.compute.device == "cuda" and torch.cuda.is_available() else "cpu"
