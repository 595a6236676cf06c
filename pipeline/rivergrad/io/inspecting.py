"""What a file is: its format and how that was told, what it holds, and the lines of a workflow that read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rivergrad.errors import InputError, ids_text
from rivergrad.files import require_readable
from rivergrad.io.formats import CANONICAL, Found, candidates
from rivergrad.io.heads import head_of
from rivergrad.io.inspectseries import Seen, many, series_seen
from rivergrad.io.network import read_network
from rivergrad.io.observed.record import GaugeFormat, Record
from rivergrad.io.observed.stations import read_stations, station_table
from rivergrad.io.rapid import read_rapid_qout
from rivergrad.io.rapidstate import is_rapid_state
from rivergrad.io.runoff import VARIABLES
from rivergrad.io.state import TITLE
from rivergrad.io.times import step_text, text
from rivergrad.io.weighttables import read_weights

_RUNOFF = (
    "runoff",
    "m3_riv",
    "ro",
    "lateral_inflow",
    "Qext",
    "qlateral",
    "Qs",
    "sro",
    "Q_lateral",
    "q_lateral",
)
_OBSERVED = ("discharge", "streamflow", "Q")
_WEIGHTS = {"lon_index", "i_index", "overlaps", "overlappolyid", "x_index", "weight", "1bi"}
_TOO_EAGER = ("usgs_rdb", "netcdf")
"""Formats whose files may be tables of stations or weights, too."""


@dataclass(frozen=True)
class Inspection:
    """What was found out about a file.

    Attributes:
        path: the file; role: network, runoff or observations; format: its name; why: how it was told.
        facts: sentences about what it holds.
        traps: what is easily read wrongly in this format, and is taken care of.
        extra: the extra of rivergrad that it needs.
        settings: of the workflow's section of that role, besides the file.
        key: of the file in that section.
    """

    path: Path
    role: str
    format: str
    why: str
    facts: tuple[str, ...]
    traps: tuple[str, ...]
    extra: str | None
    settings: Mapping[str, str]
    key: str = "path"

    def lines(self) -> Iterator[str]:
        """All of it, as it is printed; the last lines are YAML to paste."""
        yield f"{self.path}: {self.role}, {self.format} ({self.why})"
        for fact in self.facts:
            yield f"  {fact}"
        for trap in self.traps:
            yield f"  handled: {trap}"
        if self.extra is not None:
            yield f"  needs: pip install 'rivergrad[{self.extra}]'"
        if self.role == "state":
            yield f"  to start from it: rivergrad route --state-in {self.path}"
            return
        yield f"{self.role}:"
        yield f"  {self.key}: {self.path}"
        for name, value in self.settings.items():
            yield f"  {name}: {value}"


def inspect_file(path: str | Path) -> Inspection:
    """Find out what a file or folder is.

    Args:
        path: the file or folder.

    Raises:
        InputError: it is not there, of no format that is known, or damaged.

    Example:
        >>> import rivergrad as rg
        >>> print("\\n".join(rg.inspect_file("rivers.gpkg").lines()))
    """
    path = Path(path)
    require_readable(path, "file or folder")
    if (state := _state(path)) is not None:
        return state
    told = _told(path)
    if (told is None or told[0].name in _TOO_EAGER) and (auxiliary := _auxiliary(path, told)) is not None:
        return auxiliary
    if told is None:
        seen = ids_text(head_of(path).columns or head_of(path).names)
        raise InputError(
            f"{path}: is of no format that is known; found {seen or 'no columns or variables'}, expected a network, "
            "runoff or observations (docs/formats.md)"
        )
    found, role = told
    if found.outside:
        return _of_others(path, found)
    traps = tuple(found.format.traps)
    if role == "runoff" and found.native and head_of(path).kind in ("netcdf", "zarr"):
        looked = _seen(path, VARIABLES, "reach")
        facts, settings, traps = list(looked.facts), looked.settings, looked.handled
    else:
        facts, settings = _FACTS[role](path, found)
    if not found.native and found.name != "table":
        settings = {"format": found.name, **settings}
    return Inspection(
        path,
        role,
        found.name,
        found.why,
        tuple(facts),
        traps,
        found.format.extra,
        settings,
    )


def _told(path: Path) -> tuple[Found, str] | None:
    """The format and the role of a path; None where no format knows it."""
    every = list(candidates(path))
    special = next((one for one in every if not one.native), None)
    plain = next((one for one in every if one.native), None)
    head = head_of(path)
    role = _role_by_names({name.lower() for name in head.columns}, path)
    if plain is not None and role in plain.format.reads:
        canonical = role in CANONICAL and head.has(*CANONICAL[role])
        if special is None or canonical:
            return plain, role
    if special is not None:
        return special, special.format.reads[0]
    return (plain, "network") if plain is not None and plain.format.reads == ("network",) else None


def _of_others(path: Path, found: Found) -> Inspection:
    """A file of a format that another package brings, which may read several roles from such files."""
    roles = list(found.format.reads)
    facts, role = [f"reads {' and '.join(roles)}"], roles[0]
    if role == "network":
        try:
            facts, _ = _network(path, found)
        except Exception:  # what its code raises where the file holds something else
            if len(roles) == 1:
                raise
            role = roles[1]
    settings, traps = {"format": found.name}, tuple(found.format.traps)
    return Inspection(path, role, found.name, found.why, tuple(facts), traps, found.format.extra, settings)


def _state(path: Path) -> Inspection | None:
    """An initial state, of rivergrad or of RAPID; None where it is neither."""
    head = head_of(path)
    if head.attributes.get("title") == TITLE:
        facts = [f"{name}: {head.attributes.get(name)}" for name in ("scheme", "engine", "time")]
        return Inspection(path, "state", "rivergrad", "by its title", tuple(facts), (), None, {}, "")
    if head.has("Qinit") or (path.name.startswith("Qinit") and is_rapid_state(path)):
        ids, _ = read_rapid_qout(path)
        facts = [f"discharge of {many(ids.size, 'reach')} ({ids_text(ids)}) to start from"]
        return Inspection(path, "state", "rapid", "Qinit of RAPID", tuple(facts), (), None, {}, "")
    return None


def _weights(path: Path, told: object) -> Inspection | None:
    """A table of weights; None where it is another one."""
    head = head_of(path)
    columns = {name.lower() for name in head.columns}
    named = bool(columns & _WEIGHTS) or columns >= {"s", "row", "col"} or ":GridWeights" in head.text
    if not named and (told is not None or head.kind != "csv"):
        return None
    try:
        table = read_weights(path)
    except InputError:
        if named and told is None:
            raise
        return None
    ids = np.unique(table.target)
    share = f"{table.value.sum() / 1e6:,.6g} km2" if table.is_area else "shares of their areas"
    facts = (
        f"a table of weights: {many(table.value.size, 'row')}, {many(ids.size, 'id')} ({ids_text(ids)}), {share}",
    )
    why = "by its columns" if head.columns else "has :GridWeights"
    return Inspection(path, "runoff", "weights", why, facts, (), None, {}, "weights")


def _auxiliary(path: Path, told: object) -> Inspection | None:
    """A table of stations or of weights, which belongs to files of series; None where it is neither."""
    if (weights := _weights(path, told)) is not None:
        return weights
    if path.is_dir():
        return None
    try:
        stations = read_stations(path)
    except InputError:
        return None
    placed = int((np.isfinite(stations.lat) & np.isfinite(stations.lon)).sum())
    reaches = int((stations.reach_id >= 0).sum())
    if not placed and not reaches and not np.isfinite(stations.area).any():
        return None
    facts = (
        f"a table of {many(stations.gauge.size, 'station')} ({ids_text(stations.gauge)})",
        f"{placed} with a position, {reaches} with a reach, {int(np.isfinite(stations.area).sum())} with an area",
    )
    return Inspection(path, "observations", "stations", "by its columns", facts, (), None, {}, "stations")


def _role_by_names(columns: set[str], path: Path) -> str:
    """The role of a file in a plain form, by its columns or variables; empty where they do not say it."""
    if {"downstream_id", "downstream"} & columns and "reach_id" in columns:
        return "network"
    if columns & {name.lower() for name in _RUNOFF}:
        return "runoff"
    if columns & {name.lower() for name in _OBSERVED}:
        return "observations"
    return "runoff" if "time" in columns or (head_of(path).kind in ("netcdf", "zarr") and columns) else ""


def _network(path: Path, found: Found) -> tuple[list[str], dict[str, str]]:
    network = read_network(path, found.name)
    ends = network.reach_id[network.downstream < 0]
    facts = [f"{many(network.n_reaches, 'reach')}, {many(ends.size, 'outlet')} ({ids_text(ends)})"]
    if network.length is None:
        facts.append(
            "no lengths" + (", k in their place" if "k" in network.attributes else ": it can't be estimated")
        )
    else:
        facts.append(
            f"length {network.length.sum() / 1e3:,.6g} km, {np.median(network.length):,.4g} m in the median"
        )
    area = network.attributes.get("area_m2")
    if area is not None:
        facts.append(f"area {np.nansum(np.asarray(area, np.float64)) / 1e6:,.6g} km2")
    lat, lon = network.attributes.get("lat"), network.attributes.get("lon")
    if lat is not None and lon is not None and np.isfinite(np.asarray(lat, np.float64)).any():
        facts.append(
            f"from {np.nanmin(lat):.4g} to {np.nanmax(lat):.4g} N, {np.nanmin(lon):.4g} to {np.nanmax(lon):.4g} E"
        )
    if network.attributes:
        facts.append(f"attributes: {', '.join(sorted(network.attributes))}")
    return facts, {}


def _observations(path: Path, found: Found) -> tuple[list[str], dict[str, str]]:
    if not isinstance(found.format, GaugeFormat):
        return _series(path, _OBSERVED, "gauge")
    records = found.format.records(path)
    gauges = list(dict.fromkeys(record.gauge for record in records))
    beside = station_table(None, found.format.table, [path], gauges)
    facts, settings = _of_records(records), _settings_of(records)
    if beside is not None and (beside.rows_of(np.array(gauges)) >= 0).all():
        facts = [one for one in facts if "a table of stations says them" not in one]
        facts.append(f"stations: {beside.path}, where the archive keeps it")
        settings.pop("stations", None)
    return facts, settings


def _of_records(records: Sequence[Record]) -> list[str]:
    gauges = list(dict.fromkeys(record.gauge for record in records))
    facts = [f"{many(len(gauges), 'gauge')} ({ids_text(gauges)})"]
    times = np.concatenate([record.time for record in records])
    gaps = np.concatenate([np.diff(np.unique(record.time)) for record in records]).astype("timedelta64[s]")
    step = f", by {step_text(float(np.min(gaps.astype(np.int64))))}" if gaps.size else ""
    facts.append(f"period {text(times.min())} to {text(times.max())}{step}")
    missing = int(sum(np.isnan(record.values).sum() for record in records))
    units = sorted({record.unit for record in records})
    facts.append(f"unit {', '.join(units)}; {missing} of {times.size} values are missing")
    flags = sorted(
        {str(flag) for record in records if record.flags is not None for flag in record.flags} - {""}
    )
    if flags:
        facts.append(f"quality flags: {ids_text(flags)}")
    lacking = [
        what
        for what, there in (
            ("position", all(np.isfinite(record.lat) for record in records)),
            ("reach", all(record.reach_id >= 0 for record in records)),
            ("drainage area", all(record.area > 0 for record in records)),
        )
        if not there
    ]
    if "position" in lacking and "reach" in lacking:
        facts.append(f"no {', no '.join(lacking)}: a table of stations says them")
    clocks = sorted({record.utc_offset for record in records if record.utc_offset is not None})
    if any(record.utc for record in records):
        facts.append("times are in UTC")
    elif clocks:
        facts.append(f"its days are local: {', '.join(f'{one / 3600:+g} h' for one in clocks)} from UTC")
    return facts


def _settings_of(records: Sequence[Record]) -> dict[str, str]:
    settings = {}
    if any(np.isnan(record.lat) and record.reach_id < 0 for record in records):
        settings["stations"] = "stations.csv  # gauge, reach_id or lat and lon, area_km2"
    if any(record.utc_offset for record in records):
        settings["utc_offset"] = "file"
    return settings


def _runoff(path: Path, found: Found) -> tuple[list[str], dict[str, str]]:
    return _series(path, VARIABLES, "reach")


def _series(path: Path, names: Sequence[str], what: str) -> tuple[list[str], dict[str, str]]:
    """Of NetCDF and Zarr; of a table, its columns."""
    seen = _seen(path, names, what)
    return list(seen.facts), seen.settings


def _seen(path: Path, names: Sequence[str], what: str) -> Seen:
    head = head_of(path)
    if head.kind not in ("netcdf", "zarr"):
        return Seen((f"columns: {ids_text(head.columns)}",), (), {})
    return series_seen(path, names, what)


_FACTS = {"network": _network, "runoff": _runoff, "observations": _observations}
