"""What commands leave, compared with what is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
import zarr
from numpy.typing import NDArray
from tests.fuzz import inputs

Float = NDArray[np.float64]
RELATIVE = 2e-5  # float32 routing, and depths times areas


def _differ(what: str, found: Float, right: Float, tolerance: float) -> str | None:
    if found.shape != right.shape:
        return f"{what} has the shape {found.shape}; right is {right.shape}"
    if not np.array_equal(np.isnan(found), np.isnan(right)):
        at = tuple(int(i) for i in np.argwhere(np.isnan(found) != np.isnan(right))[0])
        return f"{what}{at} is {found[at]}; right is {right[at]}"
    scale = np.maximum(np.abs(right), 1e-3 * np.nanmax(np.abs(right), initial=1e-30))
    off = np.nan_to_num(np.abs(found - right) / scale)
    if off.max(initial=0.0) <= tolerance:
        return None
    at = tuple(int(i) for i in np.unravel_index(int(off.argmax()), off.shape))
    return f"{what}{at} is {found[at]:.7g}; right is {right[at]:.7g}"


def _same_times(found: NDArray[np.datetime64], right: NDArray[np.datetime64]) -> str | None:
    if len(found) != len(right):
        return f"holds {len(found)} times; right are {len(right)}"
    if (found != right).any():
        at = int((found != right).argmax())
        return f"time {at} is {found[at]}; right is {right[at]}"
    return None


@dataclass(frozen=True)
class Routed:
    """Discharge of every reach in q.nc (or a store)."""

    values: Float
    time: NDArray[np.datetime64] | None = None
    path: str = "q.nc"
    ids: Sequence[int] = tuple(inputs.IDS.tolist())
    tolerance: float = RELATIVE

    def problem(self, folder: Path) -> str | None:
        """See `Answer`."""
        path = folder / self.path
        if not path.exists():
            return f"{self.path} is not there"
        right = inputs.times(len(self.values)) if self.time is None else self.time
        with xr.open_dataset(path, engine="zarr" if path.suffix == ".zarr" else "netcdf4") as data:
            reach = data["reach"].values.astype(np.int64).tolist()
            if sorted(reach) != sorted(self.ids):
                return f"{self.path} has the reaches {reach}; right are {list(self.ids)}"
            if problem := _same_times(data["time"].values.astype("datetime64[ns]"), right):
                return f"{self.path} {problem}"
            found = data["discharge"].values.astype(np.float64)
        at = [reach.index(one) for one in self.ids]
        return _differ("discharge", found[:, at], self.values, self.tolerance)


@dataclass(frozen=True)
class Observed:
    """What a run took for observed, in run/hydrographs.nc: (time, gauge) in the order of `inputs.GAUGES`."""

    values: Float
    time: NDArray[np.datetime64] | None = None
    gauges: tuple[str, ...] = inputs.GAUGES
    reach: tuple[int, ...] = tuple(inputs.GAUGE_REACH.tolist())
    path: str = "run/hydrographs.nc"

    def problem(self, folder: Path) -> str | None:
        """See `Answer`."""
        path = folder / self.path
        if not path.exists():
            return f"{self.path} is not there"
        right = inputs.times(len(self.values)) if self.time is None else self.time
        with xr.open_dataset(path) as data:
            names = [str(one) for one in data["gauge"].values]
            if sorted(names) != sorted(self.gauges):
                return f"gauges are {names}; right are {list(self.gauges)}"
            at = [names.index(one) for one in self.gauges]
            reach = data["reach_id"].values[at].tolist()
            if reach != list(self.reach):
                return f"gauges lie on the reaches {reach}; right are {list(self.reach)}"
            if problem := _same_times(data["time"].values.astype("datetime64[ns]"), right):
                return f"{self.path} {problem}"
            found = data["observed"].values.astype(np.float64)[:, at]
        return _differ("observed", found, self.values, RELATIVE)


@dataclass(frozen=True)
class Learned:
    """Runoff that a model made of forcings, equal to that of the valid case, in w.nc."""

    right: Path
    path: str = "w.nc"

    def problem(self, folder: Path) -> str | None:
        """See `Answer`."""
        path = folder / self.path
        if not path.exists():
            return f"{self.path} is not there"
        with xr.open_dataset(path) as data, xr.open_dataset(self.right) as right:
            if problem := _same_times(data["time"].values, right["time"].values):
                return f"{self.path} {problem}"
            found, wanted = data["runoff"].values.astype(float), right["runoff"].values.astype(float)
        return _differ("runoff", found, wanted, 1e-4)


@dataclass(frozen=True)
class Whole:
    """Anything that is finite and can be read: for damage that no format can notice."""

    path: str = "q.nc"
    variable: str = "discharge"

    def problem(self, folder: Path) -> str | None:
        """See `Answer`."""
        path = folder / self.path
        if not path.exists():
            return f"{self.path} is not there"
        with xr.open_dataset(path) as data:
            values = data[self.variable].values
        return None if np.isfinite(values).all() else f"{self.path} holds values that are not finite"


@dataclass(frozen=True)
class Partitioned:
    """A partition of so many parts in p.zarr, of all reaches."""

    parts: int
    path: str = "p.zarr"
    reaches: int = len(inputs.IDS)

    def problem(self, folder: Path) -> str | None:
        """See `Answer`."""
        path = folder / self.path
        if not path.exists():
            return f"{self.path} is not there"
        group = zarr.open_group(str(path), mode="r")
        found = np.asarray(group["order"][...])  # type: ignore[index]
        if sorted(found.tolist()) != list(range(self.reaches)):
            return f"{self.path} orders {found.size} reaches; right are {self.reaches}"
        parts = int(str(group.attrs["n_parts"]))
        return None if parts == self.parts else f"{self.path} has {parts} parts; right are {self.parts}"


@dataclass(frozen=True)
class Table:
    """A table of parameters by reach in a CSV that the command wrote."""

    path: str
    columns: tuple[str, ...] = ()

    def problem(self, folder: Path) -> str | None:
        """See `Answer`."""
        path = folder / self.path
        if not path.exists():
            return f"{self.path} is not there"
        table = pd.read_csv(path)
        missing = [one for one in ("reach_id", *self.columns) if one not in table]
        return f"{self.path} lacks {missing}" if missing else None


@dataclass(frozen=True)
class Nothing:
    """A command that leaves nothing, such as validate; or anything at all."""

    def problem(self, folder: Path) -> str | None:
        """See `Answer`."""
        return None
