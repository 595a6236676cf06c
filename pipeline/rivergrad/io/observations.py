"""Streamflow observations at gauges: `discharge(time, gauge)` with NaN where there is none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError, ids_text
from rivergrad.io.datasets import (
    FILL,
    REACH_NAMES,
    find_variable,
    integer_ids,
    kind_of,
    missing,
    open_dataset,
    reading,
    texts,
    time_dimension,
)
from rivergrad.io.series import read_series
from rivergrad.io.times import TimeArray, decode_time, regular_step
from rivergrad.io.units import discharge_factor, unit_of

VARIABLES = ("discharge", "streamflow", "Q")
GAUGE_NAMES = ("gauge", "gauge_id", "station", "station_id", "site_no", "STAID")
MISSING = (-9999.0, -999.0, -999999.0)  # what archives (USGS, GRDC) write for "no value"; never a flow


@dataclass(frozen=True, eq=False)
class Observations:
    """Observed discharge.

    gauge (G,) names; reach (G,) positions in the network; time (T,) start of each step; step in s; discharge
    (T, G) in m3/s with NaN where missing. A gauge may hold no value at all as long as some gauge does.
    """

    path: Path
    gauge: NDArray[np.str_]
    reach: NDArray[np.int64]
    time: TimeArray
    step: float
    discharge: NDArray[np.float64]

    def select(self, gauges: ArrayLike) -> Observations:
        """The observations of some gauges, by their positions."""
        at = np.asarray(gauges, dtype=np.int64)
        return replace(self, gauge=self.gauge[at], reach=self.reach[at], discharge=self.discharge[:, at])

    def during(self, steps: slice) -> Observations:
        """The observations of a run of time steps (see `overlap`)."""
        return replace(self, time=self.time[steps], discharge=self.discharge[steps])


def read_observations(
    path: str | Path, network: RiverNetwork, *, variable: str | None = None
) -> Observations:
    """Read observed discharge.

    NetCDF or Zarr: `discharge(time, gauge)` with a unit and `reach_id(gauge)`. CSV or Parquet in m3/s: long,
    with the columns `gauge, reach_id, time, discharge`, or wide, with `time` and a column per reach id, where
    absent rows are missing values. NaN and -9999, -999, -999999 are missing values.

    Args:
        path: the file or store.
        network: whose reaches the gauges lie on.
        variable: name of the variable; else `discharge`, `streamflow`, or the only one over time.

    Raises:
        InputError: no such file or variable, a missing or unknown unit, a gauge on a reach that the network
            lacks, a gauge twice, an irregular time axis, or no value at all.
    """
    path = Path(path)
    if kind_of(path) in ("csv", "parquet"):
        series = read_series(path, variable or "discharge")
        gauge, reach_id, time, step = series.label, series.reach_id, series.time, series.step
        discharge = series.values
        factor = 1.0
    else:
        with open_dataset(path) as dataset:
            array = find_variable(dataset, variable, VARIABLES, path)
            name = str(array.name)
            factor = discharge_factor(
                unit_of(array.attrs, str(path), name, "m3 s-1 or ft3/s"), str(path), name
            )
            time_dim = time_dimension(array, path)
            others = [str(dim) for dim in array.dims if dim != time_dim]
            if len(others) != 1:
                raise InputError(
                    f"{path}: variable '{name}' has the dimensions ({ids_text(array.dims)}); "
                    "expected time and gauge"
                )
            gauge, reach_id = _gauges(dataset, others[0], path)
            if time_dim not in dataset.variables:
                raise missing(path, "variable", time_dim, dataset.variables)
            with reading(path, "NetCDF or Zarr"):
                time = decode_time(dataset[time_dim].variable.load(), str(path), time_dim)
                discharge = array.transpose(time_dim, others[0]).values.astype(np.float64)
            step = regular_step(time, str(path), time_dim)
    discharge = np.where(np.isin(discharge, MISSING) | (np.abs(discharge) > FILL), np.nan, discharge) * factor
    return Observations(
        path.absolute(),
        gauge,
        _reaches(gauge, reach_id, network, path),
        time,
        step,
        _some(discharge, gauge, path),
    )


def _gauges(dataset: xr.Dataset, dim: str, path: Path) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    def along(names: tuple[str, ...]) -> str | None:
        return next((one for one in names if one in dataset.variables and dataset[one].dims == (dim,)), None)

    reach_name = along(REACH_NAMES)
    if reach_name is None:
        raise missing(path, "variable", f"reach_id({dim})", dataset.variables)
    gauge_name = along(GAUGE_NAMES) or reach_name
    with reading(path, "NetCDF or Zarr"):
        gauge = texts(dataset[gauge_name].values)
        reach_id = integer_ids(dataset[reach_name].values, path, reach_name)
    return gauge, reach_id


def _reaches(
    gauge: NDArray[np.str_], reach_id: NDArray[np.int64], network: RiverNetwork, path: Path
) -> NDArray[np.int64]:
    names, counts = np.unique(gauge, return_counts=True)
    if (counts > 1).any():
        raise InputError(f"{path}: the gauges {ids_text(names[counts > 1])} appear more than once")
    unknown = ~np.isin(reach_id, network.reach_id)
    if unknown.any():
        pairs = [
            f"{one} (reach {reach})" for one, reach in zip(gauge[unknown], reach_id[unknown], strict=True)
        ]
        raise InputError(
            f"{path}: the gauges {ids_text(pairs)} lie on reaches that the network does not have"
        )
    return network.positions(reach_id, "gauge reach")


def _some(discharge: NDArray[np.float64], gauge: NDArray[np.str_], path: Path) -> NDArray[np.float64]:
    if np.isinf(discharge).any():
        bad = gauge[np.isinf(discharge).any(axis=0)]
        raise InputError(
            f"{path}: the gauges {ids_text(bad)} hold a discharge that is not finite; expected NaN there"
        )
    if not len(gauge) or np.isnan(discharge).all():
        raise InputError(
            f"{path}: has no observation at all: every value of the gauges "
            f"{ids_text(gauge) or '(none)'} is missing"
        )
    return discharge
