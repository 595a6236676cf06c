"""Which files a path, a list, a pattern or a folder of observations means, and of which format each is."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from rivergrad.errors import InputError, ids_text
from rivergrad.files import Paths, expanded, is_pattern, require_readable
from rivergrad.io.formats import detect
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
    for files in (sorted(folder.iterdir()), sorted(_below(folder))):
        of_format = [one for one in files if one.is_file() and _is_of(one, format)]
        if of_format:
            left = [one.name for one in files if one.is_file() and one not in set(of_format)]
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


def _is_of(path: Path, format: str) -> bool:
    made = gauge_format(path, format)
    return made is not None and made.guess(path) is not None
