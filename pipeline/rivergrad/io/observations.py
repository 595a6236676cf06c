"""Streamflow observations at gauges: `discharge(time, gauge)` with NaN where there is none."""

from __future__ import annotations

from os.path import commonpath
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rivercut.network import RiverNetwork
from rivergrad.clocks import offset_of
from rivergrad.errors import InputError, ids_text
from rivergrad.files import Paths, expanded
from rivergrad.io.datasets import (
    GAUGE_NAMES,
    REACH_NAMES,
    find_variable,
    ids_of,
    kind_of,
    missing,
    numbers_of,
    open_dataset,
    optional_ids,
    reading,
    texts,
)
from rivergrad.io.formats import other_format
from rivergrad.io.layout import Steps, lay_out
from rivergrad.io.missing import without_absent
from rivergrad.io.observed.files import is_many
from rivergrad.io.observed.gather import ArchiveOptions, moved_to_utc, read_archive, with_stations
from rivergrad.io.observed.quality import Quality
from rivergrad.io.observed.record import GaugeFormat
from rivergrad.io.placement import NONE, GaugeSites, PlacementSettings
from rivergrad.io.series import read_series
from rivergrad.io.settle import ERROR, Negative, Observations, RawObservations, settle, sites_of
from rivergrad.io.stamps import SHARE, FileAxis, Stamp, read_axis, starts_of, time_dim, time_method
from rivergrad.io.units import discharge_factor, refuse_turned, si_factor, unit_of

__all__ = ["Negative", "Observations", "read_observations"]

Float = NDArray[np.float64]

VARIABLES = ("discharge", "streamflow", "Q")
LATITUDES, LONGITUDES = ("lat", "latitude"), ("lon", "longitude")
AREAS = {"area_m2": 1.0, "area_km2": 1e6}
"""Names of a gauge's drainage area, and what a number under it without a unit of its own is in m2."""
WEIGHT = "weight"


def read_observations(
    path: Paths,
    network: RiverNetwork,
    *,
    variable: str | None = None,
    placement: PlacementSettings | None = None,
    negative: Negative = "missing",
    stamp: Stamp = "auto",
    like: Steps | None = None,
    format: str = "auto",
    stations: str | Path | None = None,
    quality: Quality | None = None,
    utc_offset: float | str | None = None,
) -> Observations:
    """Read observed discharge, and put its gauges on the reaches of a network.

    NetCDF or Zarr: `discharge(time, gauge)` with a unit and `reach_id(gauge)`, or `lat(gauge)` and `lon(gauge)` in its
    place or beside it; optional are the drainage area (`area_m2` or `area_km2`), `weight(gauge)`, and the standard
    error `discharge_error` by gauge or by time and gauge, with a unit of discharge or, with unit 1, relative. CSV or
    Parquet in m3/s: long, with the columns `gauge, reach_id, time, discharge` and any of the others, or wide, with
    `time` and a column per reach id, where absent rows are missing values. What is a missing value says
    `rivergrad.io.missing`. Files of archives (USGS, GRDC, CAMELS, Caravan, …) are told by what they hold; of these a
    list, a pattern or a folder of many files is read at once.

    Args:
        path: the file or store; or files of archives.
        network: whose reaches the gauges lie on.
        variable: name of the variable; else `discharge`, `streamflow`, or the only one over time.
        placement: how gauges get their reaches (see `rivergrad.io.placement`).
        negative: what a negative discharge is: a missing value, an error, or (of a tidal gauge) a value.
        stamp: what times label, the start, middle or end of their step; `auto` as the file says (see `stamps`).
        like: the steps of the runoff. Times that lie on them may leave out as many as they like; without them,
            times of NetCDF and Zarr go on by one step, and those of a table by the smallest gap.
        format: the name or import path of a format; `auto` tells by the name, and asks formats of other people first.
        stations: a table of stations, with positions, areas, reaches and clocks (see `rivergrad.io.observed.stations`).
        quality: which values stay, by their flags.
        utc_offset: by how much the gauges' clocks are ahead of UTC, such as `-5h`; `file`: what the file says. The
            table's `utc_offset` of a gauge goes before it (see `rivergrad.io.observed.localtime`).

    Raises:
        InputError: no such file or variable, a missing or unknown unit, a gauge that has no place on the network
            (see `place`), a gauge twice, an irregular time axis, a value that is infinite, an error or a weight that
            is negative, or no value at all.

    Example:
        >>> import rivergrad as rg
        >>> observed = rg.read_observations("gauges.csv", rg.read_network("network.csv"))
        >>> observed.discharge  # (time, gauge), m³/s, NaN where missing
    """
    options = ArchiveOptions(
        None if stations is None else Path(stations),
        quality or Quality(),
        utc_offset if utc_offset in (None, "file") else offset_of(utc_offset, "utc_offset"),
        stamp,
    )
    if is_many(path):
        raw = read_archive(path, format, options, like)
        return settle(raw, network, placement, negative, Path(commonpath(expanded(path))))
    path = Path(path) if isinstance(path, str | Path) else expanded(path)[0]
    if (other := other_format(path, "observations", format)) is not None and not isinstance(
        other, GaugeFormat
    ):
        given = {
            "variable": variable,
            "placement": placement,
            "negative": negative,
            "stamp": stamp,
            "like": like,
        }
        found: Observations = other.read(path, "observations", network=network, **given)
        return found
    if other is not None:
        raw = read_archive(path, format, options, like)
    else:
        raw = _own(path, variable, options, like)
    return settle(raw, network, placement, negative, path)


def _own(path: Path, variable: str | None, options: ArchiveOptions, like: Steps | None) -> RawObservations:
    """A file in one of rivergrad's own forms, with what a table of stations adds to it."""
    if options.quality.any:
        raise InputError(
            f"{path}: a file in rivergrad's own form has no quality flags; expected none of observations.quality"
        )
    is_table = kind_of(path) in ("csv", "parquet")
    read = _from_table if is_table else _from_dataset
    raw = read(path, variable, options, like)
    raw, offsets = with_stations(raw, options.stations, path)
    if options.utc_offset == "file":
        raise InputError(f"{path}: says no time zone; expected observations.utc_offset such as -5h")
    general = float(options.utc_offset or 0.0)
    return moved_to_utc(raw, np.where(np.isnan(offsets), general, offsets), like, path)


# -- files ---------------------------------------------------------------------------------------------------


def _from_table(
    path: Path, variable: str | None, options: ArchiveOptions, like: Steps | None
) -> RawObservations:
    stamp = options.stamp
    if like is not None and stamp != "auto":  # the stamps of steps that start where the runoff's do
        late = np.timedelta64(round(like.length * SHARE[stamp] * 1e9), "ns")
        like = Steps(like.origin + late, like.length)
    series = read_series(
        path,
        variable or "discharge",
        per_label=(LATITUDES[0], LONGITUDES[0], *AREAS, WEIGHT),
        per_value=(ERROR,),
        like=like,
        located=options.stations is not None,
    )
    empty = np.full(series.label.size, np.nan)
    one = series.per_label
    area = next((one[name] * factor for name, factor in AREAS.items() if name in one), empty)
    error = series.per_value.get(ERROR)
    return RawObservations(
        sites_of(series.label, series.reach_id, one.get("lat", empty), one.get("lon", empty), area, path),
        starts_of(FileAxis(series.time, series.step), stamp, path, "observations."),
        series.step,
        without_absent(series.values),
        None if error is None else (error[0], error[1] or "m3 s-1"),
        one.get(WEIGHT),
    )


def _from_dataset(
    path: Path, variable: str | None, options: ArchiveOptions, like: Steps | None
) -> RawObservations:
    stamp = options.stamp
    with open_dataset(path) as dataset:
        array = find_variable(dataset, variable, VARIABLES, path)
        name = str(array.name)
        unit = unit_of(array.attrs, str(path), name, "m3 s-1 or ft3/s")
        factor = discharge_factor(unit, str(path), name)
        dim = time_dim(dataset, array, path)
        others = [str(one) for one in array.dims if one != dim]
        if len(others) != 1:
            raise InputError(
                f"{path}: variable '{name}' has the dimensions ({ids_text(array.dims)}); "
                "expected time and gauge"
            )
        sites = _dataset_sites(dataset, others[0], path, options.stations is not None)
        axis = read_axis(dataset, array, dim, path, like=like)
        if time_method(array) == "sum":
            raise InputError(
                f"{path}: variable '{name}' is a sum over time (cell_methods '{array.attrs['cell_methods']}') of a "
                "discharge; expected means"
            )
        starts = starts_of(axis, stamp, path, "observations.")
        time, slot, step = starts, np.arange(len(starts)), axis.step
        if like is not None and step == like.length:
            time, slot, step = lay_out(starts, path, like=like, sure=True, width=sites.gauge.size)

        def spread(values: Float) -> Float:
            if len(time) == len(values):
                return values
            laid = np.full((len(time), *values.shape[1:]), np.nan)
            laid[slot] = values
            return laid

        discharge = numbers_of(array.transpose(dim, others[0]), path)
        error = _dataset_error(dataset, dim, others[0], path)
        if error is not None and error[0].ndim == 2:
            error = spread(error[0]), error[1]
        weight = _along(dataset, (WEIGHT,), others[0])
        return RawObservations(
            sites,
            time,
            step,
            spread(without_absent(discharge) * factor),
            error,
            None if weight is None else numbers_of(dataset[weight], path),
            factor,
            unit,
        )


def _dataset_sites(dataset: xr.Dataset, dim: str, path: Path, placed: bool) -> GaugeSites:
    reach_name = _along(dataset, REACH_NAMES, dim)
    lat_name, lon_name = _along(dataset, LATITUDES, dim), _along(dataset, LONGITUDES, dim)
    for name in (lat_name, lon_name):
        if name is not None:
            refuse_turned(str(dataset[name].attrs.get("units", "")), str(path), name)
    located = lat_name is not None and lon_name is not None
    gauge_name = _along(dataset, GAUGE_NAMES, dim) or reach_name
    if reach_name is None and not located and not placed:
        raise missing(path, "variable", f"reach_id({dim})", dataset.variables)
    if gauge_name is None:
        raise missing(path, "variable", f"gauge({dim})", dataset.variables)
    with reading(path, "NetCDF or Zarr"):
        gauge = texts(dataset[gauge_name].values)
    count = gauge.size
    reach_id = np.full(count, NONE)
    if reach_name is not None:
        ids, none = ids_of(dataset, reach_name, path)
        reach_id = np.where(none, NONE, optional_ids(ids, path, reach_name))
    area = np.full(count, np.nan)
    for name, factor in AREAS.items():
        if _along(dataset, (name,), dim) is not None:
            unit = dataset[name].attrs.get("units")
            area = without_absent(numbers_of(dataset[name], path))
            area = area * (factor if unit is None else si_factor(str(unit), "m2", str(path), name))
            break
    empty = np.full(count, np.nan)
    return sites_of(
        gauge,
        reach_id,
        empty if lat_name is None else numbers_of(dataset[lat_name], path),
        empty if lon_name is None else numbers_of(dataset[lon_name], path),
        area,
        path,
    )


def _dataset_error(dataset: xr.Dataset, time_dim: str, dim: str, path: Path) -> tuple[Float, str] | None:
    if ERROR not in dataset.variables:
        return None
    array = dataset[ERROR]
    if array.dims not in ((dim,), (time_dim, dim), (dim, time_dim)):
        raise InputError(
            f"{path}: variable '{ERROR}' has the dimensions ({ids_text(array.dims)}); "
            f"expected {dim}, or {time_dim} and {dim}"
        )
    unit = unit_of(array.attrs, str(path), ERROR, "m3 s-1, or 1 for a relative error")
    return numbers_of(array if array.ndim == 1 else array.transpose(time_dim, dim), path), unit


def _along(dataset: xr.Dataset, names: tuple[str, ...], dim: str) -> str | None:
    return next((one for one in names if one in dataset.variables and dataset[one].dims == (dim,)), None)
