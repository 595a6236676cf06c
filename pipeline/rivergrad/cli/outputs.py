"""Where commands write what was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rivergrad.io.output import Kind


def claim(
    path: Path,
    kind: Kind,
    inputs: Mapping[str, Path | None],
    *,
    overwrite: bool = False,
    option: str = "--output",
) -> None:
    """See `rivergrad.io.output.claim_output`; and names that runs write in their directories stay theirs.

    Raises:
        InputError: nothing may be written there.
    """
    from rivergrad.errors import InputError
    from rivergrad.io.output import claim_output
    from rivergrad.rundir.contents import run_around

    claim_output(path, kind, inputs, overwrite=overwrite, option=option)
    run = run_around(path)
    if run is not None:
        raise InputError(
            f"{option} {path}: is a name of what runs write in {run}; expected another place to write to"
        )
