"""The page: one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from rivergrad.report.interactive.document import Batch, Documents
from rivergrad.report.interactive.gauges import moved_table, screening_table
from rivergrad.report.interactive.scripts import policy, scripts, style
from rivergrad.report.panels import Page
from rivergrad.report.scores import METHOD_WORDS, estimate_first, score_table
from rivergrad.report.shot import Shot
from rivergrad.report.tables import (
    FURTHER_WORDS,
    fold_tables,
    further_lines,
    interval,
    medians_of,
    size_table,
)
from rivergrad.report.uncertainty import HARDLY, hardly_told, limits
from rivergrad.rundir.reading import RunData
from rivergrad.rundir.verdict import verdict

TEMPLATES = Path(__file__).parent / "templates"


def render_page(page: Page, found: Documents, further: Sequence[Shot] = (), files: Sequence[str] = ()) -> str:
    """The report as HTML.

    Args:
        page: the run.
        found: what the page's script is given.
        further: pictures of panels that have no place of their own.
        files: names in the run directory that the page links to.
    """
    run, truth = page.run, page.truth
    medians = medians_of(run)
    return _environment().get_template("report.html.j2").render(
        name=run.name,
        subtitle=_subtitle(run.info),
        verdict=verdict(run.metrics, run.folds),
        cautions=_cautions(run.summary),
        choice=choice_text(run.summary),
        figures=key_figures(run),
        methods=[
            {"name": METHOD_WORDS[method][0], "meaning": METHOD_WORDS[method][1]}
            for method in estimate_first(page.methods)
        ],
        nse=score_table(run.metrics, "nse", lambda split, name: interval(medians, split, name)),
        kge=score_table(run.metrics, "kge", lambda split, name: interval(medians, split, name)),
        ranges=any("nse_estimate_interval" in one for one in medians.values()),
        sizes=size_table(run),
        further=further_lines(run),
        further_words=list(FURTHER_WORDS.values()),
        folds=fold_tables(run),
        fold_count=0 if run.folds is None else int(run.folds["fold"].nunique()),
        fold_group=_fold_group(run.summary),
        limits=limits(run),
        caption=celerity_caption(page),
        kind=page.kind,
        shape=page.frame.shape,
        gauges=found.count,
        pages=[batch.name for batch in found.batches],
        more=further,
        courses=[name for name in ("loss", "validation_nse") if run.history[name].notna().any()],
        truth=None if truth is None else truth.words(),
        covered=[] if truth is None else truth.covered,
        screened=screening_table(run.folder),
        moved=moved_table(run.folder),
        files=files,
        config=run.config,
        provenance=_provenance(run.info),
        documents=found,
        **_frame_of_page(),
    )  # fmt: skip


def choice_text(summary: Mapping[str, Any]) -> str:
    """What `parameters.model: auto` chose and why; nothing where the workflow named the model."""
    found = summary.get("choice")
    return str(found.get("text", "")) if isinstance(found, Mapping) else ""


def _cautions(summary: Mapping[str, Any]) -> list[str]:
    """What the run said before its map is used; older runs said nothing."""
    found = summary.get("cautions", ())
    return [str(one) for one in found] if isinstance(found, list) else []


def render_batch(run: RunData, batch: Batch) -> str:
    """A further page of hydrographs as HTML."""
    return _environment().get_template("hydrographs.html.j2").render(
        name=run.name, documents=batch, back="../report.html", **_frame_of_page()
    )  # fmt: skip


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def _frame_of_page() -> dict[str, Any]:
    """Scripts, style and policy, as they stand in the page."""
    return {
        "policy": Markup(policy()),
        "style": Markup(style()),
        "scripts": [Markup(script.text) for script in scripts()],
    }


def celerity_caption(page: Page) -> str:
    """What the map shows, in words."""
    run = page.run
    by = "upstream area" if "upstream_area_m2" in run.network.attributes else "the number of reaches upstream"
    text = f"Lines widen with {by}. "
    grey = int(np.count_nonzero(~run.informed))
    if grey:
        text += f"The {grey:,} reaches in grey are upstream of no training gauge: they follow what all reaches share. "
    pale = int(np.count_nonzero(hardly_told(run)))
    if pale:
        text += (
            f"The {pale:,} pale ones are upstream of one, but the observations say hardly more about them than was "
            f"assumed (identifiability below {HARDLY:g}). "
        )
    return text + page.frame.note


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
