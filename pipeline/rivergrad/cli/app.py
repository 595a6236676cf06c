"""All commands of `rivergrad`, put together."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from rivergrad.cli import (
    apply,
    check,
    doctor,
    estimate,
    files,
    partition,
    results,
    route,
    start,
    submit,
    world,
)
from rivergrad.cli.guard import DEBUG_VARIABLE, Commands, give_up, one_line_for_any, settle_streams
from rivergrad.verbosity import QUIET, say_more
from rivergrad.watchdog import end_with

app = typer.Typer(
    name="rivergrad",
    cls=Commands,
    epilog="Exit codes: 0 done; 1 a fault of rivergrad; 2 something to mend, named in one or two lines; 75 stopped "
    "by SIGTERM or SIGUSR1, to be run again; 130 interrupted.",
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command("demo")(start.demo)
app.command("init")(start.init)
app.command("run")(estimate.run)
app.command("estimate")(estimate.estimate)
app.command("evaluate")(estimate.evaluate)
app.command("route")(route.route)
app.command("partition")(partition.partition)
app.command("validate")(check.validate)
app.command("schema")(check.schema)
app.command("export")(results.export)
app.command("inspect")(files.inspect)
app.command("import")(files.import_files)
app.command("apply")(apply.apply)
app.command("report")(results.report)
app.command("status")(results.status)
app.command("doctor")(doctor.doctor)
app.command("submit")(submit.submit)
app.command("generate-world")(world.generate_world)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"rivergrad {version('rivergrad')}")
        raise typer.Exit


def _debug(wanted: bool) -> None:
    if wanted:
        os.environ[DEBUG_VARIABLE] = "1"


def _quiet(wanted: bool) -> None:
    if wanted:
        os.environ[QUIET] = "1"


def _verbose(wanted: bool) -> None:
    if wanted:
        say_more()


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", callback=_debug, is_eager=True, help=f"Show tracebacks, as {DEBUG_VARIABLE}=1 does."
        ),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            callback=_quiet,
            help="No progress and no scores: warnings, errors and paths only.",
        ),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", callback=_verbose, help="Show the lines of the log too, as log.txt has them."
        ),
    ] = False,
) -> None:
    """Estimate river-routing parameters from runoff and streamflow, for basins, continents and the world."""


def main() -> None:
    """The entry point of the `rivergrad` command."""
    # Python's own helpers are started with the current directory on their path, where the data lie
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    settle_streams()
    end_with(give_up)
    one_line_for_any(lambda: app(prog_name="rivergrad"))
