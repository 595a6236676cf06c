"""Templates in NetCDF: the file is copied byte by byte, and then some variables are written over."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from numpy.typing import NDArray
from xarray.backends.netCDF4_ import NETCDF4_PYTHON_LOCK

from rivergrad.errors import InputError, ids_text
from rivergrad.io.datasets import integer_ids, open_dataset, reading
from rivergrad.io.exporters.base import Float


def ids_in(like: Path, names: tuple[str, ...]) -> tuple[str, NDArray[np.int64], str]:
    """The variable of ids of a template, its values and its dimension.

    Raises:
        InputError: there is none, or it is no NetCDF file.
    """
    with open_dataset(like) as dataset:
        name = next((one for one in names if one in dataset.variables and dataset[one].ndim == 1), None)
        if name is None:
            raise InputError(
                f"--like {like}: found the variables {ids_text(dataset.variables)}; expected one of {', '.join(names)}"
            )
        with reading(like, "NetCDF"):
            return name, integer_ids(np.asarray(dataset[name].values), like, name), str(dataset[name].dims[0])


def values_in(like: Path, names: tuple[str, ...]) -> Float | None:
    """A variable of a template as numbers; None where it has none of these names."""
    with open_dataset(like) as dataset:
        name = next((one for one in names if one in dataset.variables), None)
        if name is None:
            return None
        with reading(like, "NetCDF"):
            return np.asarray(dataset[name].values, np.float64)


@contextmanager
def copied(like: Path, output: Path) -> Iterator[netCDF4.Dataset]:
    """A copy of a template, open to be changed."""
    shutil.copyfile(like, output)
    with NETCDF4_PYTHON_LOCK, netCDF4.Dataset(str(output), "a") as file:
        file.set_auto_mask(False)
        yield file


def put(
    file: netCDF4.Dataset,
    name: str,
    dim: str,
    values: Float,
    known: NDArray[np.bool_],
    attributes: Mapping[str, Any],
) -> None:
    """Write values over a variable where they are known, in its type; make it where it is not there."""
    if name in file.variables:
        stored = file.variables[name]
        old = np.asarray(stored[...], np.float64)
        stored[...] = np.where(known, values, old).astype(stored.dtype)
        return
    stored = file.createVariable(name, "f8", (dim,), fill_value=np.nan)
    stored.setncatts(dict(attributes))
    stored[...] = np.where(known, values, np.nan)


def add_history(file: netCDF4.Dataset, line: str) -> None:
    """Put a line before the history of a file, as CF asks."""
    old = str(file.getncattr("history")) if "history" in file.ncattrs() else ""
    file.setncattr("history", f"{line}\n{old}" if old else line)
