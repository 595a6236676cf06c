"""Where commands write what was asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rivergrad.io.output import Kind

LONGEST_PATH = 4096
"""Bytes: what Linux takes."""


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
    from rivergrad.errors import InputError, shortened
    from rivergrad.io.output import claim_output
    from rivergrad.rundir.contents import run_around

    for name, one in {option: path, **inputs}.items():
        if one is not None and len(os.fsencode(one)) > LONGEST_PATH:
            raise InputError(f"{name} {shortened(one)}: the name is too long; expected a path")
    claim_output(path, kind, inputs, overwrite=overwrite, option=option)
    run = run_around(path)
    if run is not None:
        raise InputError(
            f"{option} {path}: is a name of what runs write in {run}; expected another place to write to"
        )
