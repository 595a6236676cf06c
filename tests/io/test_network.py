from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rivercut import store
from rivercut.network import RiverNetwork
from rivergrad.errors import InputError
from rivergrad.io import read_network, write_network_table


def _same(a: RiverNetwork, b: RiverNetwork) -> None:
    assert np.array_equal(a.reach_id, b.reach_id)
    assert np.array_equal(a.downstream, b.downstream)
    assert a.length is not None
    assert b.length is not None
    assert np.array_equal(a.length, b.length)
    assert set(a.attributes) == set(b.attributes)
    for name in a.attributes:
        assert np.array_equal(a.attributes[name], b.attributes[name], equal_nan=True), name


def test_a_table(network_csv: Path) -> None:
    network = read_network(network_csv)
    assert network.reach_id.tolist() == [30, 10, 50, 20, 40]
    assert network.downstream.tolist() == [2, 0, -1, 0, 2]
    assert network.attributes["slope"][0] == 0.0  # a slope of 0 stays
    bankfull = network.attributes["bankfull_flow_m3s"]
    assert np.isnan(bankfull).tolist() == [True, False, False, False, False]  # -9999 is missing, 0 is not
    assert network.attributes["is_lake"].tolist() == [1, 0, 0, 0, 0]
    assert "name" not in network.attributes


@pytest.mark.parametrize("name", ["n.csv", "n.csv.gz", "n.parquet"])
def test_tables_round_trip_to_the_last_digit(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(1)
    ids = rng.permutation(10**15 + np.arange(200))  # beyond what a float32 holds
    network = RiverNetwork.from_ids(
        ids, [-1, *ids[:-1]], rng.lognormal(8, 2, 200), {"slope": rng.lognormal(-9, 3, 200)}
    )
    write_network_table(tmp_path / name, network)
    first = (tmp_path / name).read_bytes()
    _same(read_network(tmp_path / name), network)
    write_network_table(tmp_path / name, network)
    assert (tmp_path / name).read_bytes() == first


def test_a_store(tmp_path: Path, network: RiverNetwork) -> None:
    store.write_network(network, tmp_path / "network.zarr")
    _same(read_network(tmp_path / "network.zarr"), network)


def test_a_rapid_folder(rapid_folder: Path) -> None:
    network = read_network(rapid_folder)
    assert network.reach_id.tolist() == [7, 3, 5]
    assert network.downstream.tolist() == [1, 2, -1]  # 999 is outside of the region
    assert network.length is None
    assert np.array_equal(network.attributes["lat"], [45.7, np.nan, 45.5], equal_nan=True)
    (rapid_folder / "comid_lat_lon_z.csv").unlink()
    assert set(read_network(rapid_folder).attributes) == {"k", "x"}


def _edit(path: Path, **columns: object) -> None:
    table = pd.read_csv(path)
    for name, values in columns.items():
        table[name] = values
    table.to_csv(path, index=False)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"downstream_id": [50, 30, -1, 30, 77]}, "40 -> 77"),
        ({"downstream_id": [50, 30, 10, 30, 50]}, "cycle"),
        ({"downstream_id": [50, 30, None, 30, 50]}, r"'downstream_id' is empty in row 3.*-1"),
        ({"downstream_id": [50, 30, -1, 30.5, 50]}, r"'30\.5' in row 4; expected an integer"),
        ({"downstream_id": ["50", "x", "-1", "30", "50"]}, "'x' in row 2"),
        ({"length_m": [1.0, -2.0, 3.0, 4.0, 5.0]}, r"10 \(-2 m\)"),
        ({"length_m": [1.0, None, 3.0, 4.0, 5.0]}, r"10 \(nan m\)"),
        ({"reach_id": [30, 10, 50, 10, 40]}, "10 appear more than once"),
        ({"slope": ["0", "1e-3", "steep", "0", "0"]}, "'steep' in row 3; expected a number"),
    ],
)
def test_bad_rows(network_csv: Path, columns: dict[str, object], message: str) -> None:
    _edit(network_csv, **columns)
    with pytest.raises(InputError, match=message) as error:
        read_network(network_csv)
    assert str(error.value).startswith(str(network_csv))
    assert len(str(error.value).splitlines()) <= 2


def test_a_missing_column_and_its_nearest(network_csv: Path) -> None:
    table = pd.read_csv(network_csv).rename(columns={"length_m": "lenght_m"})
    table.to_csv(network_csv, index=False)
    with pytest.raises(InputError, match=r"column 'length_m' is missing.*'lenght_m'"):
        read_network(network_csv)


def test_files_that_are_not_there_or_are_damaged(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such"):
        read_network(tmp_path / "none.csv")
    with pytest.raises(InputError, match="rapid_connect"):
        read_network(tmp_path)
    (tmp_path / "n.csv.gz").write_bytes(b"\x1f\x8b\x08\x00 and no more")
    (tmp_path / "n.parquet").write_bytes(b"PAR1")
    (tmp_path / "n.csv").write_text("")
    for name in ("n.csv.gz", "n.parquet", "n.csv"):
        with pytest.raises(InputError, match=f"{name}: cannot be read"):
            read_network(tmp_path / name)
    (tmp_path / "n.txt").write_text("")
    with pytest.raises(InputError, match=r"expected \.nc, \.zarr, \.csv"):
        read_network(tmp_path / "n.txt")


def test_the_real_networks(data_dir: Path) -> None:
    world = read_network(data_dir / "global_ddm30" / "network.csv.gz")
    assert (world.n_reaches, world.n_basins) == (67420, 11558)
    assert int(np.isnan(world.attributes["bankfull_flow_m3s"]).sum()) == 951
    juniata = read_network(data_dir / "juniata" / "network.csv")
    assert (juniata.n_reaches, juniata.n_basins) == (213, 1)
    assert (juniata.attributes["slope"] == 0).any()
    assert read_network(data_dir / "delaware" / "network.csv").n_reaches == 456
    texas = read_network(data_dir / "texas_gulf_rapid")
    assert texas.n_reaches == 67313
    assert texas.length is None
    assert np.isfinite(texas.attributes["lat"]).all()
