"""The maps: estimated celerity along the rivers, and skill at the gauges."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, FuncNorm, LogNorm, Normalize, to_rgba
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from rivergrad.report.frame import Frame
from rivergrad.report.style import Panel, Theme

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]

TRAIN_MARKER, HELD_OUT_MARKER = "o", "D"
FADE = 0.72  # of a colour, towards grey, where the observations hardly tell anything
LETTER, HANDLE, MARGIN = 0.072, 0.45, 0.5  # inches: of a legend's letter, of its line, beside the legend
MOST_DRAWN = 150_000  # lines of a picture, the widest ones: more are finer than its pixels
MAX_IN_PATH = 4000  # lines: longer paths overflow the rasteriser


def celerity_panel(
    frame: Frame, celerity: Float, informed: Bool, size: Float, title: str, faint: Bool | None = None
) -> Panel:
    """A panel with the celerity (n,) in m/s of every informed reach; the others in grey, beneath.

    `size` (n,) is what the width of a line grows with (`rivergrad.gauges.sizes.river_size`);
    `faint` (n,) are informed reaches that the observations hardly tell anything about: their colour is nearly grey.
    """
    known = informed & np.isfinite(celerity) & (celerity > 0)
    return river_panel(
        frame, celerity, known, size,
        title=title, label="celerity (m/s)",
        scale=lambda theme: log_scale(celerity[known]), colours=lambda theme: theme.river_colours(), faint=faint,
    )  # fmt: skip


def river_panel(
    frame: Frame,
    value: Float,
    known: Bool,
    size: Float,
    *,
    title: str,
    label: str,
    scale: Callable[[Theme], tuple[Normalize, Float]],
    colours: Callable[[Theme], Colormap],
    faint: Bool | None = None,
    gauges: NDArray[np.int64] | None = None,
) -> Panel:
    """A panel with a value (n,) along the rivers; reaches that are not `known` in grey, beneath.

    Args:
        frame, size: see `celerity_panel`; so is `faint`, which applies to known reaches.
        title, label: of the panel and of its colour bar.
        scale: the norm of the colours and the ticks on them.
        colours: of a theme.
        gauges: (g,) positions of the reaches of gauges to mark.
    """

    def draw(axes: Axes, theme: Theme) -> None:
        norm, ticks = scale(theme)
        palette = colours(theme)
        frame.prepare(axes, theme)
        width = line_widths(size, frame.line_reach.size)
        colour = palette(norm(np.where(known, value, 1.0)))
        pale = known & faint if faint is not None else np.zeros(known.size, bool)
        colour[pale] = _faded(colour[pale], theme)
        _draw_rivers(axes, frame, ~known, 0.6 * width, theme.uninformed, zorder=2)
        _draw_rivers(axes, frame, pale, 0.8 * width, colour, zorder=2.5)
        _draw_rivers(axes, frame, known & ~pale, width, colour, zorder=3)
        axes.set_title(title, parse_math=False)
        _colour_bar(axes, frame, norm, palette, ticks, label, theme, values=value[known])
        handles: list[tuple[Any, str]] = []
        if (known & ~pale).any():
            handles.append((palette(0.5), "upstream of a training gauge"))
        if pale.any():
            handles.append((_faded(np.array([palette(0.5)]), theme)[0], "the same, hardly identified"))
        if not known.all():
            handles.append((theme.uninformed, "informed by no training gauge"))
        lines = [Line2D([], [], color=one, linewidth=2, label=name) for one, name in handles]
        if gauges is not None and gauges.size:
            lines.append(_mark_gauges(axes, frame.points(gauges), theme))
        _legend_below(axes, frame, lines)

    return draw


def _mark_gauges(axes: Axes, xy: Float, theme: Theme) -> Line2D:
    """Small rings at gauges (g, 2), the smaller the more there are; what to say of them in the legend."""
    look: dict[str, Any] = {
        "linestyle": "", "marker": TRAIN_MARKER, "markersize": float(np.clip(26.0 / max(len(xy), 1) ** 0.5, 1.6, 4.2)),
        "markerfacecolor": theme.page, "markeredgecolor": theme.ink, "markeredgewidth": 0.7,
    }  # fmt: skip
    axes.plot(xy[:, 0], xy[:, 1], zorder=4, **look)
    return Line2D([], [], label="training gauge", **{**look, "markersize": 4.2})


def _faded(colour: Float, theme: Theme) -> Float:
    """Colours (m, 4) mixed with the grey of reaches that are not informed, so that a hint of them is left."""
    return np.asarray((1 - FADE) * colour + FADE * np.array(to_rgba(theme.uninformed)))


def skill_panel(
    frame: Frame,
    size: Float,
    reach: NDArray[np.int64],
    score: Float,
    held_out: Bool,
    title: str,
    label: str,
    *,
    change: bool = False,
) -> Panel:
    """A panel with a score at each gauge: its reach position, value and whether it was held out, each (g,).

    A score is coloured over the range of most gauges (`score_range`); a `change` of score diverges about 0.
    """

    def draw(axes: Axes, theme: Theme) -> None:
        frame.prepare(axes, theme)
        width = 0.7 * line_widths(size, frame.line_reach.size)
        _draw_rivers(axes, frame, np.ones(size.size, bool), width, theme.uninformed, zorder=2)
        norm: Normalize
        if change:
            limit = change_limit(score)
            norm, colours = change_norm(limit), theme.change_colours()
            ticks = np.array(change_ticks(limit))
        else:
            low, high = score_range(score)
            norm, colours = Normalize(low, high), theme.skill_colours()
            ticks = round_ticks(low, high)
        xy = frame.points(reach)
        area = float(np.clip(5200.0 / max(score.size, 1), 14.0, 62.0))
        handles = []
        for chosen, marker, name in (
            (~held_out, TRAIN_MARKER, "training gauge"),
            (held_out, HELD_OUT_MARKER, "held-out gauge"),
        ):
            seen = chosen & np.isfinite(score) & np.isfinite(xy).all(axis=1)
            if not seen.any():
                continue
            # The farthest from the middle of the scale go on top: nothing remarkable is hidden.
            rank = np.argsort(np.abs(norm(score[seen]) - 0.5), kind="stable")
            axes.scatter(
                xy[seen, 0][rank],
                xy[seen, 1][rank],
                c=score[seen][rank],
                s=area * (0.85 if marker == HELD_OUT_MARKER else 1.0),
                marker=marker,
                cmap=colours,
                norm=norm,
                edgecolors=theme.ink,
                linewidths=0.6,
                zorder=4,
            )
            handles.append(
                Line2D(
                    [], [], linestyle="", marker=marker, markersize=6, markerfacecolor=theme.page,
                    markeredgecolor=theme.ink, markeredgewidth=0.8, label=f"{name} ({int(seen.sum())})",
                )
            )  # fmt: skip
        axes.set_title(title, parse_math=False)
        outside = score[np.isfinite(score)]
        _colour_bar(axes, frame, norm, colours, ticks, label, theme, values=outside)
        _legend_below(axes, frame, handles)

    return draw


def line_widths(size: Float, count: int) -> Float:
    """Line widths (n,) in points, growing with the logarithm of `size`; thinner where `count` lines crowd."""
    thin = float(np.clip(1.35 - 0.22 * np.log10(max(count, 1) / 30.0), 0.28, 1.3))
    thick = float(np.clip(5.2 - 0.75 * np.log10(max(count, 1) / 30.0), 2.2, 5.0))
    low, high = np.log(size.min()), np.log(size.max())
    share = (np.log(size) - low) / (high - low) if high > low else np.zeros_like(size)
    return np.asarray(thin + (thick - thin) * share**2.2)


def log_scale(values: Float) -> tuple[LogNorm, Float]:
    """A logarithmic colour scale over the 1st to the 99th percentile of `values`, and legible ticks on it."""
    if values.size == 0:
        values = np.array([0.5, 2.0])
    low, high = np.quantile(values, [0.01, 0.99])
    if high < 1.1 * low:  # one celerity everywhere still deserves a scale around it
        low, high = low / 1.25, high * 1.25
    return LogNorm(float(low), float(high)), log_ticks(float(low), float(high))


def log_ticks(low: float, high: float) -> Float:
    """Four to eight round numbers on a logarithmic scale from `low` to `high`."""
    decades = np.float64(10.0) ** np.arange(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for mantissas in ([1], [1, 2, 5], [1, 1.5, 2, 3, 5, 7], [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8]):
        ticks = np.unique(np.round(np.outer(decades, mantissas).ravel(), 10))
        ticks = ticks[(ticks >= low * 0.9999) & (ticks <= high * 1.0001)]
        if ticks.size >= 4:
            return np.asarray(ticks[:: max(1, -(-ticks.size // 8))], dtype=np.float64)
    # Less than a factor of two or so: evenly spaced numbers, as if the scale were linear.
    ticks = np.round(np.asarray(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)), 12)
    return np.asarray(ticks[(ticks >= low * 0.9999) & (ticks <= high * 1.0001)], dtype=np.float64)


def change_limit(change: Float) -> float:
    """A round limit that holds 95 % of the changes of a score, from 0.02 to 1."""
    size = np.abs(change[np.isfinite(change)])
    wanted = float(np.quantile(size, 0.95)) if size.size else 0.1
    return next((limit for limit in (0.02, 0.04, 0.1, 0.2, 0.4) if limit >= wanted), 1.0)


def score_range(score: Float) -> tuple[float, float]:
    """The ends of a colour scale that fits scores: their 5 % and 95 % quantiles, from −1 on and 0.02 apart or more."""
    seen = score[np.isfinite(score)]
    low, high = np.quantile(seen, [0.05, 0.95]).tolist() if seen.size else (0.0, 1.0)
    low = max(low, -1.0)  # a few gauges far below 0 would take all colours
    return min(low, high - 0.02), max(high, low + 0.02)


def round_ticks(low: float, high: float) -> Float:
    """Some five round numbers from `low` to `high`."""
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = float(power * next(one for one in (1, 2, 2.5, 5, 10) if one * power >= rough * 0.999))
    ticks = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
    return np.asarray(np.round(ticks, 12))


def change_norm(limit: float) -> Normalize:
    """Colours about 0 by the root of a change: many small ones differ, and a few large ones still fit."""
    return FuncNorm((_signed_root, _signed_square), vmin=-limit, vmax=limit)


def change_ticks(limit: float) -> list[float]:
    """Round numbers on such a scale, evenly apart."""
    return [-limit, -limit / 4, 0.0, limit / 4, limit]


def _signed_root(value: Float) -> Float:
    return np.asarray(np.sign(value) * np.sqrt(np.abs(value)))


def _signed_square(value: Float) -> Float:
    return np.asarray(np.sign(value) * np.square(value))


def _draw_rivers(
    axes: Axes, frame: Frame, chosen: Bool, width: Float, colour: str | Float, *, zorder: float
) -> None:
    """Draw the chosen reaches (n,), the large ones last; `colour` is one for all or (n, 4)."""
    lines = np.flatnonzero(chosen[frame.line_reach])
    lines = lines[np.argsort(width[frame.line_reach[lines]], kind="stable")][-MOST_DRAWN:]
    if isinstance(colour, str):
        _draw_in_one_colour(axes, frame.lines[lines], width[frame.line_reach[lines]], colour, zorder)
    else:
        reach = frame.line_reach[lines]
        axes.add_collection(
            LineCollection(
                list(frame.lines[lines]), linewidths=width[reach], colors=colour[reach],
                capstyle="round", joinstyle="round", zorder=zorder,
            ),
            autolim=False,
        )  # fmt: skip
    dots = np.flatnonzero(chosen[frame.dot_reach])
    if dots.size:
        reach = frame.dot_reach[dots]
        axes.scatter(
            frame.dots[dots, 0],
            frame.dots[dots, 1],
            s=width[reach] ** 2,
            c=colour if isinstance(colour, str) else colour[reach],
            linewidths=0,
            zorder=zorder,
        )


def _draw_in_one_colour(axes: Axes, lines: Float, width: Float, colour: str, zorder: float) -> None:
    """Draw polylines (m, points, 2) ordered by width; a few paths are drawn much faster than many."""
    gap = np.full((len(lines), 1, 2), np.nan)
    broken = np.concatenate([lines, gap], axis=1)
    steps = np.flatnonzero(np.diff(np.floor(np.log(np.maximum(width, 1e-3)) / np.log(1.12)))) + 1
    edges = np.unique(np.r_[0, steps, np.arange(0, len(lines), MAX_IN_PATH), len(lines)])
    for start, stop in pairwise(edges.tolist()):
        x, y = broken[start:stop].reshape(-1, 2).T
        axes.plot(
            x, y, color=colour, linewidth=float(width[start:stop].mean()),
            solid_capstyle="round", solid_joinstyle="round", zorder=zorder, scalex=False, scaley=False,
        )  # fmt: skip


def _colour_bar(
    axes: Axes,
    frame: Frame,
    norm: Normalize,
    colours: Colormap,
    ticks: Float,
    label: str,
    theme: Theme,
    values: Float | None = None,
) -> None:
    """A colour bar to the right of the drawing, arrows at its ends where values lie outside."""
    low, high = norm.vmin or 0.0, norm.vmax or 1.0
    below = values is None or bool((values < low).any())
    above = values is None or bool((values > high).any())
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get((below, above), "neither")
    place = axes.inset_axes((1.02, 0.06, 0.022 / max(frame.shape, 0.8) * 1.6, 0.88))
    figure = axes.get_figure()
    assert figure is not None
    bar = figure.colorbar(ScalarMappable(norm, colours), cax=place, extend=extend, extendfrac=0.035)
    bar.ax.yaxis.set_major_locator(FixedLocator(ticks.tolist()))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}".replace("-", "−")))
    bar.set_label(label)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=3, width=0.6, color=theme.muted)


def _legend_below(axes: Axes, frame: Frame, handles: list[Line2D]) -> None:
    if handles:
        offset = -0.075 if frame.schematic else (-0.005 if getattr(frame, "world", False) else -0.065)
        widest = LETTER * max(len(str(handle.get_label())) for handle in handles) + HANDLE
        figure = axes.get_figure(root=True)
        assert figure is not None
        columns = max(1, min(len(handles), int((figure.get_figwidth() - MARGIN) / widest)))
        axes.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(0.0, offset), ncols=columns,
            borderaxespad=0.2, handlelength=1.6, columnspacing=1.4,
        )  # fmt: skip
