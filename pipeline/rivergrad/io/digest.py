"""Digests of arrays, files and folders: whether two are the same, at a price that does not grow with their size.

Up to `WHOLE` bytes every byte counts. Of what is larger, these count: the size, `BLOCKS` blocks of `BLOCK` bytes
spread evenly from the first byte to the last, and of a folder the names and sizes of all files. So a change of all
values, or of any stretch of more than 1/`BLOCKS` of a large file, is seen; a change of a few values may not be. Times
and owners of files never count. `content_sum` is of every byte up to `SUMMED`, in a quarter of a second a GB besides
the reading; `stamp_of` says whether it has to be taken again.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WHOLE = 1 << 26
SUMMED = 1 << 36
BLOCK = 1 << 16
BLOCKS = 512
_HEX = 32  # digits: 128 bits


@dataclass(frozen=True)
class Digest:
    """What a file or folder holds. **Arguments**: `kind` (file, folder, link), `size` in bytes, `value` in hex."""

    kind: str
    size: int
    value: str

    @property
    def text(self) -> str:
        """All three in a word."""
        return f"{self.kind}:{self.size}:{self.value}"


def array_digest(values: NDArray[Any]) -> str:
    """Of the type, shape and bytes of an array, in hex; text counts by its characters."""
    array = np.ascontiguousarray(values)
    digest = hashlib.blake2b(f"{array.dtype.str} {array.shape}".encode())
    digest.update(array.data if array.dtype.kind in "iufb" else array.tobytes())
    return digest.hexdigest()[:_HEX]


def text_digest(text: str) -> str:
    """Of a text, in hex."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HEX]


def digest_of(path: str | os.PathLike[str]) -> Digest:
    """The digest of a file or folder. Links within a folder count by where they lead to, and are not followed.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    path = Path(path)
    if path.is_symlink():
        return Digest("link", 0, text_digest(os.readlink(path)))
    if not stat.S_ISDIR(path.stat().st_mode):
        size, value = _file(path)
        return Digest("file", size, value)
    found = sorted(_below(path))
    total = sum(size for _, _, size in found)
    digest = hashlib.blake2b()
    for name, target, size in found:
        digest.update(f"{name}\0{target}\0{size}\n".encode("utf-8", "surrogatepass"))
    files = [(name, size) for name, target, size in found if not target and size]
    if total <= WHOLE:
        for name, _ in files:
            with (path / name).open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
    else:
        for name, at in _spread(files, total):
            with (path / name).open("rb") as file:
                file.seek(at)
                digest.update(file.read(BLOCK))
    return Digest("folder", total, digest.hexdigest()[:_HEX])


def input_digest(path: str | os.PathLike[str]) -> Digest:
    """As `digest_of`, of what a link leads to."""
    return digest_of(os.path.realpath(path))


def content_sum(path: str | os.PathLike[str]) -> str | None:
    """Of a checksum (CRC-32) of every byte of a large file or folder, and of the names in it; a link is followed.

    Returns:
        None up to `WHOLE` bytes, of which `digest_of` is of every byte, and above `SUMMED`.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    path = Path(os.path.realpath(path))
    files = _files_of(path)
    if not WHOLE < sum(size for _, size in files) <= SUMMED:
        return None
    total = 0
    for name, _ in files:
        total = zlib.crc32(name.encode("utf-8", "surrogatepass"), total)
        with (path / name).open("rb", buffering=0) as file:
            while block := file.read(1 << 22):
                total = zlib.crc32(block, total)
    return text_digest(f"crc32 {total:08x}")


def stamp_of(path: str | os.PathLike[str]) -> str:
    """What the file system says of a file or of all in a folder: while that stays, so does the content.

    Size, both times and inode of each; a copy or another machine's view of the same has another.
    """
    path = Path(os.path.realpath(path))
    digest = hashlib.blake2b()
    for name, _ in _files_of(path):
        found = (path / name).stat()
        text = f"{name}\0{found.st_size}\0{found.st_mtime_ns}\0{found.st_ctime_ns}\0{found.st_ino}\n"
        digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:_HEX]


def _files_of(path: Path) -> list[tuple[str, int]]:
    """Name, empty for the path itself, and size of every file, by name."""
    if not path.is_dir():
        return [("", path.stat().st_size)]
    return [(name, size) for name, target, size in sorted(_below(path)) if not target]


def prefix_digest(path: Path, size: int) -> str:
    """Of the first bytes of a file (all of them count), in hex; of fewer where it is shorter."""
    digest = hashlib.blake2b()
    with path.open("rb") as file:
        while size > 0 and (block := file.read(min(size, 1 << 20))):
            digest.update(block)
            size -= len(block)
    return digest.hexdigest()[:_HEX]


def _file(path: Path) -> tuple[int, str]:
    size = path.stat().st_size
    if size <= WHOLE:
        return size, prefix_digest(path, size)
    digest = hashlib.blake2b(f"{size}".encode())
    with path.open("rb") as file:
        for _, at in _spread([("", size)], size):
            file.seek(at)
            digest.update(file.read(BLOCK))
    return size, digest.hexdigest()[:_HEX]


def _spread(files: list[tuple[str, int]], total: int) -> Iterator[tuple[str, int]]:
    """File and place of each block that counts, evenly over all bytes of the files one after the other."""
    place, which, before = np.linspace(0, max(0, total - BLOCK), BLOCKS).astype(np.int64), 0, 0
    for at in place.tolist():
        while at >= before + files[which][1]:
            before += files[which][1]
            which += 1
        yield files[which][0], at - before


def _below(folder: Path) -> Iterator[tuple[str, str, int]]:
    """Name, where it leads to if it is a link, and size of everything below a folder that is no folder itself."""
    for here, folders, files in os.walk(folder):
        for name in folders:
            if (link := Path(here, name)).is_symlink():
                yield os.path.relpath(link, folder), os.readlink(link), 0
        for name in files:
            path = Path(here, name)
            target = os.readlink(path) if path.is_symlink() else ""
            yield os.path.relpath(path, folder), target, 0 if target else path.lstat().st_size
