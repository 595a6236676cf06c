"""The verdict on an estimate: ahead of its best baseline, behind it, or not distinguishable from it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rivergrad.gauges.comparison import compare
from rivergrad.rundir.verdict import verdict

GAUGES = 60


def scores(gain: np.ndarray, split: str = "gauge", score: str = "nse") -> pd.DataFrame:
    """A table whose estimate gains (gauge,) over the best uniform celerity in one score, and nothing in the other."""
    base = np.linspace(0.2, 0.9, gain.size)
    columns: dict[str, object] = {"gauge": [str(i) for i in range(gain.size)], "split": split}
    for name in ("nse", "kge"):
        columns |= {f"{name}_unrouted": base - 0.5, f"{name}_default": base - 0.1, f"{name}_uniform": base}
        columns[name] = base + (gain if name == score else 0.0)
    return pd.DataFrame(columns)


@pytest.mark.parametrize("score", ["nse", "kge"])
@pytest.mark.parametrize(
    ("gain", "grade"),
    [
        (np.full(GAUGES, 0.05), "ahead of"),
        (np.full(GAUGES, -0.05), "behind"),
        (np.where(np.arange(GAUGES) % 2, 0.05, -0.05), "not distinguishable from"),
    ],
)
def test_each_grade_is_given_for_each_score(score: str, gain: np.ndarray, grade: str) -> None:
    text = verdict(scores(gain, score=score))
    graded = {line.split(" by ")[1][:3]: line for line in text.split(". ")}
    assert f"{grade} best uniform by {score.upper()}" in graded[score.upper()]
    other = "KGE" if score == "nse" else "NSE"
    assert "not distinguishable from best uniform" in graded[other]
    assert f"better at {int((gain > 0).sum())}," in graded[score.upper()]


def test_a_better_median_from_a_minority_of_gauges_is_not_ahead() -> None:
    """Four in ten gauges gain much around the median, six lose a little: most gauges do not agree."""
    gain = np.full(GAUGES, -0.001)
    gain[18:42] = 0.1
    text = verdict(scores(gain))
    assert "paired difference +" in text
    assert "better at 24" in text
    assert "ahead of" not in text


def test_the_best_baseline_is_the_one_to_beat_in_each_score() -> None:
    table = scores(np.full(GAUGES, 0.05))
    table["kge_default"] = table["kge"] + 0.1
    text = verdict(table)
    assert "ahead of best uniform by NSE" in text
    assert "behind default by KGE" in text


def test_one_gauge_gives_no_interval() -> None:
    text = verdict(scores(np.array([0.05])))
    assert (
        "higher than best uniform by NSE: 0.250 against 0.200 at one gauge, which gives no interval" in text
    )
    for grade in ("ahead", "behind"):
        assert grade not in text


def test_cross_validation_speaks_for_held_out_gauges() -> None:
    trained = scores(np.full(GAUGES, 0.3), split="train")
    folds = scores(np.full(GAUGES, -0.05))
    assert verdict(trained, folds).startswith(
        "On held-out gauges in training time (cross-validated), the estimate is behind best uniform by NSE"
    )
    assert verdict(trained).startswith("On training gauges in training time, the estimate is ahead of")


def test_gauges_without_a_score_are_left_out_of_both() -> None:
    base = np.linspace(0, 1, 9)
    mine = base + 0.1
    mine[0] = np.nan
    theirs = base.copy()
    theirs[8] = np.nan
    found = compare(mine, {"uniform": theirs}, 0)
    assert found is not None
    assert found.gauges == found.better == 7
    assert found.difference == pytest.approx(0.1)
    assert compare(np.full(3, np.nan), {"uniform": base[:3]}, 0) is None
