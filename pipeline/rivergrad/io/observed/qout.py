"""RAPID's Qout: discharge of reaches, taken for observations (as of a run with known parameters)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rivergrad.errors import InputError
from rivergrad.io.datasets import find_ids, find_variable, numbers_of
from rivergrad.io.heads import head_of
from rivergrad.io.missing import without_absent
from rivergrad.io.observed.netcdf import opened
from rivergrad.io.observed.record import GaugeFormat, Record
from rivergrad.io.rapid import times_by_name
from rivergrad.io.stamps import read_axis, starts_of, time_dim
from rivergrad.io.times import TimeArray, parse_dates
from rivergrad.io.units import unit_of

_SPAN = re.compile(r"_(\d{8})_(\d{8})\.")


@dataclass(frozen=True)
class RapidQout(GaugeFormat):
    """`Qout(time, rivid)` in m3/s; a gauge a reach."""

    name: str = "rapid_qout"
    traps: tuple[str, ...] = (
        "Reaches are in an order of their own: they are matched by rivid.",
        "Times may never have been written: then the file's name tells them (Qout_…_3hr_19800101.nc).",
        "It also has time_bnds, crs, Qout_bia, …, which are left.",
    )

    def guess(self, path: Path) -> str | None:
        """See `GaugeFormat`."""
        names = set(head_of(path).columns)
        return "has Qout and rivid" if {"Qout", "rivid"} <= names else None

    def records(self, path: Path) -> list[Record]:
        """See `GaugeFormat`."""
        with opened(path) as dataset:
            array = find_variable(dataset, "Qout", (), path)
            dim = time_dim(dataset, array, path)
            others = [str(one) for one in array.dims if one != dim]
            ids = find_ids(dataset, others[0], path) if len(others) == 1 else None
            if ids is None:
                raise InputError(
                    f"{path}: Qout has the dimensions {array.dims}; expected time and rivid, with ids"
                )
            count = int(array.sizes[dim])
            by_name = times_by_name(path, count) or _by_span(path, count)
            axis = read_axis(dataset, array, dim, path, by_name=by_name)
            time = starts_of(axis, "auto", path, "observations.")
            values = without_absent(numbers_of(array.transpose(dim, others[0]), path))
            unit = unit_of(array.attrs, str(path), "Qout", "m3 s-1")
        return [
            Record(
                str(reach),
                time,
                np.ascontiguousarray(values[:, i]),
                unit,
                path,
                reach_id=int(reach),
                utc=True,
            )
            for i, reach in enumerate(ids)
        ]


def _by_span(path: Path, count: int) -> tuple[TimeArray, float] | None:
    """Times by the first and the last day in a name (`…_19700101_19700110.nc4`), both included."""
    match = _SPAN.search(path.name)
    if match is None:
        return None
    days = [f"{day[:4]}-{day[4:6]}-{day[6:]}" for day in match.groups()]
    first, last = parse_dates(days, str(path), "file name")
    span = int((last - first) / np.timedelta64(1, "s")) + 86400
    if span <= 0 or span % count:
        return None
    step = span // count
    return first + np.arange(count) * np.timedelta64(step, "s"), float(step)
