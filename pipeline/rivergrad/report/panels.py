"""The panels of the report: functions of a `Page` that return a list of pictures (`Page.shot`).

A panel of your own is a function with the same argument. Name it in the workflow key `report.panels`. The report shows
it after rivergrad's own panels. A panel without anything to show returns an empty list:

    def loss_by_step(page):
        def draw(axes, theme):
            axes.plot(page.run.history["step"], page.run.history["loss"], color=theme.ink)

        return [page.shot(draw, alt="Loss by step.", caption="How the loss fell.")]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError
from rivergrad.gauges.sizes import river_size
from rivergrad.report.charts import history_panels, hydrograph_panel, truth_panel
from rivergrad.report.frame import Frame
from rivergrad.report.geographic import GeographicFrame
from rivergrad.report.maps import celerity_panel, skill_panel
from rivergrad.report.schematic import SchematicFrame
from rivergrad.report.scores import GaugeScores, chosen_gauges, gauge_scores
from rivergrad.report.shot import Shot
from rivergrad.report.style import Panel
from rivergrad.report.uncertainty import (
    Truth,
    coverage_panel,
    hardly_told,
    identifiability_panel,
    truth_of,
    uncertainty_panel,
)
from rivergrad.rundir.reading import RunData, methods_of

GENERATED = "generated"  # run.json summary["world"] of a run on a world made from a seed
MAP_WIDTH, WORLD_WIDTH, HALF_MAP_WIDTH = 9.0, 12.0, 5.8  # inches
WORLD_SHAPE = 1.9  # width over height from which a map is set out as one of the world
MAX_HEIGHT = 6.2  # inches
CHART, SMALL_CHART = (5.0, 3.1), (4.0, 3.2)  # inches


@dataclass(frozen=True, eq=False)
class Page:
    """What panels draw from.

    Attributes:
        run: the finished run, a `rivergrad.rundir.reading.RunData`. `run.metrics` and `run.history` are pandas tables
            (metrics.csv, history.csv), `run.celerity` is (reach,) m/s, and `run.network.attributes` maps a name such as
            `upstream_area_m2` to a (reach,) array in SI; which names it has depends on the network file.
    """

    run: RunData

    @cached_property
    def frame(self) -> Frame:
        """Where reaches are drawn: a map, or a schematic tree."""
        return frame_of(self.run)

    @cached_property
    def size(self) -> NDArray[np.float64]:
        """(reach,) upstream area in m², or the number of reaches upstream: what a river is drawn wider for."""
        return river_size(self.run.network)

    @cached_property
    def scores(self) -> GaugeScores:
        """The NSE of each gauge as arrays (gauge,), and the position of its reach in `run.network`."""
        return gauge_scores(self.run)

    @cached_property
    def truth(self) -> Truth | None:
        """The estimate against the truth, for twins."""
        return truth_of(self.run)

    @property
    def methods(self) -> tuple[str, ...]:
        """The baselines and the estimate, from the least to the most that was learnt."""
        return methods_of(self.run.metrics)

    @property
    def wide(self) -> bool:
        """Whether maps take the whole width of the page, one below the other, as those of the world do."""
        return self.frame.shape > WORLD_SHAPE

    @property
    def kind(self) -> str:
        """What a map is called: `map`, or `schematic of the network`."""
        return "schematic of the network" if self.frame.schematic else "map"

    def shot(self, panel: Panel, size: tuple[float, float] = CHART, *, alt: str, caption: str = "") -> Shot:
        """A picture; where the page shows it, it is drawn for a light and for a dark page.

        Args:
            panel: function `(axes, theme)` that draws on Matplotlib axes. `theme` gives colours as text: `ink` (lines
                and text), `muted`, `grid`, `observed` and others of `rivergrad.report.style.Theme`.
            size: width and height, inches.
            alt: what the picture shows, for readers who cannot see it.
            caption: a sentence below the picture.

        Returns:
            The picture, for the list that the panel returns.
        """
        return Shot(panel, size, alt, caption)

    def map_shot(self, panel: Panel, text: str) -> Shot:
        """A picture of a map of half the page's width, or of all of it where maps are wide."""
        width = MAP_WIDTH if self.wide else HALF_MAP_WIDTH
        return self.shot(panel, _map_size(self.frame, width), alt=f"A {self.kind}: {text}", caption=text)


def checked(found: Any, name: str) -> Any:
    """Check that a part is a panel, `page -> pictures`; the registry does so at first use.

    Raises:
        InputError: the part can't be called with a page.
    """
    if callable(found) and not isinstance(found, type):
        return found
    what = f"class {found.__name__}" if isinstance(found, type) else type(found).__name__
    raise InputError(
        f"expected a function of a page (see rivergrad.report.panels), found {what}", key="panel", found=name
    )


def celerity(page: Page) -> Sequence[Shot]:
    """The map of the estimated celerity."""
    run = page.run
    panel = celerity_panel(
        page.frame, run.celerity, run.informed, page.size, "Estimated celerity", hardly_told(run)
    )
    shot = page.shot(
        panel,
        _map_size(page.frame, WORLD_WIDTH if page.wide else MAP_WIDTH),
        alt=f"A {page.kind} with the estimated celerity of every reach in metres per second.",
    )
    return [shot]


def identifiability(page: Page) -> Sequence[Shot]:
    """The map of how much the observations told."""
    if page.run.identifiability is None:
        return []
    panel = identifiability_panel(
        page.frame, page.run.identifiability, page.run.informed, page.size, *_marked(page)
    )
    return [
        page.map_shot(
            panel,
            "How much of the variance assumed beforehand the observations removed: at 1 all that is known comes "
            "from them, at 0 nothing does.",
        )
    ]


def uncertainty(page: Page) -> Sequence[Shot]:
    """The map of how sure the celerity is."""
    if page.run.celerity_log_sd is None:
        return []
    panel = uncertainty_panel(
        page.frame, page.run.celerity_log_sd, page.run.informed, page.size, *_marked(page)
    )
    return [
        page.map_shot(
            panel,
            "The nominal 90 % interval goes from the estimate divided by this factor to the estimate times it: "
            "1.2 is about ±20 %, 2 is from half to double. Where a reach is pale, that is what was assumed "
            "beforehand. Where celerity comes near its bounds the factor is small, too, and promises too much.",
        )
    ]


def _marked(page: Page) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Reaches of which little is known, and the reaches of training gauges."""
    scores = page.scores
    return hardly_told(page.run), scores.position[~scores.held_out & np.isfinite(scores.nse)]


def skill(page: Page) -> Sequence[Shot]:
    """The maps of skill at the gauges and of the gain over a uniform celerity."""
    return [page.map_shot(panel, text) for panel, text in _skill_panels(page.frame, page.size, page.scores)]


def hydrographs(page: Page) -> Sequence[Shot]:
    """Observed and simulated discharge at some gauges."""
    series = page.run.hydrographs
    return [
        page.shot(
            hydrograph_panel(series, one.gauge, one.subtitle),
            alt=f"Hydrograph of {series.gauge[one.gauge]}: {one.subtitle}.",
        )
        for one in chosen_gauges(page.run, page.scores)
    ]


def training(page: Page) -> Sequence[Shot]:
    """The course of the training."""
    best_step = page.run.summary.get("best_step")
    panels = history_panels(page.run.history, best_step if isinstance(best_step, (int, float)) else None)
    words = ("Training loss by optimisation step.", "Validation NSE by optimisation step.")
    return [page.shot(panel, SMALL_CHART, alt=alt) for panel, alt in zip(panels, words, strict=True)]


def truth(page: Page) -> Sequence[Shot]:
    """The estimate against the true celerity, where that is known."""
    found = page.truth
    if found is None or not found.true.size:
        return []
    panel = truth_panel(found.true, found.estimate, found.spearman)
    return [page.shot(panel, SMALL_CHART, alt="Estimated against true celerity of informed reaches.")]


def coverage(page: Page) -> Sequence[Shot]:
    """How often the intervals hold the true celerity, where that is known."""
    found = page.truth
    if found is None or not found.covered:
        return []
    panel = coverage_panel(found.covered)
    return [page.shot(panel, SMALL_CHART, alt="Share of true celerities within their nominal 90 % interval.")]


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
        (
            nse,
            f"NSE of the estimate at each gauge in {when}; values beyond the scale have the colour of its end.",
        ),
        (change, f"NSE of the estimate minus that of the best uniform celerity, in {when}: {better}."),
    ]


def _map_size(frame: Frame, width: float) -> tuple[float, float]:
    """Size in inches of a map `width` wide, with room for its title, colour bar and legend."""
    drawing = min(width - 1.55, MAX_HEIGHT * frame.shape)
    legend = 0.2 if width < MAP_WIDTH else 0.0  # on two lines
    return max(drawing + 1.55, 4.5), drawing / frame.shape + 0.85 + legend
