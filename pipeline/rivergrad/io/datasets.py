"""NetCDF and Zarr: opened lazily, searched by name, written whole or not at all."""

from __future__ import annotations

import difflib
import errno
import inspect
import json
import struct
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import netCDF4
import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends.netCDF4_ import NETCDF4_PYTHON_LOCK

from rivergrad.errors import InputError, ids_text, os_error_text, shortened
from rivergrad.files import require_readable
from rivergrad.io.atomic import atomic_path
from rivergrad.io.classic import require_whole
from rivergrad.io.missing import (
    FILLS,
    TEXTS,
    as_numbers,
    declare,
    exact_integers,
    limits_of,
    plain_text,
    stands_for_none,
    within,
)
from rivergrad.io.recorded import refuse_changed
from rivergrad.io.stored import keep_stored
from rivergrad.watchdog import opening

if TYPE_CHECKING:
    import zarr
else:
    from rivergrad.later import zarr

REACH_NAMES = (
    "reach_id",
    "reach",
    "rivid",
    "river_id",
    "COMID",
    "comid",
    "FEATUREID",
    "feature_id",
    "riv_bas_id",
    "LINKNO",
    "segment_id",
    "seg_id",
)
GAUGE_NAMES = ("gauge", "gauge_id", "station", "station_id", "site_no", "STAID")
TIME_NAMES = ("time", "Time", "valid_time", "date", "datetime")
NETCDF_SUFFIXES = (".nc", ".nc4", ".netcdf", ".cdf")
# what is opened to be decoded here needs no indexes yet: they would read every coordinate twice
_UNINDEXED: dict[str, Any] = (
    {"create_default_indexes": False}
    if "create_default_indexes" in inspect.signature(xr.open_dataset).parameters
    else {}
)

_NOT_DAMAGED = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.EMFILE, errno.ENFILE)

Kind = Literal["netcdf", "zarr", "csv", "parquet"]


def kind_of(path: Path, *, writing: bool = False) -> Kind:
    """The format of a file or folder, by its name.

    Raises:
        InputError: nothing is there (when reading), or the name says no known format.
    """
    name = path.name.lower()
    if not writing:
        require_readable(path)
    if name.endswith(".zarr") or (path.is_dir() and not writing):
        return "zarr"
    if name.endswith(NETCDF_SUFFIXES):
        return "netcdf"
    if name.endswith((".csv", ".csv.gz")):
        return "csv"
    if name.endswith((".parquet", ".pq")) or (not writing and name.endswith(".geoparquet")):
        return "parquet"
    if not writing and _is_netcdf(path):  # 202108231300.CHRTOUT_DOMAIN1
        return "netcdf"
    raise InputError(
        f"{path}: its format is not known by its name; expected .nc, .zarr, .csv, .csv.gz or .parquet"
    )


def _is_netcdf(path: Path) -> bool:
    """Whether a file begins as NetCDF does, of either generation."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError:
        return False
    return start == b"\x89HDF" or (start[:3] == b"CDF" and start[3:] in (b"\x01", b"\x02", b"\x05"))


class Damaged(InputError):
    """A file cannot be read; `said` is what a library says of it."""

    said = ""

    @classmethod
    def by(cls, path: Path, what: str, error: Exception) -> Damaged:
        """For what a library raised."""
        found = " ".join(str(error).split())[:160] or type(error).__name__
        made = cls(f"{path}: cannot be read as {what}, is it damaged? ({found})")
        made.said = found
        return made


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a library raises about a broken file into an InputError that names the file."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except OSError as error:
        if error.errno not in _NOT_DAMAGED:
            raise Damaged.by(path, what, error) from error
        raise InputError(os_error_text(error)) from error
    except Exception as error:  # zarr, HDF5 and the codecs raise almost anything about damaged bytes
        raise Damaged.by(path, what, error) from error


def open_dataset(path: Path) -> xr.Dataset:
    """Open a NetCDF file or a Zarr store lazily, with its times left as numbers.

    Raises:
        InputError: there is no such file, it cannot be read, or a run wrote another one there.
    """
    kind = kind_of(path)
    if kind not in ("zarr", "netcdf"):
        raise InputError(f"{path}: expected NetCDF (.nc) or Zarr (.zarr), found {kind}")
    refuse_changed(path)
    with reading(path, "Zarr" if kind == "zarr" else "NetCDF"), warnings.catch_warnings():
        # zarr warns of whatever else lies in a store, beside what is said about it here
        warnings.filterwarnings("ignore", message="Object at ")
        if kind == "netcdf":
            require_whole(path)
        with opening(path):
            raw = _open_zarr(path) if kind == "zarr" else _open_raw(path, engine="netcdf4")
        counted = (str(dim) for dim in raw.dims if dim not in TIME_NAMES)
        declare(raw.variables, (*REACH_NAMES, *GAUGE_NAMES, *counted))
        keep_stored(raw)
        # xarray warns of several fill values, which are all right
        warnings.simplefilter("ignore", xr.SerializationWarning)
        return xr.decode_cf(raw, concat_characters=False, decode_times=False, decode_timedelta=False)


def _open_raw(path: Any, **options: Any) -> xr.Dataset:
    """As stored: neither masked nor scaled, times as numbers."""
    return xr.open_dataset(
        path,
        cache=False,
        mask_and_scale=False,
        decode_times=False,
        decode_timedelta=False,
        **options,
        **_UNINDEXED,
    )


def _open_zarr(path: Path) -> xr.Dataset:
    """A store, with `_FillValue` among a variable's attributes only where it means that there is no value.

    Zarr's own fill value is what an unwritten chunk reads as, 0 by default. Only in format 2 xarray keeps
    `_FillValue` there, and never a 0 of its own accord.
    """
    from rivergrad.io.wholechunks import store_of  # here, as it imports zarr

    files = store_of(path)
    if not (path / ".zgroup").is_file():
        try:
            return _open_raw(files, engine="zarr", consolidated=False, chunks=None)
        except (TypeError, ValueError, struct.error):
            pass  # xarray reads only its own form of an attribute _FillValue, not a plain number
    # xarray's own engine does not hand this option on (2026.9)
    store = xr.backends.ZarrStore.open_group(
        files, mode="r", consolidated=False, use_zarr_fill_value_as_mask=True
    )
    raw = _open_raw(files, engine="zarr", store=store, chunks=None)
    group = zarr.open_group(files, mode="r", use_consolidated=False)
    for name, variable in raw.variables.items():
        variable.attrs.pop("_FillValue", None)
        array = group[str(name)]
        found = array.attrs.asdict().get("_FillValue")
        if found is None and group.metadata.zarr_format == 2 and isinstance(array, zarr.Array):
            found = array.fill_value if variable.dtype.kind in "iuf" and array.fill_value != 0 else None
        if found is not None:
            variable.attrs["_FillValue"] = found
    return raw


class MissingError(InputError):
    """A variable or column that is not there."""


def missing(source: object, what: str, name: str, available: Iterable[object]) -> MissingError:
    """The error for a variable or column that is not there, with the nearest that is."""
    names = [str(one) for one in available]
    lower = {one.lower(): one for one in names}
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    hint = f" (nearest: '{lower[near[0]]}')" if near else ""
    return MissingError(f"{source}: {what} '{name}' is missing{hint}; found {ids_text(names) or 'none'}")


def find_variable(
    dataset: xr.Dataset, name: str | None, candidates: Sequence[str], path: Path
) -> xr.DataArray:
    """A variable by its name, or else the first of the candidates, or else the only one over time.

    Raises:
        InputError: no such variable, or several that might be meant.
    """
    if name is not None:
        if name not in dataset.data_vars:
            raise missing(path, "variable", name, dataset.data_vars)
        return dataset[name]
    for candidate in candidates:
        if candidate in dataset.data_vars:
            return dataset[candidate]
    over_time = [
        str(one)
        for one, array in dataset.data_vars.items()
        if set(array.dims) & set(TIME_NAMES) and not str(one).endswith(("_bnds", "_bounds"))
    ]
    if len(over_time) == 1:
        return dataset[over_time[0]]
    if over_time:
        raise InputError(
            f"{path}: several variables might be meant ({ids_text(over_time)}); name one of them"
        )
    raise missing(path, "variable", candidates[0], dataset.data_vars)


def integer_ids(values: Any, path: Path, name: str) -> NDArray[np.int64]:
    """Ids as int64 (exact integers in any type, also as text); anything else is an InputError."""
    array = np.asarray(values)
    ids, bad = exact_integers(array)
    if bad.any():
        at = int(bad.argmax())
        raise InputError(
            f"{path}: '{name}' holds {shortened(plain_text(array.ravel()[at])) or 'nothing'} at position {at}; "
            "expected integer ids, each exact in its type and below 2^63"
        )
    return ids


def optional_ids(values: Any, path: Path, name: str) -> NDArray[np.int64]:
    """As `integer_ids`, with -1 where there is none: NaN, an empty text, -1, or a number that means none."""
    array = np.asarray(values).ravel()
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array) | stands_for_none(array), array.dtype.type(-1), array)
    elif array.dtype.kind not in "iu":
        words = [plain_text(one) for one in array.tolist()]
        array = np.array(["-1" if word.lower() in TEXTS else word for word in words])
    ids = integer_ids(array, path, name)
    return np.where(stands_for_none(ids), -1, ids)


def ids_of(dataset: xr.Dataset, name: str, path: Path) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The ids in a variable as they are stored, and which of them the file declares as missing."""
    with reading(path, "NetCDF or Zarr"):
        values = np.asarray(dataset[name].values)
    fills = dataset[name].variable.encoding.get(FILLS)
    none = np.zeros(values.shape, bool) if fills is None or not len(fills) else np.isin(values, fills)
    return values, none


def find_ids(dataset: xr.Dataset, dimension: str, path: Path) -> NDArray[np.int64] | None:
    """The reach ids along a dimension, by the usual names; None when the file has none."""
    for name in (*REACH_NAMES, dimension):
        if name in dataset.variables and dataset[name].dims == (dimension,):
            values, none = ids_of(dataset, name, path)
            if none.any():
                raise InputError(
                    f"{path}: '{name}' has no value at position {int(none.argmax())}; expected integer ids"
                )
            return integer_ids(values, path, name)
    return None


def numbers_of(array: xr.DataArray, path: Path) -> NDArray[np.float64]:
    """Values of a variable as float64, NaN where the file declares that there is none.

    Raises:
        InputError: it holds no numbers, or cannot be read.
    """
    with reading(path, "NetCDF or Zarr"):
        values = array.values
    return within(as_numbers(values, f"{path}: variable '{array.name}'"), limits_of(array))


def places_of(
    wanted: NDArray[np.int64], available: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Position in `available` of each wanted id, the first where it is there twice; and whether it is there at all."""
    return _placed(wanted, *_ranked(available))


def _ranked(ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order = np.argsort(ids, kind="stable")
    return order.astype(np.int64), ids[order]


def _placed(
    wanted: NDArray[np.int64], order: NDArray[np.int64], ranked: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    if not ranked.size:
        return np.zeros(wanted.shape, np.int64), np.zeros(wanted.shape, bool)
    slot = np.minimum(np.searchsorted(ranked, wanted), ranked.size - 1)
    return order[slot], ranked[slot] == wanted


def match_ids(
    wanted: NDArray[np.int64], available: NDArray[np.int64], path: Path, what: str
) -> NDArray[np.int64]:
    """Position in `available` of each wanted id.

    Raises:
        InputError: ids that are there twice or not at all.
    """
    order, ranked = _ranked(available)
    twice = ranked[1:][ranked[1:] == ranked[:-1]]
    if twice.size:
        raise InputError(
            f"{path}: reach ids {ids_text(np.unique(twice))} appear more than once in the {what}"
        )
    at, known = _placed(wanted, order, ranked)
    if not known.all():
        raise InputError(
            f"{path}: the {what} lacks the reaches {ids_text(wanted[~known])} of the network; "
            f"expected all of its {len(wanted)}"
        )
    return at


def texts(values: Any) -> NDArray[np.str_]:
    """Names as a numpy array of text, whatever they were stored as."""
    items = np.asarray(values).ravel()
    return np.array([_name(one) for one in items], dtype=np.str_)


def _name(one: object) -> str:
    return one.decode().rstrip("\0") if isinstance(one, bytes) else str(one)


@dataclass(frozen=True, eq=False)
class Variable:
    """What is written under a name: dimensions, values and attributes; `chunks` at most so large, in Zarr."""

    dims: tuple[str, ...]
    data: NDArray[Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    chunks: tuple[int, ...] | None = None


def plain_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes both formats can hold: text and numbers as they are, the rest as JSON."""
    plain: dict[str, Any] = {}
    for name, value in attributes.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float | np.integer | np.floating):
            value = json.dumps(value, sort_keys=True, default=str)
        plain[name] = value.item() if isinstance(value, np.generic) else value
    return plain


def create_netcdf_variable(
    file: netCDF4.Dataset,
    name: str,
    dims: tuple[str, ...],
    dtype: np.dtype[Any],
    attributes: Mapping[str, Any],
) -> netCDF4.Variable[Any]:
    """A variable in an open NetCDF file; text as strings, truth values as xarray stores them."""
    attributes = plain_attributes(attributes)
    if dtype.kind in "UOT":
        variable = file.createVariable(name, str, dims)
    else:
        stored = np.dtype("i1") if dtype.kind == "b" else dtype.newbyteorder("=")
        fill = np.nan if dtype.kind == "f" else None
        variable = file.createVariable(name, stored, dims, fill_value=fill)
        if dtype.kind == "b":
            attributes["dtype"] = "bool"
    variable.setncatts(attributes)
    return variable


def create_zarr_array(
    group: zarr.Group,
    name: str,
    dims: tuple[str, ...],
    dtype: np.dtype[Any],
    attributes: Mapping[str, Any],
    *,
    shape: tuple[int, ...],
    chunks: tuple[int, ...] | None = None,
) -> zarr.Array[Any]:
    """An array in an open Zarr group, with the dimension names that xarray reads."""
    is_text = dtype.kind in "UOT"
    return group.create_array(
        name,
        shape=shape,
        chunks=chunks if chunks is not None else tuple(max(1, min(size, 1 << 18)) for size in shape),
        dtype="str" if is_text else dtype,
        # an absent chunk must read as missing, not as zero flow
        fill_value=np.nan if dtype.kind == "f" else None,
        dimension_names=dims,
        attributes=plain_attributes(attributes),
    )


def consolidate(path: Path) -> None:
    """Collect a store's metadata in its root, so that opening it needs one read and xarray does not warn."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        zarr.consolidate_metadata(str(path))


def write_dataset(path: Path, variables: Mapping[str, Variable], attributes: Mapping[str, Any]) -> None:
    """Write variables to NetCDF or Zarr, by the name; the same content twice gives the same bytes.

    Raises:
        InputError: the name says neither.
        OSError: the disk is full; nothing is left of it.
    """
    kind = kind_of(path, writing=True)
    if kind not in ("netcdf", "zarr"):
        raise InputError(f"{path}: expected a name that ends in .nc or .zarr")
    with atomic_path(path) as temporary:
        if kind == "zarr":
            _write_zarr(temporary, variables, attributes)
        else:
            _write_netcdf(temporary, variables, attributes)


def _write_zarr(path: Path, variables: Mapping[str, Variable], attributes: Mapping[str, Any]) -> None:
    group = zarr.open_group(str(path), mode="w", zarr_format=3, attributes=plain_attributes(attributes))
    for name, variable in variables.items():
        array = create_zarr_array(
            group,
            name,
            variable.dims,
            variable.data.dtype,
            variable.attributes,
            shape=variable.data.shape,
            chunks=None
            if variable.chunks is None
            else tuple(max(1, min(pair)) for pair in zip(variable.chunks, variable.data.shape, strict=True)),
        )
        array[...] = variable.data
    consolidate(path)


def _write_netcdf(path: Path, variables: Mapping[str, Variable], attributes: Mapping[str, Any]) -> None:
    with NETCDF4_PYTHON_LOCK, netCDF4.Dataset(str(path), "w", format="NETCDF4") as file:
        file.setncatts(plain_attributes(attributes))
        for name, variable in variables.items():
            for dim, size in zip(variable.dims, variable.data.shape, strict=True):
                if dim not in file.dimensions:
                    file.createDimension(dim, size)
            stored = create_netcdf_variable(
                file, name, variable.dims, variable.data.dtype, variable.attributes
            )
            data = variable.data
            if data.dtype.kind in "UT":
                data = data.astype(object)
            stored[...] = data.astype("i1") if data.dtype.kind == "b" else data
