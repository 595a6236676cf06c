"""Files of archives become one set of series: units, areas, flags, clocks and gaps are settled here, once for all."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rivergrad.errors import InputError, ids_text
from rivergrad.files import Paths
from rivergrad.io.layout import Steps, lay_out
from rivergrad.io.observed.files import files_of, formats_of
from rivergrad.io.observed.localtime import said, to_utc
from rivergrad.io.observed.quality import Quality
from rivergrad.io.observed.record import Record
from rivergrad.io.observed.stations import Stations, station_table
from rivergrad.io.placement import NONE, GaugeSites
from rivergrad.io.settle import RawObservations, sites_of
from rivergrad.io.stamps import SHARE, Stamp
from rivergrad.io.times import text
from rivergrad.io.units import flow_unit

log = logging.getLogger("rivergrad")
Float = NDArray[np.float64]


@dataclass(frozen=True)
class ArchiveOptions:
    """What a user says about files of observations.

    Attributes:
        stations: a table of stations.
        quality: which values stay.
        utc_offset: s by which the gauges' clocks are ahead of UTC, or `file`: what the files say; None where it is not
            said. A table of stations with a column `utc_offset` goes before it.
        stamp: what times label; `auto` is the start.
    """

    stations: Path | None = None
    quality: Quality = field(default_factory=Quality)
    utc_offset: float | str | None = None
    stamp: Stamp = "auto"


def read_archive(paths: Paths, format: str, options: ArchiveOptions, like: Steps | None) -> RawObservations:
    """Read files of an archive.

    Args:
        paths: a file, or many (see `files_of`).
        format: of all of them; `auto` tells each by its content.
        options: see `ArchiveOptions`.
        like: the steps of the runoff.

    Raises:
        InputError: a file of no known format, a value twice, a depth without a drainage area, times beside the axis.
    """
    records, tables, files = records_of(paths, format)
    path = files[0] if len(files) == 1 else files[0].parent
    records = _without_flagged(records, options.quality, path)
    gauges = np.array(list(dict.fromkeys(record.gauge for record in records)), np.str_)
    beside = next(iter(tables)) if len(tables) == 1 else None
    stations = station_table(options.stations, beside, files, gauges.tolist())
    rows = np.full(gauges.size, -1) if stations is None else stations.rows_of(gauges)
    if options.stations is not None and (rows < 0).all():
        raise InputError(
            f"{options.stations}: has none of the gauges {ids_text(gauges)} of {path}; expected them among its names"
        )
    sites = _sites(records, gauges, stations, rows, path)
    raw = _laid_out(records, sites, options.stamp, like, path)
    return moved_to_utc(raw, _offsets(records, gauges, stations, rows, options, path), like, path)


def records_of(paths: Paths, format: str = "auto") -> tuple[list[Record], set[str], list[Path]]:
    """The records in files, where their formats keep tables of stations, and the files.

    Raises:
        InputError: a file that is of no known format, or is damaged.
    """
    files = files_of(paths, format)
    records: list[Record] = []
    tables = set()
    for file, made in formats_of(files, format):
        if made is None:
            raise InputError(
                f"{file}: is of no format of observations that is known for many files at once; expected one that "
                "rivergrad inspect names"
            )
        records += made.records(file)
        if made.table is not None:
            tables.add(made.table)
    return records, tables, files


def _without_flagged(records: list[Record], quality: Quality, path: Path) -> list[Record]:
    if not quality.any:
        return records
    if all(record.flags is None for record in records):
        raise InputError(f"{path}: its values have no quality flags; expected none of observations.quality")
    flags = np.concatenate([record.flags for record in records if record.flags is not None])
    out = quality.left_out(flags, path)
    there = np.concatenate([np.isfinite(record.values) for record in records if record.flags is not None])
    log.warning(
        "%s: %d of %d values are left out by their quality flags (quality)",
        path,
        int((out & there).sum()),
        there.size,
    )
    done, at = [], 0
    for record in records:
        if record.flags is not None:
            stop = at + len(record.flags)
            record = replace(record, values=np.where(out[at:stop], np.nan, record.values))
            at = stop
        done.append(record)
    return done


def _sites(
    records: list[Record],
    gauges: NDArray[np.str_],
    stations: Stations | None,
    rows: NDArray[np.int64],
    path: Path,
) -> GaugeSites:
    """What the table of stations says, and else the files."""
    place = {str(name): g for g, name in enumerate(gauges)}
    reach = np.full(gauges.size, NONE)
    lat, lon, area = (np.full(gauges.size, np.nan) for _ in range(3))
    for record in records:
        g = place[record.gauge]
        if record.reach_id != NONE:
            reach[g] = record.reach_id
        for values, one in ((lat, record.lat), (lon, record.lon), (area, record.area)):
            if not np.isnan(one):
                values[g] = one
    if stations is not None:
        known = np.flatnonzero(rows >= 0)
        at = rows[known]
        reach[known] = np.where(stations.reach_id[at] != NONE, stations.reach_id[at], reach[known])
        both = np.isfinite(stations.lat[at]) & np.isfinite(stations.lon[at])
        lat[known[both]], lon[known[both]] = stations.lat[at[both]], stations.lon[at[both]]
        area[known] = np.where(np.isfinite(stations.area[at]), stations.area[at], area[known])
    return sites_of(gauges, reach, lat, lon, area, path)


def _laid_out(
    records: list[Record], sites: GaugeSites, stamp: Stamp, like: Steps | None, path: Path
) -> RawObservations:
    """Series on one axis of the gauges' own clocks, in m3/s."""
    place = {str(name): g for g, name in enumerate(sites.gauge)}
    which = np.concatenate([np.full(len(record.time), place[record.gauge]) for record in records])
    stamps = np.concatenate([record.time for record in records]).astype("datetime64[ns]")
    if not stamps.size:
        raise InputError(f"{path}: has no value at all; expected a time and a discharge a row")
    late = 0
    if stamp != "auto":
        length = like.length if like is not None else _step_of(stamps, which)
        late = round(length * SHARE[stamp] * 1e9)
    begins = (stamps.astype(np.int64) - late).astype("datetime64[ns]")
    axis, slot, step = lay_out(begins, path, like=like, exact=True, width=sites.gauge.size)
    twice = np.bincount(slot * sites.gauge.size + which) > 1
    if twice.any():
        at, gauge = divmod(int(twice.argmax()), sites.gauge.size)
        raise InputError(
            f"{path}: has two values for gauge '{sites.gauge[gauge]}' at {text(axis[at])}; expected one"
        )
    values = np.concatenate([_in_si(record, sites.area[place[record.gauge]], step) for record in records])
    laid = np.full((len(axis), sites.gauge.size), np.nan)
    laid[slot, which] = values
    return RawObservations(sites, axis, step, laid, None, None)


def _step_of(stamps: NDArray[np.datetime64], which: NDArray[np.int64]) -> float:
    order = np.lexsort((stamps, which))
    gaps = np.diff(stamps[order].astype(np.int64))[np.diff(which[order]) == 0]
    gaps = gaps[gaps > 0]
    return float(gaps.min()) / 1e9 if gaps.size else 86400.0


def _in_si(record: Record, area: float, step: float) -> Float:
    """(T,) m3/s; infinite values are refused later, with the gauge and the time."""
    unit = flow_unit(record.unit, str(record.path), f"discharge of {record.gauge}")
    if not unit.needs_area:
        return record.values * unit.to_rate(step)
    if not area > 0:
        raise InputError(
            f"{record.path}: gauge {record.gauge} is in {record.unit}, and its drainage area is not known; expected "
            "area_km2 in a table of stations (observations.stations)"
        )
    return record.values * (unit.to_rate(step) * area)


def _offsets(
    records: list[Record],
    gauges: NDArray[np.str_],
    stations: Stations | None,
    rows: NDArray[np.int64],
    options: ArchiveOptions,
    path: Path,
) -> Float:
    """(G,) s by which each gauge's clock is ahead of UTC: its row of the table's, else the option's, else none."""
    utc = {record.gauge for record in records if record.utc}
    by_file = {record.gauge: record.utc_offset for record in records if record.utc_offset is not None}
    own = np.full(gauges.size, np.nan) if stations is None else stations.offsets(rows)
    said_here = options.utc_offset
    offsets = np.zeros(gauges.size)
    for g, gauge in enumerate(map(str, gauges)):
        if gauge in utc:
            continue
        if not np.isnan(own[g]):
            offsets[g] = own[g]
        elif said_here == "file":
            if gauge not in by_file:
                raise InputError(
                    f"{path}: does not say the time zone of gauge {gauge}; expected observations.utc_offset such as -5h"
                )
            offsets[g] = by_file[gauge]
        elif said_here is not None:
            offsets[g] = float(said_here)
    silent = [gauge for gauge in by_file if by_file[gauge] and gauge not in utc]
    if said_here is None and silent and np.isnan(own).any():
        log.warning(
            "%s: the clocks of %d gauges are not UTC by the file, and their days are taken as UTC days; "
            "observations.utc_offset: file moves them",
            *(path, len(silent)),
        )
    return offsets


def moved_to_utc(raw: RawObservations, offsets: Float, like: Steps | None, path: Path) -> RawObservations:
    """Series on the steps of UTC.

    Args:
        raw: on the clocks of the gauges.
        offsets: (G,) s by which each is ahead of UTC.
        like: the steps of the runoff.
        path: for the line that says it.
    """
    if not offsets.any():
        return raw
    values = {"discharge": raw.discharge}
    by_time = raw.error is not None and raw.error[0].ndim == 2
    if raw.error is not None and by_time:
        values["error"] = raw.error[0]
    moved = to_utc(raw.time, raw.step, values, offsets, like)
    log.warning("%s", said(path, offsets, moved.mixed & (offsets != 0)))
    error = raw.error
    if error is not None and by_time:
        error = moved.values["error"], error[1]
    return replace(raw, time=moved.time, discharge=moved.values["discharge"], error=error)


def with_stations(raw: RawObservations, path: Path | None, source: Path) -> tuple[RawObservations, Float]:
    """Series of a file of rivergrad's own with what a table of stations says, and (G,) offsets, NaN where not said.

    Raises:
        InputError: the table has none of the gauges.
    """
    count = raw.sites.gauge.size
    if path is None:
        return raw, np.full(count, np.nan)
    stations = station_table(path, None, [source], raw.sites.gauge.tolist())
    assert stations is not None
    rows = stations.rows_of(raw.sites.gauge)
    if (rows < 0).all():
        raise InputError(
            f"{path}: has none of the gauges {ids_text(raw.sites.gauge)} of {source}; expected them among its names"
        )
    given = raw.sites
    records = [
        Record(
            str(given.gauge[g]),
            raw.time[:0],
            raw.discharge[:0, g],
            "m3/s",
            source,
            lat=float(given.lat[g]),
            lon=float(given.lon[g]),
            area=float(given.area[g]),
            reach_id=int(given.reach_id[g]),
        )
        for g in range(count)
    ]
    sites = _sites(records, given.gauge, stations, rows, source)
    return replace(raw, sites=sites), stations.offsets(rows)
