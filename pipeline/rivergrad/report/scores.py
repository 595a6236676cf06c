"""Scores of a run in words and numbers: the table of baselines, and which gauges are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rivergrad.documents import read_text
from rivergrad.rundir.reading import SPLITS, RunData, methods_of, score_column
from rivergrad.rundir.suspects import named, suspects_of, without_suspects
from rivergrad.rundir.verdict import number

Float = NDArray[np.float64]

SPLIT_WORDS = {
    "train": ("train", "the gauges and the time that the estimate was fitted to"),
    "time": ("time", "the same gauges, in time held out of the estimation"),
    "gauge": ("gauge", "gauges held out of the estimation, in training time"),
    "gauge_time": ("gauge and time", "gauges held out, in time held out: the hardest test"),
}

METHOD_WORDS = {
    "unrouted": ("unrouted", "all runoff upstream of the gauge, summed at once: water that takes no time"),
    "default": (
        "default",
        "routing with the initial celerity of the configuration everywhere, nothing learnt",
    ),
    "uniform": (
        "best uniform",
        "routing with one celerity for every reach, the best one on the training data",
    ),
    "physical": (
        "physical prior",
        "routing with the celerity that Manning's equation or a regime relation gives each reach",
    ),
    "lumped": (
        "lumped",
        "the runoff model trained on discharge without routing: runoff upstream summed at once",
    ),
    "two_step": ("two-step", "the runoff of lumped, with the routing fitted afterwards"),
    "estimate": ("estimate", "routing with the celerity estimated for each reach"),
}

DEFAULT_SHOWN = 6


def estimate_first(methods: Sequence[str]) -> tuple[str, ...]:
    """Methods as columns: the estimate, then the baselines from the most to the least that was learnt."""
    return tuple(reversed(methods))


@dataclass(frozen=True)
class Cell:
    """One median in the table: its text, whether it is the best of its row, and the ends of its interval."""

    text: str
    best: bool
    range: str = ""


@dataclass(frozen=True)
class Row:
    """A split in the table: its name and meaning, the number of gauges, and its cells, the estimate first."""

    name: str
    meaning: str
    gauges: int
    cells: tuple[Cell, ...]


def score_table(
    metrics: pd.DataFrame, score: str, ranges: Callable[[str, str], str] = lambda split, name: ""
) -> list[Row]:
    """Median `nse` or `kge` over gauges, by split and method; splits without a scored gauge are left out.

    `ranges` gives the interval of a split's `nse_estimate` or `kge_estimate`, as a text.
    """
    rows = []
    for split in SPLITS:
        part = metrics[metrics["split"] == split]
        part = part[np.isfinite(part[score].to_numpy(dtype=np.float64))]
        if part.empty:
            continue
        methods = estimate_first(methods_of(metrics))
        name, meaning = SPLIT_WORDS[split]
        cells = _cells(part, score, methods)
        cells[0] = replace(cells[0], range=ranges(split, f"{score}_estimate"))
        rows.append(Row(name, meaning, len(part), tuple(cells)))
        kept = without_suspects(part)
        if len(kept) < len(part) and not kept.empty:
            said = f"without gauges that screening would drop: {named(suspects_of(metrics, split))}"
            rows.append(Row(f"{name}, less suspects", said, len(kept), tuple(_cells(kept, score, methods))))
    return rows


def _cells(part: pd.DataFrame, score: str, methods: Sequence[str]) -> list[Cell]:
    """Medians over the rows of a split, by method."""
    medians = [float(part[score_column(score, method)].median()) for method in methods]
    texts = [number(value) for value in medians]
    best = number(float(np.nanmax(medians)))
    return [Cell(text, text == best) for text in texts]


@dataclass(frozen=True, eq=False)
class GaugeScores:
    """The NSE of each gauge. In held-out time if the run has any, else in training time.

    Attributes:
        name: (gauge,) names.
        position: (gauge,) position of the gauge's reach in `run.network`: `attributes["slope"][position]`.
        held_out: (gauge,) whether the estimate never saw the gauge.
        nse: (gauge,) of the estimate; NaN where it can't be computed.
        nse_uniform: (gauge,) of the best uniform celerity.
        in_held_out_time: whether the scores are of held-out time.
    """

    name: tuple[str, ...]
    position: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    nse: Float
    nse_uniform: Float
    in_held_out_time: bool


def gauge_scores(run: RunData) -> GaugeScores:
    """The NSE of every gauge, in held-out time if the run has any, in training time otherwise."""
    metrics = run.metrics
    later = metrics[metrics["split"].isin(("time", "gauge_time"))]
    in_held_out_time = bool(np.isfinite(later["nse"].to_numpy(dtype=np.float64)).any())
    table = later if in_held_out_time else metrics[metrics["split"].isin(("train", "gauge"))]
    return GaugeScores(
        name=tuple(table["gauge"].astype(str)),
        position=run.network.positions(table["reach_id"].to_numpy(dtype=np.int64), what="gauge reach"),
        held_out=table["split"].isin(("gauge", "gauge_time")).to_numpy(dtype=bool),
        nse=table["nse"].to_numpy(dtype=np.float64),
        nse_uniform=table["nse_uniform"].to_numpy(dtype=np.float64),
        in_held_out_time=in_held_out_time,
    )


@dataclass(frozen=True)
class Shown:
    """A gauge whose hydrograph is shown: its position in the hydrographs, and a line about it."""

    gauge: int
    subtitle: str


def chosen_gauges(run: RunData, scores: GaugeScores) -> list[Shown]:
    """As many gauges as config.yaml asks for: best, median and worst of those held out, then of those trained on."""
    limit = _wanted(run.config)
    hydrographs = run.hydrographs
    row = {name: i for i, name in enumerate(scores.name)}
    observed = np.isfinite(hydrographs.discharge["observed"]).any(axis=0)
    nse = np.array([scores.nse[row[name]] if name in row else np.nan for name in hydrographs.gauge])
    groups = []
    for held_out in (True, False):
        members = np.flatnonzero((hydrographs.held_out == held_out) & observed)
        scored = members[np.isfinite(nse[members])]
        groups.append(scored[np.argsort(-nse[scored], kind="stable")])
    half = [min((limit + 1) // 2, len(groups[0])), min(limit // 2, len(groups[1]))]
    room = [min(len(groups[0]), limit - half[1]), min(len(groups[1]), limit - half[0])]
    shown = []
    for group, count, kind in zip(groups, room, ("held-out gauge", "training gauge"), strict=True):
        for place in _spread(len(group), count):
            gauge = int(group[place])
            rank = _rank_word(place, len(group))
            uniform = scores.nse_uniform[row[hydrographs.gauge[gauge]]]
            shown.append(
                Shown(gauge, f"{rank}{kind} · NSE {number(nse[gauge])} (best uniform {number(uniform)})")
            )
    return shown


def spearman(first: Float, second: Float) -> float:
    """Spearman's rank correlation of two (m,) arrays, with mean ranks for ties; NaN below three values."""
    if first.size < 3:
        return float("nan")
    rank_a, rank_b = pd.Series(first).rank().to_numpy(), pd.Series(second).rank().to_numpy()
    if np.ptp(rank_a) == 0 or np.ptp(rank_b) == 0:
        return float("nan")
    return float(np.corrcoef(rank_a, rank_b)[0, 1])


def _wanted(config: str) -> int:
    """`report.hydrographs` of a resolved configuration, or what it is by default."""
    data = read_text(config, "config.yaml")
    section = data.get("report")
    count = section.get("hydrographs") if isinstance(section, dict) else None
    return count if isinstance(count, int) and count > 0 else DEFAULT_SHOWN


def _spread(length: int, count: int) -> list[int]:
    """`count` different places in a list, from first to last; one alone is the middle."""
    if count == 1:
        return [length // 2]
    return sorted({round(place) for place in np.linspace(0, length - 1, count)}) if count else []


def _rank_word(place: int, length: int) -> str:
    if length == 1:
        return ""
    if place in (0, length - 1):
        return "best " if place == 0 else "worst "
    return "median " if place in ((length - 1) // 2, length // 2) else ""
