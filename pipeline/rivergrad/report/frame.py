"""Where a reach is drawn: on the Earth, or in a schematic tree when the network has no positions."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from rivergrad.report.style import Theme

Float = NDArray[np.float64]
Int = NDArray[np.int64]


class Frame(Protocol):
    """A drawing of the network.

    `lines` (m, points, 2) are the polylines and `line_reach` (m,) the position of the reach each one draws;
    `dots` (k, 2) and `dot_reach` (k,) are reaches drawn as a dot. Coordinates are those of the axes.
    `schematic` tells a tree from a map, `note` is a sentence about it, `shape` its width over its height.
    """

    lines: Float
    line_reach: Int
    dots: Float
    dot_reach: Int
    schematic: bool
    note: str
    shape: float

    @property
    def window(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Limits in x and in y of the whole drawing."""

    def outlines(self) -> list[Float]:
        """Coasts, rings (points, 2)."""

    def graticule(self) -> list[Float]:
        """Meridians and parallels, lines (points, 2)."""

    def relief(self, theme: Theme, across: int) -> Float | None:
        """Hill shading over the whole drawing, (rows, across, 4) from the foot up; None where there is none."""

    def prepare(self, axes: Axes, theme: Theme) -> None:
        """Draw what lies under the rivers, and set limits, aspect and ticks."""

    def points(self, reach: Int) -> Float:
        """Where gauges at these reach positions are marked: (len(reach), 2), NaN if outside the drawing."""
