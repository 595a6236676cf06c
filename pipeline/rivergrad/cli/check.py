"""`rivergrad validate` and `rivergrad schema`: is a workflow right, and what may it say."""

from __future__ import annotations

import json

import typer

from rivergrad.cli.options import Settings, WorkflowPath


def validate(workflow: WorkflowPath, settings: Settings = None) -> None:
    """Check a workflow and that its files are there."""
    from rivergrad import registry
    from rivergrad.config.load import input_files, load_workflow, naming, require_files

    config = load_workflow(workflow, settings or ())
    require_files(config, str(workflow))
    if config.runoff is not None and config.runoff.model is not None:
        with naming(workflow, settings or ()):
            model = registry.entry("runoff_model", config.runoff.model)
            if model.outside:  # then it is imported, and torch with it
                model.load()
    files = len(input_files(config))
    source = "a generated world" if config.world else f"{files} input files"
    typer.echo(
        f"{workflow}: valid ({config.name}: {config.scheme.name}, {source}, run directory {config.output})"
    )


def schema() -> None:
    """Print the JSON schema of workflows."""
    from rivergrad.config.schema import Workflow

    typer.echo(json.dumps(Workflow.model_json_schema(), indent=2))
