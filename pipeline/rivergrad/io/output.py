"""Where a command may write: never over what it reads, nor over what is not of the kind that it writes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rivergrad.errors import InputError
from rivergrad.files import json_of
from rivergrad.io.datasets import kind_of, open_dataset
from rivergrad.io.parameters import TITLE, describe
from rivergrad.io.state import TITLE as STATE_TITLE
from rivergrad.io.tables import column_names

DEAR = 100_000_000
"""Bytes of a file of discharge or runoff from which losing it is taken to cost hours; a store always is."""
_STORE_MARKS = ("zarr.json", ".zgroup", ".zarray", ".zmetadata")


@dataclass(frozen=True)
class Kind:
    """What a command writes. **Arguments**: its name; what tells one of it by a path that is there; whether it is
    `dear`: an existing one is replaced only if that is asked for."""

    name: str
    is_one: Callable[[Path], bool]
    dear: bool = False


def _holds(variable: str) -> Callable[[Path], bool]:
    def is_one(path: Path) -> bool:
        with open_dataset(path) as data:
            return variable in data.data_vars and str(data.attrs.get("source")) == "rivergrad"

    return is_one


def _is_parameters(path: Path) -> bool:
    if kind_of(path) in ("csv", "parquet"):
        names = [str(name) for name in column_names(path)]
        return names[:1] == ["reach_id"] and all(describe(name) is not None for name in names[1:])
    with open_dataset(path) as data:
        return str(data.attrs.get("title")) == TITLE


def _is_network(path: Path) -> bool:
    """A store of a network, which nothing else writes; a table may be anybody's."""
    found = json_of(path / "zarr.json")
    return bool(str(found["attributes"]["format"]).startswith("rivergrad network"))


def _is_partition(path: Path) -> bool:
    found = json_of(path / "zarr.json")
    return bool(found["attributes"]["format"] == "rivergrad partition")


def _is_state(path: Path) -> bool:
    with open_dataset(path) as data:
        return str(data.attrs.get("title")) == STATE_TITLE


DISCHARGE = Kind("discharge", _holds("discharge"), dear=True)
RUNOFF = Kind("runoff", _holds("runoff"), dear=True)
PARAMETERS = Kind("parameters", _is_parameters)
NETWORK = Kind("a network", _is_network)
OBSERVATIONS = Kind("observations", _holds("discharge"))
PARTITION = Kind("a partition", _is_partition)
STATE = Kind("a state", _is_state)


def claim_output(
    path: Path,
    kind: Kind,
    inputs: Mapping[str, Path | None],
    *,
    overwrite: bool = False,
    option: str = "--output",
) -> None:
    """Make sure that a command may write to a path; called before anything is read, and touches nothing.

    Args:
        path: what is to be written.
        kind: what will be written there.
        inputs: what the command reads (or writes besides), by the option that names it.
        overwrite: whether what is there may be replaced although it took long to make.
        option: that names the path.

    Raises:
        InputError: the path is, holds or lies in an input, by whatever name or link; or something is there that is not
            of the kind, or is dear.
    """
    for name, read in inputs.items():
        if read is not None and (how := in_the_way(path, read)) is not None:
            raise InputError(f"{option} {path}: {how} ({name} {read}); expected another place to write to")
    require_no_store_around(path, option)
    if not os.path.lexists(path) or _is_empty(path):
        return
    if not is_one(path, kind):
        raise InputError(
            f"{option} {path}: is there, and is not {kind.name} that rivergrad wrote; expected another place to "
            "write to"
        )
    if kind.dear and not overwrite and (path.is_dir() or path.stat().st_size > DEAR):
        raise InputError(f"{option} {path}: is there; expected another place to write to, or --overwrite")


def is_ours_to_replace(output: Path, folder: bool) -> bool:
    """Whether nothing is lost where a file or a folder is written: it is empty, and of the right kind."""
    return _is_empty(output) and output.is_dir() == folder


def in_the_way(output: Path, read: Path) -> str | None:
    """How writing to a path would harm what is read; None where it would not.

    Names do not matter: links are followed, and two names of one file or folder (hard links, another spelling on a file
    system that takes both) are the same. Next to the files of a RAPID folder, or of a run directory, there is room.
    """
    if is_same(output, read):
        return "is what is read"
    if _is_below(read, output):
        return "holds what is read"
    if _is_below(output, read) and _is_store(read):
        return "lies in what is read"
    return None


def is_same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file or folder, there or not."""
    a, b = os.path.realpath(one), os.path.realpath(other)
    if a == b:
        return True
    try:
        return os.path.samefile(a, b)
    except OSError:
        return False


def _is_below(path: Path, folder: Path) -> bool:
    return any(is_same(above, folder) for above in Path(os.path.realpath(path)).parents)


def _is_store(path: Path) -> bool:
    return path.suffix.lower() == ".zarr" or any((path / one).exists() for one in _STORE_MARKS)


def require_no_store_around(path: Path, option: str) -> None:
    """Raise an `InputError` where a path lies in a store of Zarr."""
    for above in Path(os.path.realpath(path)).parents:
        if any((above / mark).exists() for mark in _STORE_MARKS):
            raise InputError(
                f"{option} {path}: lies in the store {above}; expected another place to write to"
            )


def _is_empty(path: Path) -> bool:
    if path.is_dir():
        return not any(path.iterdir())
    return path.is_file() and path.stat().st_size == 0


def is_one(path: Path, kind: Kind) -> bool:
    """Whether what is at a path is of a kind; False where it can't be read."""
    if kind_of(path, writing=True) == "zarr":
        if not path.is_dir() or not (path / "zarr.json").is_file() or _strange_in_store(path):
            return False
    elif not path.is_file():
        return False
    try:
        return kind.is_one(path)
    except Exception:  # whatever libraries raise of what they cannot read
        return False


def _strange_in_store(store: Path) -> bool:
    """Whether a store holds anything but metadata and chunks."""
    for here, folders, files in os.walk(store):
        if any(Path(here, name).is_symlink() for name in (*folders, *files)):
            return True
        below = Path(here).relative_to(store).parts
        if any(name != "zarr.json" and not ("c" in below or name == "c") for name in files):
            return True
    return False
