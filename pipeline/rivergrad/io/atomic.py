"""A file or folder appears whole under its name, or not at all.

Everything is written beside its target under a temporary name and renamed at the end. When the writing
fails (a full disk, an error, Ctrl-C) what was written is removed and an older file under the name stays.
What a killed process left behind is removed by the next writing of the same target on that machine.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from rivergrad.errors import InputError

_FULL = {
    errno.ENOSPC: "No space left on the disk",
    errno.EDQUOT: "No space left in the quota",
    errno.EFBIG: "File too large",
}


class Keeper(Protocol):
    """Keeps the record of what is written into a folder."""

    folder: Path

    def before(self, target: Path) -> None:
        """Hear of a target before anything is made for it; refuse one that somebody else has written."""

    def making(self, target: Path, temporary: Path) -> None:
        """Hear of what will have the name of a target in a moment."""

    def owns(self, path: Path) -> bool:
        """Whether the record says that this was written by us."""


_keepers: list[Keeper] = []
_NEARLY_FULL = 1 << 20  # bytes: HDF5 reports a full disk as any other error, so the free space has to tell


@contextmanager
def kept_by(keeper: Keeper) -> Iterator[None]:
    """Let a keeper hear of all that `atomic_path` writes into its folder meanwhile."""
    _keepers.append(keeper)
    try:
        yield
    finally:
        _keepers.remove(keeper)


def keeper_of(path: Path) -> Keeper | None:
    """Who keeps the record of the nearest folder above a path; None where nobody does."""
    above = Path(os.path.abspath(path)).parents
    inside = [one for one in _keepers if one.folder in above]
    return max(inside, key=lambda one: len(one.folder.parts), default=None)


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9]+", "", socket.gethostname()) or "host"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    if path.is_symlink():
        with suppress(OSError):
            path.unlink()
        return
    # A library that failed to close its file may hold on to it, and to its space unless it is emptied first.
    with suppress(OSError):
        os.truncate(path, 0)
    with suppress(OSError):
        path.unlink()


def remove_leftovers(target: Path) -> None:
    """Remove what processes of this machine that were killed left beside a target, on their way to it."""
    if not target.parent.is_dir():
        return
    # a store that rivercut writes under the temporary name has a name of its own while it is made
    pattern = re.compile(
        rf"\.?\.tmp-{_host()}-(\d+)-[0-9a-f]+-{re.escape(target.name)}(\.(new|old)-[0-9a-f]+)?"
    )
    for entry in target.parent.iterdir():
        match = pattern.fullmatch(entry.name)
        if match is not None and not _alive(int(match.group(1))):
            _remove(entry)


def _replace(temporary: Path, target: Path) -> None:
    if not target.is_dir() and not temporary.is_dir():
        os.replace(temporary, target)
        return
    if not target.exists():
        os.rename(temporary, target)
        return
    # A folder cannot be replaced in one step: the old one steps aside, and comes back if the new one fails.
    aside = target.parent / _temporary_name(target)
    os.rename(target, aside)
    try:
        os.rename(temporary, target)
    except OSError:
        os.rename(aside, target)
        raise
    _remove(aside)


def _temporary_name(target: Path) -> str:
    # The suffix stays last: writers choose the format by it.
    return f".tmp-{_host()}-{os.getpid()}-{secrets.token_hex(4)}-{target.name}"


def _sync(path: Path) -> None:
    if path.is_file():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _as_os_error(error: BaseException, target: Path) -> BaseException:
    """NetCDF and zarr report a full disk in their own ways; say it in the usual one and name the file.

    A name that cannot be written, for its length or its characters, is that of the target, not the temporary one.
    """
    if isinstance(error, UnicodeEncodeError) and target.name in str(error.object):
        return InputError(f"{str(target)!r}: is no name in UTF-8; expected one")
    if isinstance(error, OSError) and error.errno in _FULL:
        return OSError(error.errno, f"{_FULL[error.errno]}; nothing was written", str(target))
    if isinstance(error, RuntimeError):
        if shutil.disk_usage(target.parent).free < _NEARLY_FULL:
            return OSError(errno.ENOSPC, "No space left on the disk; nothing was written", str(target))
        if "NetCDF" in str(error) or "HDF" in str(error):
            return OSError(errno.EIO, f"Writing failed ({error}); nothing was written", str(target))
    if isinstance(error, OSError) and error.errno and ".tmp-" in Path(str(error.filename)).name:
        return OSError(error.errno, os.strerror(error.errno), str(target))
    return error


@contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `target` to write a file or a folder to, and rename it at the end.

    Missing parent folders are made, and removed again where the writing fails. An existing file or folder under the
    name is replaced.

    Args:
        target: where the file or folder is to appear.

    Yields:
        The temporary path, with the name of the target at its end; nothing exists there yet.

    Raises:
        InputError: the parent is not a folder.
        OSError: the disk is full or the writing failed; nothing of it is left.
    """
    target = Path(os.path.abspath(target))
    keeper = keeper_of(target)
    if keeper is not None:
        keeper.before(target)
    new = [one for one in target.parents if not one.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"{target}: its parent is not a folder, so nothing can be written there") from error
    remove_leftovers(target)
    temporary = target.parent / _temporary_name(target)
    try:
        yield temporary
        _sync(temporary)
        if keeper is not None:
            keeper.making(target, temporary)
        _replace(temporary, target)
    except BaseException as error:
        meant = _as_os_error(error, target)
        _remove(temporary)
        with suppress(OSError):  # of those that something else is in by now
            for folder in new:
                folder.rmdir()
        if meant is error:
            raise
        raise meant from error
