"""Series per reach or gauge written to NetCDF and Zarr, in one piece or appended in chunks of time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import netCDF4
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from xarray.backends.netCDF4_ import NETCDF4_PYTHON_LOCK

from rivergrad.errors import InputError, ids_text
from rivergrad.io.atomic import atomic_path
from rivergrad.io.datasets import (
    Variable,
    consolidate,
    create_netcdf_variable,
    create_zarr_array,
    kind_of,
    plain_attributes,
    write_dataset,
)
from rivergrad.io.times import TIME_ATTRIBUTES, TimeArray, encode_time, text

if TYPE_CHECKING:
    import zarr
else:
    from rivergrad.later import zarr

DISCHARGE_ATTRIBUTES = {
    "standard_name": "water_volume_transport_in_river_channel",
    "long_name": "discharge, mean over the forcing step",
    "units": "m3 s-1",
    "cell_methods": "time: mean",
}
END_ATTRIBUTES = {
    **DISCHARGE_ATTRIBUTES,
    "long_name": "discharge at the end of the forcing step",
    "cell_methods": "time: point",
}
"""Of snapshots, whose times are those of the ends of steps."""
RUNOFF_ATTRIBUTES = {
    "long_name": "lateral inflow, mean over the forcing step",
    "units": "m3 s-1",
    "cell_methods": "time: mean",
}
REACH_ATTRIBUTES = {"long_name": "reach id"}
_CONVENTIONS = {"Conventions": "CF-1.11", "source": "rivergrad"}
BOUNDS = "time_bnds"
_REACH_CHUNK = 1 << 14
_TIME_CHUNK = 128


def provenance_of(title: str) -> dict[str, str]:
    """Global attributes that CF asks for; without a date, as the same content gives the same bytes."""
    history = f"written by rivergrad {version('rivergrad')}"
    return {"title": title, "history": history, "license": "that of the sources"}


class DischargeWriter:
    """Appends discharge(time, reach) to a NetCDF file or Zarr store, chunk by chunk of time.

    It writes under a temporary name beside the target and renames when the `with` block ends well; when it
    does not (an error, a full disk) nothing is left and an older file stays. Memory: one appended chunk.

    Args:
        path: ends in .nc or .zarr.
        reach_id: (n,) ids.
        attributes: global attributes (provenance).
        dtype: of the values in the file.
        variable: its name.
        variable_attributes: of the variable; default those of discharge in m3/s.
        time_chunk: times in a chunk of the file; appending multiples of it is the fastest.

    Raises:
        InputError: the name says neither NetCDF nor Zarr.
        OSError: the disk is full; nothing is left of it.
    """

    def __init__(
        self,
        path: str | Path,
        reach_id: NDArray[np.int64],
        *,
        attributes: Mapping[str, Any] | None = None,
        dtype: DTypeLike = np.float32,
        variable: str = "discharge",
        variable_attributes: Mapping[str, Any] = DISCHARGE_ATTRIBUTES,
        time_chunk: int = _TIME_CHUNK,
    ) -> None:
        self.path = Path(path)
        kind = kind_of(self.path, writing=True)
        if kind not in ("netcdf", "zarr"):
            raise InputError(f"{self.path}: expected a name that ends in .nc or .zarr")
        self._is_zarr = kind == "zarr"
        self._reach_id = np.asarray(reach_id, dtype=np.int64)
        title = f"{variable.capitalize()} of river reaches"
        self._attributes = {**_CONVENTIONS, **provenance_of(title), **(attributes or {})}
        self._dtype = np.dtype(dtype)
        self._variable = variable
        self._variable_attributes = dict(variable_attributes)
        self._chunks = (time_chunk, even_chunk(len(self._reach_id)))
        self._stack = ExitStack()
        self._last: np.datetime64 | None = None
        self._written: list[NDArray[np.int64]] = []
        self._count = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            self._temporary = temporary
            if self._is_zarr:
                self._open_zarr(temporary)
            else:
                self._open_netcdf(temporary, stack)
            self._stack = stack.pop_all()
        return self

    def along(
        self, time: NDArray[np.datetime64], told: Callable[[int], object] | None = None
    ) -> Callable[[int, NDArray[Any]], None]:
        """What appends discharge (time, reach) from a given step of a record on, as `simulate` hands it over.

        Args:
            time: of the record; told: hears how many of its steps are done.
        """

        def sink(start: int, discharge: NDArray[Any]) -> None:
            stop = start + discharge.shape[0]
            self.append(time[start:stop], discharge)
            if told is not None:
                told(stop)

        return sink

    def _open_zarr(self, temporary: Path) -> None:
        count = len(self._reach_id)
        group = zarr.open_group(
            str(temporary), mode="w", zarr_format=3, attributes=plain_attributes(self._attributes)
        )
        self._group = group
        ids = create_zarr_array(
            group, "reach", ("reach",), np.dtype(np.int64), REACH_ATTRIBUTES, shape=(count,)
        )
        ids[...] = self._reach_id
        self._time: Any = create_zarr_array(
            group, "time", ("time",), np.dtype(np.int64), TIME_ATTRIBUTES, shape=(0,), chunks=(1 << 14,)
        )
        self._values: Any = create_zarr_array(
            group,
            self._variable,
            ("time", "reach"),
            self._dtype,
            self._variable_attributes,
            shape=(0, count),
            chunks=self._chunks,
        )

    def _open_netcdf(self, temporary: Path, stack: ExitStack) -> None:
        with NETCDF4_PYTHON_LOCK:
            file = netCDF4.Dataset(str(temporary), "w", format="NETCDF4")
            stack.callback(_close, file)
            file.setncatts(plain_attributes(self._attributes))
            file.createDimension("time", None)
            file.createDimension("reach", len(self._reach_id))
            ids = create_netcdf_variable(file, "reach", ("reach",), np.dtype(np.int64), REACH_ATTRIBUTES)
            ids[:] = self._reach_id
            self._time = file.createVariable("time", "i8", ("time",), chunksizes=(1 << 14,))
            self._time.setncatts(TIME_ATTRIBUTES)
            self._values = file.createVariable(
                self._variable,
                self._dtype,
                ("time", "reach"),
                chunksizes=self._chunks,
                fill_value=np.nan,
            )
            self._values.setncatts(plain_attributes(self._variable_attributes))
            self._file = file

    def append(self, time: TimeArray, discharge: ArrayLike) -> None:
        """Append a chunk.

        Args:
            time: (T,) start of each step, after all that was appended before.
            discharge: (T, n) in m3/s.

        Raises:
            InputError: a value that is not finite, or not in the file's type; nothing of the file stays.
            ValueError: shapes that do not fit, or times that do not go on.
            OSError: the disk is full (leave the `with` block by it, and nothing stays).
        """
        values = np.asarray(discharge)
        if values.shape != (len(time), len(self._reach_id)):
            raise ValueError(
                f"discharge has shape {values.shape}; expected ({len(time)}, {len(self._reach_id)})"
            )
        if not len(time):
            return
        if (np.diff(time) <= np.timedelta64(0)).any() or (self._last is not None and time[0] <= self._last):
            raise ValueError(f"times from {time[0]} do not go on after {self._last}")
        with np.errstate(over="ignore"):
            values = values.astype(self._dtype, copy=False)
        refuse_not_finite(values, self._reach_id, time, f"{self.path}: {self._variable}")
        start, stop = self._count, self._count + len(time)
        encoded = encode_time(time)
        if self._is_zarr:
            self._time.resize((stop,))
            self._values.resize((stop, len(self._reach_id)))
            self._time[start:stop] = encoded
            self._values[start:stop] = values
        else:
            with NETCDF4_PYTHON_LOCK:
                self._time[start:stop] = encoded
                self._values[start:stop] = values
        self._written.append(encoded)
        self._last, self._count = time[-1], stop

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        with ExitStack() as stack:
            stack.push(self._stack.pop_all().__exit__)
            if error is not None:
                return stack.__exit__(kind, error, traceback)
            self._write_bounds()
            if self._is_zarr:
                consolidate(self._temporary)
        return None

    def _write_bounds(self) -> None:
        """Bounds of the steps that values are means of; none where one time or an irregular axis tells no step."""
        starts = np.concatenate([*self._written, np.empty(0, np.int64)])
        steps = np.diff(starts)
        if "time: mean" not in str(self._variable_attributes.get("cell_methods")) or not steps.size:
            return
        if (steps != steps[0]).any():
            return
        bounds = np.stack([starts, starts + steps[0]], axis=1)
        if self._is_zarr:
            stored = create_zarr_array(
                self._group, BOUNDS, ("time", "nv"), np.dtype(np.int64), {}, shape=bounds.shape
            )
            stored[...] = bounds
            self._time.attrs["bounds"] = BOUNDS
            return
        with NETCDF4_PYTHON_LOCK:
            self._file.createDimension("nv", 2)
            create_netcdf_variable(self._file, BOUNDS, ("time", "nv"), np.dtype(np.int64), {})[...] = bounds
            self._time.setncattr("bounds", BOUNDS)


def even_chunk(n: int) -> int:
    """Reaches of a chunk: chunks of about the same size, so that the last is not padded by as much as it holds."""
    return max(1, -(-n // max(1, -(-n // _REACH_CHUNK))))


def refuse_not_finite(
    values: NDArray[Any], reach_id: NDArray[np.int64], time: TimeArray, what: str, *, missing: bool = False
) -> None:
    """Raise an InputError naming reaches and the first time where values are not finite: those are never written.

    Args:
        values: (time, reach) as they would be written; reach_id: (reach,); time: (time,).
        what: opens the message: file and variable.
        missing: whether NaN is let pass.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if not missing and np.isfinite(values.sum()):  # one pass, and no array of the size of the values
            return
    bad = np.isinf(values) if missing else ~np.isfinite(values)
    if bad.any():
        row = int(bad.any(axis=1).argmax())
        found = values[row, int(bad[row].argmax())]
        raise InputError(
            f"{what} would be {found} for the reaches {ids_text(reach_id[bad.any(axis=0)])}, first at "
            f"{text(time[row])}, which is not written; expected finite numbers, of finite runoff and parameters"
        )


def _close(file: netCDF4.Dataset) -> None:
    with NETCDF4_PYTHON_LOCK:
        file.close()


def write_discharge(
    path: str | Path,
    reach_id: NDArray[np.int64],
    time: TimeArray,
    discharge: ArrayLike,
    *,
    attributes: Mapping[str, Any] | None = None,
    dtype: DTypeLike = np.float32,
) -> None:
    """Write discharge (time, reach) in m3/s to NetCDF or Zarr in one piece; see `DischargeWriter`."""
    with DischargeWriter(path, reach_id, attributes=attributes, dtype=dtype) as writer:
        writer.append(time, discharge)


def write_runoff(
    path: str | Path,
    reach_id: NDArray[np.int64],
    time: TimeArray,
    runoff: ArrayLike,
    *,
    attributes: Mapping[str, Any] | None = None,
    dtype: DTypeLike = np.float32,
) -> None:
    """Write runoff to NetCDF or Zarr, so that `open_runoff` reads the same.

    Args:
        path: ends in .nc or .zarr.
        reach_id: (reach,) ids.
        time: (time,) start of each forcing step.
        runoff: (time, reach) in m³/s.
        attributes: global attributes.
        dtype: of the values in the file.

    Raises:
        InputError: another suffix, or a value that is no finite number, with its reach and time.

    Example:
        >>> import rivergrad as rg
        >>> rg.write_runoff("runoff.nc", network.reach_id, time, runoff)  # runoff (time, reach), m³/s
    """
    with DischargeWriter(
        path,
        reach_id,
        attributes=attributes,
        dtype=dtype,
        variable="runoff",
        variable_attributes=RUNOFF_ATTRIBUTES,
    ) as writer:
        writer.append(time, runoff)


def write_observations(
    path: str | Path,
    gauge: ArrayLike,
    reach_id: ArrayLike,
    time: TimeArray,
    discharge: ArrayLike,
    *,
    attributes: Mapping[str, Any] | None = None,
    dtype: DTypeLike = np.float32,
) -> None:
    """Write observed discharge to NetCDF or Zarr, so that `read_observations` reads the same.

    Args:
        path: ends in .nc or .zarr.
        gauge: (G,) names.
        reach_id: (G,) ids of the gauges' reaches.
        time: (T,) start of each step.
        discharge: (T, G) in m3/s, NaN where missing.
        attributes: global attributes.
        dtype: of the values in the file.

    Raises:
        InputError: another suffix, or a value that is infinite.
        ValueError: shapes that do not fit.

    Example:
        >>> import rivergrad as rg
        >>> rg.write_observations("gauges.nc", ["A", "B"], [17, 42], time, discharge)  # (time, gauge), m³/s
    """
    with np.errstate(over="ignore"):
        values = np.asarray(discharge, dtype=dtype)
    names, ids = np.asarray(gauge, dtype=np.str_), np.asarray(reach_id, dtype=np.int64)
    if values.shape != (len(time), len(names)) or ids.shape != names.shape:
        raise ValueError(
            f"discharge has shape {values.shape}, with {len(time)} times, "
            f"{len(names)} gauges and {len(ids)} reach ids"
        )
    refuse_not_finite(values, ids, time, f"{path}: discharge", missing=True)
    write_dataset(
        Path(path),
        {
            "time": Variable(("time",), encode_time(time), TIME_ATTRIBUTES),
            "gauge": Variable(("gauge",), names, {"long_name": "gauge", "cf_role": "timeseries_id"}),
            "reach_id": Variable(("gauge",), ids, REACH_ATTRIBUTES),
            "discharge": Variable(("time", "gauge"), values, DISCHARGE_ATTRIBUTES),
        },
        {
            **_CONVENTIONS,
            **provenance_of("Observed discharge at gauges"),
            "featureType": "timeSeries",
            **(attributes or {}),
        },
    )
