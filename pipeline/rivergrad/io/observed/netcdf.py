"""What readers of gauges in NetCDF share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rivergrad.errors import InputError, ids_text
from rivergrad.io.datasets import numbers_of, open_dataset
from rivergrad.io.stamps import read_stamps, time_dim
from rivergrad.io.times import TimeArray, snapped


@contextmanager
def opened(path: Path) -> Iterator[xr.Dataset]:
    """A dataset, closed at the end; see `open_dataset`."""
    with open_dataset(path) as dataset:
        yield dataset


def along(dataset: xr.Dataset, name: str, dim: str) -> bool:
    """Whether a variable is there, and lies along a dimension alone."""
    return name in dataset.variables and dataset[name].dims == (dim,)


def series(
    dataset: xr.Dataset, array: xr.DataArray, path: Path
) -> tuple[TimeArray, NDArray[np.float64], str]:
    """Stamps (T,), values (T, G), and the dimension of gauges of a variable, in whatever order its dimensions are.

    Raises:
        InputError: other dimensions, or no times.
    """
    dim = time_dim(dataset, array, path)
    others = [str(one) for one in array.dims if one != dim]
    if len(others) != 1:
        raise InputError(
            f"{path}: variable '{array.name}' has the dimensions ({ids_text(array.dims)}); expected time and gauge"
        )
    found = read_stamps(dataset, array, dim, path)
    if found is None:
        raise InputError(
            f"{path}: has no readable times along '{dim}'; expected units such as 'days since 1980-01-01'"
        )
    return snapped(found[1]), numbers_of(array.transpose(dim, others[0]), path), others[0]
