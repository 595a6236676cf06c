"""`rivergrad submit`: handing a workflow to a cluster's queue."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from rivergrad.cli.options import Settings, WorkflowPath


def submit(
    workflow: WorkflowPath,
    profile: Annotated[
        Path | None,
        typer.Option(
            "--profile", metavar="P", help="The cluster's profile: a name or a file.", show_default=False
        ),
    ] = None,
    settings: Settings = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            "--seeds",
            metavar="0-4",
            help="A job array: a run for each of these seeds, in a folder of its own.",
            show_default=False,
        ),
    ] = None,
    folds: Annotated[
        bool,
        typer.Option("--folds", help="A job array of the folds of gauges.folds, then a job for the whole."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the job's script instead of submitting it.")
    ] = False,
) -> None:
    """Submit a workflow to Slurm: it checkpoints and queues again when its place is taken back."""
    from rivergrad import registry
    from rivergrad.config.load import load_workflow, naming, require_files
    from rivergrad.errors import InputError
    from rivergrad.packaged import profile_path
    from rivergrad.run.jobs import Ensemble, template_path, write_script
    from rivergrad.run.jobs import submit as hand_over
    from rivergrad.run.opening import require_room

    profile = None if profile is None else profile_path(profile)
    given = tuple(settings or ())
    merged = given if profile is None else (f"compute.profile={profile}", *given)
    with registry.importing_nothing() if dry_run else nullcontext():
        config = load_workflow(workflow, merged)
    require_files(config, str(workflow))
    if folds and (seeds is not None or config.gauges.folds == 0):
        found = "--seeds too" if config.gauges.folds else "gauges.folds 0"
        raise InputError(f"--folds: found {found}; expected a workflow with gauges.folds, and --folds alone")
    several: Ensemble | None = None
    if seeds is not None:
        several = Ensemble("seeds", seeds)
    elif folds:
        several = Ensemble("folds", f"1-{config.gauges.folds}")
    profiles = [] if profile is None else [profile]
    with naming(workflow, merged):
        require_room(config, [workflow, *profiles])
        scripts = [write_script(config, workflow, profile, given, several)]
        if folds:  # and what waits for them
            scripts.append(write_script(config, workflow, profile, given))
    template = template_path(config, profile)
    said = f"job script from the template {template}"
    if dry_run:
        typer.echo(said, err=True)
        typer.echo("\n".join(scripts), nl=False)
        return
    job = hand_over(scripts, config.output, several)
    typer.echo(said, err=True)
    typer.echo(f"rivergrad status {config.output}", err=True)
    typer.echo(job)
