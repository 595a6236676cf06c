"""NetCDF and Zarr as plain data that a mutation changes, and writers for every flavour of both."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import netCDF4
import numpy as np
import zarr
from numpy.typing import NDArray
from tests.fuzz import inputs

Flavour = Literal["nc", "nc3", "zarr2", "zarr3"]
FLAVOURS: tuple[Flavour, ...] = ("nc", "nc3", "zarr2", "zarr3")
SUFFIX: dict[Flavour, str] = {"nc": ".nc", "nc3": ".nc", "zarr2": ".zarr", "zarr3": ".zarr"}


@dataclass
class Var:
    """A variable: `fill` is what NetCDF and Zarr both keep apart from the attributes (None: none)."""

    dims: tuple[str, ...]
    data: NDArray[Any]
    attrs: dict[str, Any] = field(default_factory=dict)
    fill: Any = None
    chunks: tuple[int, ...] | None = None


@dataclass
class Model:
    """A file: its variables by name, and its global attributes."""

    vars: dict[str, Var]
    attrs: dict[str, Any] = field(default_factory=dict)

    def rename_dim(self, old: str, new: str) -> None:
        """Rename a dimension everywhere."""
        for var in self.vars.values():
            var.dims = tuple(new if one == old else one for one in var.dims)

    def rename(self, old: str, new: str) -> None:
        """Rename a variable."""
        self.vars = {new if name == old else name: var for name, var in self.vars.items()}


def time_var(count: int = inputs.DAYS, first: str = inputs.FIRST) -> Var:
    """Days since `first`."""
    return Var(
        ("time",),
        np.arange(count, dtype=np.float64),
        {"units": f"days since {first} 00:00:00", "calendar": "standard"},
    )


def runoff_model(values: NDArray[Any] | None = None, ids: NDArray[Any] = inputs.IDS) -> Model:
    """runoff(time, reach) in m3/s."""
    data = inputs.runoff() if values is None else values
    return Model(
        {
            "time": time_var(len(data)),
            "reach_id": Var(("reach",), np.asarray(ids)),
            "runoff": Var(("time", "reach"), data, {"units": "m3 s-1"}),
        }
    )


def observation_model(values: NDArray[Any] | None = None) -> Model:
    """discharge(time, gauge) in m3/s."""
    data = inputs.observed() if values is None else values
    return Model(
        {
            "time": time_var(len(data)),
            "gauge": Var(("gauge",), np.array(inputs.GAUGES, dtype=object)),
            "reach_id": Var(("gauge",), inputs.GAUGE_REACH),
            "discharge": Var(("time", "gauge"), data, {"units": "m3 s-1"}),
        }
    )


def parameter_model() -> Model:
    """delay(reach) in s."""
    return Model(
        {
            "reach_id": Var(("reach",), inputs.IDS),
            "delay": Var(("reach",), inputs.delays(), {"units": "s"}),
        }
    )


def write(model: Model, path: Path, flavour: Flavour) -> None:
    """Write it; nothing is checked, nothing is made up."""
    if flavour in ("nc", "nc3"):
        _write_netcdf(model, path, "NETCDF4" if flavour == "nc" else "NETCDF3_64BIT_OFFSET")
    else:
        _write_zarr(model, path, 2 if flavour == "zarr2" else 3)


def _sizes(model: Model) -> dict[str, int]:
    found: dict[str, int] = {}
    for var in model.vars.values():
        found.update(zip(var.dims, var.data.shape, strict=True))
    return found


def _write_netcdf(model: Model, path: Path, format: str) -> None:
    classic = format != "NETCDF4"
    with netCDF4.Dataset(str(path), "w", format=format) as file:
        file.set_auto_maskandscale(False)
        for name, size in _sizes(model).items():
            file.createDimension(name, size)
        for name, var in model.vars.items():
            data, dims = var.data, var.dims
            if classic and data.dtype.kind in "OU":
                data, dims = _characters(file, data, name, dims)
            elif classic and data.dtype.kind in "iu":
                data = data.astype(np.int32)
            elif classic and data.dtype.kind == "b":
                data = data.astype(np.int8)
            kind: Any = str if data.dtype.kind in "OU" else data.dtype.newbyteorder("=")
            stored = file.createVariable(name, kind, dims, fill_value=var.fill, chunksizes=var.chunks)
            stored.set_auto_maskandscale(False)
            stored.setncatts(var.attrs)
            if data.size:
                stored[...] = data.astype(object) if data.dtype.kind == "U" else data
        file.setncatts(model.attrs)


def _characters(
    file: netCDF4.Dataset, data: NDArray[Any], name: str, dims: tuple[str, ...]
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Texts as NetCDF-3 has them: an array of characters along a dimension more."""
    texts = np.array([str(one).encode() for one in data.ravel()])
    width = texts.dtype.itemsize
    file.createDimension(f"{name}_length", width)
    return texts.view("S1").reshape(*data.shape, width), (*dims, f"{name}_length")


def _write_zarr(model: Model, path: Path, version: Literal[2, 3]) -> None:
    group = zarr.open_group(str(path), mode="w", zarr_format=version, attributes=model.attrs)
    for name, var in model.vars.items():
        text = var.data.dtype.kind in "OU"
        attrs = dict(var.attrs)
        options: dict[str, Any] = {"fill_value": var.fill}
        if version == 2:
            attrs["_ARRAY_DIMENSIONS"] = list(var.dims)
        else:
            options["dimension_names"] = var.dims
            if var.fill is not None:  # format 3 keeps CF's fill among the attributes
                attrs["_FillValue"] = _encoded(var)
            options["fill_value"] = None
        array = group.create_array(
            name,
            shape=var.data.shape,
            chunks=var.chunks or tuple(max(1, size) for size in var.data.shape),
            dtype="str" if text else var.data.dtype,
            attributes=attrs,
            **options,
        )
        if var.data.size:
            array[...] = var.data.astype("U") if text else var.data


def _encoded(var: Var) -> Any:
    """As xarray stores `_FillValue` in format 3: numbers of integers, base64 of floats."""
    import base64
    import struct

    if var.data.dtype.kind == "f":
        code = "<d"  # whatever the width
        return base64.standard_b64encode(struct.pack(code, float(var.fill))).decode()
    return var.fill
