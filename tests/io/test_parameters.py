from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.io import (
    export_parameters,
    read_network,
    read_parameters,
    read_rapid_qout,
    write_parameters,
    write_parameters_store,
)

ALL = ["p.csv", "p.csv.gz", "p.parquet", "p.nc", "p.zarr"]


def _bytes(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    return {str(one.relative_to(path.parent)): one.read_bytes() for one in files}


def _content(network: RiverNetwork) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "celerity": rng.lognormal(0, 1, network.n_reaches),
        "k": network.reach_id * 60.0,
        "x": rng.uniform(0, 0.5, network.n_reaches),
        "lat": network.attributes["lat"],
        "lon": network.attributes["lon"],
        "celerity_true": np.full(network.n_reaches, np.nan),
        "informed": network.reach_id > 25,
    }


@pytest.mark.parametrize("name", ALL)
def test_round_trip_by_id_and_the_same_bytes_twice(tmp_path: Path, network: RiverNetwork, name: str) -> None:
    content = _content(network)
    path = tmp_path / name
    write_parameters(path, network.reach_id, content, provenance={"seed": 3, "versions": {"b": 1, "a": 2}})
    first = _bytes(path)
    other = network.subset([4, 1, 0])
    found = read_parameters(path, ["k", "celerity"], other)
    for one in ("k", "celerity"):
        assert np.array_equal(found[one], content[one][[4, 1, 0]])
    write_parameters(path, network.reach_id, content, provenance={"seed": 3, "versions": {"a": 2, "b": 1}})
    assert _bytes(path) == first
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_the_store_opens_with_xarray_as_it_is(tmp_path: Path, network: RiverNetwork) -> None:
    write_parameters_store(
        tmp_path / "parameters.zarr", network.reach_id, _content(network), provenance={"scheme": "muskingum"}
    )
    with xr.open_zarr(tmp_path / "parameters.zarr") as dataset:
        assert dataset.sizes == {"reach": 5}
        assert dataset["celerity"].dims == ("reach",)
        assert dataset.coords["reach_id"].values.tolist() == network.reach_id.tolist()
        assert dataset["celerity"].attrs["units"] == "m s-1"
        assert dataset["celerity_true"].attrs["units"] == "m s-1"
        assert dataset["k"].attrs["units"] == "s"
        assert dataset["lat"].attrs["standard_name"] == "latitude"
        assert dataset["informed"].dtype == bool
        assert dataset.attrs["scheme"] == "muskingum"
    with pytest.raises(InputError, match=r"\.zarr"):
        write_parameters_store(tmp_path / "p.nc", network.reach_id, {})


@pytest.mark.parametrize(
    ("format", "name"), [("csv", "o.csv"), ("parquet", "o.parquet"), ("netcdf", "o.nc"), ("zarr", "o.zarr")]
)
def test_export(tmp_path: Path, network: RiverNetwork, format: str, name: str) -> None:
    content = _content(network)
    write_parameters_store(tmp_path / "parameters.zarr", network.reach_id, content, provenance={"seed": 3})
    export_parameters(tmp_path, format, tmp_path / name)  # type: ignore[arg-type]
    found = read_parameters(tmp_path / name, ["celerity", "x"], network)
    assert np.array_equal(found["celerity"], content["celerity"])
    assert np.array_equal(found["x"], content["x"])
    if format == "csv":
        assert list(pd.read_csv(tmp_path / name).columns) == [
            "reach_id",
            "k",
            "x",
            "celerity",
            "lat",
            "lon",
            "informed",
            "celerity_true",
        ]
    if format == "netcdf":
        with xr.open_dataset(tmp_path / name, engine="netcdf4") as dataset:
            assert dataset.attrs["seed"] == 3
            assert dataset["informed"].dtype == bool
            assert set(dataset.variables) == {"reach_id", *content}
    # a run directory can be given where parameters are asked for
    assert np.array_equal(read_parameters(tmp_path, ["k"], network)["k"], content["k"])


def test_export_of_nothing_or_under_a_wrong_name(tmp_path: Path, network: RiverNetwork) -> None:
    with pytest.raises(InputError, match=r"holds no parameters\.zarr"):
        export_parameters(tmp_path, "csv", tmp_path / "o.csv")
    write_parameters_store(tmp_path / "parameters.zarr", network.reach_id, _content(network))
    with pytest.raises(InputError, match=r"ends in \.nc"):
        export_parameters(tmp_path, "netcdf", tmp_path / "o.csv")
    with pytest.raises(InputError, match="format 'xml' is not known"):
        export_parameters(tmp_path, "xml", tmp_path / "o.xml")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ALL)
def test_what_is_missing(tmp_path: Path, network: RiverNetwork, name: str) -> None:
    path = tmp_path / name
    values = np.array([1.0, np.nan, 3.0, np.nan])
    write_parameters(path, network.reach_id[:4], {"mine": values})
    with pytest.raises(InputError, match="lacks the reaches 40 of the network") as error:
        read_parameters(path, ["mine"], network)
    assert str(path) in str(error.value)
    with pytest.raises(InputError, match="'mine' has no value for the reaches 10, 20"):
        read_parameters(path, ["mine"], network.subset([0, 1, 2, 3]))
    with pytest.raises(InputError, match="'x' is missing"):
        read_parameters(path, ["mine", "x"], network.subset([0]))
    assert read_parameters(path, ["mine"], network.subset([2, 0]))["mine"].tolist() == [3.0, 1.0]


def test_units_of_parameters(tmp_path: Path, network: RiverNetwork) -> None:
    dataset = xr.Dataset(
        {"k": ("reach", np.arange(5.0), {"units": "h"}), "mine": ("reach", np.arange(5.0))},
        coords={"reach_id": ("reach", network.reach_id)},
    )
    path = tmp_path / "p.nc"
    dataset.to_netcdf(path, engine="netcdf4")
    found = read_parameters(path, ["k", "mine"], network)
    assert found["k"].tolist() == [0, 3600, 7200, 10800, 14400]
    assert found["mine"].tolist() == [0, 1, 2, 3, 4]  # a custom parameter may have no unit
    for units, message in ((None, "'k' has no units"), ("m", "unit 'm'; expected one like s")):
        dataset["k"].attrs = {} if units is None else {"units": units}
        dataset.to_netcdf(path, engine="netcdf4")
        with pytest.raises(InputError, match=message):
            read_parameters(path, ["k"], network)


def test_rapid_parameters_follow_the_ids(rapid_folder: Path) -> None:
    network = read_network(rapid_folder)
    assert read_parameters(rapid_folder, ["k", "x"], network)["k"].tolist() == [700, 300, 500]
    shuffled = network.subset([2, 0, 1])  # ids 5, 7, 3
    found = read_parameters(rapid_folder, ["k", "x"], shuffled)
    assert found["k"].tolist() == [500, 700, 300]
    assert found["x"].tolist() == [0.3, 0.1, 0.2]
    (rapid_folder / "k.csv").write_text("700\n300\n")
    with pytest.raises(InputError, match=r"k\.csv: has 2 values; expected 3"):
        read_parameters(rapid_folder, ["k"], network)
    with pytest.raises(InputError, match="'celerity' is missing"):
        read_parameters(rapid_folder, ["celerity"], network)


def _qout(path: Path, ids: list[int] | None, units: str = "m^3/s") -> Path:
    dataset = xr.Dataset({"Qout": (("time", "rivid"), np.arange(6.0).reshape(2, 3), {"units": units})})
    if ids is not None:
        dataset = dataset.assign_coords(rivid=ids)
    dataset.to_netcdf(path, engine="netcdf4")
    return path


def test_rapid_discharge(tmp_path: Path, rapid_folder: Path) -> None:
    table = rapid_folder / "riv_bas_id.csv"
    ids, discharge = read_rapid_qout(_qout(tmp_path / "a.nc", [3, 5, 7]))
    assert ids.tolist() == [3, 5, 7]
    assert discharge.tolist() == [[0, 1, 2], [3, 4, 5]]
    ids, discharge = read_rapid_qout(_qout(tmp_path / "b.nc", None), table)
    assert ids.tolist() == [3, 5, 7]
    with pytest.raises(InputError, match="no reach ids"):
        read_rapid_qout(tmp_path / "b.nc")
    with pytest.raises(InputError, match=r"id 3 at row 1, but .* has 5"):
        read_rapid_qout(_qout(tmp_path / "c.nc", [5, 3, 7]), table)


def test_rapid_of_texas(data_dir: Path) -> None:
    folder = data_dir / "texas_gulf_rapid"
    network = read_network(folder)
    found = read_parameters(folder, ["k", "x"], network)
    assert found["k"][0] == pytest.approx(4094.59175671)
    assert (found["x"] == 0.3).mean() > 0.5
    flipped = network.subset(np.arange(network.n_reaches)[::-1])
    assert np.array_equal(read_parameters(folder, ["k"], flipped)["k"], found["k"][::-1])
    ids, discharge = read_rapid_qout(folder / "Qout_erai_t511_3hr_19800101.nc", folder / "riv_bas_id.csv")
    assert discharge.shape == (8, 67313)
    assert np.array_equal(np.sort(network.positions(ids)), np.arange(network.n_reaches))
    assert not np.array_equal(ids, network.reach_id)  # the two orders differ: positions would be wrong
