"""The file formats as functions that make a valid dummy dataset: a test breaks one thing in it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from rivercut.network import RiverNetwork

MakeRunoff = Callable[..., xr.Dataset]

IDS = np.array([30, 10, 50, 20, 40])  # not sorted, so that a position never passes for an id


def _times(steps: int, first: str = "2000-01-01", hours: int = 24) -> np.ndarray:
    return np.datetime64(first, "ns") + np.arange(steps) * np.timedelta64(hours, "h")


@pytest.fixture
def network() -> RiverNetwork:
    """10 and 20 flow into 30, 30 and 40 into 50."""
    return RiverNetwork.from_ids(
        IDS,
        [50, 30, -1, 30, 50],
        [1000.0, 2000.0, 3000.0, 4000.0, 5000.0],
        {
            "slope": np.array([0.0, 1e-3, 1e-4, 2e-3, 1e-3]),
            "area_m2": np.array([1e6, 2e6, 3e6, 4e6, 5e6]),
            "lat": np.array([10.0, 10.5, 11.0, 10.0, 10.5]),
            "lon": np.array([20.0, 20.5, 20.0, 21.0, 20.0]),
        },
    )


@pytest.fixture
def make_times() -> Callable[..., np.ndarray]:
    return _times


@pytest.fixture
def make_runoff() -> MakeRunoff:
    """runoff(time, reach) with the value of a reach 1000 id + step, in the order of the ids going down."""

    def make(steps: int = 6, units: str | None = "m3 s-1", scale: float = 1.0) -> xr.Dataset:
        ids = np.sort(IDS)[::-1].astype(np.int64)
        values = (1000.0 * ids + np.arange(steps)[:, None]) * scale
        attributes = {} if units is None else {"units": units}
        return xr.Dataset(
            {"runoff": (("time", "reach"), values, attributes)},
            coords={"time": _times(steps), "reach": ids},
        )

    return make


@pytest.fixture
def make_grid() -> MakeRunoff:
    """ro(time, latitude, longitude) in m per day on a global grid; the value is a plane in lat and lon."""

    def make(
        spacing: float = 0.25, steps: int = 3, *, ascending: bool = False, west: float = 0.0
    ) -> xr.Dataset:
        lat = np.arange(90.0, -90.0 - spacing / 2, -spacing)
        lon = west + np.arange(0.0, 360.0, spacing)
        if ascending:
            lat = lat[::-1]
        plane = 1e-3 + 1e-6 * lat[:, None] + 1e-6 * np.cos(np.radians(lon))[None, :]
        values = plane * (1.0 + np.arange(steps))[:, None, None]
        return xr.Dataset(
            {"ro": (("time", "latitude", "longitude"), values, {"units": "m"})},
            coords={"time": _times(steps), "latitude": lat, "longitude": lon},
        )

    return make


@pytest.fixture
def make_observations() -> MakeRunoff:
    """discharge(time, gauge) at the reaches 50 and 30."""

    def make(steps: int = 6, first: str = "2000-01-01") -> xr.Dataset:
        values = np.arange(steps * 2, dtype=np.float64).reshape(steps, 2) + 1.0
        return xr.Dataset(
            {
                "discharge": (("time", "gauge"), values, {"units": "m3 s-1"}),
                "reach_id": (("gauge",), np.array([50, 30])),
            },
            coords={"time": _times(steps, first), "gauge": np.array(["0A", "0B"], dtype=object)},
        )

    return make


@pytest.fixture
def network_csv(tmp_path: Path) -> Path:
    path = tmp_path / "network.csv"
    table = pd.DataFrame(
        {
            "reach_id": IDS,
            "downstream_id": [50, 30, -1, 30, 50],
            "length_m": [1000.0, 2000.0, 3000.0, 4000.0, 5000.0],
            "slope": [0.0, 1e-3, 1e-4, 2e-3, 1e-3],
            "bankfull_flow_m3s": [-9999.0, 0.0, 5.0, 6.0, 7.0],
            "is_lake": [True, False, False, False, False],
            "name": ["a", "b", "c", "d", "e"],
        }
    )
    table.to_csv(path, index=False)
    return path


@pytest.fixture
def rapid_folder(tmp_path: Path) -> Path:
    """Three reaches of RAPID, 7 -> 3 -> 5, where 5 leaves the region."""
    folder = tmp_path / "rapid"
    folder.mkdir()
    (folder / "rapid_connect.csv").write_text("7,3,0,0,0\n3,5,1,7,0\n5,999,1,3,0\n")
    (folder / "k.csv").write_text("700\n300\n500\n")
    (folder / "x.csv").write_text("0.1\n0.2\n0.3\n")
    (folder / "riv_bas_id.csv").write_text("3\n5\n7\n")
    (folder / "comid_lat_lon_z.csv").write_text("COMID,Lat,Lon,Elev_m\n5.0,45.5,9.5,1\n7.0,45.7,9.7,2\n")
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a small disk cannot be mounted here (it needs root)")
    yield folder
    # lazily: HDF5 holds on to a file that it could not close
    subprocess.run(["umount", "-l", str(folder)], check=True)
