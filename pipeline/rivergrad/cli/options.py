"""Arguments that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

MOST_PARTS, MOST_WORKERS = 1 << 20, 4096
"""What rivercut and a machine take; known here so that a number beyond is told before anything is read."""


class Device(StrEnum):
    """What computes."""

    cpu = "cpu"
    cuda = "cuda"


WorkflowPath = Annotated[Path, typer.Argument(metavar="W.yaml", help="The workflow.", show_default=False)]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="The run directory.", show_default=False)]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="a.b=v",
        help="Set a key of the workflow; can be given several times.",
        show_default=False,
    ),
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Start over instead of resuming from the last checkpoint.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace a store of discharge or runoff, or a file above 100 MB.")
]
NetworkPath = Annotated[
    Path,
    typer.Option(
        "--network", metavar="N", help="CSV, Parquet or Zarr network, or a RAPID folder.", show_default=False
    ),
]
OutletWords = Annotated[
    list[str] | None,
    typer.Option(
        "--outlets",
        metavar="ID",
        help="A downstream id or text that means an outlet, besides -1; `outside`: any id that is not in the file; "
        "`empty`: an empty cell. Several with commas or given several times.",
        show_default=False,
    ),
]


def outlet_words(given: list[str] | None) -> list[int | str]:
    """What `--outlets` names, one by one."""
    return [word for text in given or () for word in text.split(",")]
