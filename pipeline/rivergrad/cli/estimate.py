"""`rivergrad run`, `estimate` and `evaluate`: carrying out a workflow, or part of it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rivergrad.cli.options import Fresh, RunPath, Settings, WorkflowPath
from rivergrad.verbosity import quiet

if TYPE_CHECKING:
    from rivergrad.config.schema import Workflow


def run(
    workflow: WorkflowPath,
    settings: Settings = None,
    fresh: Fresh = False,
    fold: Annotated[
        int | None,
        typer.Option("--fold", metavar="K", help="Only this fold of gauges.folds.", show_default=False),
    ] = None,
) -> None:
    """Carry out a workflow: cut, estimate, evaluate, report. Resumes a run that was stopped."""
    if fold is not None and fresh:
        from rivergrad.errors import InputError

        raise InputError("found --fold with --fresh; expected one of them: --fresh forgets all folds")
    carry_out(workflow, settings, fresh, report=True, fold=fold)


def estimate(workflow: WorkflowPath, settings: Settings = None, fresh: Fresh = False) -> None:
    """Like run, without the report."""
    carry_out(workflow, settings, fresh, report=False)


def evaluate(run: RunPath) -> None:
    """Score a run's parameters again and write metrics.csv."""
    _require_run(run)
    with _leading(run / "config.yaml") as config:
        if config is None:
            return
        from rivergrad.run.evaluate import evaluate_run

        evaluate_run(run)
    typer.echo(run)


def carry_out(
    workflow: WorkflowPath, settings: Settings, fresh: bool, report: bool, fold: int | None = None
) -> None:
    """Carry out a workflow and say where its results are; see `run`."""
    from rivergrad.config.load import source_files
    from rivergrad.run.opening import require_room
    from rivergrad.rundir.stopping import stop_on_signals

    began = time.monotonic()
    with (
        stop_on_signals(),
        _leading(workflow, settings or ()) as config,
        _saying_how_to_go_on(config, "run" if report else "estimate", workflow, settings or (), fold),
    ):
        if config is None:
            return
        require_room(config, source_files(workflow, settings or ()))
        # imports torch: after the workflow is known to be valid
        from rivergrad.run.workflow import run_workflow

        if fold is not None:
            from rivergrad.run.workflow import run_fold

            folder = run_fold(config, fold)
        elif report:
            folder = run_workflow(config, fresh=fresh)
        else:
            folder = run_workflow(config, fresh=fresh, report=False)
    from rivergrad.run.progress import time_text

    if not quiet():
        if report:
            _say_where(folder)
        typer.echo(f"time: {time_text(time.monotonic() - began)}")
    typer.echo(folder)


@contextmanager
def _leading(path: Path, settings: Sequence[str] = ()) -> Iterator[Workflow | None]:
    """The workflow, in the process that carries it out; None in the other ranks of an MPI job, once they have served.

    What is wrong is said once, by the first rank.
    """
    from rivergrad.cluster.ranks import leading, told_ranks
    from rivergrad.config.load import load_workflow, naming
    from rivergrad.errors import InputError

    try:
        config = load_workflow(path, settings)
    except (InputError, OSError):
        if told_ranks()[0] == 0:
            raise
        yield None
        return
    with naming(path, settings), leading(config.compute.kind) as leads:
        yield config if leads else None


@contextmanager
def _saying_how_to_go_on(
    config: Workflow | None, command: str, workflow: Path, settings: Sequence[str], fold: int | None
) -> Iterator[None]:
    """After Ctrl-C, the line that resumes, where there is a checkpoint to go on from."""
    try:
        yield
    except KeyboardInterrupt:
        from rivergrad.rundir.checkpoint import has_checkpoints

        below = "" if fold is None else f"folds/{fold}"
        if config is not None and has_checkpoints(config.output / below):
            words = ["rivergrad", command, str(workflow)]
            for one in settings:
                words += ["--set", one]
            if fold is not None:
                words += ["--fold", str(fold)]
            typer.echo(f"goes on from the last checkpoint: {shlex.join(words)}", err=True)
        raise


def _say_where(folder: Path) -> None:
    """Where the report and the maps of a run are, a line each."""
    page, maps = folder / "report.html", sorted((folder / "maps").glob("*.png"))
    if page.is_file():
        typer.echo(f"report: {page}")
    if maps:
        typer.echo(f"maps: {', '.join(str(path) for path in maps)}")


def _require_run(run: RunPath) -> None:
    from rivergrad.run.status import require_run

    require_run(run)
