"""Held-out gauges that screening would drop are scored with and without, and every place says which they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rivergrad.report.scores import score_table
from rivergrad.run.folds import summarise
from rivergrad.run.printing import print_scores
from rivergrad.run.results import Row, medians, write_scores
from rivergrad.rundir.reading import FURTHER_COLUMNS, METHODS, read_metrics, score_column
from rivergrad.rundir.suspects import SUSPECT, named, suspects_of
from rivergrad.rundir.verdict import verdict


def rows(suspects: dict[str, str], split: str = "gauge") -> list[Row]:
    """Nine gauges that gain 0.1 over the best uniform celerity; suspects have an NSE of −3 and lose."""
    found = []
    for i in range(9):
        name = f"{i:02d}"
        nse = -3.0 if name in suspects else 0.6 + 0.01 * i
        row: Row = {"gauge": name, "reach_id": i, "split": split, "n_obs": 100}
        for method in METHODS:
            lost = 0.0 if method == "estimate" else -0.1 if name in suspects else 0.1
            row |= {score_column(score, method): nse - lost for score in ("nse", "kge")}
        found.append(row | dict.fromkeys(FURTHER_COLUMNS, 0.5) | {SUSPECT: suspects.get(name, "")})
    return found


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    """As it stands in metrics.csv."""
    write_scores(tmp_path, rows({"03": "unit error", "07": "wrong river"}))
    return read_metrics(tmp_path / "metrics.csv")


def test_the_table_of_scores_names_them(table: pd.DataFrame) -> None:
    assert suspects_of(table, "gauge") == {"03": "unit error", "07": "wrong river"}
    assert suspects_of(table, "train") == {}
    assert suspects_of(table.drop(columns=SUSPECT), "gauge") == {}  # of an older run


def test_the_verdict_says_both(table: pd.DataFrame) -> None:
    text = verdict(table)
    assert "over 9 gauges, better at 7" in text
    assert (
        "Screening would drop 2 of these gauges: 03 (unit error), 07 (wrong river). Without them, the" in text
    )
    assert "over 7 gauges, better at 7" in text
    clean = verdict(table[table[SUSPECT] == ""])
    assert "Screening" not in clean
    assert "Screening" not in verdict(table.drop(columns=SUSPECT))
    folds = table.assign(fold=1)
    assert "Screening would drop 2 of these gauges" in verdict(table.assign(split="train"), folds)


def test_the_terminal_has_a_row_with_and_one_without(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    found = medians(rows({"03": "unit error"}), 0)
    assert found["gauge"]["gauges"] == 9
    assert found["gauge"]["without_suspects"]["gauges"] == 8
    assert found["gauge"]["nse_better"] == found["gauge"]["without_suspects"]["nse_better"] == 8
    print_scores({"medians": found})
    said = capsys.readouterr().out
    assert "the same without" in said
    assert "1 suspect" in said
    assert "suspects: held-out gauges that screening would drop: 03 (unit error)" in said
    print_scores({"medians": medians(rows({}), 0)})
    assert "suspect" not in capsys.readouterr().out
    folds: dict[str, Any] = summarise([{"fold": 1, **row} for row in rows({"03": "unit error"})], "gauge", 0)
    print_scores({"medians": found, "folds": folds})
    assert "suspects" in capsys.readouterr().out.partition("Cross-validation")[2]


def test_the_report_has_a_row_with_and_one_without(table: pd.DataFrame) -> None:
    both = score_table(table, "nse")
    assert [(row.name, row.gauges) for row in both] == [("gauge", 9), ("gauge, less suspects", 7)]
    assert both[1].meaning.endswith("screening would drop: 03 (unit error), 07 (wrong river)")
    assert both[0].cells[0].text == "0.620"
    assert both[1].cells[0].text == f"{np.median([0.6, 0.61, 0.62, 0.64, 0.65, 0.66, 0.68]):.3f}"


def test_no_gauge_but_suspects(capsys: pytest.CaptureFixture[str]) -> None:
    bad = {f"{i:02d}": "unit error" for i in range(9)}
    assert named(bad) == ", ".join(f"0{i} (unit error)" for i in range(5)) + " and 4 more"
    table = pd.DataFrame(rows(bad))
    assert verdict(table).endswith("No other gauge has a score.")
    assert len(score_table(table, "nse")) == 1
    print_scores({"medians": medians(rows(bad), 0)})
    assert "the same without" not in capsys.readouterr().out
