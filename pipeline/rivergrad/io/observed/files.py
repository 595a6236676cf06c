"""Which files a path, a list, a pattern or a folder of observations means, and of which format each is."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from rivergrad.errors import InputError, ids_text
from rivergrad.files import Paths, expanded, is_pattern, require_readable
from rivergrad.io.formats import CANONICAL, detect
from rivergrad.io.heads import head_of
from rivergrad.io.observed.record import GaugeFormat

log = logging.getLogger("rivergrad")

_MARKS = ("zarr.json", ".zgroup", ".zarray", ".zmetadata")
_MOST = 100_000


def gauge_format(path: Path, name: str = "auto") -> GaugeFormat | None:
    """The format of an archive that a file is of; None where it is another one.

    Args:
        path: the file.
        name: the name of a format; with `auto`, each is asked.

    Raises:
        InputError: no such format.
    """
    found = detect(path, "observations", name)
    return found.format if found is not None and isinstance(found.format, GaugeFormat) else None


def formats_of(files: Iterable[Path], name: str = "auto") -> Iterator[tuple[Path, GaugeFormat | None]]:
    """Each file with its format. The format of the file before is asked first: archives are of one."""
    last: GaugeFormat | None = None
    for file in files:
        own = head_of(file).has(*CANONICAL["observations"])
        if last is None or own or last.guess(file) is None:
            last = gauge_format(file, name)
        yield file, last


def is_many(paths: Paths) -> bool:
    """Whether it is a list, a pattern, or a folder that is no store."""
    if not isinstance(paths, str | Path):
        return True
    path = Path(paths)
    return is_pattern(path) or _is_plain_folder(path)


def files_of(paths: Paths, format: str = "auto") -> list[Path]:
    """The files that are meant, each once: of a list in its order, of patterns and folders by name.

    In a folder, and else in those below it, only the files that are of a format count; a line says which are left.

    Raises:
        InputError: a file that is not there, a pattern or a folder without any.
    """
    named = expanded(paths)
    if not named:
        raise InputError("observations: found an empty list of files; expected one or more")
    found: list[Path] = []
    for one in named:
        if is_pattern(one):
            raise InputError(f"{one}: no file has such a name; expected one or more")
        if _is_plain_folder(one):
            found += _in_folder(one, format)
        else:
            require_readable(one, "file of observations")
            found.append(one)
    return list(dict.fromkeys(found))


def _is_plain_folder(path: Path) -> bool:
    return (
        path.is_dir() and path.suffix.lower() != ".zarr" and not any((path / one).exists() for one in _MARKS)
    )


def _in_folder(folder: Path, format: str) -> list[Path]:
    for found in (folder.iterdir(), _below(folder)):
        files = sorted(one for one in found if one.is_file())
        told = formats_of(files, format)
        of_format = [file for file, made in told if made is not None and made.guess(file) is not None]
        if of_format:
            left = [one.name for one in files if one not in set(of_format)]
            if left:
                log.info("%s: left %d files that hold no series (%s)", folder, len(left), ids_text(left))
            return of_format
    raise InputError(
        f"{folder}: holds no file of observations in a format that is known"
        f"{'' if format == 'auto' else f' as {format}'}; expected one or more"
    )


def _below(folder: Path) -> Iterable[Path]:
    for count, path in enumerate(folder.rglob("*")):
        if count > _MOST:
            raise InputError(
                f"{folder}: has more than {_MOST} files below it; expected a folder of observations"
            )
        yield path
