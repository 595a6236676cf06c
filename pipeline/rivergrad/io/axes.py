"""Where the cells of a grid lie: which dimensions are latitude and longitude, by what the file says of them.

Units (`degrees_north`), `standard_name`, `axis` and `grid_mapping` decide (CF 4, 5.6); names only where no
attribute speaks. A projected or rotated grid is used by its 2-D latitudes and longitudes, where it has them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from rivergrad.errors import InputError, ids_text
from rivergrad.io.datasets import numbers_of
from rivergrad.io.gridded import LATITUDES, LONGITUDES
from rivergrad.io.missing import without_absent
from rivergrad.io.units import is_temperature, parse_unit, refuse_turned

Float = NDArray[np.float64]
ROTATED = "rotated_latitude_longitude"
Role = Literal["latitude", "longitude", "projected", "rotated"]

LATITUDE_NAMES = ("latitude", "lat", "nav_lat", "xlat", "lats")
LONGITUDE_NAMES = ("longitude", "lon", "nav_lon", "xlong", "xlon", "lons", "long")
ROWS, COLUMNS = ("y", "north_south", "south_north"), ("x", "east_west", "west_east")
"""Names of dimensions that may as well count cells: 2-D latitudes and longitudes are believed before them."""
NAMES: Mapping[str, Role] = {
    **dict.fromkeys((*LATITUDE_NAMES, *ROWS), "latitude"),
    **dict.fromkeys((*LONGITUDE_NAMES, *COLUMNS), "longitude"),
    **dict.fromkeys(("rlat", "rlon"), "rotated"),
}
_STANDARD: Mapping[str, Role] = {
    "latitude": "latitude",
    "longitude": "longitude",
    "projection_x_coordinate": "projected",
    "projection_y_coordinate": "projected",
    "projection_x_angular_coordinate": "projected",
    "projection_y_angular_coordinate": "projected",
    "grid_latitude": "rotated",
    "grid_longitude": "rotated",
}
_UNITS: Mapping[str, Role] = {
    **dict.fromkeys(("degreesnorth", "degreenorth", "degreesn", "degreen"), "latitude"),
    **dict.fromkeys(("degreeseast", "degreeeast", "degreese", "degreee"), "longitude"),
}
_RADIANS = ("rad", "radian", "radians")
_ANGLES = ("degrees", "degree", "deg", *_RADIANS)
_UP_AND_DOWN: Mapping[str, tuple[str, ...]] = {"latitude": ("X", "Z", "T"), "longitude": ("Y", "Z", "T")}
_SEPARABLE = (
    1e-3  # of a spacing: 2-D coordinates that vary by less along the other axis are those of a regular grid
)


@dataclass(frozen=True, eq=False)
class Grid:
    """The horizontal grid of a variable.

    Attributes:
        dims: of rows and columns.
        latitude, longitude: degrees; (rows,) and (columns,), or both (rows, columns) on a curvilinear grid.
    """

    dims: tuple[str, str]
    latitude: Float
    longitude: Float

    @property
    def is_curvilinear(self) -> bool:
        """Whether every cell has its own latitude and longitude."""
        return self.latitude.ndim == 2


def find_grid(dataset: xr.Dataset, array: xr.DataArray, time_dim: str, path: Path) -> Grid | None:
    """The grid a variable lies on; None where it has no two dimensions of space.

    Raises:
        InputError: attributes that contradict each other or the values, a grid whose latitudes and longitudes are
            not known, or one that lacks its coordinates.
    """
    dims = [str(dim) for dim in array.dims if dim != time_dim]
    if len(dims) != 2:
        if {NAMES.get(dim) for dim in dims} >= {"latitude", "longitude"}:
            raise InputError(
                f"{path}: variable '{array.name}' has the dimensions ({ids_text(array.dims)}); "
                "expected time, latitude and longitude"
            )
        return None
    roles = [_role_of_dimension(dataset, dim, path) for dim in dims]
    plain = set(roles) == {"latitude", "longitude"} and not _is_projected(dataset, array)
    rows, columns = (dims[0], dims[1]) if roles[0] == "latitude" else (dims[1], dims[0])
    if plain and _mapping(dataset, array) == ROTATED:
        raise InputError(
            f"{path}: the grid of '{array.name}' has a rotated pole by its grid_mapping, and "
            f"{' and '.join(_words(dataset, dim) for dim in dims)}, which contradict each other"
        )
    if plain and not any(_may_count(dataset, dim) for dim in dims):
        return _plain(dataset, rows, columns, path)
    curved = _two_dimensional(dataset, array, time_dim, dims, path)
    if curved is not None:
        return curved
    if plain:
        return _plain(dataset, rows, columns, path)
    if roles.count("latitude") == 2 or roles.count("longitude") == 2:
        raise InputError(f"{path}: '{dims[0]}' and '{dims[1]}' are both {roles[0]}s; expected one of each")
    if {"projected", "rotated"} & set(roles) or set(roles) == {"latitude", "longitude"}:
        what = "has a rotated pole" if "rotated" in roles else "is projected"
        said = ", ".join(_words(dataset, dim) for dim in dims)
        mapping = _mapping(dataset, array)
        raise InputError(
            f"{path}: the grid of '{array.name}' {what} ({said}{f'; {mapping}' if mapping else ''}); expected "
            "latitudes and longitudes in degrees, or 2-D variables of them"
        )
    return None


def degrees(dataset: xr.Dataset, name: str, role: Role, path: Path) -> Float:
    """Latitudes or longitudes in degrees, -90..90 or -540..720; NaN where missing.

    Raises:
        InputError: values that are no numbers, or beyond that.
    """
    values = without_absent(numbers_of(dataset[name], path))
    unit = str(dataset[name].attrs.get("units", "")).strip().lower()
    if unit in _RADIANS:
        values = np.degrees(values)
    low, high = LATITUDES if role == "latitude" else LONGITUDES
    # cells at the end of an axis may lie half over it, and numbers in float32 a little
    slack = 1e-3 if role == "latitude" else 1.0
    beyond = (values < low - slack) | (values > high + slack)
    if beyond.any():
        raise InputError(
            f"{path}: '{name}' holds {values[beyond][0]:g} as a {role}; expected degrees, {low:g}..{high:g}"
        )
    return values


# -- dimensions ------------------------------------------------------------------------------------------------


def role_of(attributes: Mapping[str, Any], name: str, path: Path) -> Role | None:
    """What a coordinate is by its attributes; None where they do not tell.

    Raises:
        InputError: attributes that contradict each other.
    """
    said: dict[str, Role] = {}
    standard = str(attributes.get("standard_name", "")).strip().lower()
    if standard in _STANDARD:
        said[f"standard_name '{standard}'"] = _STANDARD[standard]
    unit = str(attributes.get("units", "")).strip()
    refuse_turned(unit, str(path), name)
    plain = re.sub(r"[\s_\-]", "", unit).lower()
    parsed = parse_unit(unit) if unit else None
    if plain in _UNITS:
        # CF lets the axes of a rotated grid be in degrees; some files say north and east of them
        if said.get(f"standard_name '{standard}'") != "rotated":
            said[f"units '{unit}'"] = _UNITS[plain]
    elif parsed is not None and parsed[1] == (1, 0, 0, 0):
        said[f"units '{unit}'"] = "projected"
    elif standard in ("latitude", "longitude") and (
        is_temperature(unit) or (parsed is not None and any(parsed[1]))
    ):
        raise InputError(f"{path}: '{name}' has the units '{unit}' and is a {standard}; expected degrees")
    if len(set(said.values())) > 1:
        words = " and ".join(said)
        raise InputError(f"{path}: '{name}' has {words}, which contradict each other")
    role = next(iter(said.values()), None)
    axis = str(attributes.get("axis", "")).strip().upper()
    if role is not None and axis in _UP_AND_DOWN.get(role, ()):
        raise InputError(
            f"{path}: '{name}' has {next(iter(said))} and axis '{axis}', which contradict each other"
        )
    return role


def _role_of_dimension(dataset: xr.Dataset, dim: str, path: Path) -> Role | None:
    name = _coordinate(dataset, dim)
    if name is not None:
        role = role_of(dataset[name].attrs, name, path)
        if role is not None:
            return role
    by_name = NAMES.get(dim.lower()) or (NAMES.get(name.lower()) if name is not None else None)
    if name is None:
        return by_name
    axis = str(dataset[name].attrs.get("axis", "")).strip().upper()
    if by_name is not None and axis in _UP_AND_DOWN.get(by_name, ()):
        raise InputError(
            f"{path}: '{name}' is called a {by_name} and has the axis '{axis}'; expected units too"
        )
    if by_name is None and str(dataset[name].attrs.get("units", "")).strip().lower() in _ANGLES:
        return {"Y": "latitude", "X": "longitude"}.get(axis)  # type: ignore[return-value]
    return by_name


def _may_count(dataset: xr.Dataset, dim: str) -> bool:
    """Whether a dimension has nothing but a name, which its cells' row or column may have too."""
    name = _coordinate(dataset, dim)
    return name is None or (name.lower() in (*ROWS, *COLUMNS) and not _tells(dataset[name].attrs))


def _coordinate(dataset: xr.Dataset, dim: str) -> str | None:
    """The variable that holds the coordinates along a dimension."""
    if dim in dataset.variables and dataset[dim].dims == (dim,):
        return dim
    along = [str(one) for one in dataset.variables if dataset[one].dims == (dim,)]
    named = [one for one in along if one.lower() in NAMES]
    told = [one for one in along if _tells(dataset[one].attrs)]
    found = told or named
    return found[0] if len(found) == 1 else None


def _tells(attributes: Mapping[str, Any]) -> bool:
    plain = re.sub(r"[\s_\-]", "", str(attributes.get("units", ""))).lower()
    return plain in _UNITS or str(attributes.get("standard_name", "")).strip().lower() in _STANDARD


def _mapping(dataset: xr.Dataset, array: xr.DataArray) -> str:
    """The name of the variable's projection, as far as the file tells."""
    stated = array.attrs.get("grid_mapping") or array.encoding.get("grid_mapping") or ""
    name = str(stated).split(":")[0].strip()
    if not name or name not in dataset.variables:
        return ""
    attributes = dataset[name].attrs
    found = str(attributes.get("grid_mapping_name", "")).strip().lower()
    if found:
        return found
    words = str(attributes.get("crs_wkt") or attributes.get("spatial_ref") or "").strip().upper()
    if words.startswith(("PROJCRS", "PROJCS")):
        return "projected"
    return "latitude_longitude" if words.startswith(("GEOGCRS", "GEOGCS")) else ""


def _is_projected(dataset: xr.Dataset, array: xr.DataArray) -> bool:
    """Whether its grid mapping says so, and no unit of its coordinates says degrees north and east."""
    if _mapping(dataset, array) in ("", "latitude_longitude"):
        return False
    dims = [str(dim) for dim in array.dims]
    told = [name for dim in dims if (name := _coordinate(dataset, dim)) and _tells(dataset[name].attrs)]
    return len(told) < 2


def _words(dataset: xr.Dataset, dim: str) -> str:
    name = _coordinate(dataset, dim)
    unit = "" if name is None else str(dataset[name].attrs.get("units", "")).strip()
    return f"'{dim}' in {unit}" if unit else f"'{dim}'"


# -- coordinates -----------------------------------------------------------------------------------------------


def _plain(dataset: xr.Dataset, rows: str, columns: str, path: Path) -> Grid:
    found = []
    for dim, role in ((rows, "latitude"), (columns, "longitude")):
        name = _coordinate(dataset, dim)
        if name is None:
            raise InputError(f"{path}: '{dim}' has no coordinate variable; expected degrees")
        found.append(degrees(dataset, name, role, path))  # type: ignore[arg-type]
    return Grid((rows, columns), found[0], found[1])


def _two_dimensional(
    dataset: xr.Dataset, array: xr.DataArray, time_dim: str, dims: list[str], path: Path
) -> Grid | None:
    """The grid by 2-D latitudes and longitudes over both dimensions; None where the file has none."""
    stated = str(array.encoding.get("coordinates") or array.attrs.get("coordinates") or "").split()
    found: dict[Role, list[str]] = {"latitude": [], "longitude": []}
    for one in dataset.variables:
        name = str(one)
        space = [str(dim) for dim in dataset[name].dims if dim != time_dim]
        if sorted(space) != sorted(dims) or name == array.name:
            continue
        role = role_of(dataset[name].attrs, name, path) or NAMES.get(name.lower())
        if role in found:
            found[role].append(name)
    names: dict[Role, str] = {}
    for role, candidates in found.items():
        preferred = [one for one in candidates if one in stated] or candidates
        if not preferred:
            return None
        if len(preferred) > 1:
            raise InputError(
                f"{path}: {ids_text(preferred)} are all {role}s of '{array.name}'; expected its attribute "
                "coordinates to name one"
            )
        names[role] = preferred[0]
    values = [_of_all_times(dataset, names[role], role, time_dim, dims, path) for role in found]
    return _separated(Grid((dims[0], dims[1]), values[0], values[1]))


def _of_all_times(
    dataset: xr.Dataset, name: str, role: Role, time_dim: str, dims: list[str], path: Path
) -> Float:
    """(rows, columns); a grid that is written again for every time must stay where it is."""
    array = dataset[name]
    if time_dim not in array.dims:
        return degrees(dataset[[name]].transpose(*dims), name, role, path)
    ends = [
        degrees(dataset[[name]].isel({time_dim: at}).transpose(*dims), name, role, path) for at in (0, -1)
    ]
    if not np.array_equal(ends[0], ends[1], equal_nan=True):
        raise InputError(f"{path}: '{name}' changes over time; expected a grid that stays where it is")
    return ends[0]


def _separated(grid: Grid) -> Grid:
    """A grid whose latitudes vary along one dimension alone, and longitudes along the other, as a plain one."""
    latitude, longitude = grid.latitude, grid.longitude
    if min(latitude.shape) < 2 or not (np.isfinite(latitude).all() and np.isfinite(longitude).all()):
        return grid
    for lat, lon, dims in (
        (latitude, longitude, grid.dims),
        (latitude.T, longitude.T, (grid.dims[1], grid.dims[0])),
    ):
        spacing = min(float(np.abs(np.diff(lat[:, 0])).min()), float(np.abs(np.diff(lon[0])).min()))
        off = max(float(np.ptp(lat, axis=1).max()), float(np.ptp(lon, axis=0).max()))
        if off <= _SEPARABLE * spacing:
            return Grid(dims, lat[:, 0].copy(), lon[0].copy())
    return grid
