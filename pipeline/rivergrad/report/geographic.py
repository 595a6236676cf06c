"""A map: reaches at their latitude and longitude, over the land."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.report.style import Theme
from rivergrad.rundir.reading import Terrain

Float = NDArray[np.float64]
Int = NDArray[np.int64]

LAND = Path(__file__).parent / "data" / "land.geojson"
WORLD_FROM = 180.0  # degrees of longitude from which a map shows the whole world
STEEPNESS = 0.06  # of the relief, against the size of the map
PIXELS = 1400  # across a relief: as many as the widest map shows


class GeographicFrame:
    """A `Frame` on the Earth: the whole world in the Equal Earth projection, less of it in plain degrees.

    Equal Earth: Šavrič, Patterson and Jenny (2019), doi:10.1080/13658816.2018.1504949.
    `lat`, `lon` (n,) in degrees. `land` draws the coasts of the real world; `terrain` those of another.
    """

    schematic = False

    def __init__(
        self, network: RiverNetwork, lat: Float, lon: Float, *, land: bool, terrain: Terrain | None
    ) -> None:
        self._terrain = terrain
        self._land = land and terrain is None
        self._middle, span = _shortest_arc(lon)
        self.world = span > WORLD_FROM
        if self.world:
            self._middle = 0.0
        lon = self._unwrapped(lon)
        self._xy = self._project(lat, lon)
        downstream = network.downstream
        below = np.maximum(downstream, 0)
        # A reach that crosses the edge of the map would be drawn right across it.
        drawn = (downstream >= 0) & (np.abs(lon - lon[below]) < 180.0)
        self.line_reach = np.flatnonzero(drawn)
        self.lines = np.stack([self._xy[self.line_reach], self._xy[below[self.line_reach]]], axis=1)
        self.dot_reach = np.flatnonzero(downstream < 0)
        self.dots = self._xy[self.dot_reach]
        self._x_limits, self._y_limits, self._stretch = self._window(lat)
        width, height = np.ptp(self._x_limits), np.ptp(self._y_limits)
        self.shape = float(width / (height * self._stretch))
        self.note = (
            "Equal Earth projection: areas compare truly."
            if self.world
            else "Each reach is a line from its own position to that of the reach it flows into."
        )

    def points(self, reach: Int) -> Float:
        """Where gauges at these reach positions are marked, (len(reach), 2)."""
        return self._xy[reach]

    @property
    def window(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Limits in x and in y."""
        return self._x_limits, self._y_limits

    def outlines(self) -> list[Float]:
        """The coasts of the real world on the map, rings (points, 2); none for other worlds."""
        if not self._land:
            return []
        shifts = (0.0,) if self.world else (-360.0, 0.0, 360.0)
        rings = [self._project(ring[:, 1], ring[:, 0] + shift) for ring in land_rings() for shift in shifts]
        (x0, x1), (y0, y1) = self._x_limits, self._y_limits
        wide, high = x1 - x0, y1 - y0
        return [
            ring for ring in rings
            if ring[:, 0].max() > x0 - wide and ring[:, 0].min() < x1 + wide
            and ring[:, 1].max() > y0 - high and ring[:, 1].min() < y1 + high
        ]  # fmt: skip

    def graticule(self) -> list[Float]:
        """Meridians and parallels on a map of the world, lines (points, 2)."""
        if not self.world:
            return []
        along = np.linspace(-1.0, 1.0, 91)
        meridians = [equal_earth(90.0 * along, np.full_like(along, lon)) for lon in range(-180, 181, 30)]
        parallels = [equal_earth(np.full_like(along, lat), 180.0 * along) for lat in range(-60, 61, 30)]
        return [*meridians, *parallels]

    def relief(self, theme: Theme, across: int = PIXELS) -> Float | None:
        """Light hill shading over the whole map, (rows, across, 4) from the south; None without a relief."""
        return None if self._terrain is None else self._relief(theme, self._terrain, across)

    def prepare(self, axes: Axes, theme: Theme) -> None:
        """Draw sea, land and graticule, and set limits, aspect and ticks."""
        axes.set_xlim(*self._x_limits)
        axes.set_ylim(*self._y_limits)
        axes.set_aspect(self._stretch)
        if self._terrain is not None:
            self._draw_relief(axes, theme, self._terrain)
        elif self._land:
            self._draw_land(axes, theme)
        if self.world:
            self._draw_graticule(axes, theme)
            axes.set_axis_off()
            return
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda value, _: _degrees((value + 180) % 360 - 180, "EW"))
        )
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _degrees(value, "NS")))
        axes.grid(True, linewidth=0.5, color=theme.graticule, zorder=0.6)
        axes.tick_params(length=0)
        for side in ("left", "bottom", "top", "right"):
            axes.spines[side].set_visible(True)
            axes.spines[side].set_color(theme.grid)

    def _unwrapped(self, lon: Float) -> Float:
        """Longitudes in the 360 degrees about the middle of the map."""
        start = self._middle - 180.0
        return np.asarray((lon - start) % 360.0 + start)

    def _project(self, lat: Float, lon: Float) -> Float:
        if not self.world:
            return np.stack([lon, lat], axis=-1)
        return equal_earth(lat, lon)

    def _window(self, lat: Float) -> tuple[tuple[float, float], tuple[float, float], float]:
        """Limits in x and y, and how much longer a unit of y is drawn than one of x."""
        if self.world:
            edge = equal_earth(np.array([0.0, 84.0, -58.0]), np.array([180.0, 0.0, 0.0]))
            south = min(edge[2, 1], float(self._xy[:, 1].min()) - 1.0)
            return (-1.01 * edge[0, 0], 1.01 * edge[0, 0]), (south, float(edge[1, 1])), 1.0
        low, high = self._xy.min(axis=0), self._xy.max(axis=0)
        stretch = float(1.0 / max(np.cos(np.deg2rad((lat.min() + lat.max()) / 2)), 0.2))
        # In units that look the same both ways: a margin of 5 %, and no map thinner than 1 : 2.4.
        size = np.maximum((high - low) * [1.0, stretch], 1e-3)
        size = np.maximum(size * 1.1, size.max() * 1.1 / 2.4)
        centre, half = (low + high) / 2, size / [1.0, stretch] / 2
        (x0, y0), (x1, y1) = (centre - half).tolist(), (centre + half).tolist()
        return (x0, x1), (max(y0, -90.0), min(y1, 90.0)), stretch

    def _draw_land(self, axes: Axes, theme: Theme) -> None:
        vertices, codes = [], []
        for points in self.outlines():
            vertices.append(points)
            codes.append(np.r_[Outline.MOVETO, np.full(len(points) - 2, Outline.LINETO), Outline.CLOSEPOLY])
        if vertices:
            outline = Outline(np.concatenate(vertices), np.concatenate(codes))
            axes.add_patch(PathPatch(outline, facecolor=theme.land, edgecolor="none", zorder=0.5))

    def _draw_relief(self, axes: Axes, theme: Theme, terrain: Terrain) -> None:
        (x0, x1), (y0, y1) = self._x_limits, self._y_limits
        axes.imshow(
            self._relief(theme, terrain, PIXELS), extent=(x0, x1, y0, y1), origin="lower", aspect=self._stretch,
            interpolation="antialiased", zorder=0.5,
        )  # fmt: skip

    def _relief(self, theme: Theme, terrain: Terrain, across: int) -> Float:
        """Every pixel takes the cell of the terrain that it lies in."""
        base, dark = np.array(to_rgb(theme.land)), np.array(to_rgb(theme.uninformed))
        depth = np.clip(1.3 * _shadow(terrain), -0.2, 0.6)[..., None]
        cells = np.concatenate([base + (dark - base) * depth, terrain.land[..., None]], axis=-1).clip(
            0.0, 1.0
        )

        (x0, x1), (y0, y1) = self._x_limits, self._y_limits
        rows = round(across / self.shape)
        x, y = np.meshgrid(
            x0 + (x1 - x0) * (np.arange(across) + 0.5) / across,
            y0 + (y1 - y0) * (np.arange(rows) + 0.5) / rows,
        )
        lat, lon = equal_earth_inverse(x, y) if self.world else (y, x)
        row, column = _nearest(terrain.lat, lat), _nearest_around(terrain.lon, lon)
        pixels = cells[row, column]
        pixels[~np.isfinite(lon), 3] = 0.0
        return np.asarray(pixels)

    def _draw_graticule(self, axes: Axes, theme: Theme) -> None:
        for line in self.graticule():
            axes.plot(line[:, 0], line[:, 1], color=theme.graticule, linewidth=0.5, zorder=0.6)


def equal_earth(lat: Float, lon: Float) -> Float:
    """Project degrees to the Equal Earth plane, (..., 2) in units of the Earth's radius times 180/π."""
    a1, a2, a3, a4 = 1.340264, -0.081106, 0.000893, 0.003796
    root = np.sqrt(3.0) / 2.0
    theta = np.arcsin(root * np.sin(np.deg2rad(lat)))
    square = theta * theta
    sixth = square**3
    stretch = a1 + 3 * a2 * square + sixth * (7 * a3 + 9 * a4 * square)
    x = lon * np.cos(theta) / (root * stretch)
    y = np.rad2deg(theta * (a1 + a2 * square + sixth * (a3 + a4 * square)))
    return np.stack([x, y], axis=-1)


def equal_earth_inverse(x: Float, y: Float) -> tuple[Float, Float]:
    """Latitude and longitude of points of the Equal Earth plane; longitude is NaN outside the world."""
    lat_of = np.linspace(-90.0, 90.0, 3601)
    lat = np.interp(y, equal_earth(lat_of, np.zeros_like(lat_of))[:, 1], lat_of)
    lon = 180.0 * x / equal_earth(lat, np.full_like(lat, 180.0))[..., 0]
    return lat, np.where(np.abs(lon) <= 180.0, lon, np.nan)


@cache
def land_rings() -> list[Float]:
    """The coasts of the real world (data/README.md): closed rings (points, 2) of longitude and latitude."""
    shape = json.loads(LAND.read_text(encoding="utf-8"))
    return [np.asarray(ring, dtype=np.float64) for polygon in shape["coordinates"] for ring in polygon]


def _shadow(terrain: Terrain) -> Float:
    """How much less light than flat land every cell has, (y, x), lit from the north-west at 45 degrees."""
    height = np.where(terrain.land, terrain.elevation, 0.0)
    # Slopes count by the relief of this world, so that gentle and rugged ones both read.
    relief = max(float(np.quantile(height[terrain.land], 0.98)), 1e-9) if terrain.land.any() else 1.0
    north, east = np.gradient(height * (STEEPNESS * max(height.shape) / relief))
    if terrain.lat[0] > terrain.lat[-1]:
        north = -north
    light = (0.5 * east - 0.5 * north + np.sqrt(0.5)) / np.sqrt(1.0 + north**2 + east**2)
    return np.asarray(np.sqrt(0.5) - light)


def _shortest_arc(lon: Float) -> tuple[float, float]:
    """Middle and length (degrees) of the shortest stretch of longitude that holds every reach."""
    around = np.sort(lon % 360.0)
    gaps = np.diff(np.r_[around, around[0] + 360.0])
    widest = int(np.argmax(gaps))
    start = around[(widest + 1) % around.size]
    span = 360.0 - float(gaps[widest])
    return float((start + span / 2 + 180.0) % 360.0 - 180.0), span


def _nearest(centres: Float, values: Float) -> Int:
    """The index of the nearest of some evenly spaced centres, which may rise or fall."""
    step = (centres[-1] - centres[0]) / max(centres.size - 1, 1)
    return np.clip(np.rint((values - centres[0]) / (step or 1.0)), 0, centres.size - 1).astype(np.int64)


def _nearest_around(centres: Float, values: Float) -> Int:
    """`_nearest` for longitudes, on a grid that goes round the world or part of it."""
    start = min(centres[0], centres[-1]) - 0.5 * abs(centres[-1] - centres[0]) / max(centres.size - 1, 1)
    return _nearest(centres, (np.nan_to_num(values) - start) % 360.0 + start)


def _degrees(value: float, letters: str) -> str:
    if abs(value) < 1e-9:
        return "0°"
    return f"{abs(value):g}°{letters[0] if value > 0 else letters[1]}"
