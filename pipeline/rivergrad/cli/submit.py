"""`rivergrad submit`: handing a workflow to a cluster's queue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rivergrad.cli.options import WorkflowPath


def submit(
    workflow: WorkflowPath,
    profile: Annotated[
        Path | None,
        typer.Option("--profile", metavar="P.yaml", help="The cluster's profile.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the job instead of submitting it.")
    ] = False,
) -> None:
    """Submit a workflow to a cluster (not in this version)."""
    from rivergrad.errors import InputError

    raise InputError(
        "submission to a cluster is not in this version of rivergrad; "
        f"run the workflow here with: rivergrad run {workflow}"
    )
