"""`rivergrad validate` and `rivergrad schema`: is a workflow right, and what may it say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rivergrad.cli.guard import MAX_LINE
from rivergrad.cli.options import Settings, WorkflowPath

if TYPE_CHECKING:
    from rivergrad.config.schema import Workflow
    from rivergrad.errors import InputError


MOST_OTHERS = 5
"""Mistakes that the second line of a message names."""


def validate(
    workflow: WorkflowPath,
    settings: Settings = None,
    no_data: Annotated[
        bool, typer.Option("--no-data", help="Look at the keys alone, and whether the files are there.")
    ] = False,
) -> None:
    """Check a workflow and its files: say what they hold, and all that is wrong at once."""
    from rivergrad import registry
    from rivergrad.config.load import Mistakes, input_files, load_workflow, naming, require_files

    try:
        config = load_workflow(workflow, settings or ())
    except Mistakes as error:
        raise _together(error.each) from None
    require_files(config, str(workflow))
    held = [] if no_data else _look_into(config, workflow, settings)
    if config.runoff is not None and config.runoff.model is not None:
        with naming(workflow, settings or ()):
            model = registry.entry("runoff_model", config.runoff.model)
            if model.outside:  # then it is imported, and torch with it
                model.load()
    for line in held:
        typer.echo(line)
    files = len(input_files(config))
    source = "a generated world" if config.world else f"{files} input files"
    typer.echo(
        f"{workflow}: valid ({config.name}: {config.scheme.name}, {source}, run directory {config.output})"
    )


def _look_into(config: Workflow, workflow: Path, settings: list[str] | None) -> list[str]:
    """What the files hold, a line each.

    Raises:
        InputError: naming all mistakes.
    """
    from rivergrad.config.load import naming
    from rivergrad.errors import InputError
    from rivergrad.run.checking import check_files

    checked = check_files(config)
    named = []
    for mistake in checked.mistakes:
        try:
            with naming(workflow, settings or ()):
                raise mistake
        except InputError as error:
            named.append(error)
    if named:
        raise _together(named)
    return checked.lines


def _together(mistakes: Sequence[InputError]) -> InputError:
    """The first mistake, and in a second line the others, as far as they fit."""
    from rivergrad.errors import InputError, shortened

    if len(mistakes) == 1:
        return mistakes[0]
    room = (MAX_LINE - 20) // min(len(mistakes) - 1, MOST_OTHERS)
    others = []
    for mistake in mistakes[1 : MOST_OTHERS + 1]:
        said = " ".join(str(mistake).split())
        if not str(mistake.where).startswith("--set"):  # whose key is the mistake's
            said = said.removeprefix(f"{mistake.where}: ")
        others.append(shortened(said, room - 2))
    more = len(mistakes) - 1 - len(others)
    return InputError(f"{mistakes[0]}\nalso {'; '.join(others)}" + (f"; and {more} more" if more else ""))


def schema() -> None:
    """Print the JSON schema of workflows."""
    from rivergrad.config.schema import Workflow

    typer.echo(json.dumps(Workflow.model_json_schema(), indent=2))
