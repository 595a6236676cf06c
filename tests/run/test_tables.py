"""Tables of scores on a narrow terminal: each row as lines of its own, no number cut or wrapped."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.table import Table

from rivergrad.run.tables import ROOM, UNKNOWN_WIDTH, print_table, terminal


def drawn(width: int) -> list[str]:
    table = Table(title="Median NSE (KGE)")
    for name in ("gauges and time", "gauges", "best uniform", "estimate \u2212 uniform\n(better at)"):
        table.add_column(name)
    table.add_row("training gauges,\ntraining time", "61", "0.5497 (0.601)", "+0.0131 (27)\n-0.003..+0.058")
    table.add_row("held-out gauges", "12", "", "[bold]-0.1")
    out = io.StringIO()
    print_table(table, Console(file=out, width=width))
    return out.getvalue().splitlines()


def test_a_row_is_lines_where_there_is_no_room() -> None:
    assert drawn(40) == [
        "Median NSE (KGE)",
        "training gauges, training time",
        "  gauges                          61",
        "  best uniform                    0.5497 (0.601)",
        "  estimate \u2212 uniform (better at)  +0.0131 (27)  -0.003..+0.058",
        "held-out gauges",
        "  gauges                          12",
        "  estimate \u2212 uniform (better at)  [bold]-0.1",
    ]
    assert drawn(ROOM - 1) == drawn(40)


def test_a_table_where_there_is_room() -> None:
    assert len(drawn(ROOM)) > 8
    assert any("0.5497 (0.601)" in line and "+0.0131 (27)" in line for line in drawn(ROOM))


def test_how_wide_the_terminal_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "72")
    assert terminal().width == 72
    monkeypatch.delenv("COLUMNS")
    assert terminal().width == UNKNOWN_WIDTH  # of a pipe
