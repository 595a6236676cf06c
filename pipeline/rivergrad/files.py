"""Is a path something that can be read: asked before anything is opened, as a pipe would block for ever."""

from __future__ import annotations

import errno
import glob
import json
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rivercut.files import open_file
from rivergrad.errors import InputError, os_error_text, shortened

__all__ = ["Paths", "expanded", "is_pattern", "json_of", "open_file", "require_readable", "text_of"]

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISFIFO, "a pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
Paths = str | Path | Sequence[str | Path]
"""A path, a pattern of paths such as `gauges/*.csv`, or several of them."""
_STREAMS = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
_METADATA = ("zarr.json", ".zgroup", ".zattrs", ".zmetadata")
_PROBLEMS = {
    errno.ENOENT: "no such {what}",
    errno.ENOTDIR: "no such {what}",
    errno.ELOOP: "is a link that leads back to itself",
    errno.ENAMETOOLONG: "the name is too long",
}


def expanded(paths: Paths) -> list[Path]:
    """The paths that are meant, each once: those of a list in its order, those of a pattern by name.

    A pattern that no path fits stays as it is: it is not there.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    found: list[Path] = []
    for one in map(Path, given):
        matches = sorted(glob.glob(str(one), recursive=True)) if is_pattern(one) else []
        found += map(Path, matches) if matches else [one]
    return list(dict.fromkeys(found))


def is_pattern(path: Path) -> bool:
    """Whether a path is a pattern, with `*`, `?` or `[`, and not the name of what is there."""
    return any(sign in str(path) for sign in "*?[") and not path.exists()


def require_readable(
    path: Path, what: str = "file or folder", *, file: bool = False, streams: bool = False
) -> None:
    """Raise unless a path is a file, or a folder, that this user may read.

    Args:
        path: what is about to be opened.
        what: it is meant to be.
        file: a folder will not do.
        streams: what a shell hands over (`/dev/stdin`, `<(...)`) will do, for what is read once from its beginning.

    Raises:
        InputError: nothing is there, or a pipe, a socket or a device; it may not be read; it is no path at all.
    """
    mode = _mode_of(path, what)
    if not (streams and str(path).startswith(_STREAMS)):
        for is_kind, name in _KINDS:
            if is_kind(mode):
                raise InputError(
                    f"{path}: is {name}; expected a file" + ("" if file else " or a folder") + " on a disk"
                )
    if not stat.S_ISDIR(mode):
        return _require_access(path, os.R_OK)
    if file:
        raise InputError(f"{path}: is a directory; expected a file")
    _require_access(path, os.R_OK | os.X_OK)
    for name in _METADATA:  # what a store is opened by
        if os.path.lexists(path / name):
            require_readable(path / name, file=True)
    return None


def text_of(path: Path) -> str:
    """The text in UTF-8 of a file; see `open_file`.

    Raises:
        OSError: as `open_file`.
        InputError: it is no text.
    """
    with open_file(path) as file:
        data = file.read()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: holds bytes that are no text in UTF-8, first at position {error.start}; "
            "expected it as it was written"
        ) from None


def json_of(path: Path) -> dict[str, Any]:
    """The object that a file of JSON holds; see `open_file`.

    Raises:
        OSError: as `open_file`.
        InputError: it holds anything else.
    """
    try:
        found = json.loads(text_of(path))
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}); expected it as it was written") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: found a {type(found).__name__}; expected an object of names and values")
    return found


def _mode_of(path: Path, what: str) -> int:
    try:
        return os.stat(path).st_mode
    except OSError as error:
        problem = _PROBLEMS.get(error.errno or 0)
        text = (
            os_error_text(error)
            if problem is None
            else f"{shortened(path, 200)}: {problem.format(what=what)}"
        )
        raise InputError(text) from None
    except ValueError:  # a NUL, or a lone surrogate that no file system can hold
        raise InputError(f"{shortened(repr(str(path)), 200)}: is no path; expected one") from None


def _require_access(path: Path, how: int) -> None:
    if not os.access(path, how):
        raise InputError(f"{path}: permission denied; expected one that this user may read")
