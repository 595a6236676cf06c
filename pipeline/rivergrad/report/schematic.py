"""A schematic of a network without positions: a tidy tree, the outlet at the foot, distance upwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from rivercut import graph
from rivercut.network import RiverNetwork
from rivergrad.report.style import Theme

Float = NDArray[np.float64]
Int = NDArray[np.int64]

MAX_BASINS = 40  # more trees than this side by side are a hedge
SMOOTH_UP_TO = 6000  # reaches drawn as curves; more than these are finer than the picture
SLICES = 400  # of height, in which subtrees are kept apart
GAP = 1.0  # between neighbouring lines: the unit of x
BEND = 5.0  # exponent of the superellipse: 2 is round, more is sharper


class SchematicFrame:
    """A `Frame` for a network without positions.

    A reach runs from its upper end to that of the reach it flows into: y is the distance to the outlet
    along the river (km, or reaches where lengths are unknown); main stems are straight and tributaries are
    packed beside them, so x means nothing. The largest basins come first.
    """

    schematic = True
    shape = 1.75

    def __init__(self, network: RiverNetwork) -> None:
        downstream, order = network.downstream, network.order
        length = np.ones(network.n_reaches) if network.length is None else network.length / 1000.0
        self._unit = "reaches" if network.length is None else "km along the river"
        shown = self._largest_basins(network)
        top = _distance(downstream, order, length)
        below = np.maximum(downstream, 0)
        foot = np.where(downstream >= 0, top[below], 0.0)
        x = tree_positions(downstream, order, top, foot, shown)
        x -= x[shown].min()
        foot_x = np.where(downstream >= 0, x[below], x)
        self.line_reach = np.flatnonzero(shown)
        # A quarter of a superellipse: upright from the upper end, then a rounded bend into the river below.
        turn = np.linspace(0.0, np.pi / 2, 9 if self.line_reach.size <= SMOOTH_UP_TO else 3)
        down, across = np.sin(turn) ** (2 / BEND), 1.0 - np.cos(turn) ** (2 / BEND)
        lines = np.stack(
            [x[:, None] + (foot_x - x)[:, None] * across, top[:, None] + (foot - top)[:, None] * down],
            axis=-1,
        )
        self.lines = lines[self.line_reach]
        self.dot_reach, self.dots = np.empty(0, np.int64), np.empty((0, 2))
        self._middle = np.stack([x, (top + foot) / 2], axis=-1)
        self._middle[~shown] = np.nan
        self._width, self._height = float(x[shown].max()), float(top[shown].max())
        self.note = (
            "A schematic, not a map: this network has no positions. "
            + f"Height is the distance to the outlet in {self._unit}; "
            + "sideways, tributaries are only set apart so that no lines cross."
        )
        drawn = int(np.count_nonzero((downstream < 0) & shown))
        if drawn < network.n_basins:
            self.note += f" The {drawn} largest of {network.n_basins} basins are drawn."

    def points(self, reach: Int) -> Float:
        """Where gauges at these reach positions are marked, (len(reach), 2); NaN in basins not drawn."""
        return self._middle[reach]

    @property
    def window(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Limits in x and in y."""
        margin = 1.0 + 0.02 * self._width
        return (-margin, self._width + margin), (-0.03 * self._height, 1.04 * self._height)

    def outlines(self) -> list[Float]:
        """A schematic has no coasts."""
        return []

    def graticule(self) -> list[Float]:
        """A schematic has no meridians."""
        return []

    def relief(self, theme: Theme, across: int = 0) -> Float | None:
        """A schematic has no relief."""
        return None

    def prepare(self, axes: Axes, theme: Theme) -> None:
        """Set limits, the one axis that means something, and say that this is a schematic."""
        x, y = self.window
        axes.set_xlim(*x)
        axes.set_ylim(*y)
        axes.set_xticks([])
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axes.set_ylabel(f"distance to the outlet ({self._unit.split()[0]})")
        axes.set_xlabel("schematic: the network has no positions", color=theme.muted)
        axes.grid(True, axis="y", linewidth=0.6, color=theme.graticule, zorder=0.5)
        axes.tick_params(length=0)
        for side in ("left", "bottom", "top", "right"):
            axes.spines[side].set_visible(False)

    def _largest_basins(self, network: RiverNetwork) -> NDArray[np.bool_]:
        size = np.bincount(network.basin, minlength=network.n_basins)
        largest = np.argsort(-size, kind="stable")[:MAX_BASINS]
        return np.isin(network.basin, largest)


@dataclass(frozen=True)
class _Skyline:
    """How far a subtree reaches `left` and `right` in each slice of height from `foot` up, (slices,)."""

    foot: int
    left: Float
    right: Float

    def moved(self, x: float) -> _Skyline:
        return _Skyline(self.foot, self.left + x, self.right + x)

    def beside(self, other: _Skyline) -> tuple[float, float]:
        """The moves that bring `other` as near as it can come to this one: to its left, to its right."""
        start, stop = max(self.foot, other.foot), min(self.top, other.top)
        mine, its = slice(start - self.foot, stop - self.foot), slice(start - other.foot, stop - other.foot)
        if start >= stop:
            return -GAP, GAP
        left = float((self.left[mine] - other.right[its]).min()) - GAP
        right = float((self.right[mine] - other.left[its]).max()) + GAP
        return left, right

    def joined(self, other: _Skyline) -> _Skyline:
        foot, top = min(self.foot, other.foot), max(self.top, other.top)
        left, right = np.full(top - foot, np.inf), np.full(top - foot, -np.inf)
        for part in (self, other):
            place = slice(part.foot - foot, part.top - foot)
            np.minimum(left[place], part.left, out=left[place])
            np.maximum(right[place], part.right, out=right[place])
        return _Skyline(foot, left, right)

    @property
    def top(self) -> int:
        return self.foot + self.left.size


def tree_positions(downstream: Int, order: Int, top: Float, foot: Float, shown: NDArray[np.bool_]) -> Float:
    """x of every reach shown, (n,), so that no two lines cross or touch: a tidy tree over true heights.

    A reach stands upright from `foot` to `top` (n,) above the largest reach it flows on from; its other
    tributaries are put as near to it as the skylines of the subtrees allow, on the side with more room.
    Basins stand from left to right by size. A tidy tree after van der Ploeg (2014), doi:10.1002/spe.2213, on
    slices of height.
    """
    n = downstream.size
    size = graph.accumulate(downstream, order, np.ones(n))
    slices = SLICES / float(top[shown].max())
    tributaries: list[list[int]] = [[] for _ in range(n)]
    outlets: list[int] = []
    for i in np.argsort(-size, kind="stable").tolist():  # so that every list is ordered by size
        if shown[i]:
            (tributaries[downstream[i]] if downstream[i] >= 0 else outlets).append(i)
    offset = np.zeros(n)  # of a reach from the one it flows into
    skyline: dict[int, _Skyline] = {}
    for i in order.tolist():  # upstream first
        if not shown[i]:
            continue
        low, high = int(foot[i] * slices), int(top[i] * slices) + 1
        whole = _Skyline(low, np.zeros(high - low), np.zeros(high - low))
        for j in tributaries[i]:
            part = skyline.pop(j)
            if j != tributaries[i][0]:
                left, right = whole.beside(part)
                offset[j] = left if -left < right else right
            whole = whole.joined(part.moved(float(offset[j])))
        skyline[i] = whole
    x = np.zeros(n)
    standing: _Skyline | None = None
    for i in outlets:
        if standing is None:
            standing = skyline[i]
            continue
        x[i] = standing.beside(skyline[i])[1] + GAP
        standing = standing.joined(skyline[i].moved(float(x[i])))
    for i in order[::-1].tolist():  # downstream first
        if shown[i] and downstream[i] >= 0:
            x[i] = x[downstream[i]] + offset[i]
    return x


def _distance(downstream: Int, order: Int, length: Float) -> Float:
    """Distance from the upper end of every reach to its outlet, in the unit of `length`."""
    return graph.sum_below(downstream, order, length)
