"""The tables beyond NSE and KGE: what kind of error is left, and the cross-validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from rivergrad.gauges.comparison import compare
from rivergrad.report.scores import SPLIT_WORDS, estimate_first
from rivergrad.rundir.reading import (
    FURTHER_SCORES,
    SPLITS,
    TIMING_SCORES,
    RunData,
    methods_of,
    score_column,
)
from rivergrad.rundir.verdict import SEED, SPLIT_PLACES, number

FURTHER_WORDS = {
    "kge_r": ("correlation r", "timing and shape; 1 is perfect"),
    "kge_alpha": ("variability α", "simulated over observed standard deviation; 1 is perfect"),
    "log_nse": ("NSE of logarithms", "low flows weigh as much as high ones"),
    "bias": (
        "volume error",
        "simulated minus observed volume, over the observed one (the β of KGE, less 1): routing does not change it",
    ),
    "peak_error_days": ("peak timing (days)", "median distance of simulated from observed flood peaks"),
}


@dataclass(frozen=True)
class Line:
    """A line of a table: its name, then pairs of a text and what stands small beneath it."""

    name: str
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FoldTable:
    """The cross-validation in one kind of time: a line a fold, the last one of all folds together."""

    title: str
    note: str
    lines: tuple[Line, ...]


def further_lines(run: RunData) -> list[Line]:
    """A line a split: gain over the best uniform celerity with its interval, where it is better, then FURTHER_WORDS.

    Beneath those that routing changes stands that of the best uniform celerity. Empty for runs without such scores.
    """
    metrics = run.metrics
    if not set(FURTHER_SCORES) <= set(metrics.columns):
        return []
    lines = []
    for split in SPLITS:
        part = metrics[(metrics["split"] == split) & np.isfinite(metrics["nse"].to_numpy(dtype=np.float64))]
        if part.empty:
            continue
        gain = float(part["nse"].median() - part["nse_uniform"].median())
        cells = [
            (signed(gain), interval(medians_of(run), split, "nse_difference", sign=True)),
            (better(part), ""),
        ]
        for score in FURTHER_WORDS:
            text = _score_text(score, _median(part, score))
            below = ""
            if score in TIMING_SCORES and score_column(score, "uniform") in part.columns:
                below = f"uniform {_score_text(score, _median(part, score_column(score, 'uniform')))}"
            cells.append((text, below))
        lines.append(Line(SPLIT_WORDS[split][0], tuple(cells)))
    return lines


@dataclass(frozen=True)
class SizeTable:
    """Scores by the size of the river: `where` they were taken, and a line a class, estimate first."""

    where: str
    lines: tuple[Line, ...]


def size_table(run: RunData) -> SizeTable | None:
    """Scores by the size of the river, of the split that was tested hardest; None where a run has none."""
    sizes = run.summary.get("sizes")
    if not isinstance(sizes, Mapping):
        return None
    splits = sizes.get("splits", {})
    split = next((name for name in reversed(SPLITS) if splits.get(name, {}).get("classes")), None)
    if split is None:
        return None
    found = splits[split]
    rows = [(row["name"], str(row["gauges"]), _sizes_text(row, sizes["of"]), row) for row in found["classes"]]
    if found["by_flow"]:
        rows.append(("mean by flow", "", "", found["by_flow"]))
    methods = estimate_first(methods_of(run.metrics))
    lines = tuple(
        Line(
            name,
            (
                (gauges, size),
                *((number(row[f"nse_{method}"]), number(row[f"kge_{method}"])) for method in methods),
            ),
        )
        for name, gauges, size, row in rows
    )
    return SizeTable(SPLIT_PLACES[split], lines)


def _sizes_text(row: Mapping[str, Any], of: str) -> str:
    low, high = float(row["from"]), float(row["to"])
    if of == "upstream_area_m2":
        return f"{_km2(low)} to {_km2(high)} km²"
    return f"{low:,.0f} to {high:,.0f} reaches"


def _km2(area: float) -> str:
    return f"{area / 1e6:,.0f}" if area >= 1e8 else f"{area / 1e6:.3g}"


def fold_tables(run: RunData) -> list[FoldTable]:
    """Median NSE of estimate and best uniform celerity at held-out gauges, a table for each kind of time."""
    if run.folds is None:
        return []
    summary = run.summary.get("folds")
    splits = summary.get("splits", {}) if isinstance(summary, Mapping) else {}
    pooled = {split: found.get("pooled", {}) for split, found in splits.items()}
    tables = []
    for split in ("gauge", "gauge_time"):
        part = run.folds[run.folds["split"] == split]
        part = part[np.isfinite(part[["nse", "nse_uniform"]].to_numpy(dtype=np.float64)).all(axis=1)]
        if part.empty:
            continue
        lines = [_fold_line(str(fold), here, ("", "", "")) for fold, here in part.groupby("fold")]
        differences = [
            here["nse"].median() - here["nse_uniform"].median() for _, here in part.groupby("fold")
        ]
        ranges = tuple(
            interval(pooled, split, f"nse_{name}", sign=name == "difference")
            for name in ("uniform", "estimate", "difference")
        )
        lines.append(_fold_line("all", part, ranges))
        note = _said_of_folds(part, sum(one > 0 for one in differences), len(differences))
        tables.append(FoldTable(_capital(SPLIT_PLACES[split]), note, tuple(lines)))
    return tables


def _said_of_folds(part: pd.DataFrame, higher: int, folds: int) -> str:
    """The grade over all folds, and in how many of them the median is higher, which alone says little."""
    scores = (part[name].to_numpy(np.float64) for name in ("nse", "nse_uniform"))
    found = compare(next(scores), {"uniform": next(scores)}, SEED)
    assert found is not None  # of finite scores
    return (
        f"Over all folds the estimate is {found.grade} the best uniform celerity by NSE: better at {found.better} of "
        f"{found.gauges} gauges. Its median is the higher one in {higher} of {folds} folds."
    )


def _fold_line(name: str, part: pd.DataFrame, ranges: Sequence[str]) -> Line:
    estimate, uniform = float(part["nse"].median()), float(part["nse_uniform"].median())
    texts = number(uniform), number(estimate), signed(estimate - uniform)
    return Line(name, (*zip(texts, ranges, strict=True), (better(part), "")))


def better(part: pd.DataFrame) -> str:
    """At how many of some gauges the estimate is better than the best uniform celerity."""
    return f"{int((part['nse'] > part['nse_uniform']).sum())} of {len(part)}"


def medians_of(run: RunData) -> Mapping[str, Any]:
    """`medians` of run.json's summary, by split; empty where a run has none."""
    found = run.summary.get("medians", {})
    return found if isinstance(found, Mapping) else {}


def interval(medians: Mapping[str, Any], split: str, name: str, *, sign: bool = False) -> str:
    """The 90 % interval of a median, as the run wrote it down; nothing where it did not."""
    found = medians.get(split)
    ends = found.get(f"{name}_interval") if isinstance(found, Mapping) else None
    if not (isinstance(ends, Sequence) and len(ends) == 2 and np.isfinite(ends).all()):
        return ""
    low, high = (signed(float(end)) if sign else number(float(end)) for end in ends)
    return f"{low} to {high}"


def signed(value: float) -> str:
    """A difference with three decimals and its sign."""
    return f"{value:+.3f}".replace("-", "−") if np.isfinite(value) else "–"


def percent(share: float) -> str:
    """A share as percent with one decimal and its sign; a zero has none."""
    rounded = round(100 * share, 1)
    return f"{rounded:+.1f} %".replace("-", "−") if rounded else "0.0 %"


def _median(part: pd.DataFrame, column: str) -> float:
    return float(part[column].median())


def _score_text(score: str, value: float) -> str:
    if not np.isfinite(value):
        return "–"
    if score == "bias":
        return percent(value)
    return f"{value:.1f}" if score == "peak_error_days" else number(value)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
