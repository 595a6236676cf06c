"""Which dimension is latitude and which longitude: by attributes, by 2-D coordinates, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.io import open_runoff

NORTH, EAST = {"units": "degrees_north"}, {"units": "degrees_east"}
LAT, LON = np.array([45.0, 45.1, 45.2, 45.3]), np.array([8.0, 8.1, 8.2, 8.3])
PROJECTED = [{"units": "m", "standard_name": f"projection_{one}_coordinate"} for one in "yx"]
ROTATED = [{"units": "degrees", "standard_name": f"grid_{one}"} for one in ("latitude", "longitude")]


def points(lat: Any, lon: Any) -> RiverNetwork:
    """Reaches without a neighbour, of 86.4 km2: 1 mm/day is 1 m3/s."""
    lat, lon = (np.asarray(one, np.float64).ravel() for one in np.broadcast_arrays(lat, lon))
    attributes = {"area_m2": np.full(lat.size, 86.4e6), "lat": lat, "lon": lon}
    return RiverNetwork.from_ids(
        np.arange(1, lat.size + 1), np.full(lat.size, -1), np.ones(lat.size), attributes
    )


REACHES = points([45.1, 45.2, 45.02], [8.1, 8.3, 8.02])
RIGHT = [45.1 + 8.1, 45.2 + 8.3, 45.0 + 8.0]


def grid(
    lat: Any = LAT,
    lon: Any = LON,
    rows: Any = None,
    columns: Any = None,
    *,
    dims: tuple[str, str] = ("lat", "lon"),
    mapping: dict[str, Any] | None = None,
) -> xr.Dataset:
    """ro(time, *dims) in mm/day, the sum of latitude and longitude in degrees as LAT and LON have them."""
    values = np.repeat((LAT[:, None] + LON[None, :])[None], 3, axis=0)
    data = xr.Dataset({"ro": (("time", *dims), values, {"units": "mm/day"})})
    data["time"] = xr.Variable(("time",), np.arange(3), {"units": "days since 2001-01-01"})
    for dim, one, attributes in zip(dims, (lat, lon), (rows, columns), strict=True):
        if one is not None:
            data[dim] = xr.Variable((dim,), one, attributes or {})
    if mapping is not None:
        data["ro"].attrs["grid_mapping"] = "crs"
        data["crs"] = xr.Variable((), 0, mapping)
    return data


def curved(
    names: tuple[str, str] = ("lat", "lon"),
    *,
    dims: tuple[str, str] = ("y", "x"),
    attributes: Any = (NORTH, EAST),
    along: Any = PROJECTED,
    turn: float = 0.0,
    named: bool = False,
) -> xr.Dataset:
    """The same on dimensions that are projected (or counted, without `along`), turned by so much."""
    metres = np.arange(4) * 1e4 if along else None
    data = grid(metres, metres, *(along or (None, None)), dims=dims)
    row, column = np.meshgrid(np.arange(4.0), np.arange(4.0), indexing="ij")
    lat, lon = 45.0 + 0.1 * row + turn * column, 8.0 + 0.1 * column - turn * row
    data["ro"] = data["ro"].copy(data=np.repeat((lat + lon)[None], 3, axis=0))
    for name, values, one in zip(names, (lat, lon), attributes, strict=True):
        data[name] = xr.Variable(dims, values, one)
    if named:
        data["ro"].attrs["coordinates"] = " ".join(names)
    return data


def read(data: xr.Dataset, path: Path, network: RiverNetwork = REACHES) -> np.ndarray:
    data.to_netcdf(path / "g.nc")
    return open_runoff(path / "g.nc", network).read(None, 0, 3)[0]


@pytest.mark.parametrize(
    "data",
    [
        grid(),
        grid(rows=NORTH, columns=EAST),
        grid(rows={"units": "degree_N"}, columns={"units": "degreesE"}),
        grid(dims=("y", "x")),
        grid(dims=("rows", "columns"), rows={"standard_name": "latitude"}, columns={"standard_name": "longitude"}),
        grid(
            dims=("r", "c"), rows={"units": "degrees", "axis": "Y"}, columns={"units": "degrees", "axis": "X"}
        ),
        grid(dims=("lon", "lat"), rows=NORTH, columns=EAST),  # the units win over the names
        grid(np.radians(LAT), np.radians(LON), {"units": "radian"}, {"units": "radians"}),
        grid(dims=("y", "x"), mapping={"grid_mapping_name": "latitude_longitude"}),
        grid(dims=("y", "x"), mapping={"crs_wkt": 'GEOGCRS["WGS 84"]'}),
        grid().transpose("lon", "time", "lat"),
        curved(),
        curved(named=True),
        curved(along=None),
        curved(along=ROTATED, dims=("rlat", "rlon")),
        curved(("XLAT", "XLONG"), attributes=({}, {}), along=None, dims=("south_north", "west_east")),
        curved(("a", "b"), attributes=({"standard_name": "latitude"}, {"standard_name": "longitude"})),
        curved(turn=0.01),
        curved(turn=0.01, along=None).transpose("x", "y", "time"),
    ],
)  # fmt: skip
def test_a_grid_is_read_by_what_it_says(tmp_path: Path, data: xr.Dataset) -> None:
    found = read(data, tmp_path)
    # a cell stands for less than half a spacing around it, and the sum changes by as much as both coordinates
    assert np.abs(found - RIGHT).max() <= 0.12
    assert found[2] < found[0] < found[1]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (grid(rows=PROJECTED[0], columns=PROJECTED[1], dims=("y", "x")), "is projected .'y' in m, 'x' in m"),
        (grid(rows={"units": "km"}, columns={"units": "km"}), "is projected"),
        (grid(rows=ROTATED[0], columns=ROTATED[1]), "has a rotated pole"),
        (grid(dims=("rlat", "rlon")), "has a rotated pole"),
        (
            grid(dims=("y", "x"), mapping={"grid_mapping_name": "lambert_conformal_conic"}),
            "lambert_conformal_conic",
        ),
        (grid(dims=("y", "x"), mapping={"crs_wkt": 'PROJCRS["x"]'}), "is projected"),
        (grid(rows={**NORTH, "standard_name": "longitude"}), "contradict each other"),
        (grid(rows={**NORTH, "axis": "X"}), "contradict each other"),
        (grid(rows=NORTH, columns=NORTH), "both latitudes"),
        (grid(rows={"units": "K", "standard_name": "latitude"}), "has the units 'K'"),
        (grid(LAT + 50), "holds 95.* as a latitude"),
        (grid(lon=LON + 1000), "as a longitude; expected degrees, -540..720"),
        (grid(LAT * 1e5), "as a latitude"),
        (grid(LAT**2), "no constant spacing|as a latitude"),
        (curved().assign(lat2=curved()["lat"]), "all latitudes"),
        (curved().assign(lat=curved()["lat"] + 60).pipe(lambda d: d.assign(lat=d.lat.assign_attrs(NORTH))), "as a lat"),
    ],
)  # fmt: skip
def test_a_grid_that_is_no_degrees_is_refused(tmp_path: Path, data: xr.Dataset, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read(data, tmp_path)
    assert str(tmp_path / "g.nc") in str(error.value)
    assert len(str(error.value)) <= 300 + len(str(tmp_path))


def test_reaches_outside_of_a_curvilinear_grid_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reaches 2 lie outside"):
        read(curved(turn=0.01), tmp_path, points([45.1, 47.0], [8.1, 8.1]))
    with pytest.raises(InputError, match="reaches 2 of the network lie at impossible positions"):
        read(curved(turn=0.01), tmp_path, points([45.1, 91.0], [8.1, 8.1]))


def test_cells_without_a_position_take_no_reach(tmp_path: Path) -> None:
    data = curved(turn=0.01)
    holes = data["lat"].values.copy()
    holes[3, 0] = np.nan
    data["lat"] = xr.Variable(("y", "x"), holes, NORTH)
    assert np.abs(read(data, tmp_path) - RIGHT).max() <= 0.12
    holes[:2, :2] = np.nan
    data["lat"] = xr.Variable(("y", "x"), holes, NORTH)
    with pytest.raises(InputError, match="reaches 3 lie outside"):
        read(data, tmp_path)


def test_a_grid_that_is_written_for_every_time_must_stay(tmp_path: Path) -> None:
    data = curved(turn=0.01, along=None)
    lat = np.repeat(data["lat"].values[None], 3, axis=0)
    data["lat"] = xr.Variable(("time", "y", "x"), lat, NORTH)
    assert np.abs(read(data, tmp_path) - RIGHT).max() <= 0.12
    data["lat"] = xr.Variable(("time", "y", "x"), lat + np.arange(3)[:, None, None], NORTH)
    with pytest.raises(InputError, match="changes over time"):
        read(data, tmp_path)


# -- longitudes on a circle ------------------------------------------------------------------------------------

CELLS_LAT, CELLS_LON = np.meshgrid(np.arange(-1, 1, 0.5) + 0.25, np.arange(-1, 1, 0.5) + 0.25, indexing="ij")
BOXES = np.arange(-2, 2, 0.25) + 0.125


def _around(lon: Any, west: float) -> Any:
    return (np.asarray(lon) - west) % 360.0 + west


@pytest.mark.parametrize("middle", [0.0, 180.0, 90.0])
@pytest.mark.parametrize("grid_from", [-180.0, 0.0, None], ids=["-180..180", "0..360", "as it goes on"])
@pytest.mark.parametrize("reaches_from", [-180.0, 0.0])
@pytest.mark.parametrize("whole", [False, True], ids=["region", "world"])
def test_cells_over_the_edge_of_longitudes_take_their_shares(
    tmp_path: Path, middle: float, grid_from: float | None, reaches_from: float, whole: bool
) -> None:
    lon = (np.arange(0.125, 360.0, 0.25) if whole else BOXES) + (0.0 if whole else middle)
    if grid_from is None and not whole:
        lon = lon if lon.max() <= 360 and lon.min() >= -180 else _around(lon, -180.0)
    else:
        lon = _around(lon, grid_from or 0.0)
        lon = np.sort(lon) if whole else lon
    values = BOXES[:, None] + np.sin(np.radians(lon))[None, :] + 3.0
    data = xr.Dataset(
        {"ro": (("time", "lat", "lon"), np.repeat(values[None], 3, axis=0), {"units": "mm/day"})}
    )
    data["time"] = xr.Variable(("time",), np.arange(3), {"units": "days since 2001-01-01"})
    data["lat"], data["lon"] = ("lat", BOXES), ("lon", lon)
    found = read(data, tmp_path, points(CELLS_LAT, _around(CELLS_LON + middle, reaches_from)))
    inner = np.radians(CELLS_LON + middle)[..., None] + np.radians([-0.125, 0.125])
    assert np.allclose(found, (CELLS_LAT + 3.0 + np.sin(inner).mean(axis=-1)).ravel(), atol=1e-12)


def test_a_first_meridian_that_is_repeated_counts_once(tmp_path: Path) -> None:
    lon = np.arange(0.0, 360.25, 0.25)
    values = np.cos(np.radians(lon))[None, :] + np.zeros((BOXES.size, 1)) + 3.0
    data = xr.Dataset(
        {"ro": (("time", "lat", "lon"), np.repeat(values[None], 3, axis=0), {"units": "mm/day"})}
    )
    data["time"] = xr.Variable(("time",), np.arange(3), {"units": "days since 2001-01-01"})
    data["lat"], data["lon"] = ("lat", BOXES), ("lon", lon)
    found = read(data, tmp_path, points(CELLS_LAT, CELLS_LON))
    assert np.allclose(found.reshape(4, 4)[:, :2], found.reshape(4, 4)[:, :1:-1], atol=1e-12)  # even about 0
