"""Streamflow observations at gauges: `discharge(time, gauge)` with NaN where there is none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError, ids_text
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
from rivergrad.io.placement import NONE, GaugeSites, Placement, PlacementSettings, place
from rivergrad.io.series import read_series
from rivergrad.io.stamps import SHARE, FileAxis, Stamp, read_axis, starts_of, time_dim, time_method
from rivergrad.io.times import TimeArray, text
from rivergrad.io.units import discharge_factor, parse_unit, si_factor, unit_of

Float = NDArray[np.float64]

VARIABLES = ("discharge", "streamflow", "Q")
LATITUDES, LONGITUDES = ("lat", "latitude"), ("lon", "longitude")
AREAS = {"area_m2": 1.0, "area_km2": 1e6}
"""Names of a gauge's drainage area, and what a number under it without a unit of its own is in m2."""
ERROR, WEIGHT = "discharge_error", "weight"
Negative = Literal["missing", "error", "keep"]
"""What a negative discharge is taken for: rivers have none, but where the tide turns them."""

RELATIVE_FLOOR = 0.01
"""A relative error is taken of at least this share of the gauge's mean flow: a flow near zero is not known exactly."""


@dataclass(frozen=True, eq=False)
class Observations:
    """Observed discharge at the gauges that have a place on the network.

    gauge (G,) names; reach (G,) positions in the network; time (T,) start of each step; step in s; discharge
    (T, G) in m3/s with NaN where missing. A gauge may hold no value at all as long as some gauge does.

    Where the file has them: error (T, G), the standard deviation of each observation in m3/s, above 0, NaN where it
    has none; weight (G,), 0 or more, 1 where it has none. placement says how every gauge of the file got its reach,
    also those that were dropped. remark is a line about negative values that were taken for missing, or empty.
    """

    path: Path
    gauge: NDArray[np.str_]
    reach: NDArray[np.int64]
    time: TimeArray
    step: float
    discharge: Float
    error: Float | None = None
    weight: Float | None = None
    placement: Placement | None = None
    remark: str = ""

    def select(self, gauges: ArrayLike) -> Observations:
        """The observations of some gauges, by their positions."""
        at = np.asarray(gauges, dtype=np.int64)
        return replace(
            self,
            gauge=self.gauge[at],
            reach=self.reach[at],
            discharge=self.discharge[:, at],
            error=None if self.error is None else self.error[:, at],
            weight=None if self.weight is None else self.weight[at],
        )

    def during(self, steps: slice) -> Observations:
        """The observations of a run of time steps (see `overlap`)."""
        return replace(
            self,
            time=self.time[steps],
            discharge=self.discharge[steps],
            error=None if self.error is None else self.error[steps],
        )


@dataclass(frozen=True, eq=False)
class _Raw:
    """What a file holds, in SI; `error` as in the file with its unit, (T, G) or (G,); `factor` brought the
    discharge from the file's `unit` to m3/s."""

    sites: GaugeSites
    time: TimeArray
    step: float
    discharge: Float
    error: tuple[Float, str] | None
    weight: Float | None
    factor: float = 1.0
    unit: str = "m3/s"


def read_observations(
    path: str | Path,
    network: RiverNetwork,
    *,
    variable: str | None = None,
    placement: PlacementSettings | None = None,
    negative: Negative = "missing",
    stamp: Stamp = "auto",
    like: Steps | None = None,
    format: str = "auto",
) -> Observations:
    """Read observed discharge, and put its gauges on the reaches of a network.

    NetCDF or Zarr: `discharge(time, gauge)` with a unit and `reach_id(gauge)`, or `lat(gauge)` and `lon(gauge)` in its
    place or beside it; optional are the drainage area (`area_m2` or `area_km2`), `weight(gauge)`, and the standard
    error `discharge_error` by gauge or by time and gauge, with a unit of discharge or, with unit 1, relative. CSV or
    Parquet in m3/s: long, with the columns `gauge, reach_id, time, discharge` and any of the others, or wide, with
    `time` and a column per reach id, where absent rows are missing values. What is a missing value says
    `rivergrad.io.missing`.

    Args:
        path: the file or store.
        network: whose reaches the gauges lie on.
        variable: name of the variable; else `discharge`, `streamflow`, or the only one over time.
        placement: how gauges get their reaches (see `rivergrad.io.placement`).
        negative: what a negative discharge is: a missing value, an error, or (of a tidal gauge) a value.
        stamp: what times label, the start, middle or end of their step; `auto` as the file says (see `stamps`).
        like: the steps of the runoff. Times that lie on them may leave out as many as they like; without them,
            times of NetCDF and Zarr go on by one step, and those of a table by the smallest gap.
        format: the name or import path of a format; `auto` tells by the name, and asks formats of other people first.

    Raises:
        InputError: no such file or variable, a missing or unknown unit, a gauge that has no place on the network
            (see `place`), a gauge twice, an irregular time axis, a value that is infinite, an error or a weight that
            is negative, or no value at all.

    Example:
        >>> import rivergrad as rg
        >>> observed = rg.read_observations("gauges.csv", rg.read_network("network.csv"))
        >>> observed.discharge  # (time, gauge), m³/s, NaN where missing
    """
    if (other := other_format(path, "observations", format)) is not None:
        options = {
            "variable": variable,
            "placement": placement,
            "negative": negative,
            "stamp": stamp,
            "like": like,
        }
        found: Observations = other.read(Path(path), "observations", network=network, **options)
        return found
    path = Path(path)
    is_table = kind_of(path) in ("csv", "parquet")
    read = _from_table if is_table else _from_dataset
    raw = read(path, variable, stamp, like)
    placed = place(raw.sites, network, placement, source=path)
    kept = placed.kept
    gauge, scale = raw.sites.gauge[kept], placed.scale[kept]
    discharge = raw.discharge[:, kept]
    _refuse_infinite(discharge, gauge, raw.time, path)
    discharge, remark = _negatives(discharge, gauge, raw, negative, path)
    _refuse_empty(discharge, gauge, remark, path)
    return Observations(
        path.absolute(),
        gauge,
        placed.reach[kept],
        raw.time,
        raw.step,
        discharge * scale,
        _error(raw, kept, discharge, path, scale),
        _weight(raw, kept, path),
        placed,
        remark,
    )


# -- files ---------------------------------------------------------------------------------------------------


def _from_table(path: Path, variable: str | None, stamp: Stamp, like: Steps | None) -> _Raw:
    if like is not None and stamp != "auto":  # the stamps of steps that start where the runoff's do
        late = np.timedelta64(round(like.length * SHARE[stamp] * 1e9), "ns")
        like = Steps(like.origin + late, like.length)
    series = read_series(
        path,
        variable or "discharge",
        per_label=(LATITUDES[0], LONGITUDES[0], *AREAS, WEIGHT),
        per_value=(ERROR,),
        like=like,
    )
    empty = np.full(series.label.size, np.nan)
    one = series.per_label
    area = next((one[name] * factor for name, factor in AREAS.items() if name in one), empty)
    error = series.per_value.get(ERROR)
    return _Raw(
        _sites(series.label, series.reach_id, one.get("lat", empty), one.get("lon", empty), area, path),
        starts_of(FileAxis(series.time, series.step), stamp, path, "observations."),
        series.step,
        without_absent(series.values),
        None if error is None else (error[0], error[1] or "m3 s-1"),
        one.get(WEIGHT),
    )


def _from_dataset(path: Path, variable: str | None, stamp: Stamp, like: Steps | None) -> _Raw:
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
        sites = _dataset_sites(dataset, others[0], path)
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
        return _Raw(
            sites,
            time,
            step,
            spread(without_absent(discharge) * factor),
            error,
            None if weight is None else numbers_of(dataset[weight], path),
            factor,
            unit,
        )


def _dataset_sites(dataset: xr.Dataset, dim: str, path: Path) -> GaugeSites:
    reach_name = _along(dataset, REACH_NAMES, dim)
    lat_name, lon_name = _along(dataset, LATITUDES, dim), _along(dataset, LONGITUDES, dim)
    located = lat_name is not None and lon_name is not None
    gauge_name = _along(dataset, GAUGE_NAMES, dim) or reach_name
    if reach_name is None and not located:
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
    return _sites(
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


# -- checks --------------------------------------------------------------------------------------------------


def _sites(
    gauge: NDArray[np.str_], reach_id: NDArray[np.int64], lat: Float, lon: Float, area: Float, path: Path
) -> GaugeSites:
    """With NaN for what is missing, and for an area that is not above 0."""
    for name, values in (("lat", lat), ("lon", lon), ("drainage area", area)):
        if (bad := np.isinf(values)).any():
            raise InputError(
                f"{path}: the gauges {ids_text(gauge[bad])} have an infinite {name}; expected a number"
            )
    # no place is as far south as -99, but some are as far west
    lat, lon, area = without_absent(lat, short=True), without_absent(lon), without_absent(area)
    return GaugeSites(gauge, reach_id, lat, lon, np.where(area > 0, area, np.nan))


def _refuse_infinite(discharge: Float, gauge: NDArray[np.str_], time: TimeArray, path: Path) -> None:
    if (infinite := np.isinf(discharge)).any():
        raise InputError(
            f"{path}: the gauges {ids_text(gauge[infinite.any(axis=0)])} hold a discharge that is not finite, first at "
            f"{text(time[int(infinite.any(axis=1).argmax())])}; expected a number, or NaN where there is none"
        )


def _negatives(
    discharge: Float, gauge: NDArray[np.str_], raw: _Raw, negative: Negative, path: Path
) -> tuple[Float, str]:
    """The discharge with what is negative treated as `negative` says, and what to tell about it."""
    with np.errstate(invalid="ignore"):
        below = discharge < 0
    if negative == "keep" or not below.any():
        return discharge, ""
    found, counts = np.unique(discharge[below], return_counts=True)
    most = f"{found[counts.argmax()] / raw.factor:g} {raw.unit} ({int(counts.max())} times)"
    gauges = gauge[below.any(axis=0)]
    if negative == "error":
        raise InputError(
            f"{path}: the gauges {ids_text(gauges)} hold {int(below.sum())} negative values of discharge, first at "
            f"{text(raw.time[int(below.any(axis=1).argmax())])}, most often {most}; expected 0 or more "
            "(gauges.negative: missing or keep)"
        )
    remark = (
        f"{int(below.sum())} negative values of discharge at {len(gauges)} gauges are taken for missing, most often "
        f"{most}; gauges.negative: keep leaves them, as tidal gauges need"
    )
    return np.where(below, np.nan, discharge), remark


def _refuse_empty(discharge: Float, gauge: NDArray[np.str_], remark: str, path: Path) -> None:
    if not len(gauge) or np.isnan(discharge).all():
        raise InputError(
            f"{path}: has no observation at all: every value of the gauges "
            f"{ids_text(gauge) or '(none)'} is missing" + (f" ({remark})" if remark else "")
        )


def _error(raw: _Raw, kept: NDArray[np.int64], discharge: Float, path: Path, scale: Float) -> Float | None:
    """(T, G) standard deviation of the kept gauges' observations, m3/s."""
    if raw.error is None:
        return None
    values, unit = raw.error
    error = without_absent(np.broadcast_to(values, raw.discharge.shape)[:, kept], short=True)
    parsed = parse_unit(unit)
    present = ~np.isnan(discharge)
    bad = present & ((error <= 0) | np.isinf(error))
    if bad.any():
        at = np.flatnonzero(bad.any(axis=0))[0]
        found = error[bad[:, at], at][0]
        raise InputError(
            f"{path}: gauge {raw.sites.gauge[kept][at]} has a {ERROR} of {found:g}; expected it above 0"
        )
    if parsed is not None and not any(parsed[1]):  # a number without dimension: relative
        count = present.sum(axis=0)
        mean = np.where(present, np.abs(discharge), 0.0).sum(axis=0) / np.maximum(count, 1)
        error = error * parsed[0] * np.maximum(np.abs(discharge), RELATIVE_FLOOR * mean)
    else:
        error = error * discharge_factor(unit, str(path), ERROR)
    # without a value there is no error of it; a gauge of zeros alone has no relative one
    return np.where(present & (error > 0), error * scale, np.nan)


def _weight(raw: _Raw, kept: NDArray[np.int64], path: Path) -> Float | None:
    if raw.weight is None:
        return None
    given = without_absent(raw.weight, short=True)
    weight = np.where(np.isnan(given), 1.0, given)[kept]
    bad = ~np.isfinite(weight) | (weight < 0)
    if bad.any():
        at = int(bad.argmax())
        raise InputError(
            f"{path}: gauge {raw.sites.gauge[kept][at]} has the weight {weight[at]:g}; expected 0 or more"
        )
    if not weight.any():
        raise InputError(f"{path}: every gauge has the weight 0; expected one above it")
    return weight
