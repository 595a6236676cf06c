"""What the page says of each gauge: its scores, and why they are good or bad."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rivergrad.report.interactive.reaches import Drawn, View, fitted_scale
from rivergrad.report.maps import change_limit, change_ticks, score_range
from rivergrad.report.panels import Page
from rivergrad.report.scores import SPLIT_WORDS
from rivergrad.rundir.contents import GAUGES, SCREENING
from rivergrad.rundir.reading import SPLITS, methods_of, score_column

GRADES = ((0.75, "good"), (0.5, "fair"), (0.0, "poor"), (-np.inf, "worse than the mean flow"))
VOLUME, CORRELATION, VARIABILITY = 0.1, 0.8, 0.2
"""Volume error, correlation and departure of variability from 1 from which they are named."""
DIGITS = 4


def gauge_records(page: Page, drawn: Drawn, view: View) -> list[dict[str, Any]]:
    """A record a gauge: where it is, its scores by split, and why they are as they are.

    Returns:
        Dicts of `name`, `reach` (index among the drawn ones), `xy`, `held` out, `scores` by split with a list of
        numbers by method, the headline `nse`, `gain`, `kge`, `bias`, `peak`, `n`, the texts `why`, and `screened`.
    """
    run, metrics = page.run, page.run.metrics
    methods = methods_of(metrics)
    screened, placed = _texts_of_screening(run.folder), _texts_of_placement(run.folder)
    headline = _headline(metrics)
    records = []
    of_gauge = _rows_by_gauge(metrics)
    first = [(name, next((one for one in headline if one in rows), None)) for name, rows in of_gauge.items()]
    shown = {name: split for name, split in first if split is not None}
    reaches = np.array(
        [int(of_gauge[name][split]["reach_id"]) for name, split in shown.items()], dtype=np.int64
    )
    positions = run.network.positions(reaches, what="gauge reach")
    for (name, split), position in zip(shown.items(), positions.tolist(), strict=True):
        by_split = of_gauge[name]
        row = by_split[split]
        records.append(
            {
                "name": name,
                "id": str(int(row["reach_id"])),
                "reach": int(drawn.place[position]),
                "xy": _point(view, page, position),
                "held": split in ("gauge", "gauge_time"),
                "split": split,
                "scores": {
                    one: [[_rounded(by_split[one].get(score_column(score, method))) for method in methods]
                          for score in ("nse", "kge")]
                    for one in SPLITS if one in by_split
                },
                "nse": _rounded(row["nse"]), "kge": _rounded(row["kge"]),
                "gain": _rounded(row["nse"] - row["nse_uniform"]),
                "bias": _rounded(row.get("bias")), "peak": _rounded(row.get("peak_error_days")),
                "n": int(row["n_obs"]),
                "why": [*reasons(row), *screened.get(name, []), *placed.get(name, [])],
                "screened": name in screened, "moved": name in placed,
            }
        )  # fmt: skip
    return records


def _rows_by_gauge(metrics: pd.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    """The rows of metrics.csv by gauge and split, in the order of the file."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in metrics.to_dict("records"):
        found.setdefault(str(row["gauge"]), {})[str(row["split"])] = {str(key): row[key] for key in row}
    return found


def about_gauges(page: Page, records: list[dict[str, Any]]) -> dict[str, Any]:
    """What is the same for all gauges: names of methods and splits, and the colour scales that fit their scores."""
    nse = np.array([one["nse"] if one["nse"] is not None else np.nan for one in records], np.float64)
    gain = np.array([one["gain"] if one["gain"] is not None else np.nan for one in records], np.float64)
    limit = change_limit(gain)
    return {
        "methods": list(methods_of(page.run.metrics)),
        "splits": {name: SPLIT_WORDS[name][0] for name in SPLITS},
        "in_held_out_time": page.scores.in_held_out_time,
        "scales": {
            "nse": fitted_scale(*score_range(nse)),
            "gain": {"min": -limit, "max": limit, "ticks": change_ticks(limit), "log": False, "root": True},
            "rank": {"min": 0.0, "max": 1.0, "ticks": [0.0, 0.25, 0.5, 0.75, 1.0], "log": False},
        },
    }


def reasons(row: Mapping[str, Any]) -> list[str]:
    """Why the scores of a gauge are as they are, a sentence each: what KGE loses most by, volume, timing, baselines.

    Args:
        row: a row of metrics.csv; columns that older runs lack are left out of the answer.
    """
    found = []
    nse = _number(row.get("nse"))
    if nse is None:
        return ["No score: too few observations, or observations that do not vary."]
    found.append(f"Skill: {next(word for least, word in GRADES if nse >= least)} (NSE {_text(nse)}).")
    found += _main_cause(row)
    bias, alpha = _number(row.get("bias")), _number(row.get("kge_alpha"))
    if bias is not None and abs(bias) >= VOLUME:
        found.append(
            f"Volume: {abs(100 * bias):.0f} % too {'much' if bias > 0 else 'little'} water. "
            "Routing changes no volume: the runoff is wrong, or the gauge's area is."
        )
    found += _timing(row)
    if alpha is not None and abs(alpha - 1) >= VARIABILITY:
        found.append(f"Variability: flow varies {abs(100 * (alpha - 1)):.0f} % {'more' if alpha > 1 else 'less'} "
                     "than observed.")  # fmt: skip
    uniform = _number(row.get("nse_uniform"))
    if uniform is not None:
        gain = round(nse - uniform, 3)
        how = (
            f"{'better than' if gain > 0 else 'behind'} it by {abs(gain):.3f} in NSE"
            if gain
            else "equal to it in NSE"
        )
        found.append(f"Against the best uniform celerity: {how}.")
    return found


def _main_cause(row: Mapping[str, Any]) -> list[str]:
    """Which of correlation, variability and volume takes most from KGE: the largest of three squares."""
    parts = {"timing and shape": _number(row.get("kge_r")), "variability": _number(row.get("kge_alpha")),
             "volume": _number(row.get("kge_beta"))}  # fmt: skip
    if any(value is None for value in parts.values()):
        return []
    squares = {name: (float(value or 0.0) - 1) ** 2 for name, value in parts.items()}
    total = sum(squares.values())
    if total < 0.01:  # KGE above 0.9
        return []
    worst = max(squares, key=lambda name: squares[name])
    return [f"Main cause: {worst}, {100 * squares[worst] / total:.0f} % of what KGE loses."]


def _timing(row: Mapping[str, Any]) -> list[str]:
    peak, r = _number(row.get("peak_error_days")), _number(row.get("kge_r"))
    words = []
    if peak is not None and peak >= 1:
        words.append(f"peaks are {peak:g} {'day' if peak == 1 else 'days'} off (median)")
        uniform = _number(row.get("peak_error_days_uniform"))
        if uniform is not None and uniform != peak:
            words[-1] += f", {uniform:g} with the best uniform celerity"
    if r is not None and r < CORRELATION:
        words.append(f"correlation {_text(r)}")
    return [f"Timing: {'; '.join(words)}."] if words else []


def screening_table(folder: Path) -> list[dict[str, str]]:
    """The rows of screening.csv as texts; empty where a run has none."""
    return _table(folder / SCREENING, ("gauge", "what", "found", "expected", "action"))


def moved_table(folder: Path) -> list[dict[str, str]]:
    """The rows of gauges.csv whose gauge lies on another reach than the one given, or on none."""
    rows = _table(
        folder / GAUGES, ("gauge", "reach_id_given", "reach_id", "how", "distance_m", "status", "reason")
    )
    return [row for row in rows if row["reach_id_given"] != row["reach_id"] or row["status"] != "matched"]


def _texts_of_screening(folder: Path) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for row in screening_table(folder):
        said = f"Screening: {row['what']}: {row['found']}; expected {row['expected']} ({row['action']})."
        texts.setdefault(row["gauge"], []).append(said)
    return texts


def _texts_of_placement(folder: Path) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    for row in moved_table(folder):
        away = f", {float(row['distance_m']) / 1000:.1f} km away" if row["distance_m"] else ""
        given = f" from reach {row['reach_id_given']}" if row["reach_id_given"] else ""
        why = f": {row['reason']}" if row["reason"] else ""
        texts.setdefault(row["gauge"], []).append(
            f"Placed{given} on reach {row['reach_id'] or 'none'} by {row['how'] or 'position'}{away}{why}."
        )
    return texts


def _table(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """A table as texts; columns that it lacks are empty."""
    if not path.exists():
        return []
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except ValueError:  # an empty file
        return []
    return [{name: str(row.get(name, "")) for name in columns} for row in table.to_dict("records")]


def _headline(metrics: pd.DataFrame) -> tuple[str, ...]:
    """The splits whose scores come first: held-out time where the run has any scores there."""
    later = metrics[metrics["split"].isin(("time", "gauge_time"))]
    if np.isfinite(later["nse"].to_numpy(dtype=np.float64)).any():
        return ("gauge_time", "time", "gauge", "train")
    return ("gauge", "train", "gauge_time", "time")


def _point(view: View, page: Page, position: int) -> list[float] | None:
    xy = view.to(page.frame.points(np.array([position])))[0]
    return [round(float(one), 3) for one in xy] if np.isfinite(xy).all() else None


def _number(value: Any) -> float | None:
    if value is None or isinstance(value, str):
        return None
    return float(value) if np.isfinite(value) else None


def _rounded(value: Any) -> float | None:
    number = _number(value)
    return None if number is None else round(number, DIGITS)


def _text(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
