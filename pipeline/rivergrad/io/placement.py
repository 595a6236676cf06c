"""Gauges are put on reaches: by the id they come with, by their position, by their drainage area.

A gauge given by a reach id stays there unless the drainage areas of both contradict it; then the river up and down
of it is looked through. A gauge given by a position alone takes, among the reaches nearby, the one whose drainage
area fits best, or the nearest where there are no areas to compare. The nearest reach alone is a poor guess: at a
confluence it is as often the small one (Lehner 2012, Derivation of watershed boundaries for GRDC gauging stations,
GRDC Report 41, matches by distance and area in the same way).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rivercut import graph
from rivercut.network import RiverNetwork
from rivergrad.errors import InputError, ids_text
from rivergrad.io.curvilinear import unit_vectors
from rivergrad.io.gridded import EXPECTED, impossible
from rivergrad.io.tables import write_table

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

Float = NDArray[np.float64]
Int = NDArray[np.int64]

EARTH_RADIUS = 6_371_008.8
"""Mean radius of the Earth, m (IUGG)."""
NONE = -1
"""No reach: an id that a gauge came without, or the reach of one that was dropped."""

How = Literal["id", "position", "area", ""]
Status = Literal["matched", "moved", "dropped"]


@dataclass(frozen=True)
class PlacementSettings:
    """How far and how freely gauges may be moved.

    Attributes:
        distance: m; reaches within it are candidates, over the ground from a position, along the river from a reach.
        area_tolerance: how many times larger or smaller than the reach's drainage area a gauge's may be.
        unknown: what becomes of gauges that can be put nowhere because their reach id is not in the network, and
            they have no position: an error, or they are dropped.
        scale_by_area: bring observations from the gauge's drainage area to that of its reach, by their ratio (the
            drainage-area ratio method: Emerson, Vecchia & Dahl 2005, USGS Scientific Investigations Report 2005-5017).
    """

    distance: float = 5000.0
    area_tolerance: float = 1.5
    unknown: Literal["error", "drop"] = "error"
    scale_by_area: bool = False


@dataclass(frozen=True, eq=False)
class GaugeSites:
    """Where gauges say they are.

    gauge (G,) names; reach_id (G,) with `NONE` where not given; lat, lon (G,) in degrees and area (G,) the drainage
    area in m2, NaN where not given.
    """

    gauge: NDArray[np.str_]
    reach_id: Int
    lat: Float
    lon: Float
    area: Float


@dataclass(frozen=True)
class PlacedGauge:
    """What became of one gauge.

    Attributes:
        gauge: its name.
        given: the reach id it came with, or `NONE`.
        reach: the position of its reach in the network, or `NONE`.
        reach_id: the id of that reach, or `NONE`.
        how: what decided: id, position or area.
        distance: m from the gauge to the point of its reach over the ground; where a position is missing and it was
            moved, along the river from the given reach; NaN where neither is known.
        area: the gauge's drainage area, m2; reach_area: that of its reach; NaN where not known.
        scale: what the observations were multiplied by.
        status: matched, moved (to another reach than the given one) or dropped.
        reason: why, or what else to know about it.
    """

    gauge: str
    given: int = NONE
    reach: int = NONE
    reach_id: int = NONE
    how: How = ""
    distance: float = np.nan
    area: float = np.nan
    reach_area: float = np.nan
    scale: float = 1.0
    status: Status = "dropped"
    reason: str = ""

    @property
    def area_ratio(self) -> float:
        """The gauge's drainage area over its reach's: below 1 where the gauge lies inside the catchment."""
        return self.area / self.reach_area


@dataclass(frozen=True, eq=False)
class Placement:
    """A row per gauge of a file of observations, in its order."""

    rows: tuple[PlacedGauge, ...]

    @property
    def kept(self) -> Int:
        """The rows of the gauges that have a reach."""
        return np.array([i for i, row in enumerate(self.rows) if row.reach != NONE], dtype=np.int64)

    @property
    def reach(self) -> Int:
        """(G,) position of each gauge's reach, `NONE` where dropped."""
        return np.array([row.reach for row in self.rows], dtype=np.int64)

    @property
    def scale(self) -> Float:
        """(G,) what each gauge's observations are multiplied by."""
        return np.array([row.scale for row in self.rows], dtype=np.float64)

    @property
    def gauge(self) -> NDArray[np.str_]:
        """(G,) names."""
        return np.array([row.gauge for row in self.rows], dtype=np.str_)

    def table(self) -> pd.DataFrame:
        """As it is written: ids empty where there is none, numbers to six digits."""

        def ids(values: list[int]) -> pd.Series[Any]:
            return pd.Series([None if value == NONE else value for value in values], dtype="Int64")

        def number(value: float) -> float:
            return float(f"{value:.6g}")

        rows = self.rows
        return pd.DataFrame(
            {
                "gauge": [row.gauge for row in rows],
                "reach_id_given": ids([row.given for row in rows]),
                "reach_id": ids([row.reach_id for row in rows]),
                "how": [row.how for row in rows],
                "distance_m": [number(row.distance) for row in rows],
                "area_m2": [number(row.area) for row in rows],
                "reach_area_m2": [number(row.reach_area) for row in rows],
                "area_ratio": [number(row.area_ratio) for row in rows],
                "scale": [number(row.scale) for row in rows],
                "status": [row.status for row in rows],
                "reason": [row.reason for row in rows],
            }
        )

    def summary(self) -> str:
        """One line: how many were matched by what, moved, dropped."""
        kept = [row for row in self.rows if row.reach != NONE]
        by = Counter(row.how for row in kept)
        parts = [f"{by[how]} by {how}" for how in ("id", "position", "area") if by[how]]
        text = f"{len(kept)} of {len(self.rows)} gauges have a reach ({', '.join(parts) or 'none'})"
        moved = [row.gauge for row in kept if row.status == "moved"]
        dropped = [row.gauge for row in self.rows if row.status == "dropped"]
        if moved:
            text += f"; moved: {ids_text(moved)}"
        if dropped:
            text += f"; dropped: {ids_text(dropped)}"
        return text


def write_placement(path: Path, placement: Placement) -> None:
    """Write the table of a placement to CSV or Parquet, whole or not at all."""
    write_table(path, placement.table())


def place(
    sites: GaugeSites, network: RiverNetwork, settings: PlacementSettings | None = None, *, source: object
) -> Placement:
    """Find the reach of every gauge.

    Which reach it is depends on ids, points, lengths and areas alone, never on the order of the reaches.

    Args:
        sites: where the gauges are.
        network: its attributes `lat`, `lon` are the points of reaches, `upstream_area_m2` (or `area_m2`, summed down
            the river) their drainage areas; what is missing isn't compared.
        settings: see `PlacementSettings`.
        source: the file of the gauges, for errors.

    Raises:
        InputError: a gauge twice, a gauge with neither id nor position or with an impossible position, an unknown
            reach id (unless it can be placed by its position, or is to be dropped), or no gauge left.
    """
    settings = settings or PlacementSettings()
    _check(sites, network, settings, source)
    search = _Search(_Reaches(network), settings)
    known = np.isin(sites.reach_id, network.reach_id)
    given = np.full(sites.gauge.size, NONE)
    given[known] = network.positions(sites.reach_id[known], "gauge reach")
    rows = [search.place(sites, g, int(reach)) for g, reach in enumerate(given)]
    if rows and all(row.reach == NONE for row in rows):
        raise InputError(
            f"{source}: none of the {len(rows)} gauges has a place on the network: "
            f"{rows[0].gauge} ({rows[0].reason}); expected at least one that has"
        )
    return Placement(tuple(_with_company(rows)))


def great_circle(lat_a: Float, lon_a: Float, lat_b: Float, lon_b: Float) -> Float:
    """Distance over the ground between points in degrees, m, on the sphere."""
    return _ground(np.linalg.norm(unit_vectors(lat_a, lon_a) - unit_vectors(lat_b, lon_b), axis=-1))


def _ground(chord: Float) -> Float:
    return 2 * EARTH_RADIUS * np.arcsin(np.minimum(chord / 2, 1.0))


def _chord(distance: float) -> float:
    return 2.0 * float(np.sin(min(distance / (2 * EARTH_RADIUS), np.pi / 2)))


def _check(sites: GaugeSites, network: RiverNetwork, settings: PlacementSettings, source: object) -> None:
    names, counts = np.unique(sites.gauge, return_counts=True)
    if (counts > 1).any():
        raise InputError(f"{source}: the gauges {ids_text(names[counts > 1])} appear more than once")
    off = impossible(sites.lat, sites.lon)
    if off.any():
        g = int(off.argmax())
        raise InputError(
            f"{source}: gauge {sites.gauge[g]} lies at lat {sites.lat[g]:g}, lon {sites.lon[g]:g}; "
            f"expected {EXPECTED}"
        )
    if settings.unknown == "drop":
        return
    somewhere = np.isfinite(sites.lat) & np.isfinite(sites.lon)
    nowhere = (sites.reach_id == NONE) & ~somewhere
    if nowhere.any():
        raise InputError(
            f"{source}: the gauges {ids_text(sites.gauge[nowhere])} have neither a reach_id nor lat and lon; "
            "expected one of them"
        )
    unknown = (sites.reach_id != NONE) & ~np.isin(sites.reach_id, network.reach_id)
    lost = unknown & ~somewhere
    if lost.any():
        pairs = [
            f"{gauge} (reach {reach})"
            for gauge, reach in zip(sites.gauge[lost], sites.reach_id[lost], strict=True)
        ]
        raise InputError(
            f"{source}: the gauges {ids_text(pairs)} lie on reaches that the network does not have"
        )
    by_position = somewhere & (unknown | (sites.reach_id == NONE))
    if by_position.any() and not {"lat", "lon"} <= set(network.attributes):
        raise InputError(
            f"{source}: the gauges {ids_text(sites.gauge[by_position])} have a position only, and the network no "
            "lat and lon to compare it with; expected a reach_id, or lat and lon of the reaches"
        )


def _with_company(rows: list[PlacedGauge]) -> list[PlacedGauge]:
    """The rows, with a word where gauges share a reach."""
    on: dict[int, list[int]] = {}
    for i, row in enumerate(rows):
        if row.reach != NONE:
            on.setdefault(row.reach, []).append(i)
    result = list(rows)
    for together in on.values():
        for i in together:
            others = [rows[j].gauge for j in together if j != i]
            if others:
                result[i] = _saying(rows[i], f"on the same reach as {ids_text(others)}")
    return result


def _saying(row: PlacedGauge, more: str) -> PlacedGauge:
    return replace(row, reason=f"{row.reason}; {more}" if row.reason else more)


def _km(metres: float) -> str:
    return f"{metres / 1000:.4g} km"


def _km2(area: float) -> str:
    return f"{area / 1e6:.4g} km2"


@dataclass
class _Found:
    """A reach that a gauge might lie on."""

    reach: int
    distance: float


@dataclass
class _Reaches:
    """A network made ready for looking up reaches; what costs time is made where it is first needed."""

    network: RiverNetwork

    @cached_property
    def lat(self) -> Float:
        return self._attribute("lat")

    @cached_property
    def lon(self) -> Float:
        return self._attribute("lon")

    @cached_property
    def area(self) -> Float:
        """(n,) drainage area of each reach at its end, m2; NaN where not known."""
        attributes = self.network.attributes
        if "upstream_area_m2" in attributes:
            area = self._attribute("upstream_area_m2")
        elif "area_m2" in attributes:
            # NaN flows down: what has a reach of unknown area upstream is unknown itself
            area = graph.accumulate(self.network.downstream, self.network.order, self._attribute("area_m2"))
        else:
            area = np.full(self.network.n_reaches, np.nan)
        return np.where(area > 0, area, np.nan)

    @cached_property
    def above(self) -> Float:
        """(n,) drainage area of what flows into each reach at its top, m2; NaN where a part of it is not known."""
        down = self.network.downstream
        flows = down >= 0
        return np.bincount(down[flows], self.area[flows], self.network.n_reaches).astype(np.float64)

    @cached_property
    def tree(self) -> tuple[cKDTree, Int]:
        """A tree of the points of reaches, and whose points they are."""
        known = np.flatnonzero(np.isfinite(self.lat) & np.isfinite(self.lon))
        from scipy.spatial import cKDTree  # here: it takes long to import

        return cKDTree(unit_vectors(self.lat[known], self.lon[known])), known

    @cached_property
    def upstream(self) -> tuple[Int, Int]:
        """The reaches that flow into reach i are `list[start[i]:start[i + 1]]`."""
        down = self.network.downstream
        by = np.argsort(down, kind="stable")
        by = by[down[by] >= 0]
        return by, np.searchsorted(down[by], np.arange(self.network.n_reaches + 1))

    def _attribute(self, name: str) -> Float:
        values = self.network.attributes.get(name)
        if values is None:
            return np.full(self.network.n_reaches, np.nan)
        return np.asarray(values, dtype=np.float64)

    def id_of(self, reach: int) -> int:
        return int(self.network.reach_id[reach])

    def distance(self, reach: int, lat: float, lon: float) -> float:
        """From the point of a reach to a position over the ground, m; NaN where one is not known."""
        there = self.lat[reach], self.lon[reach]
        return float(great_circle(np.asarray(lat), np.asarray(lon), *there))

    def comparable(self, reach: int, area: float) -> bool:
        """Whether a drainage area can be compared with that of a reach, m2."""
        return bool(np.isfinite(self.area[reach]) and np.isfinite(area))

    def inside(self, reach: int, area: float) -> bool:
        """Whether a gauge lies inside the reach's own catchment: below what flows in, above its end."""
        return bool(self.above[reach] < area < self.area[reach])


@dataclass
class _Search:
    """Where gauges go on a network, under some settings."""

    reaches: _Reaches
    settings: PlacementSettings

    # -- one gauge ------------------------------------------------------------------------------------------

    def place(self, sites: GaugeSites, g: int, reach: int) -> PlacedGauge:
        """Place gauge g, whose given reach is at a position of the network, or at `NONE`."""
        given, lat, lon = int(sites.reach_id[g]), float(sites.lat[g]), float(sites.lon[g])
        row = PlacedGauge(str(sites.gauge[g]), given, area=float(sites.area[g]))
        if reach != NONE:
            return self._by_id(row, reach, lat, lon)
        lost = "" if given == NONE else f"reach {given} is not in the network"
        if not (np.isfinite(lat) and np.isfinite(lon)):
            return _saying(row, lost or "it has neither a reach_id nor a position")
        near = self._near(lat, lon)
        if not near:
            return self._dropped(row, lost, self._nearest_text(lat, lon))
        return self._by_position(row, near, lost)

    def _by_id(self, row: PlacedGauge, reach: int, lat: float, lon: float) -> PlacedGauge:
        here = _Found(reach, self.reaches.distance(reach, lat, lon))
        if not self.reaches.comparable(reach, row.area):
            alone = "no drainage area of its reach to compare with" if np.isfinite(row.area) else ""
            return self._on(row, here, "id", alone, self._far_text(here))
        if self._fits(reach, row.area):
            return self._on(row, here, "id", self._far_text(here))
        if self.reaches.inside(reach, row.area):
            return self._on(row, here, "id", self._share_text(reach, row.area), self._far_text(here))
        candidates = {one.reach: one for one in self._along(reach)}
        if np.isfinite(here.distance):
            # the position tells how far a candidate is, and knows of more
            candidates = {i: _Found(i, self.reaches.distance(i, lat, lon)) for i in candidates}
        if np.isfinite(lat) and np.isfinite(lon):
            candidates |= {one.reach: one for one in self._near(lat, lon)}
        best = self._best([one for one in candidates.values() if one.reach != reach], row.area)
        theirs = _km2(float(self.reaches.area[reach]))
        what = f"its drainage area is {_km2(row.area)} and that of reach {row.given} {theirs}"
        if best is None:
            return self._dropped(row, what, f"no reach within {_km(self.settings.distance)} fits it better")
        return self._on(row, best, "area", what)

    def _by_position(self, row: PlacedGauge, near: list[_Found], lost: str) -> PlacedGauge:
        comparable = [one for one in near if self.reaches.comparable(one.reach, row.area)]
        if not comparable:
            missing = "gauge" if not np.isfinite(row.area) else "reaches nearby"
            return self._on(
                row, near[0], "position", lost, f"no drainage area of the {missing} to compare with"
            )
        best = self._best(comparable, row.area)
        if best is not None:
            return self._on(row, best, "area", lost)
        inside = next((one for one in comparable if self.reaches.inside(one.reach, row.area)), None)
        if inside is not None:
            return self._on(row, inside, "area", lost, self._share_text(inside.reach, row.area))
        areas = ids_text(
            f"reach {self.reaches.id_of(one.reach)} {_km2(float(self.reaches.area[one.reach]))}"
            for one in comparable
        )
        return self._dropped(
            row,
            lost,
            f"its drainage area is {_km2(row.area)}, and within {_km(self.settings.distance)} there are {areas}",
        )

    # -- candidates -----------------------------------------------------------------------------------------

    def _near(self, lat: float, lon: float) -> list[_Found]:
        """Reaches whose points lie within the distance of a position, from the nearest on."""
        tree, known = self.reaches.tree
        if not known.size:
            return []
        here = unit_vectors(np.asarray(lat), np.asarray(lon))
        at = known[tree.query_ball_point(here, _chord(self.settings.distance) * (1 + 1e-12))]
        distance = great_circle(np.asarray(lat), np.asarray(lon), self.reaches.lat[at], self.reaches.lon[at])
        return self._sorted([_Found(int(i), float(d)) for i, d in zip(at, distance, strict=True)])

    def _along(self, reach: int) -> list[_Found]:
        """Reaches within the distance of one along the river, up and down (and up again), from the nearest on.

        From one reach to the next it is half the length of both; without lengths there are none.
        """
        length = self.reaches.network.length
        if length is None:
            return []
        by, start = self.reaches.upstream
        found = {reach: 0.0}
        waiting = [reach]
        while waiting:
            i = waiting.pop()
            down = int(self.reaches.network.downstream[i])
            for j in [*by[start[i] : start[i + 1]].tolist(), *([down] if down >= 0 else [])]:
                distance = found[i] + float(length[i] + length[j]) / 2
                if j not in found and distance <= self.settings.distance:
                    found[j] = distance  # a forest: there is one way to it, so the first is the only one
                    waiting.append(j)
        del found[reach]
        return self._sorted([_Found(i, d) for i, d in found.items()])

    def _sorted(self, found: list[_Found]) -> list[_Found]:
        return sorted(found, key=lambda one: (one.distance, self.reaches.id_of(one.reach)))

    def _best(self, candidates: list[_Found], area: float) -> _Found | None:
        """The candidate with the nearest drainage area, in the logarithm, of those within the tolerance."""
        fitting = [one for one in candidates if self._fits(one.reach, area)]
        return min(
            fitting,
            key=lambda one: (
                abs(np.log(area / self.reaches.area[one.reach])),
                one.distance,
                self.reaches.id_of(one.reach),
            ),
            default=None,
        )

    # -- drainage areas -------------------------------------------------------------------------------------

    def _fits(self, reach: int, area: float) -> bool:
        if not self.reaches.comparable(reach, area):
            return False
        return bool(
            abs(np.log(area / self.reaches.area[reach])) <= np.log(self.settings.area_tolerance) + 1e-12
        )

    def _share_text(self, reach: int, area: float) -> str:
        share = area / float(self.reaches.area[reach])
        return f"inside the catchment of its reach, with {share:.3g} of its drainage area"

    def _far_text(self, found: _Found) -> str:
        if not found.distance > self.settings.distance:  # nor where it isn't known
            return ""
        return f"{_km(found.distance)} from the point of its reach"

    # -- results --------------------------------------------------------------------------------------------

    def _on(self, row: PlacedGauge, found: _Found, how: How, *why: str) -> PlacedGauge:
        reach_id, reach_area = self.reaches.id_of(found.reach), float(self.reaches.area[found.reach])
        scale = reach_area / row.area
        if not (self.settings.scale_by_area and np.isfinite(scale)):
            scale = 1.0
        reasons = [text for text in why if text]
        if scale != 1.0:
            reasons.append(f"observations times {scale:.4g}, the ratio of the drainage areas")
        moved = row.given not in (NONE, reach_id)
        return replace(
            row,
            reach=found.reach,
            reach_id=reach_id,
            how=how,
            distance=found.distance,
            reach_area=reach_area,
            scale=scale,
            status="moved" if moved else "matched",
            reason="; ".join(reasons),
        )

    def _dropped(self, row: PlacedGauge, *why: str) -> PlacedGauge:
        return _saying(row, "; ".join(text for text in why if text))

    def _nearest_text(self, lat: float, lon: float) -> str:
        none = f"no reach within {_km(self.settings.distance)}"
        tree, known = self.reaches.tree
        if not known.size:
            return f"{none}: the network has no positions"
        chord, at = tree.query(unit_vectors(np.asarray(lat), np.asarray(lon)))
        away = _km(float(_ground(np.asarray(chord))))
        return f"{none}: the nearest, {self.reaches.network.reach_id[known[at]]}, is {away} away"
