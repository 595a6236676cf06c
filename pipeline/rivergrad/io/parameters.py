"""Routing parameters by reach id: read from tables, NetCDF, Zarr and RAPID folders, written and exported."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError, ids_text
from rivergrad.files import require_readable
from rivergrad.io.datasets import (
    Variable,
    find_ids,
    kind_of,
    match_ids,
    missing,
    numbers_of,
    open_dataset,
    reading,
    write_dataset,
)
from rivergrad.io.missing import absent
from rivergrad.io.rapid import connect_ids, is_rapid_folder, read_rapid_parameter
from rivergrad.io.tables import column_names, id_column, number_column, read_table, require, write_table
from rivergrad.io.units import si_factor, unit_of

Float = NDArray[np.float64]
ExportFormat = Literal["csv", "parquet", "netcdf", "zarr"]

STORE = "parameters.zarr"
TITLE = "River routing parameters per reach"

# name -> (unit, long name); a name that ends in one of SUFFIXES has the unit of what is before it
DESCRIPTIONS: dict[str, tuple[str, str]] = {
    "k": ("s", "Muskingum storage constant"),
    "x": ("1", "Muskingum weighting factor"),
    "celerity": ("m s-1", "kinematic wave celerity"),
    "diffusivity": ("m2 s-1", "hydraulic diffusivity"),
    "delay": ("s", "travel time"),
    "tau": ("s", "residence time of a linear storage"),
    "flow_exponent": ("1", "exponent m of celerity by flow, c = c0 (Q/Q0)^m"),
    "reference_flow": ("m3 s-1", "mean flow Q0 at which celerity is the one given"),
    "residence_time": ("s", "residence time of a lake"),
    "lake_area_m2": ("m2", "surface area of a lake"),
    "lake_volume_m3": ("m3", "volume of a lake"),
    "n": ("1", "number of linear storages in series"),
    "length": ("m", "reach length"),
    "length_m": ("m", "reach length"),
    "area_m2": ("m2", "local drainage area"),
    "upstream_area_m2": ("m2", "upstream drainage area"),
    "width_m": ("m", "channel width"),
    "slope": ("1", "channel slope"),
    "manning_n": ("s m-1/3", "Manning roughness"),
    "lat": ("degrees_north", "latitude"),
    "lon": ("degrees_east", "longitude"),
    "informed": ("1", "upstream of a training gauge"),
    "celerity_log_sd": ("1", "posterior standard deviation of the logarithm of celerity"),
    "identifiability": ("1", "1 - posterior over prior variance of celerity"),
    "gauge_value": ("1", "share of the posterior variance of ln celerity that a gauge there would take away"),
    "hillslope_delay": ("s", "mean delay of runoff on its way to the reach"),
    "hillslope_shape": ("1", "shape of the hillslope response"),
    "runoff_delay": ("s", "estimated delay of the given runoff, negative where it has to come earlier"),
    "identifiability_runoff_delay": (
        "1",
        "1 - posterior over prior variance of the delay of the given runoff",
    ),
    "identifiability_spreading": ("1", "1 - posterior over prior variance of spreading"),
    "residence_time_log_sd": ("1", "posterior standard deviation of the logarithm of residence time"),
    "identifiability_lakes": ("1", "1 - posterior over prior variance of the logarithm of residence time"),
}
SUFFIXES = {
    "_true": "true ",
    "_std": "standard deviation of ",
    "_sd": "posterior standard deviation of ",
    "_lower": "lower end of the 90 % interval of ",
    "_upper": "upper end of the 90 % interval of ",
    "_default": "default ",
    "_prior": "physical prior of ",
}
ALWAYS_FINITE = (
    "k",
    "x",
    "celerity",
    "diffusivity",
    "delay",
    "tau",
    "n",
    "hillslope_delay",
    "hillslope_shape",
)
"""What has to be a number for every reach wherever it is written."""
_STANDARD_NAMES = {"lat": "latitude", "lon": "longitude"}


def describe(name: str) -> tuple[str, str] | None:
    """Unit and long name of a parameter or attribute; None when it is not known here."""
    if name in DESCRIPTIONS:
        return DESCRIPTIONS[name]
    for suffix, words in SUFFIXES.items():
        base = name.removesuffix(suffix)
        if base != name and base in DESCRIPTIONS:
            unit, long_name = DESCRIPTIONS[base]
            return unit, words + long_name
    return None


def read_parameters(
    path: str | Path,
    names: Sequence[str],
    network: RiverNetwork,
    *,
    needed: Mapping[str, NDArray[np.bool_]] | None = None,
) -> dict[str, Float]:
    """Read parameters for the reaches of a network, matched by id.

    A table has the columns `reach_id` and the names, in SI. NetCDF and Zarr hold `name(reach)` with a unit
    and `reach_id(reach)`. A RAPID folder gives `k` and `x`. A run directory gives its parameters.zarr.
    Reaches that the network does not have are left out.

    Args:
        path: the file, store or folder.
        names: names of the parameters.
        network: whose reaches.
        needed: (n,) by name, where there has to be a value; of other names, at every reach.

    Returns:
        name -> (n,) float64 in SI, in the order of the network; NaN where there may be no value and is none.

    Raises:
        InputError: no such file or parameter, a reach that is not there or has no value, a unit that is
            missing or not one of that parameter.

    Example:
        >>> import rivergrad as rg
        >>> values = rg.read_parameters("runs/demo", ["k", "x"], rg.read_network("network.csv"))
    """
    path = Path(path)
    require_readable(path, "parameter file or folder")
    if is_rapid_folder(path):
        at = match_ids(network.reach_id, connect_ids(path), path, "parameters")
        values = {name: read_rapid_parameter(path, name)[at] for name in names}
    elif path.is_dir() and (path / STORE).is_dir():
        return read_parameters(path / STORE, names, network, needed=needed)
    elif kind_of(path) in ("csv", "parquet"):
        table = read_table(path)
        require(table, ["reach_id", *names], path)
        at = match_ids(network.reach_id, id_column(table, "reach_id", path), path, "parameters")
        values = {name: number_column(table, name, path)[at] for name in names}
    else:
        with open_dataset(path) as dataset:
            values = {name: _read_variable(dataset, name, network, path) for name in names}
    for name, array in values.items():
        none = absent(array)
        bad = ~np.isfinite(array) if none is None else none | ~np.isfinite(array)
        if needed is not None and name in needed:
            values[name] = np.where(bad & ~np.isinf(array), np.nan, array)
            bad = np.isinf(array) | (bad & needed[name])
        if bad.any():
            found = array[bad][0]
            stands = "" if np.isnan(found) else f" ({found:g})"
            raise InputError(
                f"{path}: parameter '{name}' has no value{stands} for the reaches "
                f"{ids_text(network.reach_id[bad])}; expected a number for every reach of the network"
            )
    return values


def names_in(path: str | Path) -> set[str]:
    """Names of what a parameter file, store or folder, as `read_parameters` takes it, has for every reach.

    Raises:
        InputError: no such file, or it cannot be read.
    """
    path = Path(path)
    require_readable(path, "parameter file or folder")
    if is_rapid_folder(path):
        return {"k", "x"}
    if path.is_dir() and (path / STORE).is_dir():
        return names_in(path / STORE)
    if kind_of(path) in ("csv", "parquet"):
        return set(column_names(path))
    with open_dataset(path) as dataset:
        return {str(name) for name in dataset.data_vars}


def _read_variable(dataset: xr.Dataset, name: str, network: RiverNetwork, path: Path) -> Float:
    if name not in dataset.data_vars:
        raise missing(path, "variable", name, dataset.data_vars)
    array = dataset[name]
    if array.ndim != 1:
        raise InputError(
            f"{path}: variable '{name}' has the dimensions ({ids_text(array.dims)}); expected one, reach"
        )
    ids = find_ids(dataset, str(array.dims[0]), path)
    if ids is None:
        raise missing(path, "variable", f"reach_id({array.dims[0]})", dataset.variables)
    known = describe(name)
    factor = 1.0
    # a custom scheme's parameter may be in no unit; one that has a unit here must state it
    if known is not None or "units" in array.attrs:
        expected = known[0] if known is not None else None
        unit = unit_of(array.attrs, str(path), name, expected or "s or m s-1")
        factor = si_factor(unit, expected, str(path), name)
    at = match_ids(network.reach_id, ids, path, "parameters")
    values = numbers_of(array, path)
    none = absent(values)  # in the file's own unit
    return (values * factor if none is None else np.where(none, values, values * factor))[at]


def write_parameters(
    path: str | Path,
    reach_id: NDArray[np.int64],
    parameters: Mapping[str, ArrayLike],
    *,
    units: Mapping[str, str] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write values per reach to CSV, Parquet, NetCDF or Zarr, by the name.

    NetCDF and Zarr hold the dimension `reach`, the coordinate `reach_id(reach)`, CF attributes and the
    provenance. The same content twice gives the same bytes, and the file appears whole or not at all.

    Args:
        path: ends in .csv, .csv.gz, .parquet, .nc or .zarr.
        reach_id: (n,) ids.
        parameters: name -> (n,) values in SI: parameters and whatever else is to be kept per reach.
        units: units of names that this module does not know.
        provenance: what the values come from, as global attributes (versions, scheme, seed, …).

    Raises:
        InputError: another suffix, a parameter that is missing or any number that is infinite.
        ValueError: shapes that do not fit.
        OSError: the disk is full; nothing is left of it.

    Example:
        >>> import rivergrad as rg
        >>> rg.write_parameters("p.csv", network.reach_id, {"k": k, "x": x})  # s and 1, each (reach,)
    """
    path = Path(path)
    arrays = {name: np.asarray(values) for name, values in parameters.items()}
    for name, array in arrays.items():
        if array.shape != reach_id.shape:
            raise ValueError(f"parameter '{name}' has shape {array.shape}; expected {reach_id.shape}")
    refuse_not_finite(arrays, reach_id, path)
    if kind_of(path, writing=True) in ("csv", "parquet"):
        write_table(path, pd.DataFrame({"reach_id": reach_id, **arrays}))
        return
    variables = {
        "reach_id": Variable(("reach",), np.asarray(reach_id, dtype=np.int64), {"long_name": "reach id"})
    }
    for name, array in arrays.items():
        variables[name] = Variable(("reach",), array, _attributes(name, units or {}))
    coordinates = " ".join(one for one in ("reach_id", "lat", "lon") if one in variables)
    write_dataset(path, variables, {**_globals(coordinates), **(provenance or {})})


def refuse_not_finite(
    values: Mapping[str, NDArray[Any]],
    reach_id: NDArray[np.int64],
    path: Path,
    names: Sequence[str] = ALWAYS_FINITE,
) -> None:
    """Raise an InputError naming reaches where a parameter is no number, or anything is infinite.

    Args:
        values: name -> (n,) what is to be written; reach_id: (n,); path: where to, for the message.
        names: the parameters; whatever else there is may be missing (NaN), and so may they where there is a
            `residence_time`: a lake has no celerity.
    """
    channel = np.isnan(values.get("residence_time", np.full(reach_id.shape, np.nan)))
    for name, array in values.items():
        if array.dtype.kind != "f":
            continue
        bad = (~np.isfinite(array) & channel) | np.isinf(array) if name in names else np.isinf(array)
        if bad.any():
            raise InputError(
                f"{path}: {name} would be {array[bad][0]} for the reaches {ids_text(reach_id[bad])}, which is not "
                "written; expected finite numbers"
            )


def _attributes(name: str, units: Mapping[str, str]) -> dict[str, str]:
    known = describe(name)
    attributes: dict[str, str] = {}
    if name in _STANDARD_NAMES:
        attributes["standard_name"] = _STANDARD_NAMES[name]
    if known is not None:
        attributes["long_name"] = known[1]
    if name in units:
        attributes["units"] = units[name]
    elif known is not None:
        attributes["units"] = known[0]
    return attributes


def _globals(coordinates: str) -> dict[str, str]:
    return {
        "Conventions": "CF-1.11",
        "title": TITLE,
        "source": "rivergrad",
        "coordinates": coordinates,
    }


def write_parameters_store(
    path: str | Path,
    reach_id: NDArray[np.int64],
    parameters: Mapping[str, ArrayLike],
    *,
    units: Mapping[str, str] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a run directory's `parameters.zarr`; see `write_parameters`.

    Raises:
        InputError: the name does not end in .zarr.
    """
    if Path(path).suffix != ".zarr":
        raise InputError(f"{path}: expected a name that ends in .zarr")
    write_parameters(path, reach_id, parameters, units=units, provenance=provenance)


def export_parameters(run_dir: str | Path, format: ExportFormat, output: str | Path) -> None:
    """Write the parameters of a run directory in another format, with all that is kept per reach.

    Args:
        run_dir: holds parameters.zarr.
        format: csv, parquet, netcdf or zarr.
        output: the file; its name ends as the format asks.

    Raises:
        InputError: no parameters there, or a name that does not fit the format.
    """
    run_dir, output = Path(run_dir), Path(output)
    if format not in ("csv", "parquet", "netcdf", "zarr"):
        raise InputError(f"format '{format}' is not known; expected csv, parquet, netcdf or zarr")
    store = run_dir / STORE
    if not store.is_dir():
        raise InputError(f"{run_dir}: holds no {STORE}; expected the directory of a run that has estimated")
    if kind_of(output, writing=True) != format:
        suffix = {"csv": ".csv or .csv.gz", "parquet": ".parquet", "netcdf": ".nc", "zarr": ".zarr"}[format]
        raise InputError(f"{output}: expected a name that ends in {suffix}, as the format is {format}")
    if os.path.realpath(output) == os.path.realpath(store):
        raise InputError(f"{output}: is the store itself; expected another place to export to")
    with open_dataset(store) as dataset:
        ids = find_ids(dataset, "reach", store)
        if ids is None:
            raise missing(store, "variable", "reach_id", dataset.variables)
        # a store lists its arrays in any order: what is known here comes first, as DESCRIPTIONS has it
        rank = {name: place for place, name in enumerate(DESCRIPTIONS)}
        names = [str(one) for one in dataset.variables if dataset[one].dims == ("reach",)]
        names = sorted(set(names) - {"reach_id"}, key=lambda name: (rank.get(name, len(rank)), name))
        with reading(store, "Zarr"):
            values = {name: dataset[name].values for name in names}
        units = {name: str(dataset[name].attrs["units"]) for name in names if "units" in dataset[name].attrs}
        provenance = {str(name): value for name, value in dataset.attrs.items()}
    write_parameters(output, ids, values, units=units, provenance=provenance)
