"""The page: one HTML file that needs nothing but itself."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from rivergrad.report.scores import METHOD_WORDS, score_table
from rivergrad.report.tables import FURTHER_WORDS, fold_tables, further_lines, interval, medians_of
from rivergrad.report.uncertainty import Truth, limits
from rivergrad.rundir.reading import RunData, methods_of
from rivergrad.rundir.verdict import verdict

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Shot:
    """A picture for the page: PNG bytes for a light and a dark page, words for those who cannot see it."""

    light_png: bytes
    dark_png: bytes
    alt: str
    caption: str = ""

    @property
    def light(self) -> str:
        """The light picture in base64."""
        return base64.b64encode(self.light_png).decode("ascii")

    @property
    def dark(self) -> str:
        """The dark picture in base64."""
        return base64.b64encode(self.dark_png).decode("ascii")

    @property
    def width(self) -> int:
        """Pixels, from the PNG's header; the page keeps the place free before the picture is decoded."""
        return int.from_bytes(self.light_png[16:20], "big")

    @property
    def height(self) -> int:
        """Pixels, from the PNG's header."""
        return int.from_bytes(self.light_png[20:24], "big")


def render_page(
    run: RunData,
    *,
    celerity: Shot,
    uncertainty: Sequence[Shot],
    skill: Sequence[Shot],
    skill_in_pairs: bool,
    hydrographs: Sequence[Shot],
    further: Sequence[Shot] = (),
    training: Sequence[Shot],
    truth: Truth | None,
) -> str:
    """The report as HTML. `truth` is given for twin worlds, whose last training shots show it."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    medians = medians_of(run)
    folds = fold_tables(run)
    return environment.get_template("report.html.j2").render(
        name=run.name,
        subtitle=_subtitle(run.info),
        verdict=verdict(run.metrics, run.folds),
        figures=key_figures(run),
        methods=[
            {"name": METHOD_WORDS[method][0], "meaning": METHOD_WORDS[method][1]}
            for method in methods_of(run.metrics)
        ],
        nse=score_table(run.metrics, "nse", lambda split, name: interval(medians, split, name)),
        kge=score_table(run.metrics, "kge", lambda split, name: interval(medians, split, name)),
        ranges=any("nse_estimate_interval" in found for found in medians.values()),
        further=further_lines(run),
        further_words=list(FURTHER_WORDS.values()),
        folds=folds,
        fold_count=0 if run.folds is None else int(run.folds["fold"].nunique()),
        fold_group=_fold_group(run.summary),
        uncertainty=uncertainty,
        limits=limits(run),
        celerity=celerity,
        skill=skill,
        skill_in_pairs=skill_in_pairs,
        hydrographs=hydrographs,
        more=further,
        training=training,
        truth=None if truth is None else truth.words(),
        config=run.config,
        provenance=_provenance(run.info),
    )


def _fold_group(summary: Mapping[str, Any]) -> str:
    found = summary.get("folds")
    return "basins" if isinstance(found, Mapping) and found.get("by") == "basin" else "gauges"


def key_figures(run: RunData) -> list[tuple[str, str]]:
    """Label and value of what the run was: its size, its scheme, its time."""
    summary = run.summary
    gauges = run.metrics[["gauge", "split"]]
    held_out = gauges[gauges["split"].isin(("gauge", "gauge_time"))]["gauge"].nunique()
    total = int(gauges["gauge"].nunique())
    figures = [
        ("Scheme", _words(summary.get("scheme"))),
        ("Reaches", _words(summary.get("reaches", run.network.n_reaches))),
        ("Basins", _words(summary.get("basins", run.network.n_basins))),
        ("Gauges", f"{total:,}" + (f", {held_out:,} held out" if held_out else "")),
        ("Routing step", _step(summary.get("routing_step_s"))),
        ("Forcing step", _step(summary.get("forcing_step_s"))),
        ("Parts", _words(summary.get("parts"))),
        ("Workers", "none" if summary.get("workers") == 0 else _words(summary.get("workers"))),
        ("Optimisation steps", _words(summary.get("steps"))),
        ("The fit ended", _words(summary.get("ended"))),
        ("Time", duration(run.info.get("seconds"))),
    ]
    return [(label, value) for label, value in figures if value]


def duration(seconds: Any) -> str:
    """Seconds in words: `41 s`, `2 min 31 s`, `5 h 12 min`; nothing for what is not a number."""
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 <= seconds < 1e12:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def _subtitle(info: Mapping[str, Any]) -> str:
    parts = []
    when = info.get("finished") or info.get("started")
    if isinstance(when, str) and when:
        parts.append(_date(when))
    status = info.get("status")
    if isinstance(status, str) and status not in ("", "done", "finished", "complete", "completed"):
        parts.append(f"status: {status}")
    return " · ".join(parts)


def _date(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text  # as the run wrote it; a guess would be worse
    zone = f" {moment.tzname()}" if moment.tzinfo else ""
    return f"{moment.day} {moment:%B %Y, %H:%M}{zone}"


def _step(seconds: Any) -> str:
    if not isinstance(seconds, (int, float)) or seconds <= 0:
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size:g} {unit}"
    return f"{seconds:g} s"


def _words(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _provenance(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows of the table of versions: versions, git, seed, machine and dates of run.json, in its own words."""
    rows: list[tuple[str, str]] = []
    for section in ("versions", "git", "seed", "machine", "started", "finished"):
        value = info.get(section)
        if isinstance(value, dict):
            rows += [(str(key).replace("_", " "), _words(item)) for key, item in value.items()]
        elif value is not None:
            rows.append((section, str(value)))
    return rows
