"""Make the report of a run from its directory, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from rivergrad.io.atomic import atomic_path
from rivergrad.report.charts import history_panels, hydrograph_panel, truth_panel
from rivergrad.report.frame import Frame, river_size
from rivergrad.report.geographic import GeographicFrame
from rivergrad.report.maps import celerity_panel, skill_panel
from rivergrad.report.page import Shot, render_page
from rivergrad.report.schematic import SchematicFrame
from rivergrad.report.scores import GaugeScores, chosen_gauges, gauge_scores
from rivergrad.report.style import DARK, LIGHT, Panel, Theme, picture, side_by_side
from rivergrad.report.uncertainty import (
    HARDLY,
    Truth,
    coverage_panel,
    hardly_told,
    identifiability_panel,
    truth_of,
    uncertainty_panel,
)
from rivergrad.rundir.contents import MAPS, REPORT, from_before
from rivergrad.rundir.reading import RunData, read_run
from rivergrad.rundir.written import record_of

GENERATED = "generated"  # run.json summary["world"] of a run on a world made from a seed
MAP_WIDTH, WORLD_WIDTH, HALF_MAP_WIDTH = 9.0, 12.0, 5.8  # inches
WORLD_SHAPE = 1.9  # width over height from which a map is set out as one of the world
MAX_HEIGHT = 6.2  # inches
CHART, SMALL_CHART = (5.0, 3.1), (4.0, 3.2)  # inches


def write_report(run_dir: Path) -> Path:
    """Write report.html and maps/{celerity,skill,hydrographs}.png of a finished run; return the page's path.

    A run with uncertainty also has maps/{identifiability,uncertainty}.png, and where the truth is known coverage.png.
    The same run directory gives the same bytes. Errors: InputError naming the file that is missing or wrong.
    """
    run = read_run(Path(run_dir))
    with record_of(run.folder, make=from_before(run.folder)):
        return _write_report(run)


def _write_report(run: RunData) -> Path:
    frame = frame_of(run)
    size = river_size(run.network)

    wide = frame.shape > WORLD_SHAPE
    kind = "schematic of the network" if frame.schematic else "map"
    celerity = celerity_panel(frame, run.celerity, run.informed, size, "Estimated celerity", hardly_told(run))
    celerity_shot = _shot(
        celerity,
        _map_size(frame, WORLD_WIDTH if wide else MAP_WIDTH),
        alt=f"A {kind} with the estimated celerity of every reach in metres per second.",
        caption=_celerity_caption(run, frame),
    )
    half_width = MAP_WIDTH if wide else HALF_MAP_WIDTH
    scores = gauge_scores(run)
    sureness = {
        name: _shot(panel, _map_size(frame, half_width), alt=f"A {kind}: {text}", caption=text)
        for name, panel, text in _sureness_panels(run, frame, size, scores)
    }
    skill = _skill_panels(frame, size, scores)
    skill_shots = [
        _shot(panel, _map_size(frame, half_width), alt=f"A {kind}: {text}", caption=text)
        for panel, text in skill
    ]
    shown = chosen_gauges(run, scores)
    hydrograph_shots = [
        _shot(
            hydrograph_panel(run.hydrographs, one.gauge, one.subtitle),
            CHART,
            alt=f"Hydrograph of {run.hydrographs.gauge[one.gauge]}: {one.subtitle}.",
        )
        for one in shown
    ]
    truth = truth_of(run)
    training = _training_shots(run, truth)
    if truth is not None and truth.covered:
        sureness["coverage"] = training[-1]
    page = render_page(
        run,
        celerity=celerity_shot,
        uncertainty=[shot for name, shot in sureness.items() if name != "coverage"],
        skill=skill_shots,
        skill_in_pairs=not wide,
        hydrographs=hydrograph_shots,
        training=training,
        truth=truth,
    )

    maps = run.folder / MAPS
    _write(maps / "celerity.png", celerity_shot.light_png)
    for name, shot in sureness.items():
        _write(maps / f"{name}.png", shot.light_png)
    _write(maps / "skill.png", side_by_side([shot.light_png for shot in skill_shots], 1 if wide else 2))
    light = [shot.light_png for shot in hydrograph_shots] or [picture(_no_gauges, LIGHT, CHART)]
    _write(maps / "hydrographs.png", side_by_side(light, 2))
    return _write(run.folder / REPORT, page.encode("utf-8"))


def _training_shots(run: RunData, truth: Truth | None) -> list[Shot]:
    """The course of the training; on a known truth the estimate against it, and last how the intervals cover it."""
    best_step = run.summary.get("best_step")
    shots = [
        _shot(panel, SMALL_CHART, alt=alt)
        for panel, alt in zip(
            history_panels(run.history, best_step if isinstance(best_step, (int, float)) else None),
            ("Training loss by optimisation step.", "Validation NSE by optimisation step."),
            strict=True,
        )
    ]
    if truth is not None and truth.true.size:
        panel = truth_panel(truth.true, truth.estimate, truth.spearman)
        shots.append(_shot(panel, SMALL_CHART, alt="Estimated against true celerity of informed reaches."))
    if truth is not None and truth.covered:
        panel = coverage_panel(truth.covered)
        shots.append(_shot(panel, SMALL_CHART, alt="Share of true celerities within their 90 % interval."))
    return shots


def frame_of(run: RunData) -> Frame:
    """The map of a run whose network has positions, or else a schematic of its tree."""
    if run.lat is None or run.lon is None:
        return SchematicFrame(run.network)
    real = run.summary.get("world") != GENERATED
    return GeographicFrame(run.network, run.lat, run.lon, land=real, terrain=None if real else run.terrain)


def _skill_panels(frame: Frame, size: NDArray[np.float64], scores: GaugeScores) -> list[tuple[Panel, str]]:
    """The two panels about skill and what each of them shows."""
    when = "held-out time" if scores.in_held_out_time else "training time"
    place = (frame, size, scores.position)
    nse = skill_panel(*place, scores.nse, scores.held_out, "Skill of the estimate", f"NSE in {when}")
    gain = scores.nse - scores.nse_uniform
    change = skill_panel(
        *place, gain, scores.held_out, "Gain over the best uniform celerity", "change of NSE", change=True
    )
    known = gain[np.isfinite(gain)]
    gauges = "gauge" if known.size == 1 else "gauges"
    better = (
        f"better at {np.count_nonzero(known > 0)} of {known.size} {gauges}" if known.size else "no scores"
    )
    return [
        (nse, f"NSE of the estimate at each gauge in {when}; values below 0 have the colour of 0."),
        (change, f"NSE of the estimate minus that of the best uniform celerity, in {when}: {better}."),
    ]


def _sureness_panels(
    run: RunData, frame: Frame, size: NDArray[np.float64], scores: GaugeScores
) -> list[tuple[str, Panel, str]]:
    """The maps of how sure the estimate is: file name, panel and what each of them shows."""
    found = []
    marked = hardly_told(run), scores.position[~scores.held_out & np.isfinite(scores.nse)]
    if run.identifiability is not None:
        found.append(
            (
                "identifiability",
                identifiability_panel(frame, run.identifiability, run.informed, size, *marked),
                "How much of the variance assumed beforehand the observations removed: at 1 all that is known comes "
                "from them, at 0 nothing does.",
            )
        )
    if run.celerity_log_sd is not None:
        found.append(
            (
                "uncertainty",
                uncertainty_panel(frame, run.celerity_log_sd, run.informed, size, *marked),
                "The nominal 90 % interval goes from the estimate divided by this factor to the estimate multiplied by "
                "it: 1.2 is about ±20 %, 2 is from half to double. On twins, where the truth is known, such intervals "
                "held 79 to 95 % of the true celerities, fewest after Adam. A pale reach shows what was assumed "
                "beforehand. Near the bounds of celerity the factor is too small.",
            )
        )
    return found


def _celerity_caption(run: RunData, frame: Frame) -> str:
    by = "upstream area" if "upstream_area_m2" in run.network.attributes else "the number of reaches upstream"
    grey = int(np.count_nonzero(~run.informed))
    text = f"Lines widen with {by}. "
    if grey:
        text += f"The {grey:,} reaches in grey are upstream of no training gauge: they follow what all reaches share. "
    pale = int(np.count_nonzero(hardly_told(run)))
    if pale:
        text += (
            f"The {pale:,} pale ones are upstream of one, but the observations say hardly more about them than was "
            f"assumed (identifiability below {HARDLY:g}). "
        )
    return text + frame.note


def _map_size(frame: Frame, width: float) -> tuple[float, float]:
    """Size in inches of a map `width` wide, with room for its title, colour bar and legend."""
    drawing = min(width - 1.55, MAX_HEIGHT * frame.shape)
    legend = 0.2 if width < MAP_WIDTH else 0.0  # on two lines
    return max(drawing + 1.55, 4.5), drawing / frame.shape + 0.85 + legend


def _shot(panel: Panel, size: tuple[float, float], *, alt: str, caption: str = "") -> Shot:
    return Shot(picture(panel, LIGHT, size), picture(panel, DARK, size), alt, caption)


def _no_gauges(axes: Axes, theme: Theme) -> None:
    axes.set_axis_off()
    axes.annotate("No gauge has observations.", (0.5, 0.5), ha="center", color=theme.muted)


def _write(path: Path, content: bytes) -> Path:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return path
