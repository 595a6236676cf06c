"""Networks and partitions as zarr stores.

A store is one zarr (format 3) group with one array a field, named dimensions, and the attributes `format` and
`version`. It is written to a temporary folder beside its target and then renamed, so that a reader never sees
half of one and a failed write leaves what was there.

- network: `reach_id`, `downstream` (positions), `length` (m) if known, and the group `attributes`
- partition: `order`, `block_ptr`, `block_part`, `block_downstream`, `block_level`; the halos one after the
  other, that of part p from `receive_ptr[p]` to `receive_ptr[p+1]` (`send_ptr` likewise)
"""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.storage import LocalStore

from rivercut.errors import InputError
from rivercut.files import open_file
from rivercut.halo import Halo
from rivercut.network import RiverNetwork
from rivercut.partition import Partition

VERSION = 1
NETWORK = "rivergrad network"
PARTITION = "rivergrad partition"
CHUNK = 2**20  # elements: 8 MB before compression
RECEIVE = ("receive_from", "receive_at", "receive_part")
SEND = ("send_reach", "send_part")
BLOCK = ("block_part", "block_downstream", "block_level")
UNITS = {"length": "m"}


class FolderOfFiles(LocalStore):
    """A store on a disk that reads files only: a pipe in the place of a chunk would block for ever.

    Every reader of Zarr opens its store as one, `FolderOfFiles(path, read_only=True)`.
    """

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The bytes under a key, None where there is no file; see `LocalStore.get`.

        **Errors**: `OSError` if what is there is neither a file nor a folder, or may not be read.
        """
        return await asyncio.to_thread(_bytes_of, self.root / key, prototype, byte_range)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Several at once; see `get`."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """As `get`, without a thread."""
        return _bytes_of(self.root / key, prototype, byte_range)


def _bytes_of(path: Path, prototype: BufferPrototype | None, part: ByteRequest | None) -> Buffer | None:
    try:
        file = open_file(path)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None  # an absent chunk
    with file:
        size = os.fstat(file.fileno()).st_size
        start, stop = 0, size
        if isinstance(part, RangeByteRequest):
            start, stop = part.start, part.end
        elif isinstance(part, OffsetByteRequest):
            start = part.offset
        elif isinstance(part, SuffixByteRequest):
            start = max(0, size - part.suffix)
        file.seek(start)
        found = file.read(max(0, stop - start))
    return (prototype or default_buffer_prototype()).buffer.from_bytes(found)


def write_network(network: RiverNetwork, path: str | Path) -> None:
    """Write a network to `path`, a folder; a store that is there already is replaced.

    **Errors**: `InputError` if something other than a store is at `path`; `OSError` from the file system.
    """
    with _new_store(Path(path), NETWORK) as group:
        _put(group, "reach_id", network.reach_id, "reach")
        _put(group, "downstream", network.downstream, "reach")
        if network.length is not None:
            _put(group, "length", network.length, "reach")
        extra = group.create_group("attributes")
        for name, values in network.attributes.items():
            _put(extra, name, values, "reach")


def read_network(path: str | Path) -> RiverNetwork:
    """The network in the store at `path`, checked again.

    **Errors**: `InputError` naming the store if there is none, or it is another kind, incomplete or wrong.
    """
    with _store(Path(path), NETWORK) as group:
        extra = group["attributes"]
        if not isinstance(extra, zarr.Group):
            raise KeyError("attributes")
        return RiverNetwork(
            _get(group, "reach_id"),
            _get(group, "downstream"),
            _get(group, "length") if "length" in group else None,
            {name: _get(extra, name) for name in sorted(extra.array_keys())},
        )


def write_partition(partition: Partition, path: str | Path) -> None:
    """Write a partition to `path`, a folder; a store that is there already is replaced.

    **Errors**: `InputError` if something other than a store is at `path`; `OSError` from the file system.
    """
    with _new_store(Path(path), PARTITION) as group:
        group.attrs["n_parts"] = partition.n_parts
        _put(group, "order", partition.order, "reach")
        _put(group, "block_ptr", partition.block_ptr, "block_edge")
        for name in BLOCK:
            _put(group, name, getattr(partition, name), "block")
        for kind, names in (("receive", RECEIVE), ("send", SEND)):
            sizes = [getattr(halo, names[0]).size for halo in partition.halos]
            _put(group, f"{kind}_ptr", np.cumsum([0, *sizes], dtype=np.int64), "part_edge")
            for name in names:
                values = [getattr(halo, name) for halo in partition.halos]
                _put(group, name, np.concatenate([np.empty(0, np.int64), *values]), kind)


def read_partition(path: str | Path) -> Partition:
    """The partition in the store at `path`; `Partition.verify` checks it against its network.

    **Errors**: `InputError` naming the store if there is none, or it is another kind, incomplete or wrong.
    """
    with _store(Path(path), PARTITION) as group:
        n_parts = int(str(group.attrs["n_parts"]))
        pieces: dict[str, list[NDArray[Any]]] = {}
        for kind, names in (("receive", RECEIVE), ("send", SEND)):
            ptr = _get(group, f"{kind}_ptr")
            if ptr.size != n_parts + 1:
                raise InputError(f"{kind}_ptr has {ptr.size} elements; expected {n_parts + 1}")
            pieces |= {name: np.split(_get(group, name), ptr[1:-1]) for name in names}
        halos = [
            Halo(part, **{name: pieces[name][part] for name in pieces})
            if any(pieces[name][part].size for name in pieces)
            else Halo.empty(part)
            for part in range(n_parts)
        ]
        arrays: Mapping[str, NDArray[Any]] = {
            name: _get(group, name) for name in ("order", "block_ptr", *BLOCK)
        }
        return Partition(**arrays, n_parts=n_parts, halos=tuple(halos))


def _put(group: zarr.Group, name: str, values: NDArray[Any], dimension: str) -> None:
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=(max(1, min(CHUNK, values.size)),),
        dimension_names=[dimension],
    )
    array[...] = values
    if name in UNITS:
        array.attrs["units"] = UNITS[name]


def _get(group: zarr.Group, name: str) -> NDArray[Any]:
    array = group[name]
    if not isinstance(array, zarr.Array):
        raise KeyError(name)
    # zarr fills a chunk that is not there with zeros: a reach would quietly flow into reach 0.
    if array.nchunks_initialized < array.nchunks and array.size:
        raise InputError(
            f"{name} lacks {array.nchunks - array.nchunks_initialized} of {array.nchunks} chunks"
        )
    return np.asarray(array[...])


@contextmanager
def _new_store(path: Path, kind: str) -> Iterator[zarr.Group]:
    """An empty group beside `path` that takes its place on success and goes away on failure."""
    if path.exists() and not (path / "zarr.json").is_file():
        raise InputError(f"{path}: is there and is no zarr store; expected a store to replace or nothing")
    path.parent.mkdir(parents=True, exist_ok=True)
    unique = uuid.uuid4().hex[:8]
    new, old = (path.with_name(f".{path.name}.{what}-{unique}") for what in ("new", "old"))
    try:
        group = zarr.open_group(new, mode="w-", zarr_format=3)
        group.attrs.update({"format": kind, "version": VERSION})
        # An empty chunk is written too: see `_get`.
        with zarr.config.set({"array.write_empty_chunks": True}):
            yield group
        if path.exists():  # a folder cannot be renamed onto one that has files
            os.rename(path, old)
        os.rename(new, path)
    except OSError as error:  # zarr names a file of its own inside the temporary folder, or none at all
        if error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
    finally:
        if old.exists() and not path.exists():
            os.rename(old, path)
        for folder in (new, old):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _store(path: Path, kind: str) -> Iterator[zarr.Group]:
    """The group at `path`; what is wrong with it while it is read becomes an `InputError` that names it."""
    if not path.exists():
        raise InputError(f"{path}: not found; expected a {kind} store")
    try:
        group = zarr.open_group(FolderOfFiles(path, read_only=True), mode="r")
    except Exception as error:  # zarr raises many kinds here, json and numcodecs among them
        raise InputError(f"{path}: cannot be opened as a zarr store ({type(error).__name__})") from error
    found, version = group.attrs.get("format"), group.attrs.get("version")
    if found != kind:
        raise InputError(f"{path}: holds {found or 'no known format'}; expected a {kind} store")
    if version != VERSION:
        raise InputError(f"{path}: has format version {version}; expected {VERSION}")
    try:
        yield group
    except KeyError as error:
        raise InputError(f"{path}: lacks {error}; expected a complete {kind} store") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # a damaged chunk fails in whichever codec meets it first
        raise InputError(f"{path}: cannot be read ({type(error).__name__}: {error})") from error
