"""Make the report of a run from its directory, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from rivergrad import registry
from rivergrad.documents import read_text
from rivergrad.errors import InputError
from rivergrad.io.atomic import atomic_path
from rivergrad.report.page import Shot, render_page
from rivergrad.report.panels import CHART, Page
from rivergrad.report.style import LIGHT, Theme, picture, side_by_side
from rivergrad.rundir.contents import MAPS, REPORT, from_before
from rivergrad.rundir.reading import RunData, read_run
from rivergrad.rundir.written import record_of

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
"""The panels that have a place of their own on the page. All others follow them."""


def write_report(run_dir: Path) -> Path:
    """Write report.html and maps/{celerity,skill,hydrographs}.png of a finished run; return the page's path.

    A run with uncertainty also has maps/{identifiability,uncertainty}.png, and where the truth is known coverage.png.
    The same run directory gives the same bytes. Errors: InputError naming the file that is missing or wrong.
    """
    run = read_run(Path(run_dir))
    with record_of(run.folder, make=from_before(run.folder)):
        return _write_report(run)


def _write_report(run: RunData) -> Path:
    page = Page(run)
    own = {entry.name: entry.load()(page) for entry in registry.entries("panel") if not entry.outside}
    further = {name: own[name] for name in own if name not in PLACED}
    further |= {name: _pictures(name, page) for name in _further(run)}
    html = render_page(
        run,
        celerity=own["celerity"][0],
        uncertainty=[*own["identifiability"], *own["uncertainty"]],
        skill=own["skill"],
        skill_in_pairs=not page.wide,
        hydrographs=own["hydrographs"],
        further=[shot for shots in further.values() for shot in shots],
        training=[*own["training"], *own["truth"], *own["coverage"]],
        truth=page.truth,
    )
    _write_maps(run.folder / MAPS, own, page.wide)
    for name, shots in further.items():
        if shots:
            light = [shot.light_png for shot in shots]
            _write(run.folder / MAPS / f"panel-{name.rpartition(':')[2]}.png", side_by_side(light, 2))
    return _write(run.folder / REPORT, html.encode("utf-8"))


def _write_maps(folder: Path, shots: Mapping[str, Sequence[Shot]], wide: bool) -> None:
    """The pictures of rivergrad's own panels, a file each, but for the course of the training."""
    for name in ("celerity", "identifiability", "uncertainty", "coverage"):
        for shot in shots[name]:
            _write(folder / f"{name}.png", shot.light_png)
    _write(folder / "skill.png", side_by_side([shot.light_png for shot in shots["skill"]], 1 if wide else 2))
    light = [shot.light_png for shot in shots["hydrographs"]] or [picture(_no_gauges, LIGHT, CHART)]
    _write(folder / "hydrographs.png", side_by_side(light, 2))


def _further(run: RunData) -> list[str]:
    """The panels that the workflow names in `report.panels`, found where its run found them."""
    registry.search_in(*run.modules)
    section = read_text(run.config, run.folder / "config.yaml").get("report")
    names = section.get("panels") if isinstance(section, dict) else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _pictures(name: str, page: Page) -> Sequence[Shot]:
    """What a panel of the user's own draws.

    Raises:
        InputError: it raises something, or gives something else than pictures.
    """
    panel = registry.load("panel", name)
    try:
        found = list(panel(page))
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
