"""A river network out of a frame: columns by their names there, units to SI, outlets, and a look at what results."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rivercut import graph
from rivercut.network import RiverNetwork
from rivergrad.errors import InputError, ids_text
from rivergrad.io.datasets import missing
from rivergrad.io.frames import Frame, column_of, midpoints
from rivergrad.io.missing import HUGE, absent
from rivergrad.io.outlets import COLUMN, Outlets, downstream_ids
from rivergrad.io.tables import id_column, number_column
from rivergrad.io.units import si_factor

log = logging.getLogger("rivergrad")

Float = NDArray[np.float64]
Int = NDArray[np.int64]

UNITS: Mapping[str, str | None] = {
    "length_m": "m",
    "area_m2": "m2",
    "upstream_area_m2": "m2",
    "k": "s",
    "x": "1",
    "slope": "1",
    "width_m": "m",
    "manning_n": None,
    "elevation_m": "m",
    "is_lake": None,
    "stream_order": None,
    "lat": None,
    "lon": None,
}
"""What a network can have of each reach, and its unit in SI; None where a file's unit is not looked at."""

_SPELLINGS = {
    **dict.fromkeys(("unitless", "none", "m/m", "m m-1", "-", ""), "1"),
    **dict.fromkeys(("square-meter", "suqre-meter", "square meter", "square meters", "sqm", "sq m"), "m2"),
    **dict.fromkeys(("sqkm", "sq km", "square kilometers", "square-kilometer"), "km2"),
}


@dataclass(frozen=True)
class Options:
    """What a user says of a network file.

    Attributes:
        outlets: what means an outlet, besides what the format has.
        layer: of a file with several.
        columns: the file's own names by those of rivergrad: `{reach_id: LINKNO, length_m: Length}`.
        units: of columns, by rivergrad's name: `{length_m: km}`; they go before what the file says.
    """

    outlets: Outlets = field(default_factory=Outlets)
    layer: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        outlets: Sequence[int | str] = (),
        layer: str | None = None,
        columns: Mapping[str, str] | None = None,
        units: Mapping[str, str] | None = None,
        channel_area: float | None = None,
    ) -> Options:
        """From what `read_network` takes.

        Raises:
            InputError: an outlet that is no id, a unit of something that no network has, or channel_area.
        """
        if channel_area is not None:
            raise InputError(
                "found channel_area; expected it with rasters only (formats d8, ldd, wflow, cama)"
            )
        columns, units = dict(columns or {}), dict(units or {})
        for name in units:
            if name not in UNITS and name not in columns:
                known = ", ".join(one for one, unit in UNITS.items() if unit is not None)
                raise InputError(f"units: found {name}; expected one of {known}, or a name of columns")
        return cls(Outlets.of(outlets), layer, columns, units)


Aliases = Mapping[str, Sequence[tuple[str, str | None]]]
"""By rivergrad's name, the format's names in order, each with the unit that the name implies; None for SI."""


@dataclass(frozen=True)
class Schema:
    """How a format names the columns of a network.

    Attributes:
        columns: see `Aliases`; `reach_id` and `downstream_id` among them.
        outlets: downstream ids that mean an outlet.
        outside: whether an id that the file lacks is an outlet, as in files that are cut out of larger ones.
        needs_length: whether a network without lengths is an error.
    """

    columns: Aliases
    outlets: tuple[int, ...] = (-1,)
    outside: bool = False
    needs_length: bool = False


def network_of(frame: Frame, schema: Schema, options: Options) -> RiverNetwork:
    """The network in a frame.

    Raises:
        InputError: columns that are missing, ids that are no integers, units that are not known or not likely, or no
            valid forest.
    """
    path = frame.path
    if frame.table.empty:
        raise InputError(f"{path}: has no rows; expected a reach a row")
    names = _names(frame, schema, options)
    for one in ("reach_id", "downstream_id"):
        if one not in names:
            wanted = options.columns.get(one) or schema.columns[one][0][0]
            raise missing(path, "column", wanted, frame.table.columns)
    ids = id_column(frame.table, names["reach_id"][0], path)
    ends = replace(
        options.outlets,
        # a value that is the id of a reach means that reach
        values=tuple(one for one in (*schema.outlets, *options.outlets.values) if not (ids == one).any()),
    )
    below = downstream_ids(frame.table.rename(columns={names["downstream_id"][0]: COLUMN}), ids, path, ends)
    if schema.outside:
        below = _ended(below, ids, frame)
    values = {
        name: _values(frame, name, column, unit, options)
        for name, (column, unit) in names.items()
        if name not in ("reach_id", "downstream_id")
    }
    if not {"lat", "lon"} <= set(values) and (found := midpoints(frame)) is not None:
        values["lat"], values["lon"] = found
    length = values.pop("length_m", None)
    if length is None and schema.needs_length and "k" not in values:
        raise missing(path, "column", schema.columns["length_m"][0][0], frame.table.columns)
    network = RiverNetwork.from_ids(ids, below, length, values, source=str(path))
    return with_local_area(network)


def _names(frame: Frame, schema: Schema, options: Options) -> dict[str, tuple[str, str | None]]:
    """By rivergrad's name, the column that holds it and the unit that its name implies."""
    found: dict[str, tuple[str, str | None]] = {}
    for name, aliases in schema.columns.items():
        for alias, unit in aliases:
            column = column_of(frame, alias)
            if column is not None:
                found[name] = (column, unit)
                break
    for name, column in options.columns.items():
        if column not in frame.table.columns:
            raise missing(frame.path, "column", column, frame.table.columns)
        found[name] = (column, None)
    return found


def _ended(below: Int, ids: Int, frame: Frame) -> Int:
    """Downstream ids with -1 for those that no reach has, which is said."""
    unknown = (below != -1) & ~np.isin(below, ids)
    if unknown.any():
        count = int(unknown.sum())
        log.warning(
            "%s: outlets: %s %s, which the file does not hold",
            frame.path,
            "1 reach flows into" if count == 1 else f"{count:,} reaches flow into",
            ids_text(np.unique(below[unknown])),
        )
    return np.where(unknown, -1, below)


def _values(frame: Frame, name: str, column: str, implied: str | None, options: Options) -> NDArray[Any]:
    """A column in SI, NaN where there is no value."""
    path, given = frame.path, frame.table[column]
    if given.dtype.kind in "iub" and UNITS.get(name, "") is None:
        return given.to_numpy()
    values = number_column(frame.table, column, path, truth_values=name == "is_lake")
    none = absent(values, short=name == "lat")
    if none is not None or np.isinf(values).any():
        values = np.where(np.isinf(values) | (False if none is None else none), np.nan, values)
    if name == "length_m":
        values = np.where(values >= HUGE, np.nan, values)
    unit = options.units.get(name) or frame.units.get(column) or implied
    expected = UNITS.get(name)
    if unit is None or (name in UNITS and expected is None):
        return values
    unit = _SPELLINGS.get(unit.strip().lower(), unit)
    return values * si_factor(unit, expected, str(path), column)


def with_local_area(network: RiverNetwork) -> RiverNetwork:
    """The network with `area_m2` as the difference of upstream areas, or the latter as the sum, where one is absent."""
    attributes = dict(network.attributes)
    local, total = attributes.get("area_m2"), attributes.get("upstream_area_m2")
    if local is None and total is not None:
        inflow = np.zeros(network.n_reaches)
        has = network.downstream >= 0
        np.add.at(inflow, network.downstream[has], np.nan_to_num(np.asarray(total, np.float64))[has])
        # what rounding leaves below 0 is no area
        attributes["area_m2"] = np.maximum(np.asarray(total, np.float64) - inflow, 0.0)
    elif total is None and local is not None and np.isfinite(local).all():
        attributes["upstream_area_m2"] = graph.accumulate(
            network.downstream, network.order, np.asarray(local, np.float64)
        )
    else:
        return network
    return RiverNetwork(network.reach_id, network.downstream, network.length, attributes)


def prefixed_ids(column: pd.Series[Any], prefix: str) -> pd.Series[Any]:
    """Ids such as `wb-88316` without what stands before the number; others as they are."""
    texts = column.astype(object).where(column.notna(), None)
    return texts.map(lambda one: one.removeprefix(prefix) if isinstance(one, str) else one)
