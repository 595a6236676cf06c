"""What a run's tables of scores say of its estimate, in two sentences: one for NSE, one for KGE."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rivergrad.gauges.comparison import Comparison, compare
from rivergrad.rundir.reading import SPLITS, methods_of, score_column
from rivergrad.rundir.suspects import named, suspects_of, without_suspects

SPLIT_PLACES = {
    "train": "training gauges in training time",
    "time": "training gauges in held-out time",
    "gauge": "held-out gauges in training time",
    "gauge_time": "held-out gauges in held-out time",
}
METHOD_NAMES = {
    "unrouted": "unrouted",
    "default": "default",
    "uniform": "best uniform",
    "physical": "physical prior",
    "lumped": "lumped",
    "two_step": "two-step",
    "estimate": "estimate",
}
SEED = 0
"""Of the bootstrap: the same tables give the same words wherever they are read."""


def number(value: float) -> str:
    """A score with three decimals and a true minus sign; a dash where there is none."""
    return f"{value:.3f}".replace("-", "−") if np.isfinite(value) else "–"


def comparisons(table: pd.DataFrame, split: str) -> dict[str, Comparison]:
    """The estimate of a split against its best baseline, by score (`nse`, `kge`); empty without a scored gauge."""
    part = table[table["split"] == split]
    found = {}
    for score in ("nse", "kge"):
        *baselines, estimate = (
            part[score_column(score, method)].to_numpy(np.float64) for method in methods_of(table)
        )
        one = compare(estimate, dict(zip(methods_of(table), baselines, strict=False)), SEED)
        if one is not None:
            found[score] = one
    return found


def verdict(metrics: pd.DataFrame, folds: pd.DataFrame | None = None) -> str:
    """How the estimate compares with its best baseline, where it was tested hardest, for NSE and for KGE.

    Args:
        metrics: the table metrics.csv.
        folds: the table folds.csv, the scores of a cross-validation: they speak for held-out gauges, all of them.
    """
    for split in reversed(SPLITS):
        validated = folds is not None and split in ("gauge", "gauge_time")
        found = comparisons(folds if folds is not None and validated else metrics, split)
        if "nse" in found:
            where = f"{SPLIT_PLACES[split]}{' (cross-validated)' if validated else ''}"
            said = [_said(score.upper(), one) for score, one in found.items()]
            further = _without_suspects(folds if folds is not None and validated else metrics, split)
            return f"On {where}, the estimate is {' '.join(said)}{further}"
    return "No gauge has enough observations for a score."


def _without_suspects(table: pd.DataFrame, split: str) -> str:
    """The same comparison without the gauges that screening would drop; nothing where it would drop none."""
    suspects = suspects_of(table, split)
    if not suspects:
        return ""
    which = "1 of these gauges" if len(suspects) == 1 else f"{len(suspects)} of these gauges"
    text = f" Screening would drop {which}: {named(suspects)}."
    found = comparisons(without_suspects(table), split)
    if not found:
        return f"{text} No other gauge has a score."
    said = [_said(score.upper(), one) for score, one in found.items()]
    return f"{text} Without {'it' if len(suspects) == 1 else 'them'}, the estimate is {' '.join(said)}"


def _said(score: str, one: Comparison) -> str:
    begin = "" if score == "NSE" else "It is "
    medians = f"{number(one.estimate)} against {number(one.best)}"
    name = METHOD_NAMES[one.baseline]
    if one.gauges == 1:
        how = "higher than" if one.better else "not higher than"
        return f"{begin}{how} {name} by {score}: {medians} at one gauge, which gives no interval."
    return (
        f"{begin}{one.grade} {name} by {score}: median {medians} over {one.gauges} gauges, "
        f"better at {one.better}, paired difference {_signed(one.difference)} "
        f"(90 % interval {_signed(one.low)} to {_signed(one.high)})."
    )


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
