"""What a run leaves: scores, hydrographs, parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivercut import graph
from rivergrad.config.schema import Workflow
from rivergrad.gauges.bootstrap import bootstrap_difference, bootstrap_median
from rivergrad.gauges.peaks import peak_timing_error, peaks_of
from rivergrad.gauges.scores import bias, kge, kge_parts, log_nse, nse
from rivergrad.gauges.sizes import has_area, river_size, scores_by_size
from rivergrad.io import write_parameters_store
from rivergrad.io.hillslope import ATTRIBUTE
from rivergrad.io.parameters import ALWAYS_FINITE, refuse_not_finite
from rivergrad.routing.schemes import RESIDENCE_TIME
from rivergrad.run.givennetwork import NOMINAL, has_nominal_lengths
from rivergrad.run.inputs import Inputs
from rivergrad.run.lakes import scheme_for
from rivergrad.run.periods import Periods
from rivergrad.rundir.contents import FOLDS_TABLE, HYDROGRAPHS, METRICS, PARAMETERS
from rivergrad.rundir.reading import (
    FURTHER_COLUMNS,
    FURTHER_SCORES,
    LEARNED_COLUMNS,
    METHODS,
    METRICS_COLUMNS,
    SPLITS,
    TIMING_SCORES,
    methods_in,
    read_folds,
    read_metrics,
    score_column,
    write_hydrographs,
)
from rivergrad.rundir.record import write_rows
from rivergrad.rundir.suspects import SUSPECT
from rivergrad.rundir.verdict import verdict

Float = NDArray[np.float64]
Row = dict[str, Any]
"""The scores of one gauge in one split: a row of metrics.csv."""

FLOODS_APART, FLOOD_WINDOW = 10.0, 5.0
"""Days between two floods, and to either side of one in which the simulated peak is looked for."""


def score_rows(inputs: Inputs, periods: Periods, discharge: Mapping[str, Float]) -> list[Row]:
    """A row per gauge and split with the scores of the estimate and of the baselines.

    Args:
        discharge: by method (`METHODS`), (time, gauge) m³/s.
    """
    ids = inputs.network.reach_id[inputs.observations.reach]
    rows: list[Row] = []
    for split, period, gauges in (
        ("train", periods.train, ~inputs.held_out),
        ("time", periods.test, ~inputs.held_out),
        ("gauge", periods.train, inputs.held_out),
        ("gauge_time", periods.test, inputs.held_out),
    ):
        at = np.flatnonzero(gauges)
        if period is None or not at.size:
            continue
        steps = inputs.compared(max(period[0], periods.warmup), period[1])
        observed = inputs.observed[steps][:, at]
        count = (~np.isnan(observed)).sum(axis=0)
        days = inputs.runoff.step * inputs.report.every / 86400.0
        peaks = peaks_of(observed, separation=round(FLOODS_APART / days))
        scores = {
            score_column(score, method): values
            for method in methods_in(discharge)
            for score, values in _scores(discharge[method][steps][:, at], observed, days, peaks).items()
            if score in ("nse", "kge")
            or method == "estimate"
            or (score in TIMING_SCORES and method in METHODS)
        }
        for a, g in enumerate(at):
            row: Row = {
                "gauge": str(inputs.observations.gauge[g]),
                "reach_id": int(ids[g]),
                "split": split,
                "n_obs": int(count[a]),
            }
            suspect = inputs.suspects.get(int(g), "")
            row |= {name: float(values[a]) for name, values in scores.items()}
            rows.append(row | {SUSPECT: suspect})
    return rows


def _scores(
    simulated: Float, observed: Float, days: float, peaks: Sequence[NDArray[np.int64]]
) -> dict[str, Float]:
    """Every score by its name, (gauge,) each; for steps of so many days, and the floods of each gauge."""
    peak_steps = peak_timing_error(
        simulated,
        observed,
        separation=round(FLOODS_APART / days),
        window=max(1, round(FLOOD_WINDOW / days)),
        peaks=peaks,
    )
    parts = kge_parts(simulated, observed)
    return {
        "nse": nse(simulated, observed),
        "kge": kge(simulated, observed),
        **{f"kge_{name}": values for name, values in parts._asdict().items()},
        "log_nse": log_nse(simulated, observed),
        "bias": bias(simulated, observed),
        "peak_error_days": peak_steps * days,
    }


def medians(rows: Sequence[Row], seed: int) -> dict[str, dict[str, Any]]:
    """Median scores over gauges by split, with bootstrap intervals.

    Each split has `gauges`, the number that have a score; `nse_METHOD` and `kge_METHOD` for METHODS, with
    `…_interval` [low, high] (90 %); `nse_difference` and `kge_difference`, the estimate's median minus that of the
    best uniform celerity, with their intervals; `nse_gain` and `kge_gain`, the median over gauges of the estimate's
    score minus that of the best uniform celerity, with their intervals, and `nse_better` and `kge_better`, at how many
    gauges it is above 0 (medians can differ one way and most gauges the other); and the further scores of the estimate
    (FURTHER_SCORES) under `SCORE_estimate`. Where runoff is learned, the same differences to LEARNED_METHODS under
    `SCORE_over_METHOD`, `SCORE_gain_over_METHOD` and `SCORE_better_than_METHOD`. Where screening would drop some of the
    gauges, `suspects` has their names and checks, and `without_suspects` all of this without them.

    Args:
        rows: of metrics.csv.
        seed: of the bootstrap.
    """
    result: dict[str, dict[str, Any]] = {}
    for split in dict.fromkeys(row["split"] for row in rows):
        here = [row for row in rows if row["split"] == split]
        draws = [seed, 404, SPLITS.index(split)]
        found: dict[str, Any] = {"gauges": int(np.isfinite(_column(here, "nse")).sum())}
        methods = methods_in(name.removeprefix("nse_") for name in here[0])
        for method in methods:
            for score in ("nse", "kge"):
                name = f"{score}_{method}"
                values = _column(here, score_column(score, method))
                found[name], *found[f"{name}_interval"] = bootstrap_median(values, draws)
        for method in (name for name in methods if name not in METHODS):
            for score in ("nse", "kge"):
                pair = _column(here, score), _column(here, score_column(score, method))
                name = f"{score}_over_{method}"
                found[name], *found[f"{name}_interval"] = bootstrap_difference(*pair, draws)
                name = f"{score}_gain_over_{method}"
                found[name], *found[f"{name}_interval"] = bootstrap_median(pair[0] - pair[1], draws)
                found[f"{score}_better_than_{method}"] = int(np.count_nonzero(pair[0] > pair[1]))
        for score in ("nse", "kge"):
            name = f"{score}_difference"
            pair = _column(here, score), _column(here, score_column(score, "uniform"))
            found[name], *found[f"{name}_interval"] = bootstrap_difference(*pair, draws)
            gain, name = pair[0] - pair[1], f"{score}_gain"
            found[name], *found[f"{name}_interval"] = bootstrap_median(gain, draws)
            found[f"{score}_better"] = int(np.count_nonzero(gain > 0))
        for score in FURTHER_SCORES:
            if score in here[0]:
                values = _column(here, score)
                values = values[~np.isnan(values)]
                found[f"{score}_estimate"] = float(np.median(values)) if values.size else float("nan")
        kept = [row for row in here if not row.get(SUSPECT)]
        if len(kept) < len(here):
            found["suspects"] = {row["gauge"]: row[SUSPECT] for row in here if row.get(SUSPECT)}
            found["without_suspects"] = medians(kept, seed).get(split)
        result[split] = found
    return result


def sizes_of_rows(rows: Sequence[Row], inputs: Inputs, periods: Periods) -> dict[str, Any]:
    """Scores by the size of the river and weighted by flow, by split; see `rivergrad.gauges.sizes`.

    Args:
        rows: of metrics.csv.
        inputs: whose network has the sizes, and whose observations the flow.
        periods: of the record.

    Returns:
        `of`: what size is (`upstream_area_m2` or `upstream_reaches`); `splits`: by split, as `scores_by_size` has it.
    """
    network, gauges = inputs.network, inputs.observations
    size = river_size(network)[gauges.reach]
    position = {str(name): g for g, name in enumerate(gauges.gauge)}
    splits: dict[str, Any] = {}
    for split in dict.fromkeys(row["split"] for row in rows):
        here = [row for row in rows if row["split"] == split]
        at = [position[row["gauge"]] for row in here]
        period = periods.test if split in ("time", "gauge_time") else periods.train
        assert period is not None
        observed = inputs.observed[period[0] : period[1], at]
        flow = np.nansum(observed, axis=0) / np.maximum((~np.isnan(observed)).sum(axis=0), 1)
        scores = {
            f"{score}_{method}": _column(here, score_column(score, method))
            for method in methods_in(name.removeprefix("nse_") for name in here[0])
            for score in ("nse", "kge")
        }
        splits[split] = scores_by_size(scores, size[at], flow)
    return {"of": "upstream_area_m2" if has_area(network) else "upstream_reaches", "splits": splits}


def _column(rows: Sequence[Row], name: str) -> Float:
    return np.array([row[name] for row in rows], dtype=np.float64)


def informed_reaches(inputs: Inputs, trains: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(reach,) whether one of the gauges that train lies downstream of the reach (or on it)."""
    network = inputs.network
    gauged = np.zeros(network.n_reaches)
    gauged[inputs.observations.reach[trains]] = 1.0
    return graph.sum_below(network.downstream, network.order, gauged) > 0


def rank_correlation(a: Float, b: Float) -> float:
    """Spearman's rank correlation; NaN where one of the two is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)


def write_scores(run_dir: Path, rows: Sequence[Row]) -> None:
    """Write metrics.csv."""
    write_rows(run_dir / METRICS, rows, (*METRICS_COLUMNS, *FURTHER_COLUMNS, SUSPECT, *learned_columns(rows)))


def learned_columns(rows: Sequence[Row]) -> tuple[str, ...]:
    """Those of LEARNED_COLUMNS that the rows have."""
    return tuple(name for name in LEARNED_COLUMNS if rows and name in rows[0])


def write_series(run_dir: Path, inputs: Inputs, discharge: Mapping[str, Float]) -> None:
    """Write hydrographs.nc: observed and computed discharge at all gauges, over the intervals of observations.

    Times are the starts of intervals; of snapshots, which are at their ends, they are the snapshots' own.
    """
    steps = inputs.compared(0, inputs.runoff.time.size)
    length = np.timedelta64(round(inputs.runoff.step * 1e9), "ns")
    late = length if inputs.report.kind == "end" else -(inputs.report.every - 1) * length
    write_hydrographs(
        run_dir / HYDROGRAPHS,
        time=inputs.runoff.time[steps] + late,
        gauge=inputs.observations.gauge,
        reach_id=inputs.network.reach_id[inputs.observations.reach],
        held_out=inputs.held_out,
        discharge={
            name: values[steps] for name, values in {"observed": inputs.observed, **discharge}.items()
        },
    )


def verdict_of(run_dir: Path) -> str:
    """What the tables of scores say, as they were written: the report reads the same."""
    folds = run_dir / FOLDS_TABLE
    return verdict(read_metrics(run_dir / METRICS), read_folds(folds) if folds.exists() else None)


def _hillslope_of(config: Workflow) -> dict[str, str]:
    """What says in parameters.zarr that its delays belong to a hillslope response, and to which."""
    section = config.scheme.hillslope
    return {} if section is None or section.name == "none" else {ATTRIBUTE: section.name}


def write_parameter_map(
    config: Workflow,
    run_dir: Path,
    inputs: Inputs,
    values: dict[str, NDArray[np.float64]],
    informed: NDArray[np.bool_],
    info: dict[str, Any],
) -> None:
    """Write parameters.zarr.

    Args:
        config: the workflow.
        run_dir: the run directory.
        inputs: whose network it is.
        values: (reach,) by name: celerity, the scheme's parameters, intervals.
        informed: (reach,) whether a training gauge lies downstream.
        info: run.json, for the provenance.

    Raises:
        InputError: a parameter is not finite.
    """
    network = inputs.network
    own = scheme_for(config, network).parameter_names
    refuse_not_finite(
        values,
        network.reach_id,
        run_dir / PARAMETERS,
        (*ALWAYS_FINITE, *(name for name in own if name != RESIDENCE_TIME)),
    )
    columns: dict[str, NDArray[Any]] = {
        name: np.asarray(network.attributes[name]) for name in ("lat", "lon") if name in network.attributes
    }
    columns |= {name: value for name, value in values.items() if name != "length"}
    columns["informed"] = informed.astype(np.int8)
    if inputs.true_celerity is not None:
        columns["celerity_true"] = inputs.true_celerity
    write_parameters_store(
        run_dir / PARAMETERS,
        network.reach_id,
        columns,
        units={"informed": "1", "celerity_true": "m s-1"},
        provenance={
            "workflow": config.name,
            "scheme": config.scheme.name,
            "convention": config.scheme.convention,
            **_hillslope_of(config),
            "seed": config.seed,
            "rivergrad_version": info["versions"]["rivergrad"],
            "git": str(info["git"]),
            **({"lengths": NOMINAL} if has_nominal_lengths(network) else {}),
        },
    )
