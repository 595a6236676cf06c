"""Stores: round trips, replacement, and what is said and left behind when something is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from rivercut import store
from rivercut.errors import InputError
from rivercut.network import RiverNetwork
from rivercut.partition import partition


@pytest.fixture
def network() -> RiverNetwork:
    downstream = np.append(np.arange(1, 40), -1)
    attributes = {"slope": np.linspace(0, 1, 40), "is_lake": np.arange(40) == 7, "order": np.arange(40)}
    return RiverNetwork(2**60 + np.arange(40), downstream, np.linspace(1, 40, 40), attributes)


def test_a_network_comes_back_as_it_was(network: RiverNetwork, tmp_path: Path) -> None:
    path = tmp_path / "new" / "network.zarr"
    store.write_network(network, path)
    back = store.read_network(path)
    np.testing.assert_array_equal(back.reach_id, network.reach_id)
    np.testing.assert_array_equal(back.downstream, network.downstream)
    np.testing.assert_array_equal(back.length, network.length)
    assert set(back.attributes) == {"slope", "is_lake", "order"}
    for name, values in network.attributes.items():
        np.testing.assert_array_equal(back.attributes[name], values)
        assert back.attributes[name].dtype == values.dtype
    assert [entry.name for entry in path.parent.iterdir()] == ["network.zarr"]


def test_no_lengths_come_back_as_none(tmp_path: Path) -> None:
    store.write_network(RiverNetwork.from_ids([1], [-1]), tmp_path / "n.zarr")
    assert store.read_network(tmp_path / "n.zarr").length is None


@pytest.mark.parametrize("parts", [1, 3])
def test_a_partition_comes_back_as_it_was(network: RiverNetwork, parts: int, tmp_path: Path) -> None:
    cut = partition(network, parts)
    store.write_partition(cut, tmp_path / "p.zarr")
    back = store.read_partition(tmp_path / "p.zarr")
    back.verify(network)
    for name in ("order", "block_ptr", "block_part", "block_downstream", "block_level"):
        np.testing.assert_array_equal(getattr(back, name), getattr(cut, name))
    assert [a.differs(b) for a, b in zip(back.halos, cut.halos, strict=True)] == [""] * parts


def test_a_store_is_replaced_whole(network: RiverNetwork, tmp_path: Path) -> None:
    path = tmp_path / "n.zarr"
    store.write_network(network, path)
    store.write_network(network.subset([0, 1]), path)
    assert store.read_network(path).n_reaches == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["n.zarr"]


def test_a_full_disk_leaves_what_was_there(
    network: RiverNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "n.zarr"
    store.write_network(network.subset([0]), path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zarr.Array, "__setitem__", full)
    for target in (path, tmp_path / "other.zarr"):
        with pytest.raises(OSError, match="No space left"):
            store.write_network(network, target)
    monkeypatch.undo()
    assert [entry.name for entry in tmp_path.iterdir()] == ["n.zarr"]
    assert store.read_network(path).n_reaches == 1


def test_what_is_no_store_is_not_replaced(network: RiverNetwork, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("keep me")
    with pytest.raises(InputError, match="notes: is there and is no zarr store"):
        store.write_network(network, tmp_path / "notes")
    assert (tmp_path / "notes" / "a.txt").read_text() == "keep me"


def test_a_missing_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.zarr: not found; expected a rivergrad network store"):
        store.read_network(tmp_path / "gone.zarr")


def test_another_kind_of_store_is_named(network: RiverNetwork, tmp_path: Path) -> None:
    store.write_network(network, tmp_path / "n.zarr")
    with pytest.raises(InputError, match=r"n\.zarr: holds rivergrad network; expected a rivergrad partition"):
        store.read_partition(tmp_path / "n.zarr")
    zarr.open_group(tmp_path / "z.zarr", mode="w")
    with pytest.raises(InputError, match=r"z\.zarr: holds no known format"):
        store.read_network(tmp_path / "z.zarr")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="folder: cannot be opened as a zarr store"):
        store.read_network(tmp_path / "folder")


def test_damage_is_named(network: RiverNetwork, tmp_path: Path) -> None:
    path = tmp_path / "n.zarr"
    store.write_network(network, path)
    chunk = path / "downstream" / "c" / "0"
    good = chunk.read_bytes()
    chunk.write_bytes(good[: len(good) // 2])
    with pytest.raises(InputError, match=r"n\.zarr: cannot be read"):
        store.read_network(path)
    chunk.unlink()  # zarr would read zeros: every reach into the first
    with pytest.raises(InputError, match=r"n\.zarr: downstream lacks 1 of 1 chunks"):
        store.read_network(path)
    shutil.rmtree(path / "downstream")
    with pytest.raises(InputError, match=r"n\.zarr: lacks '?downstream"):
        store.read_network(path)


def test_a_later_version_is_refused(network: RiverNetwork, tmp_path: Path) -> None:
    path = tmp_path / "n.zarr"
    store.write_network(network, path)
    meta = json.loads((path / "zarr.json").read_text())
    meta["attributes"]["version"] = 2
    (path / "zarr.json").write_text(json.dumps(meta))
    with pytest.raises(InputError, match="has format version 2; expected 1"):
        store.read_network(path)


def test_a_store_with_a_cycle_is_refused(network: RiverNetwork, tmp_path: Path) -> None:
    path = tmp_path / "n.zarr"
    store.write_network(network.subset([0, 1]), path)
    group = zarr.open_group(path, mode="r+")
    group["downstream"][...] = np.array([1, 0])  # type: ignore[index]
    with pytest.raises(InputError, match=r"n\.zarr: reach ids \d+, \d+ form a cycle"):
        store.read_network(path)
