from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.io import read_network, read_observations, write_observations

Make = Callable[..., xr.Dataset]


@pytest.mark.parametrize("name", ["q.nc", "q.zarr"])
def test_what_is_written_is_read(tmp_path: Path, network: RiverNetwork, make_times: Make, name: str) -> None:
    values = np.array([[1.0, np.nan], [2.0, 3.0], [np.nan, np.nan]])
    time = make_times(3)
    write_observations(tmp_path / name, ["01", "Ärö"], [40, 10], time, values, dtype=np.float64)
    found = read_observations(tmp_path / name, network)
    assert found.gauge.tolist() == ["01", "Ärö"]
    assert network.reach_id[found.reach].tolist() == [40, 10]
    assert np.array_equal(found.time, time)
    assert found.step == 86400.0
    assert np.array_equal(found.discharge, values, equal_nan=True)
    one = found.select([1]).during(slice(1, 3))
    assert one.gauge.tolist() == ["Ärö"]
    assert np.array_equal(one.discharge, [[3.0], [np.nan]], equal_nan=True)


def test_feet_sentinels_and_a_transposed_file(
    tmp_path: Path, network: RiverNetwork, make_observations: Make
) -> None:
    dataset = make_observations()
    dataset["discharge"].attrs["units"] = "ft3/s"
    dataset["discharge"][2, 0] = -9999.0
    dataset.transpose("gauge", "time").to_netcdf(tmp_path / "q.nc", engine="netcdf4")
    found = read_observations(tmp_path / "q.nc", network).discharge
    assert np.isnan(found).sum() == 1
    assert np.isnan(found[2, 0])
    assert found[5, 1] == pytest.approx(12 * 0.3048**3)


def _no_unit(dataset: xr.Dataset) -> xr.Dataset:
    del dataset["discharge"].attrs["units"]
    return dataset


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.assign(reach_id=("gauge", [50, 77])), r"gauges 0B \(reach 77\) lie on reaches"),
        (lambda d: d.drop_vars("reach_id"), r"'reach_id\(gauge\)' is missing"),
        (lambda d: d.assign_coords(gauge=["a", "a"]), "gauges a appear more than once"),
        (
            lambda d: d.assign(discharge=d["discharge"] * np.nan).pipe(_units),
            "every value of the gauges 0A, 0B",
        ),
        (_no_unit, "'discharge' has no units"),
        (lambda d: d.isel(time=[0, 1, 3]), "one regular step"),
        (lambda d: d.isel(time=[0, 1, 1]), "twice"),
        (lambda d: d.rename({"discharge": "dischrge"}).assign(b=d["discharge"]), "several variables"),
    ],
)
def test_bad_files(
    tmp_path: Path,
    network: RiverNetwork,
    make_observations: Make,
    change: Callable[[xr.Dataset], xr.Dataset],
    message: str,
) -> None:
    path = tmp_path / "q.nc"
    change(make_observations()).to_netcdf(path, engine="netcdf4")
    with pytest.raises(InputError, match=message) as error:
        read_observations(path, network)
    assert str(path) in str(error.value)
    assert len(str(error.value).splitlines()) <= 2


def _units(dataset: xr.Dataset) -> xr.Dataset:
    dataset["discharge"].attrs["units"] = "m3 s-1"
    return dataset


def test_a_gauge_without_values_among_others_stays(
    tmp_path: Path, network: RiverNetwork, make_observations: Make
) -> None:
    dataset = make_observations()
    dataset["discharge"][:, 0] = np.nan
    dataset.to_netcdf(tmp_path / "q.nc", engine="netcdf4")
    found = read_observations(tmp_path / "q.nc", network).discharge
    assert np.isnan(found[:, 0]).all()
    assert np.isfinite(found[:, 1]).all()


def test_a_long_table_with_gaps(tmp_path: Path, network: RiverNetwork) -> None:
    path = tmp_path / "q.csv"
    path.write_text(
        "gauge,reach_id,time,discharge\n"
        "007,50,2000-01-03,3\n"  # rows in any order; the second day is missing
        "007,50,2000-01-01,1\n"
        "b,10,2000-01-02,\n"
        "b,10,2000-01-04,4\n"
    )
    found = read_observations(path, network)
    assert found.gauge.tolist() == ["007", "b"]
    assert network.reach_id[found.reach].tolist() == [50, 10]
    assert found.step == 86400.0
    expected = [[1, np.nan], [np.nan, np.nan], [3, np.nan], [np.nan, 4]]
    assert np.array_equal(found.discharge, expected, equal_nan=True)


def test_gauges_of_digits_keep_their_zeros(tmp_path: Path, network: RiverNetwork) -> None:
    path = tmp_path / "q.csv"
    path.write_text(
        "gauge,reach_id,time,discharge\n01567000,50,2000-01-01,1\n01567000,50,2000-01-02,1\n007,10,2000-01-01,2\n"
    )
    assert sorted(read_observations(path, network).gauge.tolist()) == ["007", "01567000"]


def test_a_wide_table(tmp_path: Path, network: RiverNetwork) -> None:
    path = tmp_path / "q.csv"
    path.write_text("time,50,10\n2000-01-01T00:00,1,2\n2000-01-01T03:00,3,\n")
    found = read_observations(path, network)
    assert found.step == 3 * 3600.0
    assert network.reach_id[found.reach].tolist() == [50, 10]
    assert np.array_equal(found.discharge, [[1, 2], [3, np.nan]], equal_nan=True)


def test_a_unit_in_the_header(tmp_path: Path, network: RiverNetwork) -> None:
    path = tmp_path / "q.csv"
    head = "gauge,reach_id,time,discharge [{}]\na,50,2000-01-01,10\na,50,2000-01-02,20\n"
    path.write_text(head.format("cfs"))
    assert np.allclose(read_observations(path, network).discharge[:, 0], np.array([10, 20]) * 0.3048**3)
    path.write_text(head.format("parsec"))
    with pytest.raises(InputError, match="'parsec'"):
        read_observations(path, network)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "gauge,reach_id,time,discharge\na,50,2000-01-01,1\na,50,2000-01-01,2\na,50,2000-01-02,2\n",
            "two values",
        ),
        ("gauge,reach_id,time,discharge\na,50,2000-01-01,1\na,10,2000-01-02,2\n", "50 and 10; expected one"),
        ("gauge,reach_id,time,discharge\na,50,yesterday,1\n", "'yesterday', which is not a date"),
        ("gauge,reach_id,time,discharge\na,50,2000-01-01,much\na,50,2000-01-02,1\n", "'much' in row 1"),
        ("gauge,reach_id,time,flow\na,50,2000-01-01,1\n", "column 'discharge' is missing"),
        ("gauge,reach_id,date,discharge\na,50,2000-01-01,1\n", "column 'time' is missing"),
        ("time,gauge_one\n2000-01-01,1\n", "'gauge_one' is no reach id"),
        ("time,50\n2000-01-01,\n2000-01-02,\n", "every value of the gauges 50 is missing"),
    ],
)
def test_bad_tables(tmp_path: Path, network: RiverNetwork, content: str, message: str) -> None:
    path = tmp_path / "q.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        read_observations(path, network)
    assert str(path) in str(error.value)


def test_delaware(data_dir: Path) -> None:
    folder = data_dir / "delaware"
    network = read_network(folder / "network.csv")
    found = read_observations(folder / "discharge.nc", network)
    assert found.discharge.shape == (731, 61)
    assert found.gauge[0] == "01411500"
    table = pd.Series(network.reach_id[found.reach], index=found.gauge)
    assert table["01484100"] == 100
