from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.io import GridRunoff, open_runoff, read_network, regular_grid_weights
from rivergrad.io.gridded import cell_size, regular_axis

MakeGrid = Callable[..., xr.Dataset]

LAT = np.arange(90.0, -90.1, -0.25)
LON = np.arange(0.0, 360.0, 0.25)


def test_half_degree_cells_on_quarter_degree_points() -> None:
    lat, lon = np.array([83.75, -10.25, 0.25]), np.array([-37.75, 0.25, 179.75])
    index, weight = regular_grid_weights(LAT, LON, lat, lon, cell=(0.5, 0.5))
    quarter = np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25]).ravel()
    for row in range(3):
        used = weight[row] > 0
        assert np.allclose(np.sort(weight[row][used]), np.sort(quarter))
        centre = index[row][weight[row].argmax()]
        assert LAT[centre // LON.size] == lat[row]
        assert LON[centre % LON.size] == lon[row] % 360


@pytest.mark.parametrize("west", [0.0, -180.0])
@pytest.mark.parametrize("ascending", [False, True])
def test_any_order_of_the_axes_gives_the_same_weights(west: float, ascending: bool) -> None:
    """The mean of a plane over a cell is the plane at its centre, also across the seam of longitudes."""
    lat_axis = LAT[::-1] if ascending else LAT
    lon_axis = LON + west
    lat, lon = np.array([50.25, -20.75, 10.25]), np.array([-0.25, 179.75, -179.75])
    index, weight = regular_grid_weights(lat_axis, lon_axis, lat, lon, cell=(0.5, 0.5))
    field = lat_axis[:, None] + 10 * np.sin(np.radians(lon_axis))[None, :]
    mean = (field.ravel()[index] * weight).sum(axis=1)
    assert np.allclose(mean, lat + 10 * np.sin(np.radians(lon)), atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    lat=st.floats(-80, 80),
    lon=st.floats(-180, 360),
    size=st.floats(0.01, 3.0),
    spacing=st.sampled_from([0.1, 0.25, 0.5, 1.0]),
)
def test_weights_sum_to_one_and_their_centre_is_the_reach(
    lat: float, lon: float, size: float, spacing: float
) -> None:
    lat_axis = np.linspace(-90, 90, round(180 / spacing) + 1)
    lon_axis = np.arange(round(360 / spacing)) * spacing
    index, weight = regular_grid_weights(
        lat_axis, lon_axis, np.array([lat]), np.array([lon]), cell=(size, size)
    )
    assert weight.min() >= 0
    assert weight.sum() == pytest.approx(1.0)
    # the centre of mass is off by half a spacing at most (a box smaller than a cell)
    assert abs((lat_axis[index // lon_axis.size] * weight).sum() - lat) <= spacing / 2 + 1e-6
    shift = (lon_axis[index % lon_axis.size] - lon + 180) % 360 - 180
    assert abs((shift * weight).sum()) <= spacing / 2 + 1e-6


def test_points_take_the_box_that_holds_them() -> None:
    index, weight = regular_grid_weights(LAT, LON, np.array([10.1]), np.array([359.9]), cell=(0.0, 0.0))
    assert weight.tolist() == [[1.0]]
    assert LAT[index[0, 0] // LON.size] == 10.0
    assert LON[index[0, 0] % LON.size] == 0.0  # 359.9 is in the box around 360


@pytest.mark.parametrize(
    "axis",
    [
        np.arange(-190.0, -169.0),
        np.arange(170.0, 191.0),
        np.arange(190.0, 169.0, -1.0),
        np.arange(-360.0, 1.0),
        np.arange(180.0, 541.0),
        np.array([178.0, 179.0, -180.0, -179.0]),
        np.array([-179.0, -180.0, 179.0, 178.0]),
        np.array([180.0, -179.0]),
        np.array([-179.0, 180.0]),
        np.array([179.0, -180.0]),
    ],
    ids=lambda axis: f"{axis[0]:g}..{axis[-1]:g}x{axis.size}",
)
def test_an_axis_begins_anywhere_on_the_circle(axis: np.ndarray) -> None:
    """Points take the box of their own meridian, whichever turn axis and points are counted in."""
    lon = np.concatenate([axis + turn for turn in (-360.0, 0.0, 360.0)])
    lon = lon[(lon >= -540.0) & (lon <= 720.0)]
    index, weight = regular_grid_weights(LAT, axis, np.zeros(lon.size), lon, cell=(0.0, 0.0))
    assert (weight == 1.0).all()
    assert ((axis[index[:, 0] % axis.size] - lon) % 360.0 == 0.0).all()


@pytest.mark.parametrize("lon", [-541.0, 721.0, 1e5])
def test_longitudes_beyond_any_turn_are_refused(lon: float) -> None:
    with pytest.raises(
        InputError, match=r"impossible positions.*expected degrees, -90\.\.90 and -540\.\.720"
    ):
        regular_grid_weights(LAT, LON, np.zeros(1), np.array([lon]))


def test_cells_are_told_from_points() -> None:
    rng = np.random.default_rng(0)
    assert cell_size(np.array([10.25, 10.75, 12.25]), np.array([5.25, 5.75, 6.25])) == (0.5, 0.5)
    assert cell_size(rng.uniform(0, 10, 50).round(3), rng.uniform(0, 10, 50).round(3)) == (0.0, 0.0)
    assert cell_size(np.array([1.0]), np.array([2.0])) == (0.0, 0.0)


def test_cells_without_values_leave_their_weight_to_the_others() -> None:
    valid = np.ones((LAT.size, LON.size), dtype=bool)
    valid[LAT > 10.0] = False
    lat, lon = np.array([10.0, 10.5]), np.array([20.0, 20.0])
    index, weight = regular_grid_weights(LAT, LON, lat[:1], lon[:1], cell=(0.5, 0.5), valid=valid)
    assert weight.sum() == pytest.approx(1.0)
    assert (LAT[index // LON.size] <= 10.0).all()
    with pytest.raises(InputError, match="reaches 8 lie where the grid has no values"):
        regular_grid_weights(LAT, LON, lat, lon, cell=(0.5, 0.5), valid=valid, reach_id=np.array([7, 8]))


def test_outside_of_a_regional_grid() -> None:
    lat_axis, lon_axis = np.arange(40.0, 50.0, 0.5), np.arange(-5.0, 5.0, 0.5)
    lat, lon = np.array([45.0, 39.0, 45.0]), np.array([0.0, 0.0, 170.0])
    index, _ = regular_grid_weights(lat_axis, lon_axis, lat[:1], lon[:1] + 360, cell=(0.0, 0.0))
    assert lon_axis[index[0, 0] % lon_axis.size] == 0.0
    with pytest.raises(InputError, match="reaches 2, 3 lie outside of the grid"):
        regular_grid_weights(lat_axis, lon_axis, lat, lon, reach_id=np.array([1, 2, 3]), source="f.nc")
    with pytest.raises(InputError, match="no constant spacing"):
        regular_axis(np.array([0.0, 1.0, 3.0]), "f.nc", "latitude")


@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("west", [0.0, -180.0])
def test_a_gridded_file(
    tmp_path: Path, network: RiverNetwork, make_grid: MakeGrid, ascending: bool, west: float
) -> None:
    path = tmp_path / "ro.nc"
    make_grid(0.5, ascending=ascending, west=west).to_netcdf(path, engine="netcdf4")
    source = open_runoff(path, network)
    runoff = source.read(None, 0, 3)
    lat, lon = network.attributes["lat"], network.attributes["lon"]
    depth = 1e-3 + 1e-6 * lat + 1e-6 * np.cos(np.radians(lon))
    expected = depth * network.attributes["area_m2"] / 86400.0 * np.array([[1.0], [2.0], [3.0]])
    assert np.allclose(runoff, expected, rtol=1e-5)
    assert np.array_equal(source.read([3, 1], 1, 3), runoff[1:3][:, [3, 1]])
    assert np.array_equal(source.select([3, 1]).read(None, 1, 3), runoff[1:3][:, [3, 1]])
    for positions in ([0, 1, 2, 3, 4], [3, 1], [2]):
        # the cells by themselves, as a worker reads them, and the weights that are left to whoever routes
        cells = pickle.loads(pickle.dumps(source.select(positions).cells()))
        assert cells.n_cells == np.unique(cells.cell).size == cells.cell.max() + 1
        values = cells.read(1, 3)
        assert values.shape == (2, cells.n_cells)
        summed = np.add.reduceat(values[:, cells.cell] * cells.weight, cells.pointer[:-1], axis=1)
        assert np.allclose(summed, runoff[1:3][:, positions], rtol=1e-14)


def test_negatives_missing_cells_and_units_of_a_grid(
    tmp_path: Path, network: RiverNetwork, make_grid: MakeGrid
) -> None:
    def written(change: Callable[[xr.Dataset], None], name: str) -> Path:
        dataset = make_grid(0.5)
        change(dataset)
        dataset.to_netcdf(tmp_path / name, engine="netcdf4")
        return tmp_path / name

    def tiny(dataset: xr.Dataset) -> None:
        dataset["ro"][:] = -8.9e-8

    assert (open_runoff(written(tiny, "tiny.nc"), network).read(None, 0, 3) == 0.0).all()

    def large(dataset: xr.Dataset) -> None:
        dataset["ro"][1] = -1.0

    with pytest.raises(
        InputError, match="'ro' is -1 for the reaches 30, 10, 50, 20, 40, first at 2000-01-02"
    ):
        open_runoff(written(large, "large.nc"), network).read(None, 0, 3)
    gridded = open_runoff(tmp_path / "large.nc", network)
    assert isinstance(gridded, GridRunoff)
    with pytest.raises(
        InputError, match="'ro' is -1 for the reaches 30, 10, 50, 20, 40, first at 2000-01-02"
    ):
        gridded.cells().read(0, 3)

    def hole(dataset: xr.Dataset) -> None:
        dataset["ro"].loc[{"latitude": 11.0, "longitude": 20.0}][2] = np.nan

    with pytest.raises(InputError, match=r"NaN.*reaches 50, first at 2000-01-03"):
        open_runoff(written(hole, "hole.nc"), network).read(None, 0, 3)
    gridded = open_runoff(tmp_path / "hole.nc", network)
    assert isinstance(gridded, GridRunoff)
    assert np.isfinite(gridded.cells().read(0, 2)).all()
    with pytest.raises(InputError, match=r"NaN.*reaches 50, first at 2000-01-03"):
        gridded.cells().read(1, 3)

    def flow(dataset: xr.Dataset) -> None:
        dataset["ro"].attrs["units"] = "m3 s-1"

    with pytest.raises(InputError, match="expected a depth"):
        open_runoff(written(flow, "flow.nc"), network)


def test_era5_on_ddm30(data_dir: Path) -> None:
    folder = data_dir / "global_ddm30"
    network = read_network(folder / "network.csv.gz")
    source = open_runoff(folder / "era5_runoff_19800101-10.nc", network)
    assert source.step == 86400.0
    assert source.time[0] == np.datetime64("1980-01-01")
    runoff = source.read(None, 0, 10)
    assert runoff.min() >= 0
    assert runoff.sum(axis=1).mean() == pytest.approx(1.208e6, rel=5e-3)
    some = np.array([66000, 17, 40000])
    assert np.allclose(source.select(some).read(None, 4, 6), runoff[4:6][:, some], rtol=1e-13)
    assert isinstance(source, GridRunoff)
    cells = source.cells()
    found = np.asarray(cells.matrix @ cells.read(0, 10).T).T
    assert np.allclose(found, runoff, rtol=1e-13, atol=0)
