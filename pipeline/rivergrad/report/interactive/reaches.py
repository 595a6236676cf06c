"""The reaches of the page's map: lines of those that are drawn, cells of all others, and what they are coloured by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rivercut import graph
from rivergrad.report.fields import Field, reach_time
from rivergrad.report.interactive.packing import STEPS, Pack, quantised
from rivergrad.report.maps import change_limit, line_widths, log_scale, round_ticks
from rivergrad.report.panels import Page
from rivergrad.report.uncertainty import QUANTILE_95, hardly_told

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

MOST_LINES = 90_000
"""Reaches that a browser draws as lines without a wait; of more, the smaller ones become cells."""
CELLS_ACROSS = 1000
"""Cells across the map where reaches are shown as cells."""
HEIGHT = 1000.0
"""Units of the page's map from north to south; coordinates are float32."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Which reaches are lines. `reach` (m,) their positions in the network, upstream first nowhere assumed.

    `place` (n,) is the index in `reach`, −1 for those that are not lines.
    """

    reach: Int
    place: Int

    @property
    def whole(self) -> bool:
        """Whether every reach of the network is a line."""
        return self.reach.size == self.place.size


def drawn_reaches(page: Page, most: int = MOST_LINES) -> Drawn:
    """All reaches, or the largest rivers and those with a gauge, down to their outlets."""
    network, size = page.run.network, page.size
    n = network.n_reaches
    keep = np.ones(n, bool)
    if n > most:
        keep = np.zeros(n, bool)
        keep[np.argpartition(size, n - most)[n - most :]] = True
        keep[page.scores.position] = True
        keep = graph.accumulate(network.downstream, network.order, keep.astype(np.int64)) > 0
    reach = np.flatnonzero(keep)
    place = np.full(n, -1)
    place[reach] = np.arange(reach.size)
    return Drawn(reach, place)


@dataclass(frozen=True)
class View:
    """From the coordinates of a frame to those of the page: x to the right, y down, HEIGHT units high."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: float

    @classmethod
    def of(cls, page: Page) -> View:
        """The whole map of a page."""
        x, y = page.frame.window
        return cls(x, y, HEIGHT * page.frame.shape)

    def to(self, points: Float) -> NDArray[np.float32]:
        """Points (..., 2) of the frame on the page."""
        x = (points[..., 0] - self.x[0]) / (self.x[1] - self.x[0]) * self.width
        y = (self.y[1] - points[..., 1]) / (self.y[1] - self.y[0]) * HEIGHT
        return np.stack([x, y], axis=-1).astype(np.float32)


def add_reaches(pack: Pack, page: Page, drawn: Drawn, view: View) -> dict[str, Any]:
    """Add lines, ids, what is below, widths and times of the drawn reaches; what the script has to know of them."""
    run, frame = page.run, page.frame
    lines, of = _lines(page, drawn, view)
    pack.add("lines", lines)
    pack.add("line_reach", of.astype(np.int32))
    ids = run.network.reach_id[drawn.reach]
    whole_numbers = bool(np.abs(ids).max(initial=0) < 2**53)
    if whole_numbers:
        pack.add("ids", ids.astype(np.float64))
    else:
        pack.add_document("ids", [str(one) for one in ids.tolist()])
    below = run.network.downstream[drawn.reach]
    pack.add("downstream", np.where(below >= 0, drawn.place[np.maximum(below, 0)], -1).astype(np.int32))
    width = line_widths(page.size, max(drawn.reach.size, 1))[drawn.reach]
    pack.add("width", np.clip(np.rint(width * 20), 1, 255).astype(np.uint8))
    told = run.informed.astype(np.uint8) + 2 * hardly_told(run).astype(np.uint8)
    pack.add("told", told[drawn.reach])
    pack.add("middle", _middles(lines, of, drawn.reach.size))
    own = reach_time(page)
    if own is not None:
        pack.add("time", own[drawn.reach].astype(np.float32))
        if run.celerity_lower is not None and run.celerity_upper is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                pack.add(
                    "time_low", (own * run.celerity / run.celerity_upper)[drawn.reach].astype(np.float32)
                )
                pack.add(
                    "time_high", (own * run.celerity / run.celerity_lower)[drawn.reach].astype(np.float32)
                )
                sd = np.log(run.celerity_upper / run.celerity_lower) / (2 * QUANTILE_95)
            pack.add("log_sd", sd[drawn.reach].astype(np.float32))
    return {
        "reaches": int(run.network.n_reaches),
        "drawn": int(drawn.reach.size),
        "points": int(lines.shape[1]),
        "schematic": frame.schematic,
        "note": frame.note,
        "width": view.width,
        "height": HEIGHT,
    }


def add_fields(
    pack: Pack, page: Page, fields: Sequence[Field], drawn: Drawn, view: View
) -> list[dict[str, Any]]:
    """Add the values of each field at the drawn reaches and in the cells; what the script has to know of each."""
    cells = None if drawn.whole else _cells(page, drawn, view)
    if cells is not None:
        pack.add("cell", cells.index.astype(np.int32))
        pack.add("cell_told", cells.told(page.run.informed, hardly_told(page.run)))
    found = []
    for one in fields:
        scale = scale_of(one, page.run.informed)
        ends = [values for values in (one.value, one.lower, one.upper) if values is not None]
        low, high = _range(ends, scale["log"])
        for name, values in (("value", one.value), ("lower", one.lower), ("upper", one.upper)):
            if values is not None:
                pack.add(f"{one.name}.{name}", quantised(values[drawn.reach], low, high, scale["log"]))
        if cells is not None:
            mean = cells.mean(one.value, scale["log"])
            share = quantised(mean, scale["min"], scale["max"], scale["log"]) / STEPS
            step = np.where(np.isfinite(mean), np.rint(254 * share), 255)
            pack.add(f"{one.name}.cell", step.astype(np.uint8))
        found.append(
            {
                "name": one.name, "title": one.title, "unit": one.unit, "note": one.note, "low": low, "high": high,
                "colours": "change" if one.scale == "change" else "sureness" if one.sureness else "river",
                "interval": one.lower is not None and one.upper is not None,
                "backwards": one.sureness and one.scale == "log", **scale,
            }
        )  # fmt: skip
    return found


def cells_shape(view: View) -> tuple[int, int]:
    """Cells down and across."""
    across = CELLS_ACROSS
    return max(1, round(across * HEIGHT / view.width)), across


def scale_of(field: Field, informed: Bool) -> dict[str, Any]:
    """The colour scale of a field, by what its values are: `min`, `max`, `ticks`, and whether it is logarithmic."""
    seen = field.value[informed] if informed.any() else field.value
    seen = seen[np.isfinite(seen)]
    if field.scale == "log":
        positive = seen[seen > 0]
        norm, ticks = log_scale(positive)
        return {
            "min": float(norm.vmin or 0.5),
            "max": float(norm.vmax or 2.0),
            "ticks": ticks.tolist(),
            "log": True,
        }
    if field.scale == "share":
        return {"min": 0.0, "max": 1.0, "ticks": np.linspace(0, 1, 6).tolist(), "log": False}
    if field.scale == "change":
        limit = change_limit(seen)
        return {
            "min": -limit,
            "max": limit,
            "ticks": [-limit, -limit / 2, 0.0, limit / 2, limit],
            "log": False,
        }
    low, high = np.quantile(seen, [0.01, 0.99]).tolist() if seen.size else (0.0, 1.0)
    return fitted_scale(low, high)


def fitted_scale(low: float, high: float) -> dict[str, Any]:
    """A linear colour scale from `low` to `high`, wider where they are the same, with round ticks."""
    if high - low < 1e-9 * max(abs(low), abs(high), 1e-30):
        low, high = low - 0.5 * max(abs(low), 1e-3), high + 0.5 * max(abs(high), 1e-3)
    return {"min": low, "max": high, "ticks": round_ticks(low, high).tolist(), "log": False}


@dataclass(frozen=True, eq=False)
class _Cells:
    """Reaches that are not drawn, gathered in cells: `index` (c,) of each cell, `of` (k,) the cell of a reach."""

    index: Int
    of: Int
    reach: Int

    def told(self, informed: Bool, hardly: Bool) -> NDArray[np.uint8]:
        """(c,) 0 where no gauge informs a reach of the cell, 1 where one does, 3 where it hardly does.

        Args:
            informed, hardly: (reach,) of the network.
        """
        some = np.bincount(self.of, informed[self.reach], minlength=self.index.size) > 0
        well = np.bincount(self.of, (informed & ~hardly)[self.reach], minlength=self.index.size) > 0
        return np.where(well, 1, np.where(some, 3, 0)).astype(np.uint8)

    def mean(self, values: Float, logarithmic: bool) -> Float:
        """(c,) mean over the reaches of each cell; geometric where `logarithmic`."""
        with np.errstate(divide="ignore", invalid="ignore"):
            seen = np.log(values[self.reach]) if logarithmic else values[self.reach]
            there = np.isfinite(seen)
            total = np.bincount(self.of[there], seen[there], minlength=self.index.size)
            count = np.bincount(self.of[there], minlength=self.index.size)
            mean = total / count
        return np.asarray(np.exp(mean) if logarithmic else mean, dtype=np.float64)


def _cells(page: Page, drawn: Drawn, view: View) -> _Cells:
    others = np.flatnonzero(drawn.place < 0)
    xy = view.to(page.frame.points(others))
    others, xy = others[np.isfinite(xy).all(axis=1)], xy[np.isfinite(xy).all(axis=1)]
    down, across = cells_shape(view)
    column = np.clip((xy[:, 0] / view.width * across).astype(np.int64), 0, across - 1)
    row = np.clip((xy[:, 1] / HEIGHT * down).astype(np.int64), 0, down - 1)
    index, of = np.unique(row * across + column, return_inverse=True)
    return _Cells(index, of, others)


def _lines(page: Page, drawn: Drawn, view: View) -> tuple[NDArray[np.float32], Int]:
    """Polylines (m, points, 2) of the drawn reaches on the page, outlets as lines without a length, and their reach."""
    frame = page.frame
    chosen = drawn.place[frame.line_reach] >= 0
    lines = view.to(frame.lines[chosen])
    dots = drawn.place[frame.dot_reach] >= 0
    still = np.repeat(view.to(frame.dots[dots])[:, None, :], lines.shape[1] if lines.size else 2, axis=1)
    if not lines.size:
        lines = np.empty((0, still.shape[1], 2), np.float32)
    of = np.r_[drawn.place[frame.line_reach[chosen]], drawn.place[frame.dot_reach[dots]]]
    return np.concatenate([lines, still]), of


def _middles(lines: NDArray[np.float32], of: Int, reaches: int) -> NDArray[np.float32]:
    """(reaches, 2) a point on the line of each reach; NaN for those without one."""
    found = np.full((reaches, 2), np.nan, np.float32)
    at = (lines[:, (lines.shape[1] - 1) // 2] + lines[:, lines.shape[1] // 2]) / 2
    found[of] = at
    return found


def _range(values: Sequence[Float], logarithmic: bool) -> tuple[float, float]:
    """The least and the greatest number among arrays, for `quantised`."""
    seen = np.concatenate([one[np.isfinite(one) & ((one > 0) | (not logarithmic))] for one in values])
    if not seen.size:
        return (0.5, 2.0) if logarithmic else (0.0, 1.0)
    low, high = float(seen.min()), float(seen.max())
    return (low, high) if high > low else (low, low * 1.01 if logarithmic else low + 1.0)
