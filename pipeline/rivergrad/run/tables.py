"""Tables on the terminal: as a table where it has the room, else each row as lines of its own."""

from __future__ import annotations

import os
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rivergrad.verbosity import quiet

ROOM = 100
"""Characters of a line from which on tables are drawn."""
UNKNOWN_WIDTH = 120
"""Of a file or a pipe."""


def terminal() -> Console:
    """Standard output: as wide as the terminal, or as COLUMNS says."""
    return Console() if sys.stdout.isatty() or "COLUMNS" in os.environ else Console(width=UNKNOWN_WIDTH)


def notices() -> Console:
    """Standard error, for what `-q` leaves out."""
    return Console(stderr=True, quiet=quiet())


def print_table(table: Table, console: Console) -> None:
    """Print a table of texts; below `ROOM` characters a row is its name and a line for each other column."""
    if console.width >= ROOM:
        console.print(table)
        return
    console.print(Text(str(table.title or "")), soft_wrap=True)
    headings = [" ".join(str(column.header).split()) for column in table.columns]
    room = max(map(len, headings[1:]))
    for name, *cells in zip(*(column.cells for column in table.columns), strict=True):
        console.print(Text(" ".join(str(name).split())), soft_wrap=True)
        for heading, cell in zip(headings[1:], cells, strict=True):
            if str(cell):
                console.print(
                    Text(f"  {heading:<{room}}  {'  '.join(str(cell).split(chr(10)))}"), soft_wrap=True
                )
