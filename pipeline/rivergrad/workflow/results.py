"""What a run leaves: scores, hydrographs, parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivergrad.estimate.scores import kge, nse
from rivergrad.io.rundir import METHODS, METRICS_COLUMNS, write_hydrographs
from rivergrad.workflow.inputs import Inputs
from rivergrad.workflow.periods import Periods
from rivergrad.workflow.record import write_rows

Float = NDArray[np.float64]


def score_rows(inputs: Inputs, periods: Periods, discharge: Mapping[str, Float]) -> list[dict[str, Any]]:
    """A row per gauge and split with the scores of the estimate and of the baselines.

    Args:
        discharge: by method (`METHODS`), (time, gauge) m³/s.
    """
    ids = inputs.network.reach_id[inputs.observations.reach]
    rows: list[dict[str, Any]] = []
    for split, period, gauges in (
        ("train", periods.train, ~inputs.held_out),
        ("time", periods.test, ~inputs.held_out),
        ("gauge", periods.train, inputs.held_out),
        ("gauge_time", periods.test, inputs.held_out),
    ):
        at = np.flatnonzero(gauges)
        if period is None or not at.size:
            continue
        steps = slice(max(period[0], periods.warmup), period[1])
        observed = inputs.observed[steps][:, at]
        count = (~np.isnan(observed)).sum(axis=0)
        scores = {
            name: (nse(values[steps][:, at], observed), kge(values[steps][:, at], observed))
            for name, values in discharge.items()
        }
        for a, g in enumerate(at):
            row: dict[str, Any] = {
                "gauge": str(inputs.observations.gauge[g]),
                "reach_id": int(ids[g]),
                "split": split,
                "n_obs": int(count[a]),
            }
            for name in METHODS:
                suffix = "" if name == "estimate" else f"_{name}"
                row[f"nse{suffix}"], row[f"kge{suffix}"] = (float(s[a]) for s in scores[name])
            rows.append(row)
    return rows


def medians(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Median NSE and KGE of each method by split, over gauges that have a score."""
    result: dict[str, dict[str, float]] = {}
    for split in dict.fromkeys(row["split"] for row in rows):
        here = [row for row in rows if row["split"] == split]
        result[split] = {"gauges": len(here)}
        for name in METHODS:
            suffix = "" if name == "estimate" else f"_{name}"
            for score in ("nse", "kge"):
                values = np.array([row[f"{score}{suffix}"] for row in here])
                values = values[~np.isnan(values)]
                result[split][f"{score}_{name}"] = float(np.median(values)) if values.size else float("nan")
    return result


def informed_reaches(inputs: Inputs) -> NDArray[np.bool_]:
    """(reach,) whether a training gauge with data lies downstream of the reach (or on it)."""
    has_data = ~np.isnan(inputs.observed).all(axis=0)
    informed = np.zeros(inputs.network.n_reaches, bool)
    informed[inputs.observations.reach[~inputs.held_out & has_data]] = True
    down = inputs.network.downstream
    for i in inputs.network.order[::-1]:
        if down[i] >= 0:
            informed[i] |= informed[down[i]]
    return informed


def rank_correlation(a: Float, b: Float) -> float:
    """Spearman's rank correlation; NaN where one of the two is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)


def write_scores(run_dir: Path, rows: list[dict[str, Any]]) -> None:
    """Write metrics.csv."""
    write_rows(run_dir / "metrics.csv", rows, METRICS_COLUMNS)


def write_series(run_dir: Path, inputs: Inputs, discharge: Mapping[str, Float]) -> None:
    """Write hydrographs.nc: observed and computed discharge at all gauges."""
    write_hydrographs(
        run_dir / "hydrographs.nc",
        time=inputs.runoff.time,
        gauge=inputs.observations.gauge,
        reach_id=inputs.network.reach_id[inputs.observations.reach],
        held_out=inputs.held_out,
        discharge={"observed": inputs.observed, **discharge},
    )
