"""A schematic of a network without positions: a tidy tree, the outlet at the foot, distance upwards."""

from __future__ import annotations

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


class SchematicFrame:
    """A `Frame` for a network without positions.

    A reach runs from its upper end to that of the reach it flows into: y is the distance to the outlet
    along the river (km, or reaches where lengths are unknown), x the order of the headwaters, with the
    largest tributary in the middle so that main stems stay straight. The largest basins come first.
    """

    schematic = True
    shape = 1.75

    def __init__(self, network: RiverNetwork) -> None:
        downstream, order = network.downstream, network.order
        length = np.ones(network.n_reaches) if network.length is None else network.length / 1000.0
        self._unit = "reaches" if network.length is None else "km along the river"
        shown = self._largest_basins(network)
        x = leaf_positions(downstream, order, shown)
        top = _distance(downstream, order, length)
        foot = np.where(downstream >= 0, top[np.maximum(downstream, 0)], 0.0)
        foot_x = np.where(downstream >= 0, x[np.maximum(downstream, 0)], x)
        self.line_reach = np.flatnonzero(shown)
        steps = np.linspace(0.0, 1.0, 9 if self.line_reach.size <= SMOOTH_UP_TO else 2)
        ease = steps * steps * (3.0 - 2.0 * steps)
        self.lines = np.stack(
            [
                _between(x, foot_x, ease)[self.line_reach],
                _between(top, foot, steps)[self.line_reach],
            ],
            axis=-1,
        )
        self.dot_reach, self.dots = np.empty(0, np.int64), np.empty((0, 2))
        self._middle = np.stack([(x + foot_x) / 2, (top + foot) / 2], axis=-1)
        self._middle[~shown] = np.nan
        self._width, self._height = float(x[shown].max() + 1.0), float(top[shown].max())
        self.note = (
            "A schematic, not a map: this network has no positions. "
            + f"Height is the distance to the outlet in {self._unit}; "
            + "sideways, reaches are only ordered so that rivers do not cross."
        )
        drawn = int(np.count_nonzero((downstream < 0) & shown))
        if drawn < network.n_basins:
            self.note += f" The {drawn} largest of {network.n_basins} basins are drawn."

    def points(self, reach: Int) -> Float:
        """Where gauges at these reach positions are marked, (len(reach), 2); NaN in basins not drawn."""
        return self._middle[reach]

    def prepare(self, axes: Axes, theme: Theme) -> None:
        """Set limits, the one axis that means something, and say that this is a schematic."""
        margin = 0.02 * self._width
        axes.set_xlim(-1.0 - margin, self._width + margin)
        axes.set_ylim(-0.03 * self._height, 1.04 * self._height)
        axes.set_xticks([])
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))
        axes.set_ylabel(f"distance to the outlet ({self._unit.split()[0]})")
        axes.set_xlabel("schematic: headwaters in order, no positions", color=theme.muted)
        axes.grid(True, axis="y", linewidth=0.6, color=theme.graticule, zorder=0.5)
        axes.tick_params(length=0)
        for side in ("left", "bottom", "top", "right"):
            axes.spines[side].set_visible(False)

    def _largest_basins(self, network: RiverNetwork) -> NDArray[np.bool_]:
        size = np.bincount(network.basin, minlength=network.n_basins)
        largest = np.argsort(-size, kind="stable")[:MAX_BASINS]
        return np.isin(network.basin, largest)


def leaf_positions(downstream: Int, order: Int, shown: NDArray[np.bool_]) -> Float:
    """x of every reach, (n,): headwaters 0, 1, 2 … from left to right, others between their tributaries.

    Basins stand from left to right by size with a gap between them; the largest tributary keeps the middle.
    """
    n = downstream.size
    size = graph.accumulate(downstream, order, np.ones(n))
    is_leaf = np.bincount(downstream[downstream >= 0], minlength=n) == 0
    leaves = graph.accumulate(downstream, order, is_leaf.astype(np.float64))
    tributaries: list[list[int]] = [[] for _ in range(n)]
    outlets: list[int] = []
    for i in np.argsort(-size, kind="stable").tolist():  # so that every list is ordered by size
        if shown[i]:
            (tributaries[downstream[i]] if downstream[i] >= 0 else outlets).append(i)
    x = np.zeros(n)
    left = np.zeros(n)
    gap = max(1.0, 0.02 * float(leaves[outlets].sum()) / max(len(outlets) - 1, 1))
    at = 0.0
    for outlet in outlets:
        left[outlet] = at
        at += leaves[outlet] + gap
    for i in order[::-1].tolist():  # downstream first: hand out the room
        if not shown[i]:
            continue
        at = left[i]
        for j in _largest_in_the_middle(tributaries[i]):
            left[j] = at
            at += leaves[j]
    for i in order.tolist():  # upstream first: settle between the tributaries
        if not tributaries[i]:
            x[i] = left[i]
        else:
            weight = size[tributaries[i]] ** 2
            x[i] = float(np.dot(x[tributaries[i]], weight) / weight.sum())
    return x


def _largest_in_the_middle(by_size: list[int]) -> list[int]:
    """[1st, 2nd, 3rd, 4th, 5th] becomes [4th, 2nd, 1st, 3rd, 5th]."""
    return by_size[1::2][::-1] + by_size[0::2]


def _distance(downstream: Int, order: Int, length: Float) -> Float:
    """Distance from the upper end of every reach to its outlet, in the unit of `length`."""
    top = length.copy()
    for i in order[::-1].tolist():
        if downstream[i] >= 0:
            top[i] += top[downstream[i]]
    return top


def _between(start: Float, end: Float, fraction: Float) -> Float:
    return start[:, None] + (end - start)[:, None] * fraction[None, :]
