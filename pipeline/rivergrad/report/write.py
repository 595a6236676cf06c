"""Make the report of a run from its directory, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from rivergrad import registry
from rivergrad.documents import read_text
from rivergrad.errors import InputError
from rivergrad.io.atomic import atomic_path
from rivergrad.report.fields import fields_of
from rivergrad.report.interactive.document import documents
from rivergrad.report.page import render_batch, render_page
from rivergrad.report.panels import CHART, Page
from rivergrad.report.shot import Shot
from rivergrad.report.style import LIGHT, Theme, picture, side_by_side
from rivergrad.rundir.contents import (
    CONFIG,
    DISCHARGE,
    FOLDS_TABLE,
    GAUGES,
    HISTORY,
    HYDROGRAPHS,
    INFO,
    MAPS,
    METRICS,
    PARAMETERS,
    REPORT,
    RUNOFF,
    SCREENING,
    from_before,
)
from rivergrad.rundir.reading import RunData, read_run
from rivergrad.rundir.written import record_of

DOWNLOADS = (
    PARAMETERS, METRICS, HYDROGRAPHS, GAUGES, SCREENING, FOLDS_TABLE, HISTORY, DISCHARGE, RUNOFF, CONFIG, INFO,
)  # fmt: skip
"""What the page links to, where the run directory has it."""

PLACED = (
    "celerity",
    "identifiability",
    "uncertainty",
    "skill",
    "hydrographs",
    "training",
    "truth",
    "coverage",
)
"""The panels that the page shows as charts and maps to explore. The pictures of all others are on the page."""


MAP_FORMATS = ("png", "pdf", "svg")


def write_report(run_dir: Path, maps: str = "png") -> Path:
    """Write report.html and the folder maps/ of a finished run; return the page's path.

    `maps` is the format of the pictures: `png`, or `pdf` or `svg` besides. Runs with more gauges than the page has room
    for get report-gauges/, further pages of hydrographs. The same run directory gives the same bytes.

    Errors: InputError naming the file that is missing or wrong.
    """
    if maps not in MAP_FORMATS:
        raise InputError(key="maps", found=maps, expected=f"one of {', '.join(MAP_FORMATS)}")
    run = read_run(Path(run_dir))
    with record_of(run.folder, make=from_before(run.folder)):
        return _write_report(run, maps)


def _write_report(run: RunData, kind: str) -> Path:
    page = Page(run)
    section = _section(run)
    found = documents(page, fields_of(page, _names(section, "fields")))
    own = {entry.name: entry.load()(page) for entry in registry.entries("panel") if not entry.outside}
    further = {name: own[name] for name in own if name not in PLACED}
    further |= {name: _pictures(name, page) for name in _names(section, "panels")}
    written = _write_maps(run.folder / MAPS, own, page.wide)
    for name, shots in further.items():
        if shots:
            light = [shot.light_png for shot in shots]
            path = run.folder / MAPS / f"panel-{name.rpartition(':')[2]}.png"
            written.append(_write(path, side_by_side(light, 2)))
    if kind != "png":
        written += _write_vectors(run.folder / MAPS, {**own, **further}, kind)
    for batch in found.batches:
        _write(run.folder / batch.name, render_batch(run, batch).encode("utf-8"))
    files = [name for name in DOWNLOADS if (run.folder / name).exists()]
    files += [path.relative_to(run.folder).as_posix() for path in written]
    html = render_page(page, found, [shot for shots in further.values() for shot in shots], files)
    return _write(run.folder / REPORT, html.encode("utf-8"))


def _write_maps(folder: Path, shots: Mapping[str, Sequence[Shot]], wide: bool) -> list[Path]:
    """The pictures of rivergrad's own panels, a file each, but for the course of the training."""
    written = []
    for name in ("celerity", "identifiability", "uncertainty", "coverage"):
        for shot in shots[name]:
            written.append(_write(folder / f"{name}.png", shot.light_png))
    skill = side_by_side([shot.light_png for shot in shots["skill"]], 1 if wide else 2)
    written.append(_write(folder / "skill.png", skill))
    light = [shot.light_png for shot in shots["hydrographs"]] or [picture(_no_gauges, LIGHT, CHART)]
    written.append(_write(folder / "hydrographs.png", side_by_side(light, 2)))
    return written


def _write_vectors(folder: Path, shots: Mapping[str, Sequence[Shot]], kind: str) -> list[Path]:
    """The pictures of all panels as PDF or SVG, a file each; a panel of several pictures numbers them."""
    written = []
    for name, own in shots.items():
        stem = name.rpartition(":")[2]
        for number, shot in enumerate(own, 1):
            path = folder / (f"{stem}.{kind}" if len(own) == 1 else f"{stem}-{number}.{kind}")
            written.append(_write(path, shot.file(kind)))
    return written


def _section(run: RunData) -> Mapping[str, Any]:
    """`report` of the workflow; what it names is found where its run found it."""
    registry.search_in(*run.modules)
    section = read_text(run.config, run.folder / "config.yaml").get("report")
    return section if isinstance(section, dict) else {}


def _names(section: Mapping[str, Any], key: str) -> list[str]:
    names = section.get(key)
    return [str(name) for name in names] if isinstance(names, list) else []


def _pictures(name: str, page: Page) -> Sequence[Shot]:
    """What a panel of the user's own draws.

    Raises:
        InputError: it raises something, or gives something else than pictures.
    """
    panel = registry.load("panel", name)
    try:
        found = list(panel(page))
        for shot in found:
            if isinstance(shot, Shot):
                _ = shot.light_png, shot.dark_png  # drawn here, where a mistake is the panel's
    except InputError:
        raise
    except Exception as error:  # whatever a user's function does
        said = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(f"can't be drawn: {said}", key="panel", found=name) from error
    if not all(isinstance(shot, Shot) for shot in found):
        raise InputError("expected a list of what page.shot(...) gives", key="panel", found=name)
    return found


def _no_gauges(axes: Axes, theme: Theme) -> None:
    axes.set_axis_off()
    axes.annotate("No gauge has observations.", (0.5, 0.5), ha="center", color=theme.muted)


def _write(path: Path, content: bytes) -> Path:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return path
