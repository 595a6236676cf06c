"""The charts: hydrographs, the course of the training, and the estimate against a known truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from rivergrad.report.maps import log_ticks
from rivergrad.report.style import Panel, Theme, plain_text
from rivergrad.rundir.reading import Hydrographs

Float = NDArray[np.float64]

YEAR = np.timedelta64(365, "D")
MANY_POINTS = 800  # observations in a panel from which dots would merge into a band


def hydrograph_panel(hydrographs: Hydrographs, gauge: int, subtitle: str) -> Panel:
    """A panel with one year at one gauge (by its position): observed, estimate and best uniform."""
    start, stop = best_year(hydrographs.time, hydrographs.discharge["observed"][:, gauge])
    time = date2num(hydrographs.time[start:stop])
    series = {name: values[start:stop, gauge] for name, values in hydrographs.discharge.items()}

    def draw(axes: Axes, theme: Theme) -> None:
        axes.plot(
            time, series["uniform"], color=theme.uniform, linewidth=0.9, label="best uniform", zorder=3.5
        )
        axes.plot(time, series["estimate"], color=theme.estimate, linewidth=1.8, label="estimate", zorder=3)
        few = np.count_nonzero(np.isfinite(series["observed"])) <= MANY_POINTS
        axes.plot(
            time, series["observed"], color=theme.observed, label="observed", zorder=4,
            linestyle="" if few else "-", marker="o" if few else "",
            markersize=2.1, markeredgewidth=0, linewidth=0.8,
        )  # fmt: skip
        axes.set_title(plain_text(hydrographs.gauge[gauge]), parse_math=False, pad=19)
        axes.annotate(
            subtitle, (0.0, 1.0), (0, 6), xycoords="axes fraction", textcoords="offset points",
            color=theme.muted, fontsize=9, parse_math=False,
        )  # fmt: skip
        top = axes.get_ylim()[1]
        axes.set_ylim(0.0, top * 1.16)  # room for the legend, and no grid line through it
        axes.margins(x=0.01)
        axes.set_ylabel("m³/s")
        locator = AutoDateLocator(minticks=4, maxticks=7)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
        ticks = np.asarray(MaxNLocator(4).tick_values(0.0, top), dtype=np.float64)
        axes.yaxis.set_major_locator(FixedLocator(ticks[ticks <= top].tolist()))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        _tidy(axes, theme)
        axes.legend(
            loc="upper right",
            ncols=3,
            handlelength=1.5,
            markerscale=1.6,
            borderaxespad=0.0,
            columnspacing=1.2,
        )

    return draw


def best_year(time: NDArray[np.datetime64], observed: Float) -> tuple[int, int]:
    """The last year of a record with at least 80 % of the observations of its fullest year: (start, stop).

    Years are counted back from the end of the record; a record shorter than a year is shown whole.
    """
    if time.size == 0 or time[-1] - time[0] <= YEAR:
        return 0, int(time.size)
    ends = np.arange(time[-1], time[0] + YEAR // 2, -YEAR)
    windows = [tuple(np.searchsorted(time, [end - YEAR, end], side="right").tolist()) for end in ends]
    counts = [int(np.count_nonzero(np.isfinite(observed[start:stop]))) for start, stop in windows]
    chosen = next(i for i, count in enumerate(counts) if count >= 0.8 * max(counts))
    return windows[chosen]


def history_panels(history: pd.DataFrame, best_step: float | None) -> list[Panel]:
    """Panels with the training loss and the validation NSE by optimisation step."""
    step = history["step"].to_numpy(dtype=np.float64)

    def draw(column: str, title: str, label: str, *, rises: bool) -> Panel:
        values = history[column].to_numpy(dtype=np.float64)
        seen = np.isfinite(values) & np.isfinite(step)

        def panel(axes: Axes, theme: Theme) -> None:
            marker = "o" if seen.sum() <= 40 else ""
            axes.plot(
                step[seen], values[seen], color=theme.estimate, linewidth=1.5, marker=marker, markersize=3
            )
            if column == "loss" and seen.any() and values[seen].max() > 8 * values[seen].min() > 0:
                _log_axis(axes.yaxis, log_ticks(float(values[seen].min()), float(values[seen].max())))
            if best_step is not None and seen.any():
                axes.axvline(best_step, color=theme.uniform, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
                right = best_step > (step[seen].min() + step[seen].max()) / 2
                axes.annotate(
                    f"kept: step {best_step:g}",
                    (best_step, 0.03 if rises else 0.97),
                    (-5 if right else 5, 0),
                    xycoords=("data", "axes fraction"),
                    textcoords="offset points",
                    ha="right" if right else "left",
                    va="bottom" if rises else "top",
                    color=theme.uniform,
                    fontsize=9,
                )
            axes.set_title(title)
            axes.set_xlabel("optimisation step")
            axes.set_ylabel(label)
            axes.margins(x=0.02)
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            _tidy(axes, theme)

        return panel

    return [
        draw("loss", "Training loss", "loss", rises=False),
        draw("validation_nse", "Score on the validation data", "score", rises=True),
    ]


def truth_panel(true: Float, estimate: Float, spearman: float) -> Panel:
    """A panel with estimated against true celerity (m/s) of the reaches given, both axes logarithmic."""
    low, high = float(np.r_[true, estimate].min()) / 1.08, float(np.r_[true, estimate].max()) * 1.08
    ticks = log_ticks(low, high)

    def draw(axes: Axes, theme: Theme) -> None:
        axes.plot([low, high], [low, high], color=theme.muted, linewidth=1.0, linestyle=(0, (4, 3)), zorder=2)
        area = float(np.clip(9000.0 / max(true.size, 1), 3.0, 26.0))
        axes.scatter(true, estimate, s=area, color=theme.estimate, alpha=0.4, linewidths=0, zorder=3)
        for axis in (axes.xaxis, axes.yaxis):
            _log_axis(axis, ticks)
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        axes.set_aspect("equal")
        axes.set_title("Estimated against true celerity")
        axes.set_xlabel("true (m/s)")
        axes.set_ylabel("estimated (m/s)")
        axes.annotate(
            f"Spearman {spearman:.3f}\n{true.size:,} informed reaches", (0.04, 0.96),
            xycoords="axes fraction", va="top", linespacing=1.5,
        )  # fmt: skip
        _tidy(axes, theme)
        axes.grid(True, axis="x", linewidth=0.6)

    return draw


def _log_axis(axis: XAxis | YAxis, ticks: Float) -> None:
    """A logarithmic axis with these ticks, written as plain numbers."""
    (axis.axes.set_xscale if axis.axis_name == "x" else axis.axes.set_yscale)("log")
    axis.set_major_locator(FixedLocator(ticks.tolist()))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))


def _tidy(axes: Axes, theme: Theme) -> None:
    axes.grid(True, axis="y", linewidth=0.6, color=theme.grid, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_color(theme.muted)
