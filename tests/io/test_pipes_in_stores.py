"""A pipe in the place of a chunk is refused, whoever reads the store: opened as a file it would block for ever."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

from rivercut.network import RiverNetwork
from rivercut.partition import partition
from rivercut.store import FolderOfFiles, read_network, read_partition, write_network, write_partition
from rivergrad.errors import InputError
from rivergrad.io.datasets import Variable, open_dataset, reading, write_dataset
from rivergrad.rundir.reading import read_parameter_map

NETWORK = RiverNetwork([1, 2, 3], [1, 2, -1], [1e3, 1e3, 1e3])


def _values(path: Path) -> object:
    with reading(path, "Zarr"), open_dataset(path) as data:
        return data["celerity"].values


READERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a variable": (_values, "celerity/c/0"),
    "a coordinate": (_values, "reach_id/c/0"),
    "what describes a variable": (_values, "celerity/zarr.json"),
    "a run's estimate": (lambda path: read_parameter_map(path, NETWORK), "celerity/c/0"),
    "a network": (read_network, "length/c/0"),
    "a partition": (read_partition, "order/c/0"),
}


def _store(reader: str, path: Path) -> None:
    if reader == "a network":
        write_network(NETWORK, path)
    elif reader == "a partition":
        write_partition(partition(NETWORK, 2, seed=0), path)
    else:
        columns = {"reach_id": NETWORK.reach_id, "celerity": np.array([1.0, 2.0, 3.0])}
        write_dataset(path, {name: Variable(("reach_id",), data) for name, data in columns.items()}, {})


@pytest.mark.timeout(60)
@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_in_a_store(tmp_path: Path, reader: str) -> None:
    read, name = READERS[reader]
    path = tmp_path / "s.zarr"
    _store(reader, path)
    read(path)
    (path / name).unlink()
    os.mkfifo(path / name)
    with pytest.raises(InputError, match=r"s\.zarr") as told:
        read(path)
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize("part", [None, RangeByteRequest(2, 5), OffsetByteRequest(3), SuffixByteRequest(4)])
def test_parts_of_files_are_those_of_zarr(tmp_path: Path, part: object) -> None:
    (tmp_path / "chunk").write_bytes(bytes(range(9)))
    (tmp_path / "folder").mkdir()
    ours, zarrs = FolderOfFiles(tmp_path, read_only=True), zarr.storage.LocalStore(tmp_path, read_only=True)
    how = default_buffer_prototype()
    for key in ("chunk", "nothing", "folder", "chunk/below"):
        got = [asyncio.run(store.get(key, how, part)) for store in (ours, zarrs)]
        got += asyncio.run(ours.get_partial_values(how, [(key, part)]))
        assert len({None if one is None else one.to_bytes() for one in got}) == 1
