"""Colours, fonts and the making of a picture: every figure of the report looks as if drawn by one hand."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib
import matplotlib.image
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

DPI = 130

NO_METADATA: dict[str, Any] = {"Software": None}
"""Without the software's name and version the bytes depend on nothing but the run."""

METADATA: dict[str, dict[str, Any]] = {
    "png": NO_METADATA,
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    "svg": {"Creator": None, "Date": None},
}

RC: dict[Any, Any] = {
    "svg.hashsalt": "rivergrad",  # else the names of clipping paths differ from time to time
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: the same picture on every machine
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 9.5,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "path.simplify": True,
    "savefig.bbox": None,
    "text.usetex": False,
}


@dataclass(frozen=True)
class Theme:
    """The colours of one appearance of the page; `name` is `light` or `dark`.

    `river_range` is the stretch of viridis used for lines, so that neither end melts into the page.
    """

    name: str
    page: str
    ink: str
    muted: str
    grid: str
    land: str
    graticule: str
    uninformed: str
    observed: str
    estimate: str
    uniform: str
    default: str
    unrouted: str
    physical: str
    lumped: str
    two_step: str
    mark: str
    river_range: tuple[float, float]

    def river_colours(self) -> Colormap:
        """The sequential, perceptually uniform colours of lines on this page."""
        return _part_of("viridis", *self.river_range)

    def skill_colours(self) -> Colormap:
        """The sequential, perceptually uniform colours of a score."""
        return matplotlib.colormaps["viridis"]

    def sureness_colours(self) -> Colormap:
        """The sequential, perceptually uniform colours of how sure something is: what is not fades into the page."""
        colours = _part_of("plasma", *self.river_range)
        return colours.reversed() if self.name == "light" else colours

    def series_colours(self) -> dict[str, str]:
        """The colour of each line of a hydrograph, by what it shows."""
        return {
            "observed": self.observed, "estimate": self.estimate, "uniform": self.uniform, "default": self.default,
            "unrouted": self.unrouted, "physical": self.physical, "lumped": self.lumped, "two_step": self.two_step,
        }  # fmt: skip

    def change_colours(self) -> Colormap:
        """The diverging colours of a change: brown is worse, blue-green is better; no change melts into the page."""
        if self.name == "light":
            return matplotlib.colormaps["BrBG"]
        return LinearSegmentedColormap.from_list("change_dark", list(CHANGE_DARK))


LIGHT = Theme(
    name="light",
    page="#ffffff",
    ink="#1c2630",
    muted="#5c6975",
    grid="#e3e7eb",
    land="#f0f1f3",
    graticule="#dfe4e8",
    uninformed="#cbd1d7",
    observed="#1c2630",
    estimate="#0b72c4",
    uniform="#d9771f",
    default="#19553b",
    unrouted="#fd2b80",
    physical="#aa00ff",
    lumped="#6f7436",
    two_step="#523179",
    mark="#c4005f",
    river_range=(0.0, 0.93),
)

DARK = Theme(
    name="dark",
    page="#12181f",
    ink="#e6ecf2",
    muted="#9aa7b4",
    grid="#29333d",
    land="#1e2831",
    graticule="#28323c",
    uninformed="#4a5662",
    observed="#e6ecf2",
    estimate="#4fb0ff",
    uniform="#f2a24a",
    default="#61f28a",
    unrouted="#e65ca6",
    physical="#886644",
    lumped="#e1d905",
    two_step="#6b5cb8",
    mark="#ff6fae",
    river_range=(0.22, 1.0),
)

DASHES = {
    "uniform": "dashed",
    "default": "dotdash",
    "unrouted": "dotted",
    "physical": "dotdash",
    "lumped": "dashdot",
    "two_step": "dashed",
}
"""How lines of the page's charts are broken, so that no two are told apart by their colour alone."""

CHANGE_DARK = ("#ffd9a3", "#e08a2c", "#8a5a2b", "#3d4650", "#2f7f78", "#35c2b0", "#b9fff0")
"""BrBG the other way round in lightness: on a dark page the largest changes are the brightest."""

Panel = Callable[[Axes, Theme], None]
"""Something that draws itself into one pair of axes."""


def _part_of(name: str, low: float, high: float) -> Colormap:
    colours: NDArray[np.float64] = matplotlib.colormaps[name](np.linspace(low, high, 256))
    return LinearSegmentedColormap.from_list(f"{name}_{low}_{high}", [tuple(colour) for colour in colours])


def picture(panel: Panel, theme: Theme, size: tuple[float, float], kind: str = "png") -> bytes:
    """Draw a panel of `size` (inches) as `png`, `pdf` or `svg`; the same panel gives the same bytes."""
    colours: dict[Any, Any] = {
        "text.color": theme.ink,
        "axes.labelcolor": theme.ink,
        "axes.titlecolor": theme.ink,
        "axes.edgecolor": theme.muted,
        "axes.facecolor": theme.page,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "legend.labelcolor": theme.ink,
        "grid.color": theme.grid,
    }
    with matplotlib.rc_context({**RC, **colours}), warnings.catch_warnings():
        # A gauge may be named in a script the font lacks; boxes in its title are no reason to fail.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure = Figure(figsize=size, dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        figure.set_facecolor(theme.page)
        engine = figure.get_layout_engine()
        assert isinstance(engine, ConstrainedLayoutEngine)
        engine.set(w_pad=0.1, h_pad=0.1)
        panel(figure.add_subplot(), theme)
        target = io.BytesIO()
        figure.savefig(target, format=kind, dpi=DPI, metadata=METADATA[kind])
    return target.getvalue()


def side_by_side(pictures: list[bytes], columns: int) -> bytes:
    """Set PNGs of one size in a grid, row by row, as one PNG; places left over are empty."""
    tiles = [matplotlib.image.imread(io.BytesIO(png), format="png") for png in pictures]
    columns = min(columns, len(tiles))
    tiles += [np.broadcast_to(tiles[0][:1, :1], tiles[0].shape)] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)]
    target = io.BytesIO()
    matplotlib.image.imsave(target, np.concatenate(rows), format="png", dpi=DPI, metadata=NO_METADATA)
    return target.getvalue()


def plain_text(text: str, limit: int = 44) -> str:
    """A name as one short line, for a title in a picture."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
