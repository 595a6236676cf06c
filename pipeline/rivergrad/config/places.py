"""Where the relative paths of a workflow begin: in its own folder, else in the current directory."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

READ = (
    "network.path",
    "runoff.path",
    "runoff.weights",
    "runoff.forcings",
    "observations.path",
    "observations.stations",
    "compute.profile",
    "compute.slurm.template",
    "compute.tls.ca",
    "compute.tls.cert",
    "compute.tls.key",
)
"""The keys that name files to read. `output` is not among them: it begins in the current directory."""


def beside(data: dict[str, Any], folder: Path) -> None:
    """Let the relative paths of a workflow lead to files in its folder, in place, where there are such files.

    Others stay as they are, and so begin in the current directory, as do those that hold `${NAME}` or begin with `~`.

    Args:
        data: the document, before anything is replaced or overridden in it.
        folder: where the workflow's file lies.
    """
    if _is_here(folder):
        return
    for key in READ:
        *sections, name = key.split(".")
        within: Any = data
        for section in sections:
            within = within.get(section) if isinstance(within, dict) else None
        if isinstance(within, dict) and name in within:
            within[name] = _placed(within[name], folder, files_only=key == "compute.profile")


def _is_here(folder: Path) -> bool:
    try:
        return os.path.samefile(folder, Path.cwd())
    except OSError:  # no such folder: what reads the workflow says so
        return True


def _placed(value: Any, folder: Path, files_only: bool) -> Any:
    """A path, or each of several, in the folder where it is there."""
    if isinstance(value, list):
        return [_placed(one, folder, files_only) for one in value]
    if not isinstance(value, str) or not value or "${" in value or "\0" in value or os.path.isabs(value):
        return value
    there = os.path.join(folder, value)
    found = os.path.isfile(there) if files_only else os.path.exists(there) or _fits(folder, value)
    return there if found else value


def _fits(folder: Path, pattern: str) -> bool:
    """Whether a pattern such as `gauges/*.csv` fits anything in the folder."""
    if not glob.has_magic(pattern) or os.path.exists(pattern):
        return False
    return next(glob.iglob(os.path.join(glob.escape(str(folder)), pattern), recursive=True), None) is not None
