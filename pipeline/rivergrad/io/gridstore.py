"""Runoff on a regular grid, written to a Zarr store chunk by chunk of time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from rivergrad.io.atomic import atomic_path
from rivergrad.io.datasets import consolidate, create_zarr_array, plain_attributes
from rivergrad.io.discharge import BOUNDS, provenance_of
from rivergrad.io.times import TIME_ATTRIBUTES, TimeArray, encode_time

if TYPE_CHECKING:
    import zarr
else:
    from rivergrad.later import zarr

Float = NDArray[np.float64]

VARIABLE = "runoff"
RUNOFF_FLUX = {
    "standard_name": "runoff_flux",
    "long_name": "runoff",
    "units": "kg m-2 s-1",
    "cell_methods": "time: mean",
}
_LAT = {"standard_name": "latitude", "units": "degrees_north"}
_LON = {"standard_name": "longitude", "units": "degrees_east"}
CHUNK_BYTES = 32 << 20
LONGEST_CHUNK = 366


def days_of_chunk(rows: int, columns: int) -> int:
    """Times of a chunk, which holds the whole grid."""
    return int(np.clip(CHUNK_BYTES // (4 * rows * columns), 1, LONGEST_CHUNK))


class GridWriter:
    """Writes runoff(time, lat, lon) as float32 to a Zarr store, which appears whole or not at all.

    Args:
        path: ends in .zarr.
        time: (T,) start of each step, at a constant spacing.
        lat, lon: (rows,), (columns,) degrees.
        attributes: global attributes (provenance).

    Raises:
        OSError: the disk is full; nothing is left of it.
    """

    def __init__(
        self,
        path: Path,
        time: TimeArray,
        lat: Float,
        lon: Float,
        *,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self.path, self._time, self._lat, self._lon = path, time, lat, lon
        self._attributes = {
            "Conventions": "CF-1.11",
            "source": "rivergrad",
            **provenance_of("Runoff on a grid"),
            **(attributes or {}),
        }
        self.chunk = days_of_chunk(lat.size, lon.size)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._temporary = stack.enter_context(atomic_path(self.path))
            attributes = plain_attributes(self._attributes)
            group = zarr.open_group(str(self._temporary), mode="w", zarr_format=3, attributes=attributes)
            starts = encode_time(self._time)
            bounds = np.stack([starts, starts + (starts[1] - starts[0])], axis=1)
            for name, dims, values, said in (
                ("time", ("time",), starts, {**TIME_ATTRIBUTES, "bounds": BOUNDS}),
                (BOUNDS, ("time", "nv"), bounds, {}),
                ("lat", ("lat",), self._lat, _LAT),
                ("lon", ("lon",), self._lon, _LON),
            ):
                array = create_zarr_array(group, name, dims, values.dtype, said, shape=values.shape)
                array[...] = values
            self._values = create_zarr_array(
                group,
                VARIABLE,
                ("time", "lat", "lon"),
                np.dtype(np.float32),
                RUNOFF_FLUX,
                shape=(starts.size, self._lat.size, self._lon.size),
                chunks=(min(self.chunk, starts.size), self._lat.size, self._lon.size),
            )
            self._stack = stack.pop_all()
        return self

    def write(self, start: int, values: NDArray[np.float32]) -> None:
        """Write steps from `start` on, a multiple of `chunk` of them or the last: (step, row, column) kg m-2 s-1."""
        self._values[start : start + len(values)] = values

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        with ExitStack() as stack:
            stack.push(self._stack.pop_all().__exit__)
            if error is not None:
                return stack.__exit__(kind, error, trace)
            consolidate(self._temporary)
        return None
