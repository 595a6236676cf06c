"""How sure the estimate is: maps of it, coverage of a known truth, and what they cannot tell, in words.

Reaches that no training gauge informs are grey on every map; those that gauges hardly tell anything about are pale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.ticker import FixedLocator, FuncFormatter
from numpy.typing import NDArray

from rivergrad.report.frame import Frame
from rivergrad.report.maps import log_scale, river_panel
from rivergrad.report.measured import held_on_twins
from rivergrad.report.scores import spearman
from rivergrad.report.style import Panel, Theme
from rivergrad.rundir.reading import RunData
from rivergrad.rundir.verdict import number

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

HARDLY, WELL = 0.1, 0.5
"""Identifiability below which a reach is hardly told apart from what was assumed, and from which it is well."""

QUANTILE_95 = 1.645
"""Standard deviations from the middle of a normal distribution to the ends of its 90 % interval."""

LEVEL, TOLERANCE = 0.9, 0.05
"""What the intervals promise to hold, and how far from it their coverage may be on a world with a known truth."""


def hardly_told(run: RunData) -> Bool:
    """(n,) reaches upstream of a training gauge about which the observations say next to nothing."""
    if run.identifiability is None:
        return np.zeros(run.network.n_reaches, bool)
    return run.informed & (run.identifiability < HARDLY)


def identifiability_panel(
    frame: Frame,
    identifiability: Float,
    informed: Bool,
    size: Float,
    faint: Bool | None = None,
    gauges: NDArray[np.int64] | None = None,
) -> Panel:
    """A map of identifiability (n,): 0 is nothing but what was assumed, 1 is nothing but the observations.

    `faint` (n,) are informed reaches that are nearly grey, as on the map of celerity; `gauges` (g,) are positions of
    reaches where a ring marks a gauge.
    """

    def scale(theme: Theme) -> tuple[Normalize, Float]:
        return Normalize(0.0, 1.0), np.linspace(0.0, 1.0, 6)

    return river_panel(
        frame, identifiability, informed & np.isfinite(identifiability), size,
        title="Identifiability", label="share of the prior variance removed",
        scale=scale, colours=lambda theme: theme.sureness_colours(), faint=faint, gauges=gauges,
    )  # fmt: skip


def uncertainty_panel(
    frame: Frame,
    log_sd: Float,
    informed: Bool,
    size: Float,
    faint: Bool | None = None,
    gauges: NDArray[np.int64] | None = None,
) -> Panel:
    """A map of the factor by which celerity may be off either way at 90 %, from the deviation of its logarithm (n,).

    `faint` (n,) are informed reaches that are nearly grey: a narrow interval there was assumed, not observed. For
    `gauges` see `identifiability_panel`.
    """
    factor = np.exp(QUANTILE_95 * log_sd)
    known = informed & np.isfinite(factor)
    return river_panel(
        frame, factor, known, size,
        title="Uncertainty of celerity", label="factor either way, nominal 90 % interval",
        scale=lambda theme: log_scale(factor[known]),
        colours=lambda theme: theme.sureness_colours().reversed(), faint=faint, gauges=gauges,
    )  # fmt: skip


@dataclass(frozen=True)
class Coverage:
    """How many true values of a class of reaches lie within their interval."""

    name: str
    inside: int
    reaches: int

    @property
    def share(self) -> float:
        """`inside` over `reaches`."""
        return self.inside / self.reaches


def coverage(run: RunData) -> list[Coverage]:
    """Coverage of the true celerity by its 90 % interval: of all reaches, then by class; empty classes are left out.

    Empty where the truth or the interval is not known.
    """
    if run.true_celerity is None or run.celerity_lower is None or run.celerity_upper is None:
        return []
    known = np.isfinite(run.true_celerity) & np.isfinite(run.celerity_lower) & np.isfinite(run.celerity_upper)
    inside = (run.celerity_lower <= run.true_celerity) & (run.true_celerity <= run.celerity_upper)
    classes = {"all reaches": known}
    if run.identifiability is not None:
        told = run.identifiability
        classes |= {
            f"identifiability\n{WELL:g} or more": run.informed & (told >= WELL),
            f"identifiability\n{HARDLY:g} to {WELL:g}": run.informed & (told >= HARDLY) & (told < WELL),
            f"identifiability\nbelow {HARDLY:g}": run.informed & (told < HARDLY),
        }
    classes["upstream of\nno gauge"] = ~run.informed
    return [
        Coverage(name, int(np.count_nonzero(known & inside & chosen)), int(np.count_nonzero(known & chosen)))
        for name, chosen in classes.items()
        if (known & chosen).any()
    ]


@dataclass(frozen=True, eq=False)
class Truth:
    """A run beside the known truth: celerity of informed reaches (m,), rank correlations, and coverage.

    `well` is the number of reaches that are well identified and the rank correlation over them, where known.
    """

    true: Float
    estimate: Float
    spearman: float
    well: tuple[int, float] | None
    covered: list[Coverage]

    def words(self) -> str:
        """How the estimate compares with the truth, a sentence or two."""
        text = (
            "The observations of this run were made with a known celerity of every reach: Spearman's rank correlation "
            f"of estimate and truth is {number(self.spearman)} over the reaches that a training gauge informs"
        )
        if self.well is not None:
            reaches, value = self.well
            text += f", and {number(value)} over the {reaches:,} of them with an identifiability of {WELL:g} or more"
        if self.covered:
            text += (
                f". {100 * self.covered[0].share:.0f} % of the true celerities lie within their nominal 90 % interval; "
                "85 to 95 % would be as it should"
            )
        return text + "."


def truth_of(run: RunData) -> Truth | None:
    """The run beside its truth; None where that is not known."""
    if run.true_celerity is None:
        return None
    both = run.informed & np.isfinite(run.celerity) & (run.celerity > 0) & (run.true_celerity > 0)
    well = None
    if run.identifiability is not None:
        chosen = both & (run.identifiability >= WELL)
        value = spearman(run.true_celerity[chosen], run.celerity[chosen])
        well = (int(np.count_nonzero(chosen)), value) if np.isfinite(value) else None
    true, estimate = run.true_celerity[both], run.celerity[both]
    return Truth(true, estimate, spearman(true, estimate), well, coverage(run))


def coverage_panel(found: list[Coverage]) -> Panel:
    """A panel with the share of true values within their interval, a bar a class, beside what it should be."""

    def draw(axes: Axes, theme: Theme) -> None:
        place = np.arange(len(found))[::-1].astype(np.float64)
        axes.axvspan(
            LEVEL - TOLERANCE, LEVEL + TOLERANCE, color=theme.uniform, alpha=0.18, linewidth=0, zorder=1
        )
        axes.axvline(LEVEL, color=theme.uniform, linewidth=1.0, linestyle=(0, (4, 3)), zorder=4)
        axes.barh(
            place, [one.share for one in found], height=0.52, color=theme.estimate, linewidth=0, zorder=3
        )
        for y, one in zip(place.tolist(), found, strict=True):
            axes.annotate(
                f"{100 * one.share:.0f} % of {one.reaches:,}", (0.0, y), (5, 0), textcoords="offset points",
                va="center", color=theme.page, fontsize=9, zorder=5,
            )  # fmt: skip
        axes.set_yticks(place, [one.name for one in found], fontsize=8.5)
        axes.set_xlim(0.0, 1.0)
        axes.xaxis.set_major_locator(FixedLocator([0.0, 0.3, 0.6, 0.9]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
        axes.grid(True, axis="x", linewidth=0.6, color=theme.grid, zorder=0)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        axes.spines["left"].set_visible(False)
        axes.set_title("Truth within the nominal 90 % interval")

    return draw


def limits(run: RunData) -> list[str]:
    """What the map cannot tell, a sentence or two each, in words for whoever reads it."""
    n, grey, pale = run.network.n_reaches, ~run.informed, hardly_told(run)
    found = []
    if grey.any():
        count = int(np.count_nonzero(grey))
        found.append(
            f"{count:,} of {n:,} reaches ({100 * count / n:.0f} %, grey) are upstream of no training gauge. "
            "No observation speaks of them: their celerity is what reaches like them have elsewhere."
        )
    if run.identifiability is not None:
        well = np.count_nonzero(run.informed & (run.identifiability >= WELL))
        found.append(
            f"Of the {np.count_nonzero(run.informed):,} reaches upstream of a training gauge, {well:,} are well "
            f"identified ({WELL:g} or more) and {np.count_nonzero(pale):,} hardly (below {HARDLY:g}, pale): "
            "there the map shows what was assumed before any observation."
        )
    else:
        found.append("This run has no uncertainty: nothing here says how sure the celerity of a reach is.")
    found.append(
        "A gauge sees the travel time from all reaches above it, taken together. How it is shared among the "
        "reaches between two gauges rests on the assumption that similar reaches are alike; it is not measured."
    )
    if run.celerity_log_sd is not None:
        found.append(
            f"The 90 % of the intervals is nominal. {held_on_twins(run)} They take the scheme, the runoff and the "
            "errors of the observations to be as assumed. Runoff that comes too early or too late moves celerity, "
            "and no interval shows that."
        )
    found.append(
        "Celerity is one number a reach for all times: low and high flow, ice, backwater and reservoirs are not in it."
    )
    return found
