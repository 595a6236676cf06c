"""`rivergrad run`, `estimate` and `evaluate`: carrying out a workflow, or part of it."""

from __future__ import annotations

import time
from pathlib import Path

import typer

from rivergrad.cli.options import Fresh, RunPath, Settings, WorkflowPath


def run(workflow: WorkflowPath, settings: Settings = None, fresh: Fresh = False) -> None:
    """Carry out a workflow: cut, estimate, evaluate, report. Resumes a run that was stopped."""
    _run(workflow, settings, fresh, report=True)


def estimate(workflow: WorkflowPath, settings: Settings = None, fresh: Fresh = False) -> None:
    """Like run, without the report."""
    _run(workflow, settings, fresh, report=False)


def evaluate(run: RunPath) -> None:
    """Score a run's parameters again and write metrics.csv."""
    _require_run(run)
    from rivergrad.workflow.run import evaluate_run

    evaluate_run(run)
    typer.echo(run)


def _run(workflow: WorkflowPath, settings: Settings, fresh: bool, report: bool) -> None:
    from rivergrad.workflow.load import load_workflow
    from rivergrad.workflow.stopping import stop_on_signals

    began = time.monotonic()
    with stop_on_signals():
        config = load_workflow(workflow, settings or ())
        from rivergrad.workflow.progress import time_text
        from rivergrad.workflow.run import (
            run_workflow,
        )  # imports torch: after the workflow is known to be valid

        folder = (
            run_workflow(config, fresh=fresh) if report else run_workflow(config, fresh=fresh, report=False)
        )
    if report:
        _say_where(folder)
    typer.echo(f"time: {time_text(time.monotonic() - began)}")
    typer.echo(folder)


def _say_where(folder: Path) -> None:
    """Where the report and the maps of a run are, a line each."""
    page, maps = folder / "report.html", sorted((folder / "maps").glob("*.png"))
    if page.is_file():
        typer.echo(f"report: {page}")
    if maps:
        typer.echo(f"maps: {', '.join(str(path) for path in maps)}")


def _require_run(run: RunPath) -> None:
    from rivergrad.workflow.status import require_run

    require_run(run)
