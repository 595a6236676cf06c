"""`rivergrad route`: runoff in, discharge out, with parameters as they are given."""

from __future__ import annotations

import os
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rivergrad.cli.options import (
    MOST_PARTS,
    MOST_WORKERS,
    Device,
    NetworkPath,
    OutletWords,
    Overwrite,
    outlet_words,
)
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
    from collections.abc import Callable

    from numpy import datetime64, float64, int64
    from numpy.typing import NDArray

    from rivercut.network import RiverNetwork
    from rivergrad.io import DischargeWriter, RunoffReader
    from rivergrad.io.state import Routed
    from rivergrad.routing.flow import Rounds


MOST_ROUNDS = 50
"""Rounds of a celerity by flow that may be asked for."""


class Convention(StrEnum):
    """Whose update and averaging."""

    standard = "standard"
    rapid = "rapid"


class Engine(StrEnum):
    """How a scheme is computed."""

    auto = "auto"
    closure = "closure"
    recurrence = "recurrence"
    reference = "reference"


class Lakes(StrEnum):
    """Which reaches are lakes."""

    auto = "auto"
    none = "none"


class Reported(StrEnum):
    """Which discharge is written."""

    mean = "mean"
    end = "end"


class Precision(StrEnum):
    """The precision of the arithmetic."""

    float32 = "float32"
    float64 = "float64"


def route(
    network: NetworkPath,
    runoff: Annotated[
        Path,
        typer.Option(
            "--runoff",
            metavar="R",
            help="NetCDF, Zarr or CSV runoff, per reach or gridded, or a pattern such as 'runoff_*.nc'.",
            show_default=False,
        ),
    ],
    scheme: Annotated[
        str,
        typer.Option(
            "--scheme", metavar="S", help="The routing scheme, such as muskingum.", show_default=False
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", metavar="Q.nc", help="The NetCDF or Zarr to write.", show_default=False),
    ],
    parameters: Annotated[
        Path | None,
        typer.Option(
            "--parameters",
            metavar="P",
            help="Parameters per reach, the scheme's own or celerity and diffusivity; else the scheme's defaults.",
            show_default=False,
        ),
    ] = None,
    routing_step: Annotated[
        str, typer.Option("--routing-step", metavar="D", help="A duration that divides the runoff's step.")
    ] = "1h",
    convention: Annotated[
        Convention, typer.Option("--convention", help="rapid: as RAPID updates and averages (muskingum).")
    ] = Convention.standard,
    engine: Annotated[Engine, typer.Option("--engine", help="How the scheme is computed.")] = Engine.auto,
    parts: Annotated[
        int, typer.Option("--parts", metavar="K", min=1, max=MOST_PARTS, help="The number of parts.")
    ] = 1,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            metavar="W",
            min=0,
            max=MOST_WORKERS,
            help="Worker processes; 0: all in this process.",
        ),
    ] = 0,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            metavar="T",
            min=1,
            max=MOST_WORKERS,
            help="Threads that route with the engine recurrence in this process; by default one a core.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[Device, typer.Option("--device", help="What computes.")] = Device.cpu,
    dtype: Annotated[Precision, typer.Option("--dtype", help="The precision.")] = Precision.float32,
    variable: Variables = None,
    chunk_steps: Annotated[
        int | None,
        typer.Option("--chunk-steps", min=1, help="Forcing steps computed at a time.", show_default=False),
    ] = None,
    outlets: OutletWords = None,
    cap_x: Annotated[
        bool,
        typer.Option("--cap-x", help="Lower x of muskingum where responses would be negative."),
    ] = False,
    stamp: Stamps = Stamp.auto,
    report: Annotated[
        Reported,
        typer.Option(
            "--report", help="mean: over each step of the runoff; end: at its end, with the times of ends."
        ),
    ] = Reported.mean,
    lakes: Annotated[
        Lakes,
        typer.Option(
            "--lakes", help="auto: reaches whose parameters have a residence_time are linear storages."
        ),
    ] = Lakes.auto,
    flow_exponent: Annotated[
        float | None,
        typer.Option(
            "--flow-exponent",
            metavar="M",
            help="Celerity grows with (Q/Q0)^M: 0 to 1; else that of --parameters, 0 for none.",
            show_default=False,
        ),
    ] = None,
    flow_rounds: Annotated[
        str | None,
        typer.Option(
            "--flow-rounds",
            metavar="N|auto",
            help="Rounds of routing with a flow exponent; auto: as many as bring discharge within 1 %.",
            show_default="4",
        ),
    ] = None,
    state_in: Annotated[
        Path | None,
        typer.Option(
            "--state-in",
            metavar="S.nc",
            help="The state to go on from, or RAPID's Qinit; else from rest.",
            show_default=False,
        ),
    ] = None,
    state_out: Annotated[
        Path | None,
        typer.Option(
            "--state-out",
            metavar="S.nc",
            help="The NetCDF or Zarr to write the state at the end to.",
            show_default=False,
        ),
    ] = None,
    weights: Weights = None,
    absent: Absents = Absent.error,
    accumulated: Amounts = "auto",
    runoff_start: First = None,
    runoff_step: Step = None,
    reaches: Annotated[
        list[str] | None,
        typer.Option(
            "--reaches",
            metavar="R",
            help="Write these only: ids with commas, a table with a column reach_id, or largest:N. Can be given "
            "several times.",
            show_default=False,
        ),
    ] = None,
    hillslope: Annotated[
        str | None,
        typer.Option(
            "--hillslope",
            metavar="H",
            help="What runoff passes before it enters a reach: none, linear_storage, nash or gamma.",
            show_default=False,
        ),
    ] = None,
    hillslope_delay: Annotated[
        str | None,
        typer.Option(
            "--hillslope-delay",
            metavar="D",
            help="Its mean delay, such as 2d; else the column hillslope_delay (s) of --parameters.",
            show_default=False,
        ),
    ] = None,
    hillslope_shape: Annotated[
        float | None,
        typer.Option(
            "--hillslope-shape",
            metavar="N",
            help="Its shape: storages of nash, shape of gamma; else the column hillslope_shape.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Route runoff and write the discharge of every reach, or of those that are asked for."""
    from rivergrad.config.quantities import parse_duration
    from rivergrad.errors import InputError

    try:
        step = parse_duration(routing_step)
    except InputError as error:
        raise error.at(key="--routing-step") from None
    if step <= 0:
        raise InputError(f"found {routing_step}; expected a duration longer than 0s", key="--routing-step")
    if output.suffix not in (".nc", ".zarr"):
        raise InputError(f"--output {output}: expected a name that ends in .nc or .zarr")
    inputs = {"--network": network, "--runoff": runoff, "--parameters": parameters, "--state-in": state_in}
    inputs |= {f"--reaches {word}": Path(word) for word in reaches or [] if os.path.exists(word)}
    _claim(output, inputs, overwrite)
    if state_out is not None:
        _claim_state(state_out, {**inputs, "--output": output})

    from rivergrad.io import open_runoff, read_network
    from rivergrad.io.hillslope import read_hillslope
    from rivergrad.io.physical import lakes_in
    from rivergrad.io.rapidstate import is_rapid_state
    from rivergrad.io.state import read_state, write_state
    from rivergrad.pieces.direct import Routing, simulate
    from rivergrad.routing import schemes
    from rivergrad.routing.choice import choose_engine
    from rivergrad.routing.outside import effective, outside, watched
    from rivergrad.run.progress import track

    chosen = schemes.get(scheme, convention.value, cap_x=cap_x)
    picked, why = choose_engine(engine.value, chosen, device.value)
    rivers = read_network(network, outlets=outlet_words(outlets))
    targets = _targets(reaches or [], rivers)
    how = reading(variable, stamp, weights, absent, accumulated, runoff_start, runoff_step)
    source = open_runoff(runoff, rivers, **how)
    if lakes is Lakes.auto and lakes_in(parameters, rivers):
        chosen = schemes.WithLakes(chosen)
        picked, why = choose_engine(engine.value, chosen, device.value)
    given, notes = _parameters(parameters, chosen, rivers)
    routed = schemes.get(scheme, convention.value)  # whose x is capped once, here
    if isinstance(chosen, schemes.WithLakes):
        routed = schemes.WithLakes(routed)
        notes.append(_of_lakes(given))
    response, of_response, said = read_hillslope(
        parameters, rivers, name=hillslope, delay=_delay(hillslope_delay), shape=hillslope_shape
    )
    notes += said
    values = effective(chosen, given, step)
    law, said = _law(flow_exponent, parameters, rivers, source)
    rounds, more = (
        _rounds(flow_rounds, rivers, source, chosen, {**values, **law}, step) if law else (None, [])
    )
    notes += [*said, *more]
    if cap_x:
        notes.append(f"x is capped at {int((values['x'] < given['x']).sum()):,} reaches")
    beyond = outside(chosen, values, step, rivers.reach_id)
    if engine is Engine.auto:
        notes.append(f"engine {picked}: {why}")
    if workers and picked == "recurrence" and device is Device.cpu:
        import torch

        from rivergrad.routing.recurrence.warm import compile_kernels

        compile_kernels([getattr(torch, dtype.value)], backward=False)  # here, where it is told
    job = _job(chosen, convention.value, picked, source, step, response)
    before = None
    if state_in is not None and is_rapid_state(state_in):
        also = {"a hillslope": response is not None, "celerity by flow": bool(law)}
        before = _rapid_start(state_in, rivers, source, chosen, picked, values, step, also)
        notes.append(f"starts from the discharge in {state_in.name}")
    elif state_in is not None:
        before = read_state(state_in, rivers, job(source.time[0]))
    with ExitStack() as stack:
        writer = stack.enter_context(_writer(output, rivers, targets, report, len(source.time)))
        for note in notes:  # now that all is read and checked, and can be written
            typer.echo(note, err=True)
        progress = stack.enter_context(track(len(source.time), "route"))
        times = source.time if report is Reported.mean else source.time + _length(source)
        after = simulate(
            network=rivers,
            runoff=source,
            parameters={**values, **of_response, **law},
            how=Routing(routed, step, picked, device.value, dtype.value, response, report.value, rounds),
            parts=parts,
            cluster=workers,
            sink=watched(writer.along(times, progress.update), beyond, rivers.reach_id[targets]),
            targets=targets,
            chunk_steps=chunk_steps,
            before=before,
            keep=state_out is not None,
            threads=threads,
        )
        if state_out is not None:
            assert after is not None
            write_state(state_out, rivers, after, job(_end(source)))
    if beyond is not None and beyond.is_negative:
        typer.echo(f"warning: {beyond.text()}", err=True)
    typer.echo(output)


def _rapid_start(
    path: Path,
    rivers: RiverNetwork,
    source: RunoffReader,
    scheme: Any,
    engine: str,
    parameters: dict[str, NDArray[float64]],
    step: float,
    more: dict[str, bool],
) -> dict[str, NDArray[float64]]:
    from rivergrad.io.rapidstate import rapid_start, require_rapid_start

    require_rapid_start(path, scheme.name, engine, more)
    first = source.read(None, 0, 1)[0]
    return rapid_start(path, rivers, parameters, step, first, is_rapid=scheme.separate_runoff)


def _claim_state(path: Path, read: dict[str, Path | None]) -> None:
    from rivergrad.cli.outputs import claim
    from rivergrad.errors import InputError
    from rivergrad.io.output import STATE

    if path.suffix not in (".nc", ".zarr"):
        raise InputError(f"--state-out {path}: expected a name that ends in .nc or .zarr")
    claim(path, STATE, read, option="--state-out")


def _job(
    scheme: Any, convention: str, engine: str, source: RunoffReader, step: float, hillslope: Any
) -> Callable[[datetime64], Routed]:
    """What a state at some time belongs to."""
    from rivergrad.io.state import routed_at

    return lambda time: routed_at(time, scheme, convention, engine, (source.step, step), hillslope)


def _end(source: RunoffReader) -> datetime64:
    end: datetime64 = source.time[-1] + _length(source)
    return end


def _length(source: RunoffReader) -> Any:
    """A step of the runoff."""
    import numpy as np

    return np.timedelta64(round(source.step * 1e9), "ns")


def _targets(words: list[str], rivers: RiverNetwork) -> NDArray[int64]:
    from rivergrad.gauges.sizes import river_size
    from rivergrad.io.chosen import chosen_reaches

    return chosen_reaches(words, rivers, river_size, "--reaches")


def _writer(
    output: Path, rivers: RiverNetwork, targets: NDArray[int64], report: Reported, steps: int
) -> DischargeWriter:
    from rivergrad.io.discharge import DISCHARGE_ATTRIBUTES, END_ATTRIBUTES, DischargeWriter
    from rivergrad.pieces.direct import file_chunk

    attributes = DISCHARGE_ATTRIBUTES if report is Reported.mean else END_ATTRIBUTES
    chunk = file_chunk(rivers.n_reaches, steps)
    return DischargeWriter(output, rivers.reach_id[targets], variable_attributes=attributes, time_chunk=chunk)


def _rounds(
    given: str | None,
    rivers: RiverNetwork,
    source: RunoffReader,
    scheme: Any,
    values: dict[str, NDArray[float64]],
    step: float,
) -> tuple[Rounds, list[str]]:
    """The rounds of a law as --flow-rounds has them, and what is to be said of those that are chosen."""
    from rivergrad.errors import InputError
    from rivergrad.routing.flow import Rounds

    if given is None:
        return Rounds(), []
    if given == "auto":
        from rivergrad.run.flowrounds import Routed

        routed = Routed(rivers, source, (0, len(source.time)), step)
        found = routed.settled(scheme, values, Rounds(), choose=True)
        return found.rounds, [f"celerity by flow: {found.text()}"]
    if not given.isdecimal() or not 1 <= int(given) <= MOST_ROUNDS:
        raise InputError(f"--flow-rounds {given}: expected 1 to {MOST_ROUNDS}, or auto")
    return Rounds(int(given)), []


def _law(
    exponent: float | None, path: Path | None, rivers: RiverNetwork, source: RunoffReader
) -> tuple[dict[str, NDArray[float64]], list[str]]:
    """m and mean flow of each reach, where celerity depends on flow, and what is to be said of them."""
    from rivergrad.io import read_parameters
    from rivergrad.io.parameters import names_in
    from rivergrad.routing.flow.names import EXPONENT, REFERENCE

    there = set() if path is None else names_in(path)
    wanted = [name for name in (EXPONENT, REFERENCE) if name in there]
    if (exponent is None and EXPONENT not in there) or exponent == 0:
        return {}, []

    import numpy as np

    from rivergrad.errors import InputError
    from rivergrad.pieces.meanflow import mean_flow
    from rivergrad.routing.flow.arrays import law_of

    found = {} if path is None or not wanted else read_parameters(path, wanted, rivers)
    if exponent is not None:
        if not 0 <= exponent <= 1:
            raise InputError(f"--flow-exponent {exponent:g}: expected 0 to 1")
        found[EXPONENT] = np.full(rivers.n_reaches, exponent)
    notes = []
    if REFERENCE not in found:
        if EXPONENT in there:
            raise InputError(
                f"{path}: found {EXPONENT} without {REFERENCE}; expected both, or --flow-exponent 0"
            )
        found[REFERENCE] = mean_flow(rivers, source)
        notes.append("reference flow: mean runoff of the record, added up along the river")
    try:
        law = law_of(found, rivers.reach_id)
    except InputError as error:
        raise (error if path is None else error.at(path)) from None
    if law:
        low, high = law[EXPONENT].min(), law[EXPONENT].max()
        text = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        notes.append(f"celerity depends on flow: exponent {text}")
    return law, notes


def _of_lakes(given: dict[str, NDArray[float64]]) -> str:
    time = given["residence_time"]
    lakes, through = int((time > 0).sum()), int((time == 0).sum())
    passing = f"; {through:,} reaches pass water through" if through else ""
    return f"{lakes:,} lakes are linear storages of their residence_time{passing}"


def _delay(given: str | None) -> float | None:
    """The delay that an option asks for, s."""
    from rivergrad.config.quantities import parse_duration
    from rivergrad.errors import InputError

    if given is None:
        return None
    try:
        return parse_duration(given)
    except InputError as error:
        raise error.at(key="--hillslope-delay") from None


def _claim(output: Path, read: dict[str, Path | None], overwrite: bool) -> None:
    from rivergrad.cli.outputs import claim
    from rivergrad.io.output import DISCHARGE

    claim(output, DISCHARGE, read, overwrite=overwrite)


def _parameters(
    path: Path | None, scheme: Any, rivers: RiverNetwork
) -> tuple[dict[str, NDArray[float64]], list[str]]:
    """The scheme's parameters per reach, from the file or the scheme's defaults; and what is to be said of them."""
    import numpy as np

    from rivergrad.io import read_scheme_parameters

    if path is None:
        known = [p for p in scheme.parameters if not np.isnan(p.default)]
        said = ", ".join(f"{p.name} = {p.default:g} {p.units}".removesuffix(" 1") for p in known)
        defaults = {p.name: np.full(rivers.n_reaches, p.default) for p in scheme.parameters}
        if len(known) < len(scheme.parameters):  # only reaches of zero length are no channels
            defaults["residence_time"] = np.where(np.asarray(rivers.length) == 0, 0.0, np.nan)
        return defaults, [f"no --parameters: every reach has the defaults of {scheme.name}, {said}"]
    values, read = read_scheme_parameters(path, scheme, rivers)
    if read == scheme.parameter_names:
        return values, []
    made, out_of = " and ".join(scheme.parameter_names), " and ".join(read)
    return values, [f"{path}: {made} of {scheme.name} from {out_of} and the lengths of reaches"]
